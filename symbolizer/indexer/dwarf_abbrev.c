/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_abbrev.h"

#include "base/mem.h"
#include <dwarf.h>

enum {
	TABLES_MAX = 1 << 22,
	STEPS_MAX = 1 << 26,
	READ_FACTOR = 4, // each byte of the section may be read as often
};

void abbrev_set_init(struct abbrev_set *s, struct str section)
{
	*s = (struct abbrev_set){
		.section = section,
		.by_offset = MAP64_INIT,
		.bytes_left = READ_FACTOR * (uint64_t)section.n + KIB(64),
	};
}

static void table_free(struct abbrev_table *t)
{
	free(t->items);
	free(t->steps);
	free(t->constants);
	free(t);
}

void abbrev_set_deinit(struct abbrev_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		table_free(s->tables[i]);
	free(s->tables);
	map64_deinit(&s->by_offset);
}

// ---- forms (DWARF 5, section 7.5.6; GNU extensions as binutils' include/dwarf2.def names them) --------

int dwarf_form_op(uint64_t form, struct dwarf_sizes sizes)
{
	switch (form) {
	case DW_FORM_flag_present:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_ref_sup4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sup8:
	case DW_FORM_ref_sig8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return sizes.address;
	case DW_FORM_ref_addr: // an address in DWARF 2, an offset since
		return sizes.version < 3 ? sizes.address : sizes.offset;
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_sec_offset:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return sizes.offset;
	case DW_FORM_udata:
	case DW_FORM_sdata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
	case DW_FORM_GNU_str_index:
		return OP_LEB;
	case DW_FORM_string:
		return OP_STRING;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		return OP_BLOCK_LEB;
	case DW_FORM_block1:
		return OP_BLOCK_1;
	case DW_FORM_block2:
		return OP_BLOCK_2;
	case DW_FORM_block4:
		return OP_BLOCK_4;
	case DW_FORM_indirect:
		return OP_INDIRECT;
	case DW_FORM_implicit_const:
		return OP_CONSTANT;
	default:
		return -1;
	}
}

// ---- attributes of interest ---------------------------------------------------------------------------

static enum dwarf_slot unit_slot(uint64_t attribute)
{
	switch (attribute) {
	case DW_AT_stmt_list:
		return SLOT_STMT_LIST;
	case DW_AT_comp_dir:
		return SLOT_COMP_DIR;
	case DW_AT_language:
		return SLOT_LANGUAGE;
	case DW_AT_str_offsets_base:
		return SLOT_STR_OFFSETS_BASE;
	case DW_AT_addr_base:
	case DW_AT_GNU_addr_base:
		return SLOT_ADDR_BASE;
	case DW_AT_rnglists_base:
		return SLOT_RNGLISTS_BASE;
	case DW_AT_GNU_ranges_base:
		return SLOT_RANGES_BASE;
	case DW_AT_dwo_name:
	case DW_AT_GNU_dwo_name:
		return SLOT_DWO_NAME;
	case DW_AT_GNU_dwo_id:
		return SLOT_DWO_ID;
	default:
		return SLOT_NONE;
	}
}

static enum dwarf_slot place_slot(uint64_t attribute)
{
	switch (attribute) {
	case DW_AT_low_pc:
		return SLOT_LOW_PC;
	case DW_AT_high_pc:
		return SLOT_HIGH_PC;
	case DW_AT_ranges:
		return SLOT_RANGES;
	case DW_AT_entry_pc:
		return SLOT_ENTRY_PC;
	case DW_AT_call_file:
		return SLOT_CALL_FILE;
	case DW_AT_call_line:
		return SLOT_CALL_LINE;
	case DW_AT_call_column:
		return SLOT_CALL_COLUMN;
	default:
		return SLOT_NONE;
	}
}

static enum dwarf_slot name_slot(uint64_t attribute)
{
	switch (attribute) {
	case DW_AT_name:
		return SLOT_NAME;
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		return SLOT_LINKAGE_NAME;
	case DW_AT_decl_line:
		return SLOT_DECL_LINE;
	case DW_AT_abstract_origin:
		return SLOT_ABSTRACT_ORIGIN;
	case DW_AT_specification:
		return SLOT_SPECIFICATION;
	case DW_AT_signature:
		return SLOT_SIGNATURE;
	default:
		return SLOT_NONE;
	}
}

