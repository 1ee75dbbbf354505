/* SPDX-License-Identifier: Apache-2.0 */
/* Cached frames: never beyond the input, and what was read is written and read again alike. */
#include "symbolizer/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frames first;
	static struct frames second;
	struct buf again = BUF_INIT(MIB(64));
	struct err e = ERR_INIT;

	if (frames_decode((struct str){(const char *)data, size}, &first, &e)) {
		if (e.kind != ERR_CORRUPT)
			abort();
		return 0;
	}
	frames_encode(&first, &again);
	if (again.failed || frames_decode(buf_str(&again), &second, &e) || second.n != first.n)
		abort();
	for (size_t i = 0; i < first.n; i++) {
		if (!str_eq(first.frame[i].function, second.frame[i].function) ||
		    !str_eq(first.frame[i].file, second.frame[i].file))
			abort();
	}
	buf_deinit(&again);
	return 0;
}
