/* SPDX-License-Identifier: Apache-2.0 */
/* The GSYM reader on any bytes. What it makes of them must be an index that opens. */
#include "symbolizer/indexer/gsym_scan.h"
#include "tests/fuzz/write_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
		write_index(b, QUALITY_G1);
	else if (e.kind != ERR_BAD_GSYM && e.kind != ERR_UNSUPPORTED)
		abort();
	uhx_builder_free(b);
	return 0;
}
