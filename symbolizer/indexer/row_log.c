/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/row_log.h"

#include "base/mem.h"
#include "base/pb.h"
#include <string.h>

enum {
	PIECE = 1 << 20,
	ROW_BYTES_MAX = 1 + 6 * PB_VARINT_MAX, // a mark and six varints
};

// What of a row is not as its neighbour would have it, and so written.
enum {
	MARK_START = 1, // it does not begin where the one before ends
	MARK_SCOPE = 2,
	MARK_FILE = 4,
	MARK_LINE = 8,
	MARK_COLUMN = 16,
	MARK_NEW_PIECE = 32, // nothing but: the address of the piece where the run goes on follows
};

void row_log_deinit(struct row_log *l)
{
	for (size_t i = 0; i < l->piece_count; i++)
		free(l->pieces[i]);
	free(l->pieces);
	free(l->runs);
	*l = ROW_LOG_INIT;
}

// Differences wrap, so that every value can be written; small ones of either sign are short.
static uint64_t fold(uint64_t difference)
{
	return difference << 1 ^ -(difference >> 63);
}

static uint64_t unfold(uint64_t folded)
{
	return folded >> 1 ^ -(folded & 1);
}

static uint8_t *write_row(uint8_t *to, const struct uhx_row *from, const struct uhx_row *row)
{
	uint8_t *mark = to++;
	uint8_t bits = 0;

	to = pb_write_varint(to, row->end - row->start);
	if (row->start != from->end) {
		bits |= MARK_START;
		to = pb_write_varint(to, fold(row->start - from->end));
	}
	if (row->scope != from->scope) {
		bits |= MARK_SCOPE;
		to = pb_write_varint(to, fold((uint64_t)row->scope - from->scope));
	}
	if (row->file != from->file) {
		bits |= MARK_FILE;
		to = pb_write_varint(to, fold((uint64_t)row->file - from->file));
	}
	if (row->line != from->line) {
		bits |= MARK_LINE;
		to = pb_write_varint(to, fold((uint64_t)row->line - from->line));
	}
	if (row->column != from->column) {
		bits |= MARK_COLUMN;
		to = pb_write_varint(to, row->column);
	}
	*mark = bits;
	return to;
}

static inline uint64_t take(const uint8_t **at)
{
	uint64_t value = **at;
	bool whole;

	if (value < 0x80) {
		(*at)++;
		return value;
	}
	whole = pb_take_varint(at, *at + ROW_BYTES_MAX, &value);

	(void)whole; // written by us
	return value;
}

static const uint8_t *read_row(const uint8_t *at, struct uhx_row *row)
{
	uint8_t bits;
	uint64_t size;

	if (*at == MARK_NEW_PIECE)
		memcpy(&at, at + 1, sizeof(at));
	bits = *at++;
	size = take(&at);
	row->start = row->end;
	if (bits & MARK_START)
		row->start += unfold(take(&at));
	row->end = row->start + size;
	if (bits & MARK_SCOPE)
		row->scope += (uint32_t)unfold(take(&at));
	if (bits & MARK_FILE)
		row->file += (uint32_t)unfold(take(&at));
	if (bits & MARK_LINE)
		row->line += (uint32_t)unfold(take(&at));
	if (bits & MARK_COLUMN)
		row->column = (uint32_t)take(&at);
	return at;
}

// Room for a row and a jump behind it.
static int reserve(struct row_log *l)
{
	uint8_t *piece;
	uint8_t *end = l->piece_count ? l->pieces[l->piece_count - 1] + PIECE : NULL;

	if (end && end - l->at >= ROW_BYTES_MAX + 1 + (ptrdiff_t)sizeof(piece))
		return 0;
	if (mem_grow(&l->pieces, &l->piece_cap, l->piece_count + 1, sizeof(*l->pieces), SIZE_MAX))
		return -1;
	piece = mem_alloc(PIECE);
	if (!piece)
		return -1;
	if (end) {
		*l->at = MARK_NEW_PIECE;
		memcpy(l->at + 1, &piece, sizeof(piece));
	}
	l->pieces[l->piece_count++] = piece;
	l->at = piece;
	return 0;
}

static int write_last(struct row_log *l)
{
	static const struct uhx_row zero;
	bool rises = l->run_count && l->last.start >= l->before.start;

	if (reserve(l))
		return -1;
	if (!rises) {
		if (mem_grow(&l->runs, &l->run_cap, l->run_count + 1, sizeof(*l->runs), UINT32_MAX))
			return -1;
		l->runs[l->run_count++] =
			(struct row_run){.at = l->at, .start = l->last.start, .first = l->n - 1};
	}
	l->at = write_row(l->at, rises ? &l->before : &zero, &l->last);
	l->runs[l->run_count - 1].n++;
	l->before = l->last;
	return 0;
}

int row_log_add(struct row_log *l, const struct uhx_row *row)
{
	if (l->n && write_last(l))
		return -1;
	l->last = *row;
	l->n++;
	return 0;
}

int row_log_finish(struct row_log *l)
{
	return l->n ? write_last(l) : 0;
}

struct row_cursor row_log_begin(const struct row_run *run)
{
	struct row_cursor c = {.number = run->first, .left = run->n - 1};

	c.at = read_row(run->at, &c.row);
	return c;
}

bool row_log_next(struct row_cursor *c)
{
	if (!c->left)
		return false;
	c->left--;
	c->number++;
	c->at = read_row(c->at, &c->row);
	return true;
}
