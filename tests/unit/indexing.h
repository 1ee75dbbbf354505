/* SPDX-License-Identifier: Apache-2.0 */
/* For unit tests: index files of the test's folder in this process, and look at the result. Header-only. */
#ifndef TESTS_UNIT_INDEXING_H
#define TESTS_UNIT_INDEXING_H

#include "symbolizer/indexer/index.h"
#include "symbolizer/uhx_reader.h"
#include "tests/unit/toolbox.h"

struct indexing {
	struct uhx *index; /* NULL: refused, see error */
	struct warnings warnings;
	struct buf report;
	struct err error;
};

UNUSED static void indexing_deinit(struct indexing *x)
{
	uhx_unref(x->index);
	buf_deinit(&x->report);
}

UNUSED static int indexing_fd(const char *name)
{
	struct err e = ERR_INIT;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, name);
	fd = io_open_read(path, &e);
	if (fd < 0)
		fail_msg("%s", e.msg);
	return fd;
}

UNUSED static int indexing_image(struct elf_image *img, const char *name, struct err *e)
{
	int fd = indexing_fd(name);
	int rc = elf_image_open(img, fd, name, e);

	if (rc)
		close(fd);
	return rc;
}

UNUSED static void indexing_close(struct elf_image *img)
{
	int fd = img->fd;

	elf_image_close(img);
	if (fd >= 0)
		close(fd);
}

enum { INDEXING_SPLIT_MAX = 8 };

/* What an index is made of: debug and alt may be NULL; .dwp and .dwo files, up to a NULL. */
struct indexing_files {
	const char *elf;
	const char *debug;
	const char *alt;
	const char *split[INDEXING_SPLIT_MAX];
};

UNUSED static void indexing_run_files(struct indexing *x, const struct indexing_files *files)
{
	struct elf_image images[3 + INDEXING_SPLIT_MAX];
	struct elf_image *split[INDEXING_SPLIT_MAX];
	const char *names[3 + INDEXING_SPLIT_MAX] = {files->elf, files->debug, files->alt};
	struct index_input in = {.files = {&images[0], files->debug ? &images[1] : NULL},
				 .alternate = files->alt ? &images[2] : NULL,
				 .split = split,
				 .out_fd = io_tmpfile(toolbox_dir, NULL),
				 .warnings = &x->warnings};
	struct json_out j;
	int rc = 0;

	*x = (struct indexing){.report = BUF_INIT(MIB(1)), .error = ERR_INIT};
	j = JSON_OUT(&x->report);
	assert_true(in.out_fd >= 0);
	for (; in.split_count < INDEXING_SPLIT_MAX && files->split[in.split_count]; in.split_count++) {
		names[3 + in.split_count] = files->split[in.split_count];
		split[in.split_count] = &images[3 + in.split_count];
	}
	for (size_t i = 0; i < countof(images); i++) {
		images[i] = ELF_IMAGE_INIT;
		if (names[i] && !rc)
			rc = indexing_image(&images[i], names[i], &x->error);
	}
	if (!rc && index_run(&in, &j, &x->error) == 0 && uhx_open_fd(in.out_fd, &x->index, &x->error))
		fail_msg("%s", x->error.msg);
	for (size_t i = 0; i < countof(images); i++)
		indexing_close(&images[i]);
	close(in.out_fd);
}

UNUSED static void indexing_run(struct indexing *x, const char *elf, const char *debug, const char *alt)
{
	indexing_run_files(x, &(struct indexing_files){.elf = elf, .debug = debug, .alt = alt});
}

#endif
