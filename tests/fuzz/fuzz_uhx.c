/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index reader on any bytes: lookups everywhere, the listing, the checksums. The header's
 * checksum is made right first, or nothing would get past it.
 */
#include "base/digest.h"
#include "symbolizer/uhx_view.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sign(uint8_t *bytes, size_t n)
{
	struct uhx_header h;
	size_t head;

	if (n < sizeof(h))
		return;
	memcpy(&h, bytes, sizeof(h));
	h.file_size = n;
	h.checksum = 0;
	memcpy(bytes, &h, sizeof(h));
	head = sizeof(h) + (size_t)h.section_count * sizeof(struct uhx_section);
	if (h.section_count > UHX_SECTIONS_MAX || head > n)
		return;
	h.checksum = xxh3(bytes, head);
	memcpy(bytes, &h, sizeof(h));
}

static void look_up(const struct uhx_view *v, uint64_t va)
{
	static struct frames frames;
	struct uhx_hit hit;

	if (!uhx_view_find(v, va, &hit))
		return;
	uhx_view_chain(v, &hit, &frames);
	if (frames.n > FRAMES_MAX || frames.source >= SOURCE_COUNT)
		abort();
	for (size_t i = 0; i < frames.n; i++)
		xxh3(frames.frame[i].function.p, frames.frame[i].function.n);
}

static void look_everywhere(const struct uhx_view *v)
{
	enum { SEGMENTS = 4, ADDRESSES = 600 };

	for (size_t i = 0; i < MIN(v->part[UHX_SEGMENTS].count, (uint64_t)SEGMENTS); i++) {
		struct uhx_segment s;

		memcpy(&s, v->part[UHX_SEGMENTS].p + i * sizeof(s), sizeof(s));
		for (uint64_t at = 0; at < ADDRESSES; at++)
			look_up(v, s.base + at);
		look_up(v, s.base + UINT32_MAX);
	}
	look_up(v, 0);
	look_up(v, UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct uhx_view v = {.bytes = copy, .size = size};
	struct err e = ERR_INIT;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	sign(copy, size);
	if (uhx_view_open(&v, &e)) {
		if (e.kind != ERR_BAD_INDEX && e.kind != ERR_UNSUPPORTED)
			abort();
	} else {
		look_everywhere(&v);
		if (uhx_view_verify(&v, &e) && e.kind != ERR_BAD_INDEX)
			abort();
	}
	free(copy);
	return 0;
}
