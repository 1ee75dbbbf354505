/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowed string views, and strict parsing of what people and machines type. A view is not
 * NUL-terminated; NUL-terminated strings appear only at the borders to libc, curl and sqlite.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/base.h"
#include <string.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_EMPTY ((struct str){"", 0})
#define STR_FMT "%.*s"
#define STR_ARG(s) ((int)((s).n > INT32_MAX ? INT32_MAX : (s).n)), (s).p

static inline struct str str_from(const char *s)
{
	return (struct str){s ? s : "", s ? strlen(s) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *b)
{
	return str_eq(a, str_from(b));
}

int str_cmp(struct str a, struct str b); /* memcmp order, shorter first */
bool str_has_prefix(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);
bool str_eq_nocase(struct str a, struct str b); /* ASCII */
struct str str_trim(struct str s);              /* ASCII white space, both ends */
/* The view after the first n bytes (n is clipped to the length). */
struct str str_skip(struct str s, size_t n);
/* Cuts the next token off *rest at `sep`; false when *rest is exhausted (p == NULL). */
bool str_next(struct str *rest, char sep, struct str *ret_token);
/* The part after the last '/', or all of it. */
struct str str_basename(struct str path);
bool str_is_utf8(struct str s);
/* Bytes of the well-formed UTF-8 sequence that s starts with (RFC 3629); 0 where there is none. */
size_t str_utf8_len(struct str s);

/* Whole-string number parsers: false on empty, sign, trailing bytes, overflow, or value > max. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *ret);
/* Hexadecimal with or without 0x. */
bool str_hex_to_u64(struct str s, uint64_t *ret);
/* "64MiB", "1GiB", "500KB" (powers of 1000), plain bytes. */
bool str_to_size(struct str s, uint64_t *ret_bytes);
/* "250ms", "30s", "10m", "2h", "7d"; a bare number is seconds; fractions allowed ("0.5s"). */
bool str_to_duration_ms(struct str s, uint64_t *ret_ms);
/* "true/false/yes/no/1/0/on/off". */
bool str_to_bool(struct str s, bool *ret);

/* Lower-case hex; out holds 2 * n + 1 bytes. */
void hex_encode(const void *bytes, size_t n, char *out);
/* Either case; false on odd length, other bytes, or more than max_bytes. */
bool hex_decode(struct str hex, uint8_t *out, size_t max_bytes, size_t *ret_n);
/* RFC 3986, 2.1: the byte that "%2C" at the begin of s stands for. False: there is no such escape. */
bool str_percent_byte(struct str s, uint8_t *ret);

#endif
