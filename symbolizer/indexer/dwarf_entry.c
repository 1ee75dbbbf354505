/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_entry.h"

#include <dwarf.h>

// ---- values -------------------------------------------------------------------------------------------

static struct byte_reader reader_at(const struct dwarf_unit *u, const uint8_t *p)
{
	return (struct byte_reader){p, u->end, u->file->big_endian, false};
}

// An entry that others refer to is read for each of them: a longer string is damage.
static uint64_t read_string_start(struct byte_reader *r, const struct dwarf_unit *u)
{
	const uint8_t *start = r->p;
	const uint8_t *nul = memchr(start, '\0', MIN(byte_reader_left(r), (size_t)DWARF_IN_PLACE_MAX));

	if (!nul) {
		byte_reader_fail(r);
		return 0;
	}
	r->p = nul + 1;
	return (uint64_t)(start - (const uint8_t *)u->file->info.p);
}

static bool is_signed(uint64_t form)
{
	return form == DW_FORM_sdata;
}

// Reads or skips one value; `form` may turn out to be another (DW_FORM_indirect).
static void read_value(struct byte_reader *r, const struct dwarf_unit *u, int op, struct dwarf_value *v)
{
	switch (op) {
	case OP_FIXED_MAX:
		skip_bytes(r, OP_FIXED_MAX);
		break;
	case OP_LEB:
		v->number = is_signed(v->form) ? (uint64_t)read_sleb(r) : read_uleb(r);
		break;
	case OP_STRING:
		v->number = read_string_start(r, u);
		break;
	case OP_BLOCK_LEB:
		skip_bytes(r, read_uleb(r));
		break;
	case OP_BLOCK_1:
		skip_bytes(r, read_u8(r));
		break;
	case OP_BLOCK_2:
		skip_bytes(r, read_uint(r, 2));
		break;
	case OP_BLOCK_4:
		skip_bytes(r, read_uint(r, 4));
		break;
	default:
		v->number = read_uint(r, (unsigned)op);
		break;
	}
}

// The form stands before the value; it may not be indirect again, nor in the abbreviation.
static void read_indirect(struct byte_reader *r, const struct dwarf_unit *u, struct dwarf_value *v)
{
	int op;

	v->form = read_uleb(r);
	op = dwarf_form_op(v->form, u->sizes);
	if (op < 0 || op == OP_INDIRECT || op == OP_CONSTANT)
		byte_reader_fail(r);
	else
		read_value(r, u, op, v);
}

static inline void read_step(struct byte_reader *r, const struct dwarf_unit *u,
			     const struct dwarf_step *step, struct dwarf_value *v)
{
	v->form = step->form;
	if (step->skip && !skip_bytes(r, step->skip))
		return;
	if (step->op == OP_CONSTANT)
		v->number = (uint64_t)u->abbrevs->constants[step->constant];
	else if (step->op < OP_FIXED_MAX)
		v->number = read_uint(r, step->op);
	else if (step->op == OP_INDIRECT)
		read_indirect(r, u, v);
	else
		read_value(r, u, step->op, v);
}

const uint8_t *dwarf_entry_read(const struct dwarf_entry *d, struct dwarf_attributes *ret)
{
	struct byte_reader r = reader_at(d->unit, d->attributes);
	const struct dwarf_step *step = d->unit->abbrevs->steps + d->abbrev->first;
	uint16_t fixed = d->abbrev->fixed;

	ret->has = 0;
	for (unsigned i = 0; i < d->abbrev->steps; i++, step++) {
		struct dwarf_value v = {0, 0};

		read_step(&r, d->unit, step, &v);
		if (r.failed)
			return NULL;
		if (step->slot && !dwarf_has(ret, step->slot)) {
			ret->has |= 1U << step->slot;
			ret->value[step->slot] = v;
		}
	}
	if (fixed == ABBREV_NOT_FIXED)
		return r.p;
	return (size_t)(d->unit->end - d->attributes) >= fixed ? d->attributes + fixed : NULL;
}

