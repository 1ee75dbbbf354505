/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/line_program.h"

#include "base/mem.h"
#include <dwarf.h>

enum { LENGTH_64_BIT = 0xffffffff };

void line_program_deinit(struct line_program *p)
{
	free(p->dirs);
	free(p->files);
	*p = LINE_PROGRAM_INIT;
}

static int add_dir(struct line_program *p, struct str dir, struct err *e)
{
	if (mem_grow(&p->dirs, &p->dir_cap, p->dir_count + 1, sizeof(*p->dirs), LINE_FILES_MAX))
		return p->dir_count < LINE_FILES_MAX ? err_nomem(e)
						     : err_set(e, ERR_TOO_LARGE, "too many folders");
	p->dirs[p->dir_count++] = dir;
	return 0;
}

static int add_file(struct line_program *p, struct str name, uint64_t dir, struct err *e)
{
	struct line_file file = {STR_EMPTY, name};

	if (dir < p->dir_count)
		file.dir = p->dirs[dir];
	if (mem_grow(&p->files, &p->file_cap, p->file_count + 1, sizeof(*p->files), LINE_FILES_MAX))
		return p->file_count < LINE_FILES_MAX ? err_nomem(e)
						      : err_set(e, ERR_TOO_LARGE, "too many files");
	p->files[p->file_count++] = file;
	return 0;
}

// ---- files of DWARF 2 to 4: counted from 1; folder 0 is that of the compilation -----------------

static int read_tables(struct line_program *p, struct byte_reader *r, struct err *e)
{
	struct str s;

	if (add_dir(p, STR_EMPTY, e))
		return -1;
	while ((s = read_cstr(r)).n)
		if (add_dir(p, s, e))
			return -1;
	if (add_file(p, STR_EMPTY, 0, e))
		return -1;
	while ((s = read_cstr(r)).n) {
		uint64_t dir = read_uleb(r);

		read_uleb(r); // time
		read_uleb(r); // length
		if (add_file(p, s, dir, e))
			return -1;
	}
	return 0;
}

// ---- files of DWARF 5: described by pairs of content type and form ------------------------------

struct format {
	uint64_t content;
	uint64_t form;
};

struct value {
	struct str text;
	uint64_t number;
};

// False for a form that cannot stand here.
static bool read_value(const struct line_program *p, struct byte_reader *r, uint64_t form, struct value *v)
{
	switch (form) {
	case DW_FORM_string:
		v->text = read_cstr(r);
		return true;
	case DW_FORM_line_strp:
		v->text = cstr_at(p->sections->line_str, read_uint(r, p->offset_size));
		return true;
	case DW_FORM_strp:
		v->text = cstr_at(p->sections->str, read_uint(r, p->offset_size));
		return true;
	case DW_FORM_udata:
		v->number = read_uleb(r);
		return true;
	case DW_FORM_data1:
		v->number = read_u8(r);
		return true;
	case DW_FORM_data2:
		v->number = read_uint(r, 2);
		return true;
	case DW_FORM_data4:
		v->number = read_uint(r, 4);
		return true;
	case DW_FORM_data8:
		v->number = read_uint(r, 8);
		return true;
	case DW_FORM_data16: // MD5
		read_bytes(r, 16);
		return true;
	case DW_FORM_block:
		read_bytes(r, read_uleb(r));
		return true;
	default:
		return false;
	}
}

static int read_entry(struct line_program *p, struct byte_reader *r, const struct format *formats,
		      size_t n, bool is_dir, struct err *e)
{
	struct str path = STR_EMPTY;
	uint64_t dir = 0;

	for (size_t i = 0; i < n; i++) {
		struct value v = {STR_EMPTY, 0};

		if (!read_value(p, r, formats[i].form, &v))
			return err_set(e, ERR_UNSUPPORTED, "form 0x%llx in a table of files",
				       (unsigned long long)formats[i].form);
		if (formats[i].content == DW_LNCT_path)
			path = v.text;
		if (formats[i].content == DW_LNCT_directory_index)
			dir = v.number;
	}
	return is_dir ? add_dir(p, path, e) : add_file(p, path, dir, e);
}

