/* SPDX-License-Identifier: Apache-2.0 */
/* Line programs written by hand, byte by byte, in both byte orders. */
#include "symbolizer/indexer/line_program.h"

#include "base/buf.h"
#include <dwarf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BASE = 13, RANGE = 14, LINE_BASE = -5 };

static bool big_endian;

static void put(struct buf *b, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		buf_append_c(b, (char)(value >> 8 * (big_endian ? size - 1 - i : i)));
}

// Puts the length of what `body` holds before it.
static void put_sized(struct buf *out, struct buf *body, unsigned size)
{
	if (size == 8)
		put(out, 0xffffffff, 4);
	put(out, body->n, size);
	buf_append_str(out, buf_str(body));
	buf_deinit(body);
}

static void put_parameters(struct buf *b, int version, unsigned max_operations)
{
	static const char lengths[] = {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};

	put(b, 4, 1); // minimum instruction length
	if (version >= 4)
		put(b, max_operations, 1);
	put(b, 1, 1);
	put(b, (uint8_t)LINE_BASE, 1);
	put(b, RANGE, 1);
	put(b, BASE, 1);
	buf_append(b, lengths, sizeof(lengths));
}

static void put_old_tables(struct buf *b)
{
	buf_append(b, "inc\0/abs\0", 10); // two folders, end
	buf_append(b, "a.c\0\0\0\0", 7);
	buf_append(b, "b.h\0\1\0\0", 7);
	buf_append(b, "c.h\0\2\0\0", 7);
	put(b, 0, 1);
}

static void put_new_tables(struct buf *b, unsigned offset_size)
{
	put(b, 1, 1);
	put(b, DW_LNCT_path, 1);
	put(b, DW_FORM_line_strp, 1);
	put(b, 2, 1);
	put(b, 0, offset_size);
	put(b, 5, offset_size);
	put(b, 3, 1);
	put(b, DW_LNCT_path, 1);
	put(b, DW_FORM_string, 1);
	put(b, DW_LNCT_directory_index, 1);
	put(b, DW_FORM_udata, 1);
	put(b, DW_LNCT_MD5, 1);
	put(b, DW_FORM_data16, 1);
	put(b, 2, 1);
	for (int i = 0; i < 2; i++) {
		buf_append(b, i ? "y.h" : "x.c", 4);
		put(b, (uint64_t)i, 1);
		buf_append(b, "0123456789abcdef", 16);
	}
}

// set_address 0x1000; copy; special (+1 instruction, +2 lines); file 2, line -1, column 300 copied;
// const_add_pc; fixed_advance_pc; an opcode of one operand; end.
static void put_code(struct buf *b)
{
	put(b, 0, 1);
	put(b, 9, 1);
	put(b, DW_LNE_set_address, 1);
	put(b, 0x1000, 8);
	put(b, DW_LNS_copy, 1);
	put(b, BASE + RANGE * 1 + (2 - LINE_BASE), 1);
	put(b, DW_LNS_set_file, 1);
	put(b, 2, 1);
	put(b, DW_LNS_advance_line, 1);
	put(b, 0x7f, 1);
	put(b, DW_LNS_set_column, 1);
	buf_append(b, "\254\2", 2);
	put(b, DW_LNS_set_isa, 1);
	buf_append(b, "\377\1", 2);
	put(b, DW_LNS_negate_stmt, 1);
	put(b, DW_LNS_copy, 1);
	put(b, DW_LNS_const_add_pc, 1);
	put(b, DW_LNS_fixed_advance_pc, 1);
	put(b, 0x100, 2);
	put(b, 0, 1);
	put(b, 2, 1);
	put(b, DW_LNE_set_discriminator, 1);
	put(b, 7, 1);
	put(b, 0, 1);
	put(b, 1, 1);
	put(b, DW_LNE_end_sequence, 1);
}

static void make_program(struct buf *out, int version, unsigned offset_size, unsigned max_operations)
{
	struct buf unit = BUF_INIT(4096);
	struct buf header = BUF_INIT(4096);

	put(&unit, (uint64_t)version, 2);
	if (version >= 5) {
		put(&unit, 8, 1);
		put(&unit, 0, 1);
	}
	put_parameters(&header, version, max_operations);
	if (version >= 5)
		put_new_tables(&header, offset_size);
	else
		put_old_tables(&header);
	put(&unit, header.n, offset_size);
	buf_append_str(&unit, buf_str(&header));
	buf_deinit(&header);
	put_code(&unit);
	put_sized(out, &unit, offset_size);
}

