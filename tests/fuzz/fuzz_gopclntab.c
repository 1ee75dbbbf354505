/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's table on any bytes, which serve as the data segment too, so that moduledata can be in them.
 * The last four bytes say where go:func.* is. What comes out must make an index that opens.
 */
#include "symbolizer/indexer/gopclntab.h"
#include "symbolizer/uhx_reader.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { TABLE_VADDR = 0x10000, DATA_VADDR = 0x40000000, TEXT_VADDR = 0x1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_index(struct uhx_builder *b)
{
	struct uhx_meta meta = {.quality = QUALITY_GOPCLNTAB, .machine = STR("any")};
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
	struct gopclntab_segment segment = {DATA_VADDR, {(const char *)data, size}};
	struct gopclntab_input in = {
		.table = {(const char *)data, size},
		.table_vaddr = TABLE_VADDR,
		.text_vaddr = TEXT_VADDR,
		.segments = &segment,
		.segment_count = 1,
	};
	struct gopclntab_counts counts;
	struct err e = ERR_INIT;
	struct uhx_builder *b = NULL;
	uint32_t gofunc;

	if (size < sizeof(gofunc) || uhx_builder_new(&b, &e))
		return 0;
	memcpy(&gofunc, data + size - sizeof(gofunc), sizeof(gofunc));
	in.gofunc_vaddr = gofunc;
	if (gopclntab_index(&in, b, &counts, &e) == 0)
		write_index(b);
	else if (e.kind != ERR_BAD_ELF && e.kind != ERR_UNSUPPORTED && e.kind != ERR_TOO_LARGE)
		abort();
	uhx_builder_free(b);
	return 0;
}