static int read_described_table(struct line_program *p, struct byte_reader *r, bool is_dir, struct err *e)
{
	struct format formats[LINE_FORMATS_MAX];
	size_t n = read_u8(r);
	uint64_t count;

	if (n > LINE_FORMATS_MAX)
		return err_set(e, ERR_UNSUPPORTED, "%zu columns in a table of files", n);
	for (size_t i = 0; i < n; i++) {
		formats[i].content = read_uleb(r);
		formats[i].form = read_uleb(r);
	}
	count = read_uleb(r);
	for (uint64_t i = 0; n && i < count && !r->failed; i++)
		if (read_entry(p, r, formats, n, is_dir, e))
			return -1;
	return 0;
}

// ---- header -------------------------------------------------------------------------------------

static void read_parameters(struct line_program *p, struct byte_reader *r)
{
	p->min_instruction = read_u8(r);
	p->max_operations = p->version >= 4 ? read_u8(r) : 1;
	read_u8(r); // default_is_stmt: all rows count
	p->line_base = (int8_t)read_u8(r);
	p->line_range = read_u8(r);
	p->opcode_base = read_u8(r);
	p->opcode_lengths = (const uint8_t *)read_bytes(r, p->opcode_base ? p->opcode_base - 1U : 0).p;
}

// The bytes of one unit, length taken off; the reader stands behind its version.
static int enter_unit(struct line_program *p, uint64_t offset, struct byte_reader *ret, struct err *e)
{
	struct byte_reader r = byte_reader(p->sections->line, p->sections->big_endian);
	uint64_t length;

	read_bytes(&r, offset);
	length = read_uint(&r, 4);
	p->offset_size = length == LENGTH_64_BIT ? 8 : 4;
	if (p->offset_size == 8)
		length = read_uint(&r, 8);
	*ret = byte_reader(read_bytes(&r, length), r.big_endian);
	p->bytes = byte_reader_left(ret);
	p->version = (uint16_t)read_uint(ret, 2);
	if (r.failed || ret->failed)
		return err_set(e, ERR_BAD_ELF, "its header does not fit into .debug_line");
	if (p->version < 2 || p->version > 5)
		return err_set(e, ERR_UNSUPPORTED, "version %u", p->version);
	return 0;
}

static int read_header(struct line_program *p, uint64_t offset, struct err *e)
{
	struct byte_reader unit;
	struct byte_reader r;
	uint64_t length;
	int rc;

	if (enter_unit(p, offset, &unit, e))
		return -1;
	p->address_size = p->sections->address_size;
	if (p->version >= 5) {
		p->address_size = read_u8(&unit);
		read_u8(&unit); // segment selector size
	}
	length = read_uint(&unit, p->offset_size);
	r = byte_reader(read_bytes(&unit, length), unit.big_endian);
	p->code = (struct str){(const char *)unit.p, byte_reader_left(&unit)};
	read_parameters(p, &r);
	if (p->version < 5)
		rc = read_tables(p, &r, e);
	else
		rc = read_described_table(p, &r, true, e) || read_described_table(p, &r, false, e);
	if (rc)
		return -1;
	if (unit.failed || r.failed || !p->line_range || !p->opcode_base || !p->max_operations ||
	    p->address_size < 1 || p->address_size > 8)
		return err_set(e, ERR_BAD_ELF, "its header is damaged");
	return 0;
}

int line_program_parse(struct line_program *p, const struct line_sections *sections, uint64_t offset,
		       struct err *e)
{
	p->sections = sections;
	p->bytes = 0;
	p->dir_count = 0;
	p->file_count = 0;
	if (read_header(p, offset, e))
		return err_wrap(e, "line table at 0x%llx", (unsigned long long)offset);
	return 0;
}

// ---- the machine --------------------------------------------------------------------------------

enum { ROWS_AT_ONCE = 128 };

struct machine {
	const struct line_program *p;
	struct line_row row;
	unsigned operation; // within a VLIW instruction
	line_sink *sink;
	void *ctx;
	int result; // of the sink; nonzero ends the run
	size_t n;
	struct line_row rows[ROWS_AT_ONCE];
	uint8_t advance[256]; // of a special opcode
	int16_t line[256];
};

