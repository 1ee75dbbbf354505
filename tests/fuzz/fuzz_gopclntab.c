/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's table on any bytes, which serve as the data segment too, so that moduledata can be in them.
 * The last four bytes say where go:func.* is. What comes out must make an index that opens.
 */
#include "symbolizer/indexer/gopclntab.h"
#include "tests/fuzz/write_index.h"

enum { TABLE_VADDR = 0x10000, DATA_VADDR = 0x40000000, TEXT_VADDR = 0x1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
		write_index(b, QUALITY_GOPCLNTAB);
	else if (e.kind != ERR_BAD_ELF && e.kind != ERR_UNSUPPORTED && e.kind != ERR_TOO_LARGE)
		abort();
	uhx_builder_free(b);
	return 0;
}