// Where the entry ends, without a look at what it says.
static const uint8_t *skip_attributes(const struct dwarf_unit *u, const struct abbrev *a, const uint8_t *p)
{
	struct byte_reader r = reader_at(u, p);
	const struct dwarf_step *step;

	if (a->fixed != ABBREV_NOT_FIXED)
		return skip_bytes(&r, a->fixed) ? r.p : NULL;
	step = u->abbrevs->steps + a->first;
	for (unsigned i = 0; i < a->steps; i++, step++) {
		struct dwarf_value v;

		read_step(&r, u, step, &v);
	}
	return r.failed ? NULL : r.p;
}

bool dwarf_entry_at(struct dwarf_unit *u, const uint8_t *at, struct dwarf_entry *ret)
{
	struct byte_reader r = reader_at(u, at);
	uint64_t code = read_uleb(&r);

	*ret = (struct dwarf_entry){
		.unit = u,
		.abbrev = r.failed ? NULL : abbrev_table_find(u->abbrevs, code),
		.at = at,
		.attributes = r.p,
	};
	return ret->abbrev;
}

// ---- what values mean ---------------------------------------------------------------------------------

bool dwarf_table_item(const struct dwarf_unit *u, struct str section, uint64_t base, uint64_t index,
		      unsigned size, uint64_t *ret)
{
	struct byte_reader r;
	uint64_t at;

	if (mul_overflows(index, (uint64_t)size, &at) || add_overflows(at, base, &at))
		return false;
	r = byte_reader_at(section, at, u->file->big_endian);
	*ret = read_uint(&r, size);
	return !r.failed;
}

static struct str indexed_string(const struct dwarf_unit *u, uint64_t index)
{
	uint64_t offset;

	return dwarf_table_item(u, u->file->str_offsets, u->str_offsets_base, index, u->sizes.offset, &offset)
		       ? cstr_at(u->file->str, offset)
		       : STR_EMPTY;
}

struct str dwarf_string(const struct dwarf_unit *u, const struct dwarf_value *v)
{
	switch (v->form) {
	case DW_FORM_string:
		return cstr_at(u->file->info, v->number);
	case DW_FORM_strp:
		return cstr_at(u->file->str, v->number);
	case DW_FORM_line_strp:
		return cstr_at(u->file->line_str, v->number);
	case DW_FORM_strx:
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
	case DW_FORM_GNU_str_index:
		return indexed_string(u, v->number);
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_strp_alt:
		return u->file->alternate ? cstr_at(u->file->alternate->str, v->number) : STR_EMPTY;
	default:
		return STR_EMPTY;
	}
}

struct str dwarf_text(const struct dwarf_unit *u, const struct dwarf_attributes *a, enum dwarf_slot slot)
{
	return dwarf_has(a, slot) ? dwarf_string(u, &a->value[slot]) : STR_EMPTY;
}

bool dwarf_address(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *ret)
{
	switch (v->form) {
	case DW_FORM_addr:
		*ret = v->number;
		return true;
	case DW_FORM_addrx:
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
	case DW_FORM_GNU_addr_index:
		return dwarf_table_item(u, u->addresses->addr, u->addr_base, v->number, u->sizes.address, ret);
	default:
		return false;
	}
}

bool dwarf_unsigned(const struct dwarf_value *v, uint64_t *ret)
{
	switch (v->form) {
	case DW_FORM_data1:
	case DW_FORM_data2:
	case DW_FORM_data4:
	case DW_FORM_data8:
	case DW_FORM_udata:
	case DW_FORM_sec_offset:
	case DW_FORM_rnglistx:
		*ret = v->number;
		return true;
	case DW_FORM_sdata:
	case DW_FORM_implicit_const:
		*ret = v->number;
		return v->number <= INT64_MAX;
	default:
		return false;
	}
}

static bool entry_of(struct dwarf_unit *u, uint64_t offset, struct dwarf_entry *ret)
{
	const uint8_t *at;

	if (!u || !dwarf_unit_ready(u))
		return false;
	if (offset > (uint64_t)(u->end - (const uint8_t *)u->file->info.p))
		return false;
	at = (const uint8_t *)u->file->info.p + offset;
	return at >= u->entries && at < u->end && dwarf_entry_at(u, at, ret);
}