static int print(void *ctx, const struct line_row *rows, size_t n)
{
	for (const struct line_row *row = rows; row < rows + n; row++)
		if (row->end_sequence)
			buf_printf(ctx, "%llx end ", (unsigned long long)row->address);
		else
			buf_printf(ctx, "%llx %llu:%u:%u ", (unsigned long long)row->address,
				   (unsigned long long)row->file, row->line, row->column);
	return 0;
}

static const char strings[] = "/top\0sub";

static struct line_sections sections_of(const struct buf *b)
{
	return (struct line_sections){
		.line = buf_str(b),
		.line_str = {strings, sizeof(strings)},
		.big_endian = big_endian,
		.address_size = 8,
	};
}

static void check(int version, unsigned offset_size)
{
	struct buf bytes = BUF_INIT(4096);
	struct buf rows = BUF_INIT(4096);
	struct line_program p = LINE_PROGRAM_INIT;
	struct line_sections sections;
	struct err e = ERR_INIT;

	make_program(&bytes, version, offset_size, 1);
	sections = sections_of(&bytes);
	if (line_program_parse(&p, &sections, 0, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(p.version, version);
	assert_int_equal(line_program_run(&p, print, &rows), 0);
	// const_add_pc: (255 - 13) / 14 = 17 instructions of 4 bytes
	assert_string_equal(rows.p, "1000 1:1:0 1004 1:3:0 1004 2:2:300 1148 end ");
	if (version >= 5) {
		assert_int_equal(p.file_count, 2);
		assert_true(str_is(p.files[0].name, "x.c") && str_is(p.files[0].dir, "/top"));
		assert_true(str_is(p.files[1].name, "y.h") && str_is(p.files[1].dir, "sub"));
	} else {
		assert_int_equal(p.file_count, 4);
		assert_true(str_is(p.files[1].name, "a.c") && p.files[1].dir.n == 0);
		assert_true(str_is(p.files[2].name, "b.h") && str_is(p.files[2].dir, "inc"));
		assert_true(str_is(p.files[3].name, "c.h") && str_is(p.files[3].dir, "/abs"));
	}
	line_program_deinit(&p);
	buf_deinit(&bytes);
	buf_deinit(&rows);
}

static void test_versions(void **state)
{
	(void)state;
	for (int big = 0; big < 2; big++) {
		big_endian = big;
		for (int version = 2; version <= 5; version++) {
			check(version, 4);
			check(version, 8);
		}
	}
	big_endian = false;
}

// Very long instruction words: three operations make one step.
static void test_vliw(void **state)
{
	struct buf bytes = BUF_INIT(4096);
	struct buf rows = BUF_INIT(4096);
	struct line_program p = LINE_PROGRAM_INIT;
	struct line_sections sections;
	struct err e = ERR_INIT;

	(void)state;
	make_program(&bytes, 4, 4, 3);
	sections = sections_of(&bytes);
	assert_int_equal(line_program_parse(&p, &sections, 0, &e), 0);
	assert_int_equal(line_program_run(&p, print, &rows), 0);
	// 1 + 17 operations are 6 instructions
	assert_string_equal(rows.p, "1000 1:1:0 1000 1:3:0 1000 2:2:300 1118 end ");
	line_program_deinit(&p);
	buf_deinit(&bytes);
	buf_deinit(&rows);
}

// Cut anywhere, the header is refused or the rows end early; the sanitizers watch.
static void test_cut(void **state)
{
	struct line_program p = LINE_PROGRAM_INIT;
	struct buf bytes = BUF_INIT(4096);

	(void)state;
	make_program(&bytes, 5, 4, 1);
	for (size_t n = 0; n < bytes.n; n++) {
		char *copy = malloc(n + 1);
		struct buf cut = {.p = copy, .n = n};
		struct line_sections sections = sections_of(&cut);
		struct buf rows = BUF_INIT(4096);
		struct err e = ERR_INIT;

		assert_non_null(copy);
		memcpy(copy, bytes.p, n);
		assert_int_equal(line_program_parse(&p, &sections, 0, &e), -1);
		assert_int_equal(e.kind, ERR_BAD_ELF);
		assert_string_equal(e.msg, "line table at 0x0: its header does not fit into .debug_line");
		free(copy);
		buf_deinit(&rows);
	}
	line_program_deinit(&p);
	buf_deinit(&bytes);
}

static void refuse(struct buf *bytes, size_t at, char value, enum err_kind kind, const char *why)
{
	struct line_program p = LINE_PROGRAM_INIT;
	struct line_sections sections = sections_of(bytes);
	struct err e = ERR_INIT;
	char old = bytes->p[at];

	bytes->p[at] = value;
	assert_int_equal(line_program_parse(&p, &sections, 0, &e), -1);
	assert_int_equal(e.kind, kind);
	if (!strstr(e.msg, why))
		fail_msg("'%s' does not say '%s'", e.msg, why);
	bytes->p[at] = old;
	line_program_deinit(&p);
}

static void test_damage(void **state)
{
	struct buf bytes = BUF_INIT(4096);

	(void)state;
	make_program(&bytes, 5, 4, 1);
	refuse(&bytes, 4, 6, ERR_UNSUPPORTED, "version 6");
	refuse(&bytes, 4, 1, ERR_UNSUPPORTED, "version 1");
	refuse(&bytes, 16, 0, ERR_BAD_ELF, "its header is damaged"); // line_range
	refuse(&bytes, 17, 0, ERR_BAD_ELF, "its header is damaged"); // opcode_base
	refuse(&bytes, 32, 0x7f, ERR_UNSUPPORTED, "form 0x7f in a table of files");
	buf_deinit(&bytes);
}

static int stop(void *ctx, const struct line_row *rows, size_t n)
{
	(void)rows;
	assert_true(n > 0);
	++*(int *)ctx;
	return 7;
}

static void test_sink_ends_it(void **state)
{
	struct line_program p = LINE_PROGRAM_INIT;
	struct buf bytes = BUF_INIT(4096);
	struct line_sections sections;
	struct err e = ERR_INIT;
	int calls = 0;

	(void)state;
	make_program(&bytes, 4, 4, 1);
	sections = sections_of(&bytes);
	assert_int_equal(line_program_parse(&p, &sections, 0, &e), 0);
	assert_int_equal(line_program_run(&p, stop, &calls), 7);
	assert_int_equal(calls, 1);
	line_program_deinit(&p);
	buf_deinit(&bytes);
}

static void test_leb(void **state)
{
	struct byte_reader r = byte_reader(STR("\345\216\046\177\200\177\377\377\377\377\377\377\377\377\377\377\001"), false);

	(void)state;
	assert_int_equal(read_uleb(&r), 624485);
	assert_int_equal(read_sleb(&r), -1);
	assert_int_equal(read_sleb(&r), -128);
	assert_true(read_uleb(&r) == UINT64_MAX); // what does not fit is dropped
	assert_false(r.failed);
	assert_int_equal(read_uleb(&r), 0);
	assert_true(r.failed);
}

static void test_strings_of_a_table(void **state)
{
	static const char text[] = "\0one\0two";
	struct str table = {text, sizeof(text)};
	struct buf b = BUF_INIT(1 << 20);

	(void)state;
	assert_true(str_is(cstr_at(table, 1), "one"));
	assert_true(str_is(cstr_at(table, 6), "wo"));
	assert_int_equal(cstr_at(table, 0).n, 0);
	assert_int_equal(cstr_at(table, table.n).n, 0);
	assert_int_equal(cstr_at(table, UINT64_MAX).n, 0);
	assert_int_equal(cstr_at((struct str){text, table.n - 1}, 5).n, 0);
	for (size_t i = 0; i < 2 * CSTR_MAX; i++)
		buf_append_c(&b, 'x');
	assert_int_equal(cstr_at(buf_str(&b), 0).n, CSTR_MAX);
	assert_int_equal(cstr_at(buf_str(&b), CSTR_MAX + 1).n, 0);
	buf_append_c(&b, '\0');
	assert_int_equal(cstr_at(buf_str(&b), CSTR_MAX + 1).n, CSTR_MAX - 1);
	assert_int_equal(cstr_at(buf_str(&b), CSTR_MAX).n, CSTR_MAX);
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_of_a_table),
		cmocka_unit_test(test_versions), cmocka_unit_test(test_vliw),
		cmocka_unit_test(test_cut),	 cmocka_unit_test(test_damage),
		cmocka_unit_test(test_sink_ends_it), cmocka_unit_test(test_leb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
