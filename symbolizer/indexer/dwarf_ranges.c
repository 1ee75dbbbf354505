/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_ranges.h"

#include <dwarf.h>

static uint64_t largest(const struct dwarf_unit *u)
{
	return u->sizes.address == 8 ? UINT64_MAX : UINT32_MAX;
}

// DW_AT_high_pc is an address in DWARF 2 and 3, and a length where its form is a constant.
static void begin_one(struct dwarf_ranges *x, const struct dwarf_attributes *a)
{
	const struct dwarf_value *high = &a->value[SLOT_HIGH_PC];
	uint64_t length;

	if (!dwarf_has(a, SLOT_LOW_PC) || !dwarf_has(a, SLOT_HIGH_PC) ||
	    !dwarf_address(x->unit, &a->value[SLOT_LOW_PC], &x->start))
		return;
	if (dwarf_unsigned(high, &length)) {
		if (!add_overflows(x->start, length, &x->end))
			x->kind = RANGES_ONE;
	} else if (dwarf_address(x->unit, high, &x->end)) {
		x->kind = RANGES_ONE;
	}
}

// A list by its number: offsets, relative to the base, stand at the base.
static bool list_offset(const struct dwarf_unit *u, uint64_t index, uint64_t *ret)
{
	uint64_t at;

	return dwarf_table_item(u, u->file->rnglists, u->rnglists_base, index, u->sizes.offset, &at) &&
	       !add_overflows(at, u->rnglists_base, ret);
}

static void begin_list(struct dwarf_ranges *x, const struct dwarf_value *v)
{
	const struct dwarf_unit *u = x->unit;
	bool is_old = u->version < 5;
	uint64_t offset;

	if (!dwarf_unsigned(v, &offset))
		return;
	if (v->form == DW_FORM_rnglistx && !list_offset(u, offset, &offset))
		return;
	if (is_old && u->addresses != u->file && add_overflows(offset, u->ranges_base, &offset))
		return;
	x->kind = is_old ? RANGES_OLD : RANGES_LIST;
	x->r = byte_reader_at(is_old ? u->addresses->ranges : u->file->rnglists, offset, u->file->big_endian);
}

void dwarf_ranges_begin(struct dwarf_ranges *x, const struct dwarf_unit *u, const struct dwarf_attributes *a)
{
	*x = (struct dwarf_ranges){.unit = u, .base = u->low_pc};
	if (dwarf_has(a, SLOT_RANGES))
		begin_list(x, &a->value[SLOT_RANGES]);
	else
		begin_one(x, a);
}

static bool relative(const struct dwarf_ranges *x, uint64_t *start, uint64_t *end)
{
	uint64_t mask = largest(x->unit);

	*start = (x->base + *start) & mask;
	*end = (x->base + *end) & mask;
	return *start < *end && x->base < mask - 1;
}

// 1: a range, 0: nothing to give, -1: the end.
static int next_old(struct dwarf_ranges *x, uint64_t *start, uint64_t *end)
{
	*start = read_uint(&x->r, x->unit->sizes.address);
	*end = read_uint(&x->r, x->unit->sizes.address);
	if (x->r.failed || (!*start && !*end))
		return -1;
	if (*start == largest(x->unit)) {
		x->base = *end;
		return 0;
	}
	return relative(x, start, end);
}

static bool read_indexed(struct dwarf_ranges *x, uint64_t *ret)
{
	struct dwarf_value v = {read_uleb(&x->r), DW_FORM_addrx};

	return dwarf_address(x->unit, &v, ret);
}

static int next_in_list(struct dwarf_ranges *x, uint64_t *start, uint64_t *end)
{
	unsigned size = x->unit->sizes.address;
	bool known = true;

	switch (read_u8(&x->r)) {
	case DW_RLE_base_addressx:
		if (!read_indexed(x, &x->base))
			x->base = UINT64_MAX;
		return 0;
	case DW_RLE_base_address:
		x->base = read_uint(&x->r, size);
		return 0;
	case DW_RLE_offset_pair:
		*start = read_uleb(&x->r);
		*end = read_uleb(&x->r);
		return relative(x, start, end);
	case DW_RLE_startx_endx:
		known = read_indexed(x, start);
		known &= read_indexed(x, end);
		break;
	case DW_RLE_startx_length:
		known = read_indexed(x, start);
		*end = *start + read_uleb(&x->r);
		break;
	case DW_RLE_start_end:
		*start = read_uint(&x->r, size);
		*end = read_uint(&x->r, size);
		break;
	case DW_RLE_start_length:
		*start = read_uint(&x->r, size);
		*end = *start + read_uleb(&x->r);
		break;
	default: // DW_RLE_end_of_list, and whatever comes, whose length nobody knows
		return -1;
	}
	return known && *start < *end;
}

// Of the file that the list is in: before DWARF 5 that is the skeleton's where a unit is split.
static uint64_t *entries_left(const struct dwarf_ranges *x)
{
	return &(x->kind == RANGES_OLD ? x->unit->addresses : x->unit->file)->ranges_left;
}

bool dwarf_ranges_next(struct dwarf_ranges *x, uint64_t *ret_start, uint64_t *ret_end)
{
	if (x->kind == RANGES_ONE) {
		x->kind = RANGES_NONE;
		*ret_start = x->start;
		*ret_end = x->end;
		return x->start < x->end;
	}
	while (x->kind != RANGES_NONE && x->entries++ < DWARF_RANGES_MAX && *entries_left(x)) {
		uint64_t start = 0;
		uint64_t end = 0;
		int rc = x->kind == RANGES_OLD ? next_old(x, &start, &end) : next_in_list(x, &start, &end);

		--*entries_left(x);
		if (rc < 0 || x->r.failed)
			break;
		if (rc) {
			*ret_start = start;
			*ret_end = end;
			return true;
		}
	}
	x->kind = RANGES_NONE;
	return false;
}
