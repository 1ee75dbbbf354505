/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of kernels' symbol lists on any bytes. What it makes of them must be an index that opens. */
#include "symbolizer/indexer/kallsyms_list.h"
#include "tests/fuzz/write_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct symbols s = SYMBOLS_INIT;
	struct uhx_builder *b = NULL;
	struct err e = ERR_INIT;
	struct kallsyms_head h;

	if (uhx_builder_new(&b, &e))
		return 0;
	if (kallsyms_list_head(&text, &h, &e) == 0 && kallsyms_list_read(text, &s, &e) == 0 &&
	    symbols_finish(&s, &e) == 0) {
		symbols_add_rows(&s, b);
		write_index(b, QUALITY_SYMTAB);
	} else if (e.kind != ERR_UNSUPPORTED && e.kind != ERR_NO_BUILD_ID) {
		abort();
	}
	symbols_deinit(&s);
	uhx_builder_free(b);
	return 0;
}