static void reset(struct machine *m)
{
	m->row = (struct line_row){.file = 1, .line = 1};
	m->operation = 0;
}

// What special opcodes do, without a division for each.
static void prepare_special(struct machine *m)
{
	const struct line_program *p = m->p;
	unsigned advance = 0;
	unsigned line = 0;

	for (unsigned opcode = p->opcode_base; opcode <= UINT8_MAX; opcode++) {
		m->advance[opcode] = (uint8_t)advance;
		m->line[opcode] = (int16_t)(p->line_base + (int)line);
		if (++line == p->line_range) {
			line = 0;
			advance++;
		}
	}
}

static void flush(struct machine *m)
{
	if (m->n && !m->result)
		m->result = m->sink(m->ctx, m->rows, m->n);
	m->n = 0;
}

static inline void give(struct machine *m)
{
	m->rows[m->n++] = m->row;
	if (m->n == ROWS_AT_ONCE)
		flush(m);
}

static void advance(struct machine *m, uint64_t operations)
{
	const struct line_program *p = m->p;

	if (p->max_operations == 1) {
		m->row.address += p->min_instruction * operations;
		return;
	}
	operations += m->operation;
	m->row.address += p->min_instruction * (operations / p->max_operations);
	m->operation = (unsigned)(operations % p->max_operations);
}

static void extended(struct machine *m, struct byte_reader *r)
{
	struct byte_reader body = byte_reader(read_bytes(r, read_uleb(r)), r->big_endian);

	switch (read_u8(&body)) {
	case DW_LNE_end_sequence:
		m->row.end_sequence = true;
		give(m);
		reset(m);
		break;
	case DW_LNE_set_address:
		// as long as the operand is; DWARF 2 to 4 do not say the size
		m->row.address = read_uint(&body, (unsigned)MIN(byte_reader_left(&body), 8U));
		m->operation = 0;
		break;
	default: // define_file (nobody does), set_discriminator, and whatever comes: skipped by length
		break;
	}
}

static void unknown_standard(const struct machine *m, struct byte_reader *r, uint8_t opcode)
{
	for (unsigned n = m->p->opcode_lengths[opcode - 1]; n > 0; n--)
		read_uleb(r);
}

static void standard(struct machine *m, struct byte_reader *r, uint8_t opcode)
{
	switch (opcode) {
	case DW_LNS_copy:
		give(m);
		break;
	case DW_LNS_advance_pc:
		advance(m, read_uleb(r));
		break;
	case DW_LNS_advance_line:
		m->row.line += (uint32_t)read_sleb(r);
		break;
	case DW_LNS_set_file:
		m->row.file = read_uleb(r);
		break;
	case DW_LNS_set_column:
		m->row.column = (uint32_t)read_uleb(r);
		break;
	case DW_LNS_const_add_pc:
		advance(m, (255U - m->p->opcode_base) / m->p->line_range);
		break;
	case DW_LNS_fixed_advance_pc:
		m->row.address += read_uint(r, 2);
		m->operation = 0;
		break;
	default: // statements, blocks, prologues, isa: not of interest
		unknown_standard(m, r, opcode);
		break;
	}
}

int line_program_run(const struct line_program *p, line_sink *sink, void *ctx)
{
	struct byte_reader r = byte_reader(p->code, p->sections->big_endian);
	struct machine m;

	m.p = p;
	m.sink = sink;
	m.ctx = ctx;
	m.result = 0;
	m.n = 0;
	reset(&m);
	prepare_special(&m);
	while (!m.result && !byte_reader_done(&r)) {
		uint8_t opcode = *r.p++;

		if (opcode >= p->opcode_base) {
			advance(&m, m.advance[opcode]);
			m.row.line += (uint32_t)m.line[opcode];
			give(&m);
		} else if (opcode == 0) {
			extended(&m, &r);
		} else {
			standard(&m, &r, opcode);
		}
	}
	flush(&m);
	return m.result;
}