static bool entry_in(struct dwarf_file *f, uint64_t offset, struct dwarf_entry *ret)
{
	return f && entry_of(dwarf_file_unit(f, offset), offset, ret);
}

bool dwarf_reference(struct dwarf_unit *u, const struct dwarf_value *v, struct dwarf_entry *ret)
{
	uint64_t offset;

	switch (v->form) {
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
	case DW_FORM_ref_udata:
		return !add_overflows(u->offset, v->number, &offset) &&
		       entry_of(u, offset, ret);
	case DW_FORM_ref_addr:
		return entry_in(u->file, v->number, ret);
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
		return entry_in(u->file->alternate, v->number, ret);
	default:
		return false;
	}
}

// ---- walking ------------------------------------------------------------------------------------------

static void stop(struct dwarf_walk *w)
{
	w->next = w->entry.unit->end;
}

void dwarf_walk_begin(struct dwarf_walk *w, struct dwarf_unit *u)
{
	*w = (struct dwarf_walk){.floor = 1};
	w->entry.unit = u;
	if (!dwarf_entry_at(u, u->entries, &w->entry) || !dwarf_walk_enter(w))
		stop(w);
}

bool dwarf_walk_next(struct dwarf_walk *w)
{
	struct byte_reader r = reader_at(w->entry.unit, w->next);

	while (!byte_reader_done(&r)) {
		const uint8_t *at = r.p;
		uint64_t code = read_uleb(&r);

		if (!code && !r.failed) {
			w->next = r.p;
			if (--w->depth < w->floor)
				return false;
			continue;
		}
		w->entry.abbrev = abbrev_table_find(w->entry.unit->abbrevs, code);
		w->entry.at = at;
		w->entry.attributes = r.p;
		if (w->entry.abbrev)
			return true;
		break;
	}
	stop(w);
	return false;
}

bool dwarf_walk_enter(struct dwarf_walk *w)
{
	w->next = skip_attributes(w->entry.unit, w->entry.abbrev, w->entry.attributes);
	if (!w->next) {
		stop(w);
		return false;
	}
	w->depth += w->entry.abbrev->children;
	return w->entry.abbrev->children;
}

// Where DW_AT_sibling leads from an entry, or NULL.
static const uint8_t *sibling(struct dwarf_unit *u, const struct abbrev *a, const uint8_t *attributes)
{
	const uint8_t *start = (const uint8_t *)u->file->info.p + u->offset;
	struct dwarf_entry d = {u, a, NULL, attributes};
	struct dwarf_attributes all;
	uint64_t to;

	if (a->sibling != ABBREV_NO_SIBLING) {
		if ((size_t)(u->end - attributes) < a->sibling + sizeof(uint32_t))
			return NULL;
		to = load_uint(attributes + a->sibling, 4, u->file->big_endian);
	} else {
		if (!(a->slots & 1U << SLOT_SIBLING) || !dwarf_entry_read(&d, &all))
			return NULL;
		to = all.value[SLOT_SIBLING].number;
	}
	return to < (uint64_t)(u->end - start) && start + to > attributes ? start + to : NULL;
}

void dwarf_walk_pass(struct dwarf_walk *w)
{
	struct dwarf_unit *u = w->entry.unit;
	const struct abbrev *a = w->entry.abbrev;
	struct byte_reader r = reader_at(u, w->entry.attributes);
	unsigned depth = 0;

	for (;;) {
		const uint8_t *to = a->children ? sibling(u, a, r.p) : NULL;
		uint64_t code = 0;

		if (to) {
			r.p = to;
		} else {
			to = skip_attributes(u, a, r.p);
			depth += a->children;
			if (!to)
				break;
			r.p = to;
		}
		while (depth && (code = read_uleb(&r)) == 0 && !r.failed)
			depth--;
		if (!depth) {
			w->next = r.p;
			return;
		}
		a = r.failed ? NULL : abbrev_table_find(u->abbrevs, code);
		if (!a)
			break;
	}
	stop(w);
}
