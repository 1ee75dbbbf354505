/* SPDX-License-Identifier: Apache-2.0 */
/* The GSYM reader on any bytes. What it makes of them must be an index that opens. */
#include "symbolizer/indexer/gsym_scan.h"
#include "symbolizer/uhx_reader.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_index(struct uhx_builder *b)
{
	struct uhx_meta meta = {.quality = QUALITY_G1, .machine = STR("any")};
	struct uhx_counts counts;
	struct err e = ERR_INIT;
	struct uhx *u = NULL;
	int fd = memfd_create("uhx", MFD_CLOEXEC);

	if (fd < 0 || uhx_builder_write(b, &meta, fd, &counts, &e) || uhx_open_fd(fd, &u, &e) ||
	    uhx_verify(u, &e))
		abort();
	uhx_unref(u);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gsym_counts counts;
	struct err e = ERR_INIT;
	struct uhx_builder *b = NULL;
	struct gsym_image g;

	if (uhx_builder_new(&b, &e))
		return 0;
	if (gsym_image_open(&g, (struct str){(const char *)data, size}, "x", &e) == 0 &&
	    gsym_scan(&g, b, &counts, &e) == 0)
		write_index(b);
	else if (e.kind != ERR_BAD_GSYM && e.kind != ERR_UNSUPPORTED)
		abort();
	uhx_builder_free(b);
	return 0;
}
