/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names from symbol tables: demangling ends, soon, within its cap, and changes nothing where it
 * fails.
 */
#include "symbolizer/indexer/demangle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(2 * (DEMANGLE_IN_MAX + DEMANGLE_OUT_MAX));

	buf_puts(&out, "<");
	if (!demangle((struct str){(const char *)data, size}, &out) && out.n != 1)
		abort();
	if (out.n > 1 + DEMANGLE_OUT_MAX + DEMANGLE_IN_MAX || out.p[0] != '<')
		abort();
	buf_deinit(&out);
	return 0;
}