bool dwarf_declares_functions(unsigned tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_interface_type:
	case DW_TAG_enumeration_type: // Rust implements functions on them
		return true;
	default:
		return false;
	}
}

static enum dwarf_slot slot_of(uint64_t tag, uint64_t attribute)
{
	enum dwarf_slot slot;

	if (attribute == DW_AT_sibling)
		return SLOT_SIBLING;
	switch (tag) {
	case DW_TAG_compile_unit:
	case DW_TAG_partial_unit:
	case DW_TAG_skeleton_unit:
	case DW_TAG_type_unit:
		slot = unit_slot(attribute);
		return slot ? slot : place_slot(attribute);
	case DW_TAG_subprogram:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_entry_point:
		slot = name_slot(attribute);
		return slot ? slot : place_slot(attribute);
	default:
		return dwarf_declares_functions((unsigned)tag) ? name_slot(attribute) : SLOT_NONE;
	}
}

// ---- one declaration ----------------------------------------------------------------------------------

struct compiler {
	struct abbrev_table *table;
	struct abbrev *abbrev;
	struct dwarf_sizes sizes;
	uint32_t fixed;  // bytes so far, as long as all are
	uint32_t skip;   // bytes since the last step
	bool is_fixed;
};

static int add_step(struct compiler *c, uint64_t form, int op, enum dwarf_slot slot, int64_t constant,
		    struct err *e)
{
	struct abbrev_table *t = c->table;
	struct dwarf_step step = {
		.skip = (uint16_t)c->skip,
		.form = (uint16_t)form,
		.op = (uint8_t)op,
		.slot = (uint8_t)slot,
		.constant = (uint32_t)t->constant_count,
	};

	if (mem_grow(&t->steps, &t->step_cap, t->step_count + 1, sizeof(*t->steps), STEPS_MAX))
		return err_nomem(e);
	if (op == OP_CONSTANT) {
		if (mem_grow(&t->constants, &t->constant_cap, t->constant_count + 1,
			     sizeof(*t->constants), STEPS_MAX))
			return err_nomem(e);
		t->constants[t->constant_count++] = constant;
	}
	t->steps[t->step_count++] = step;
	c->abbrev->steps++;
	c->abbrev->slots |= 1U << slot;
	c->skip = 0;
	return 0;
}

static int add_attribute(struct compiler *c, uint64_t attribute, uint64_t form, int64_t constant,
			 struct err *e)
{
	int op = dwarf_form_op(form, c->sizes);
	enum dwarf_slot slot = slot_of(c->abbrev->tag, attribute);

	if (op < 0)
		return err_set(e, ERR_UNSUPPORTED, "form 0x%llx", (unsigned long long)form);
	if (slot == SLOT_SIBLING && form == DW_FORM_ref4 && c->is_fixed)
		c->abbrev->sibling = (uint16_t)c->fixed;
	if (op > OP_FIXED_MAX && op != OP_CONSTANT)
		c->is_fixed = false;
	if (slot == SLOT_NONE && op == OP_CONSTANT)
		return 0;
	if (slot == SLOT_NONE && op <= OP_FIXED_MAX) {
		c->skip += (uint32_t)op;
		c->fixed += (uint32_t)op;
		return 0;
	}
	c->fixed += op <= OP_FIXED_MAX ? (uint32_t)op : 0;
	return add_step(c, form, op, slot, constant, e);
}

// The (attribute, form) pairs up to (0, 0).
static int read_attributes(struct compiler *c, struct byte_reader *r, struct err *e)
{
	for (int i = 0; i < ABBREV_ATTRIBUTES_MAX; i++) {
		uint64_t attribute = read_uleb(r);
		uint64_t form = read_uleb(r);
		int64_t constant = form == DW_FORM_implicit_const ? read_sleb(r) : 0;

		if (r->failed)
			return err_set(e, ERR_BAD_ELF, "it ends early");
		if (attribute || form) {
			if (add_attribute(c, attribute, form, constant, e))
				return -1;
			continue;
		}
		if (c->skip && !c->is_fixed)
			return add_step(c, 0, 0, SLOT_NONE, 0, e);
		if (c->is_fixed)
			c->abbrev->fixed = (uint16_t)c->fixed;
		return 0;
	}
	return err_set(e, ERR_TOO_LARGE, "more than %d attributes", ABBREV_ATTRIBUTES_MAX);
}

