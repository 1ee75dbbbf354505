/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

int str_cmp(struct str a, struct str b)
{
	size_t n = MIN(a.n, b.n);
	int order = n ? memcmp(a.p, b.p, n) : 0;

	if (order)
		return order;
	return a.n < b.n ? -1 : a.n > b.n;
}

bool str_has_prefix(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

bool str_has_suffix(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq((struct str){s.p + (s.n - suffix.n), suffix.n}, suffix);
}

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	}
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
	while (s.n && is_space(s.p[0]))
		s = str_skip(s, 1);
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct str str_skip(struct str s, size_t n)
{
	n = MIN(n, s.n);
	return n ? (struct str){s.p + n, s.n - n} : s;
}

bool str_next(struct str *rest, char sep, struct str *ret_token)
{
	const char *at;

	if (!rest->p)
		return false;
	at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
	if (!at) {
		*ret_token = *rest;
		*rest = (struct str){NULL, 0};
		return true;
	}
	*ret_token = (struct str){rest->p, (size_t)(at - rest->p)};
	*rest = str_skip(*rest, ret_token->n + 1);
	return true;
}

struct str str_basename(struct str path)
{
	const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;

	return slash ? str_skip(path, (size_t)(slash - path.p) + 1) : path;
}

// Table 3-7 of the Unicode standard: the second byte's range depends on the first.
static size_t utf8_shape(unsigned char first, unsigned char *lo, unsigned char *hi)
{
	*lo = 0x80;
	*hi = 0xbf;
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef) {
		*lo = first == 0xe0 ? 0xa0 : 0x80;
		*hi = first == 0xed ? 0x9f : 0xbf; // no surrogates
		return 3;
	}
	if (first >= 0xf0 && first <= 0xf4) {
		*lo = first == 0xf0 ? 0x90 : 0x80;
		*hi = first == 0xf4 ? 0x8f : 0xbf; // nothing beyond U+10FFFF
		return 4;
	}
	return 0;
}

size_t str_utf8_len(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char lo;
	unsigned char hi;
	size_t len;

	if (!s.n)
		return 0;
	len = utf8_shape(p[0], &lo, &hi);
	if (len > s.n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (p[i] < lo || p[i] > hi)
			return 0;
		lo = 0x80;
		hi = 0xbf;
	}
	return len;
}

bool str_is_utf8(struct str s)
{
	while (s.n) {
		size_t len = str_utf8_len(s);

		if (!len)
			return false;
		s = str_skip(s, len);
	}
	return true;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!s.n)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || mul_overflows(v, 10, &v) ||
		    add_overflows(v, (uint64_t)(s.p[i] - '0'), &v))
			return false;
	}
	if (v > max)
		return false;
	*ret = v;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_hex_to_u64(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (str_has_prefix(s, STR("0x")) || str_has_prefix(s, STR("0X")))
		s = str_skip(s, 2);
	if (!s.n)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		int digit = hex_digit(s.p[i]);

		if (digit < 0 || v >> 60)
			return false;
		v = v << 4 | (uint64_t)digit;
	}
	*ret = v;
	return true;
}

struct unit {
	const char *name;
	uint64_t scale;
};

static bool find_unit(const struct unit *units, struct str name, uint64_t *ret_scale)
{
	for (; units->name; units++) {
		if (str_eq_nocase(name, str_from(units->name))) {
			*ret_scale = units->scale;
			return true;
		}
	}
	return false;
}

// The leading digits of *s, cut off it.
static struct str take_digits(struct str *s)
{
	struct str digits = {s->p, 0};

	while (digits.n < s->n && s->p[digits.n] >= '0' && s->p[digits.n] <= '9')
		digits.n++;
	*s = str_skip(*s, digits.n);
	return digits;
}

bool str_to_size(struct str s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},          {"B", 1},          {"KiB", KIB(1)},       {"MiB", MIB(1)},
		{"GiB", GIB(1)},  {"TiB", GIB(1024)}, {"KB", 1000},          {"MB", 1000000},
		{"GB", 1000000000}, {"TB", 1000000000000}, {NULL, 0},
	};
	struct str digits = take_digits(&s);
	uint64_t scale;
	uint64_t v;

	if (!str_to_u64(digits, UINT64_MAX, &v) || !find_unit(units, s, &scale) ||
	    mul_overflows(v, scale, &v))
		return false;
	*ret_bytes = v;
	return true;
}

// ".25" in billionths; digits beyond the ninth add nothing.
static bool take_fraction(struct str *s, uint64_t *ret_billionths)
{
	struct str digits;
	uint64_t v = 0;

	*ret_billionths = 0;
	if (!s->n || s->p[0] != '.')
		return true;
	*s = str_skip(*s, 1);
	digits = take_digits(s);
	if (!digits.n)
		return false;
	for (size_t i = 0; i < 9; i++)
		v = v * 10 + (i < digits.n ? (uint64_t)(digits.p[i] - '0') : 0);
	*ret_billionths = v;
	return true;
}

bool str_to_duration_ms(struct str s, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{"", 1000},	{"ms", 1},	 {"s", 1000},	     {"m", 60000},
		{"h", 3600000}, {"d", 86400000}, {NULL, 0},
	};
	struct str digits = take_digits(&s);
	uint64_t billionths;
	uint64_t scale;
	uint64_t v;

	if (!str_to_u64(digits, UINT64_MAX, &v) || !take_fraction(&s, &billionths) ||
	    !find_unit(units, s, &scale) || mul_overflows(v, scale, &v) ||
	    add_overflows(v, billionths * scale / 1000000000, &v))
		return false;
	*ret_ms = v;
	return true;
}

bool str_to_bool(struct str s, bool *ret)
{
	static const struct unit words[] = {
		{"true", 1},  {"yes", 1}, {"1", 1}, {"on", 1},	{"false", 0},
		{"no", 0}, {"0", 0}, {"off", 0}, {NULL, 0},
	};
	uint64_t v;

	if (!find_unit(words, s, &v))
		return false;
	*ret = v != 0;
	return true;
}

void hex_encode(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

bool hex_decode(struct str hex, uint8_t *out, size_t max_bytes, size_t *ret_n)
{
	if (hex.n % 2 || hex.n / 2 > max_bytes)
		return false;
	for (size_t i = 0; i < hex.n / 2; i++) {
		int hi = hex_digit(hex.p[2 * i]);
		int lo = hex_digit(hex.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret_n = hex.n / 2;
	return true;
}

bool str_percent_byte(struct str s, uint8_t *ret)
{
	size_t n;

	return s.n >= 3 && s.p[0] == '%' && hex_decode((struct str){s.p + 1, 2}, ret, 1, &n);
}
