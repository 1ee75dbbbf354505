/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the pieces DWARF is made of out of borrowed bytes. The first read beyond the end latches
 * `failed`; from then on everything reads as 0 or empty, so that a parser may read on and check once.
 */
#ifndef SYMBOLIZER_INDEXER_BYTE_READER_H
#define SYMBOLIZER_INDEXER_BYTE_READER_H

#include "base/base.h"
#include "base/str.h"

struct byte_reader {
	struct str rest;
	bool big_endian;
	bool failed;
};

#define BYTE_READER(bytes, big) ((struct byte_reader){(bytes), (big), false})

static inline bool byte_reader_done(const struct byte_reader *r)
{
	return r->failed || !r->rest.n;
}

/* size: 1 to 8 bytes. */
uint64_t read_uint(struct byte_reader *r, unsigned size);
uint8_t read_u8(struct byte_reader *r);
uint64_t read_uleb(struct byte_reader *r); /* bits beyond 64 are dropped */
int64_t read_sleb(struct byte_reader *r);
struct str read_bytes(struct byte_reader *r, uint64_t n);
struct str read_cstr(struct byte_reader *r); /* without its NUL, which is read too */

#endif