static int read_declaration(struct abbrev_table *t, struct byte_reader *r, uint64_t code,
			    struct dwarf_sizes sizes, struct err *e)
{
	struct abbrev a = {
		.code = (uint32_t)code,
		.first = (uint32_t)t->step_count,
		.fixed = ABBREV_NOT_FIXED,
		.sibling = ABBREV_NO_SIBLING,
	};
	struct compiler c = {.table = t, .abbrev = &a, .sizes = sizes, .is_fixed = true};
	uint64_t tag = read_uleb(r);

	a.tag = tag <= UINT16_MAX ? (uint16_t)tag : 0;
	a.children = read_u8(r);
	if (code > UINT32_MAX || t->n == ABBREVS_MAX)
		return err_set(e, ERR_TOO_LARGE, "too many codes");
	if (read_attributes(&c, r, e))
		return -1;
	if (mem_grow(&t->items, &t->cap, t->n + 1, sizeof(*t->items), ABBREVS_MAX))
		return err_nomem(e);
	t->dense &= code == t->n + 1;
	t->items[t->n++] = a;
	return 0;
}

// ---- tables -------------------------------------------------------------------------------------------

static int by_code(const void *a, const void *b)
{
	const struct abbrev *x = a;
	const struct abbrev *y = b;

	if (x->code != y->code)
		return x->code < y->code ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

const struct abbrev *abbrev_table_search(const struct abbrev_table *t, uint64_t code)
{
	size_t low = 0;
	size_t high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->items[mid].code < code)
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->n && t->items[low].code == code ? &t->items[low] : NULL;
}

static int read_table(struct abbrev_set *s, struct abbrev_table *t, struct byte_reader *r,
		      struct dwarf_sizes sizes, struct err *e)
{
	const uint8_t *start = r->p;
	uint64_t code;
	int rc = 0;

	t->dense = true;
	while (!rc && (code = read_uleb(r)) != 0) {
		rc = read_declaration(t, r, code, sizes, e);
		if (!rc && (uint64_t)(r->p - start) > s->bytes_left)
			rc = err_set(e, ERR_TOO_LARGE, "too many tables overlap");
	}
	if (!rc && r->failed)
		rc = err_set(e, ERR_BAD_ELF, "it ends early");
	s->bytes_left -= MIN((uint64_t)(r->p - start), s->bytes_left);
	if (!rc && !t->dense)
		qsort(t->items, t->n, sizeof(*t->items), by_code);
	return rc;
}

static int add_table(struct abbrev_set *s, uint64_t offset, uint64_t key, struct dwarf_sizes sizes,
		     struct err *e)
{
	struct byte_reader r = byte_reader_at(s->section, offset, false);
	struct abbrev_table *t;

	if (mem_grow(&s->tables, &s->cap, s->n + 1, sizeof(struct abbrev_table *), TABLES_MAX))
		return err_nomem(e);
	t = mem_zalloc(sizeof(*t));
	if (!t)
		return err_nomem(e);
	if (read_table(s, t, &r, sizes, e)) {
		table_free(t);
		return err_wrap(e, "abbreviations at 0x%llx", (unsigned long long)offset);
	}
	s->tables[s->n] = t;
	if (map64_set(&s->by_offset, key, s->n++))
		return err_nomem(e);
	return 0;
}

int abbrev_set_get(struct abbrev_set *s, uint64_t offset, struct dwarf_sizes sizes,
		   const struct abbrev_table **ret, struct err *e)
{
	uint64_t variant = (uint64_t)(sizes.address == 8) | (uint64_t)(sizes.offset == 8) << 1 |
			   (uint64_t)(sizes.version < 3) << 2;
	uint64_t key = offset << 3 | variant;
	uint64_t index;

	if (!map64_get(&s->by_offset, key, &index)) {
		if (add_table(s, offset, key, sizes, e))
			return -1;
		index = s->n - 1;
	}
	*ret = s->tables[index];
	return 0;
}
