/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include <string.h>

static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f;
}

enum { WORD = sizeof(uint64_t), ESCAPED_MAX = 8 };

// Are all eight bytes plain? Printable ASCII is what has no high bit, does not get one by adding 1 (DEL
// does), and gets one by adding 0x60 (what is below space does not). No carry leaves a byte without a high bit.
static bool word_is_plain(const char *p)
{
	const uint64_t each = 0x0101010101010101, high = each << 7;
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return !((w | (w + each) | ~(w + each * 0x60)) & high);
}

static size_t plain_length(struct str s)
{
	size_t n = 0;

	while (s.n - n >= WORD && word_is_plain(s.p + n))
		n += WORD;
	while (n < s.n && is_plain((unsigned char)s.p[n]))
		n++;
	return n;
}

// The first character of s, which is not plain, as it may be shown; *taken: how long it is in s.
static struct str escape(struct str s, char room[static ESCAPED_MAX], size_t *taken)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = str_utf8_len(s);
	bool is_c1 = n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0;

	if (n > 1 && !is_c1) {
		*taken = n;
		return (struct str){s.p, n};
	}
	*taken = 1;
	snprintf(room, ESCAPED_MAX, "\\x%02x", c);
	return str_from(room);
}

// The beginning of s that can be written in one go; it is cut off s. room is used for what must be escaped.
static struct str next_piece(struct str *s, char room[static ESCAPED_MAX])
{
	struct str piece = {s->p, plain_length(*s)};
	size_t taken = piece.n;

	if (piece.n == 0)
		piece = escape(*s, room, &taken);
	*s = str_skip(*s, taken);
	return piece;
}

void printable_put(struct str s, FILE *out)
{
	char room[ESCAPED_MAX];

	while (s.n) {
		struct str piece = next_piece(&s, room);

		fwrite(piece.p, 1, piece.n, out);
	}
}

void printable_append(struct str s, struct buf *out)
{
	char room[ESCAPED_MAX];

	while (s.n)
		buf_append_str(out, next_piece(&s, room));
}

void printable_copy(struct str s, char *out, size_t size)
{
	size_t n = MIN(s.n, size - 1);

	for (size_t i = 0; i < n; i++)
		out[i] = is_plain((unsigned char)s.p[i]) ? s.p[i] : '?';
	out[n] = '\0';
}
