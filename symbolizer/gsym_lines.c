/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/gsym_lines.h"

#include "base/pb.h"
#include "symbolizer/gsym_format.h"

/*
 * A special opcode is (line delta - first) + address delta * range + GSYM_LINE_SPECIAL in one byte:
 * the more line deltas have one, the shorter the address deltas that still fit. Functions differ,
 * so some ranges are tried.
 */
struct window {
	int64_t first; // the smallest line delta
	int64_t range; // how many there are
};

enum { DELTAS = 128, DELTA_MIN = -DELTAS / 2, SPECIAL_ROOM = 256 - GSYM_LINE_SPECIAL };

static const int64_t ranges[] = {4, 8, 12, 15, 20, 28};

static unsigned sleb_size(int64_t v)
{
	unsigned n = 1;

	for (; v < -64 || v > 63; v >>= 7)
		n++;
	return n;
}

static unsigned uleb_size(uint64_t v)
{
	unsigned n = 1;

	for (; v > 127; v >>= 7)
		n++;
	return n;
}

static void put_sleb(struct buf *b, int64_t v)
{
	for (; v < -64 || v > 63; v >>= 7)
		buf_append_c(b, (char)((v & 0x7f) | 0x80));
	buf_append_c(b, (char)(v & 0x7f));
}

// The opcode, or 0 where the step is too long for one.
static unsigned special(const struct window *w, int64_t line_delta, uint64_t address_delta)
{
	uint64_t column = (uint64_t)(line_delta - w->first);
	uint64_t op;

	if (line_delta < w->first || column >= (uint64_t)w->range || address_delta > SPECIAL_ROOM)
		return 0;
	op = column + address_delta * (uint64_t)w->range;
	return op < SPECIAL_ROOM ? (unsigned)op + GSYM_LINE_SPECIAL : 0;
}

static struct gsym_line before(const struct gsym_line *lines, size_t i, uint64_t start)
{
	return i ? lines[i - 1] : (struct gsym_line){start, 1, lines[0].line};
}

static void put_step(const struct window *w, const struct gsym_line *from,
		     const struct gsym_line *to, struct buf *out)
{
	int64_t line_delta = (int64_t)to->line - from->line;
	unsigned op = special(w, line_delta, to->address - from->address);

	if (to->file != from->file) {
		buf_append_c(out, GSYM_LINE_FILE);
		pb_put_varint(out, to->file);
	}
	if (op) {
		buf_append_c(out, (char)op);
		return;
	}
	if (line_delta) {
		buf_append_c(out, GSYM_LINE_LINE);
		put_sleb(out, line_delta);
	}
	buf_append_c(out, GSYM_LINE_ADDRESS);
	pb_put_varint(out, to->address - from->address);
}

// Bytes of the steps under a window, changes of the file left out: they cost the same under all.
static uint64_t cost(const struct window *w, const struct gsym_line *lines, size_t n,
		     uint64_t start)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		struct gsym_line from = before(lines, i, start);
		int64_t line_delta = (int64_t)lines[i].line - from.line;
		uint64_t address_delta = lines[i].address - from.address;

		if (special(w, line_delta, address_delta))
			bytes += 1;
		else
			bytes += (line_delta ? 1 + sleb_size(line_delta) : 0) + 1 +
				 uleb_size(address_delta);
	}
	return bytes;
}

// Where a window of that range catches the most line deltas.
static int64_t best_first(const uint32_t *counts, int64_t range)
{
	uint64_t caught = 0;
	uint64_t most = 0;
	int64_t best = 0;

	for (int64_t i = 0; i < DELTAS; i++) {
		caught += counts[i];
		if (i >= range)
			caught -= counts[i - range];
		if (i >= range - 1 && caught > most) {
			most = caught;
			best = i - range + 1;
		}
	}
	return best + DELTA_MIN;
}

static struct window choose(const struct gsym_line *lines, size_t n, uint64_t start)
{
	uint32_t counts[DELTAS] = {0};
	struct window best = {0, 1};
	uint64_t least = cost(&best, lines, n, start);

	for (size_t i = 1; i < n; i++) {
		int64_t at = (int64_t)lines[i].line - lines[i - 1].line - DELTA_MIN;

		if (at >= 0 && at < DELTAS)
			counts[at]++;
	}
	for (size_t i = 0; i < countof(ranges); i++) {
		struct window w = {best_first(counts, ranges[i]), ranges[i]};
		uint64_t bytes = cost(&w, lines, n, start);

		if (bytes < least) {
			least = bytes;
			best = w;
		}
	}
	return best;
}

void gsym_lines_encode(const struct gsym_line *lines, size_t n, uint64_t start, struct buf *out)
{
	struct window w = choose(lines, n, start);

	put_sleb(out, w.first);
	put_sleb(out, w.first + w.range - 1);
	pb_put_varint(out, lines[0].line);
	for (size_t i = 0; i < n; i++) {
		struct gsym_line from = before(lines, i, start);

		put_step(&w, &from, &lines[i], out);
	}
	buf_append_c(out, GSYM_LINE_END);
}
