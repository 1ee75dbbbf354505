/* SPDX-License-Identifier: Apache-2.0 */
/* Call frame information out of any bytes, read as each of its formats. The first byte says how. */
#include "base/eh_frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(void *ctx, uint64_t start, uint64_t end)
{
	size_t *n = ctx;

	if (end < start)
		abort();
	return ++*n > 1000000;
}

static int count_starts(void *ctx, uint64_t start, uint64_t end)
{
	size_t *n = ctx;

	(void)start;
	(void)end;
	return ++*n > 1000000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eh_frame f = {.vaddr = 0x10000, .text_base = 0x5000, .data_base = 0x7000};
	struct eh_frame_hdr h;
	struct err e = ERR_INIT;
	size_t n = 0;

	if (!size)
		return 0;
	f.bytes = (struct str){(const char *)data + 1, size - 1};
	f.is_debug_frame = data[0] & 1;
	f.big_endian = data[0] & 2;
	f.address_size = data[0] & 4 ? 4 : 8;
	if (eh_frame_read(&f, count, &n, &e) < 0 && e.kind != ERR_BAD_ELF)
		abort();
	// no more records than bytes for their lengths
	if (n > size / 8)
		abort();
	n = 0;
	if (eh_frame_hdr_read(&f, &h, &e) == 0 && eh_frame_hdr_starts(&f, &h, count_starts, &n) < 0)
		abort();
	return 0;
}
