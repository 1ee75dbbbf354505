/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/cfi_places.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <stdlib.h>

enum {
	DIGIT_BITS = 11,
	DIGITS = 1 << DIGIT_BITS,
	PC_BITS = 32,
};

// ---- reading -----------------------------------------------------------------------------------

static bool cut_to_code(const struct cfi_reach *reach, struct eh_fde *fde)
{
	for (size_t i = 0; i < reach->n; i++) {
		const struct cfi_code *c = &reach->code[i];

		if (fde->start < c->start || fde->start >= c->end)
			continue;
		fde->end = MIN(fde->end, c->end);
		return fde->start >= reach->base && fde->end - reach->base <= UINT32_MAX;
	}
	return false;
}

static bool read_fde(struct cfi_cies *cies, const struct cfi_reach *reach,
		     const struct eh_record *record, const struct cfi_cie **ret_cie,
		     struct eh_fde *ret)
{
	*ret_cie = cfi_cies_of(cies, record);
	return *ret_cie && eh_frame_fde(cies->frame, record, &(*ret_cie)->cie, ret) &&
	       cut_to_code(reach, ret);
}

bool cfi_place_read(struct cfi_cies *cies, const struct cfi_reach *reach, uint64_t at,
		    const struct cfi_cie **ret_cie, struct eh_fde *ret)
{
	struct byte_reader r = byte_reader_at(cies->frame->bytes, at, cies->frame->big_endian);
	struct eh_record record;

	return eh_frame_next(cies->frame, &r, &record, NULL) == 0 &&
	       read_fde(cies, reach, &record, ret_cie, ret);
}

/* How many FDEs there may be. */
static int count(const struct eh_frame *f, size_t max, size_t *ret, struct err *e)
{
	struct byte_reader r = byte_reader(f->bytes, f->big_endian);
	struct eh_record record;
	size_t records = 0, n = 0;
	int rc;

	while ((rc = eh_frame_next(f, &r, &record, e)) == 0) {
		records++;
		n += !record.is_cie;
	}
	if (rc < 0 && records == 0)
		return -1;
	if (n > max)
		return err_set(e, ERR_TOO_LARGE, "%zu functions with call frame information; "
			       "at most %zu are read", n, max);
	*ret = n;
	return 0;
}

static void collect(struct cfi_cies *cies, const struct cfi_reach *reach, struct cfi_places *p,
		    size_t max)
{
	struct byte_reader r = byte_reader(cies->frame->bytes, cies->frame->big_endian);
	struct eh_record record;

	while (p->n < max && eh_frame_next(cies->frame, &r, &record, NULL) == 0) {
		const struct cfi_cie *cie;
		struct eh_fde fde;

		if (record.is_cie || !read_fde(cies, reach, &record, &cie, &fde))
			continue;
		p->place[p->n++] = (struct cfi_place){
			.pc = (uint32_t)(fde.start - reach->base),
			.at = (uint32_t)record.start,
		};
		p->end = MAX(p->end, fde.end - reach->base);
	}
}

// ---- sorting -----------------------------------------------------------------------------------

static bool is_sorted(const struct cfi_place *p, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (p[i].pc < p[i - 1].pc)
			return false;
	}
	return true;
}

static void sort_by_digit(const struct cfi_place *from, struct cfi_place *to, size_t n,
			  unsigned shift)
{
	uint32_t next[DIGITS] = {0};
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		next[from[i].pc >> shift & (DIGITS - 1)]++;
	for (size_t d = 0; d < DIGITS; d++) {
		uint32_t here = next[d];

		next[d] = sum;
		sum += here;
	}
	for (size_t i = 0; i < n; i++)
		to[next[from[i].pc >> shift & (DIGITS - 1)]++] = from[i];
}

/*
 * By digits from the lowest on, which keeps the order of equals, and whose time hostile files cannot
 * grow.
 */
static int sort(struct cfi_places *p, struct err *e)
{
	struct cfi_place *other;

	if (is_sorted(p->place, p->n))
		return 0;
	other = mem_calloc(p->n, sizeof(*other));
	if (!other)
		return err_nomem(e);
	for (unsigned shift = 0; shift < PC_BITS; shift += DIGIT_BITS) {
		struct cfi_place *from = p->place;

		sort_by_digit(from, other, p->n, shift);
		p->place = other;
		other = from;
	}
	free(other);
	return 0;
}

int cfi_places_find(struct cfi_cies *cies, const struct cfi_reach *reach, size_t max,
		    struct cfi_places *ret, struct err *e)
{
	_cleanup_(cfi_places_deinit) struct cfi_places p = {.n = 0};
	size_t n;

	if (count(cies->frame, max, &n, e) < 0)
		return -1;
	p.place = mem_calloc(n + 1, sizeof(*p.place));
	if (!p.place)
		return err_nomem(e);
	collect(cies, reach, &p, n);
	if (sort(&p, e) < 0)
		return -1;
	*ret = p;
	p.place = NULL;
	return 0;
}

void cfi_places_deinit(struct cfi_places *p)
{
	free(p->place);
	p->place = NULL;
}
