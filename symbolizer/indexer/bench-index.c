/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-index ELF OUT.uhx: what unhex-indexer does, without its sandbox, so that a profiler or valgrind
 * can look on. For files that are trusted.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "symbolizer/indexer/index.h"
#include <fcntl.h>
#include <stdio.h>

enum { REPORT_MAX = 16 << 20 };

static int index_file(const char *elf, const char *out, struct buf *report, struct err *e)
{
	_cleanup_close_ int from = io_open_read(elf, e);
	_cleanup_close_ int to = from < 0 ? -1 : open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct elf_image img = ELF_IMAGE_INIT;
	struct json_out j = JSON_OUT(report);
	struct warnings warnings = {0};
	int r = -1;

	if (from < 0)
		return -1;
	if (to < 0)
		return err_set(e, ERR_IO, "%s cannot be written", out);
	if (elf_image_open(&img, from, elf, e) == 0) {
		struct index_input in = {.files = {&img}, .out_fd = to, .warnings = &warnings};

		r = index_run(&in, &j, e);
	}
	elf_image_close(&img);
	return r;
}

int main(int argc, char **argv)
{
	struct buf report = BUF_INIT(REPORT_MAX);
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (argc != 3) {
		fprintf(stderr, "usage: bench-index ELF OUT.uhx\n");
		return EXIT_USAGE;
	}
	if (index_file(argv[1], argv[2], &report, &e) < 0) {
		fprintf(stderr, "bench-index: %s\n", e.msg);
		code = err_exit_code(e.kind);
	}
	printf("%.*s\n", (int)report.n, report.p ? report.p : "");
	buf_deinit(&report);
	return code;
}
