/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f;
}

static size_t plain_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_plain((unsigned char)s.p[n]))
		n++;
	return n;
}

// One character that is not plain ASCII; returns its length.
static size_t put_other(struct str s, FILE *out)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = str_utf8_len(s);
	bool is_c1 = n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0;

	if (n > 1 && !is_c1) {
		fwrite(s.p, 1, n, out);
		return n;
	}
	fprintf(out, "\\x%02x", c);
	return 1;
}

void printable_put(struct str s, FILE *out)
{
	while (s.n) {
		size_t n = plain_length(s);

		if (n)
			fwrite(s.p, 1, n, out);
		else
			n = put_other(s, out);
		s = str_skip(s, n);
	}
}

void printable_copy(struct str s, char *out, size_t size)
{
	size_t n = MIN(s.n, size - 1);

	for (size_t i = 0; i < n; i++)
		out[i] = is_plain((unsigned char)s.p[i]) ? s.p[i] : '?';
	out[n] = '\0';
}
