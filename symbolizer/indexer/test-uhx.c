/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into a builder comes out of the reader; and what is done to a file does not hurt it. */
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/indexer/uhx_builder.h"
#include "symbolizer/uhx_format.h"
#include "symbolizer/uhx_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

static struct frames frames;

struct fixture {
	struct uhx_builder *b;
	struct uhx_counts counts;
	struct uhx *u;
	int fd;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = ERR_INIT;

	assert_non_null(f);
	f->fd = -1;
	assert_int_equal(uhx_builder_new(&f->b, &e), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	uhx_builder_free(f->b);
	uhx_unref(f->u);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
	return 0;
}

static struct uhx_meta meta_of(void)
{
	static const struct program_header headers[] = {
		{.vaddr = 0x1000,
		 .memsz = 0x2000,
		 .offset = 0x1000,
		 .filesz = 0x2000,
		 .align = 4096,
		 .flags = 5},
	};
	static struct build_id ids[2];
	struct err e = ERR_INIT;

	assert_int_equal(build_id_set(&ids[0], BUILD_ID_GNU, "\x93\xac\x61\xec", 4, &e), 0);
	assert_int_equal(build_id_set(&ids[1], BUILD_ID_HTL, "0123456789abcdef", 16, &e), 0);
	return (struct uhx_meta){
		.ids = ids,
		.id_count = 2,
		.headers = {headers, 1, true},
		.quality = QUALITY_DWARF,
		.machine = STR("x86_64"),
	};
}

static void write_to(struct fixture *f)
{
	struct uhx_meta meta = meta_of();
	struct err e = ERR_INIT;

	f->fd = memfd_create("uhx", MFD_CLOEXEC);
	assert_true(f->fd >= 0);
	if (uhx_builder_write(f->b, &meta, f->fd, &f->counts, &e))
		fail_msg("%s", e.msg);
}

static void build(struct fixture *f)
{
	struct err e = ERR_INIT;

	write_to(f);
	if (uhx_open_fd(f->fd, &f->u, &e) || uhx_verify(f->u, &e))
		fail_msg("%s", e.msg);
}

static uhx_id function_scope(struct fixture *f, const char *name, uint32_t start_line,
			     enum frame_source source)
{
	const struct uhx_function fn = {.linkage = str_from(name), .start_line = start_line};
	const struct uhx_scope s = {.function = uhx_builder_function(f->b, &fn), .source = source};
	uhx_id id = uhx_builder_scope(f->b, &s);

	assert_int_not_equal(id, 0);
	return id;
}

static void row(struct fixture *f, uint64_t start, uint64_t end, uhx_id scope, uint32_t line)
{
	const struct uhx_row r = {
		.start = start,
		.end = end,
		.scope = scope,
		.file = line ? uhx_builder_file(f->b, STR("/src/a.c")) : 0,
		.line = line,
	};

	uhx_builder_row(f->b, &r);
}

static const char *name_at(struct fixture *f, uint64_t va)
{
	static char name[256];

	uhx_lookup(f->u, va, &frames);
	if (!frames.n)
		return "";
	snprintf(name, sizeof(name), STR_FMT ":%" PRIu32, STR_ARG(frames.frame[0].function),
		 frames.frame[0].line);
	return name;
}

static void test_empty(void **state)
{
	struct fixture *f = *state;
	const struct uhx_info *info;
	char text[BUILD_ID_TEXT];

	build(f);
	info = uhx_info(f->u);
	assert_int_equal(f->counts.rows, 0);
	assert_int_equal(info->rows, 0);
	assert_int_equal(info->functions, 0);
	assert_int_equal(info->file_size, f->counts.bytes);
	assert_int_equal(info->quality, QUALITY_DWARF);
	assert_true(str_is(info->machine, "x86_64"));
	assert_int_equal(info->id_count, 2);
	build_id_text(&info->ids[0], text);
	assert_string_equal(text, "93ac61ec");
	build_id_text(&info->ids[1], text);
	assert_string_equal(text, "htl-30313233343536373839616263646566");
	assert_int_equal(info->headers.n, 1);
	assert_true(info->headers.trusted);
	assert_int_equal(info->headers.p[0].memsz, 0x2000);
	assert_string_equal(name_at(f, 0), "");
	assert_string_equal(name_at(f, UINT64_MAX), "");
}

static void test_inline_chain(void **state)
{
	struct fixture *f = *state;
	uhx_id main_file = uhx_builder_file(f->b, STR("/src/main.cc"));
	uhx_id leaf_file = uhx_builder_file(f->b, STR("/src/leaf.h"));
	uhx_id outer = function_scope(f, "main", 5, SOURCE_DWARF);
	const struct uhx_function leaf = {.linkage = STR("_ZN2ns4leafEi"), .start_line = 10};
	const struct uhx_scope inlined = {
		.function = uhx_builder_function(f->b, &leaf),
		.parent = outer,
		.call_file = main_file,
		.call_line = 7,
		.call_column = 4,
		.source = SOURCE_DWARF,
	};
	const struct uhx_row r = {0x1010,    0x1020, uhx_builder_scope(f->b, &inlined),
				  leaf_file, 12,     3};

	uhx_builder_row(f->b, &r);
	build(f);
	assert_int_equal(f->counts.functions, 2);
	assert_true(f->counts.sources[SOURCE_DWARF]);
	assert_false(f->counts.sources[SOURCE_SYMTAB]);
	uhx_lookup(f->u, 0x101f, &frames);
	assert_int_equal(frames.n, 2);
	assert_int_equal(frames.source, SOURCE_DWARF);
	assert_true(str_is(frames.frame[0].function, "ns::leaf(int)"));
	assert_true(str_is(frames.frame[0].system_name, "_ZN2ns4leafEi"));
	assert_true(str_is(frames.frame[0].file, "/src/leaf.h"));
	assert_int_equal(frames.frame[0].line, 12);
	assert_int_equal(frames.frame[0].column, 3);
	assert_int_equal(frames.frame[0].start_line, 10);
	assert_true(frames.frame[0].inlined);
	assert_true(str_is(frames.frame[1].function, "main"));
	assert_true(str_is(frames.frame[1].system_name, "main"));
	assert_true(str_is(frames.frame[1].file, "/src/main.cc"));
	assert_int_equal(frames.frame[1].line, 7);
	assert_int_equal(frames.frame[1].column, 4);
	assert_int_equal(frames.frame[1].start_line, 5);
	assert_false(frames.frame[1].inlined);
	assert_string_equal(name_at(f, 0x100f), "");
	assert_string_equal(name_at(f, 0x1020), "");
}

static void test_sources_fill_each_others_holes(void **state)
{
	struct fixture *f = *state;
	uhx_id symbol = function_scope(f, "symbol", 0, SOURCE_SYMTAB);
	uhx_id dwarf = function_scope(f, "dwarf", 0, SOURCE_DWARF);
	uhx_id dynamic = function_scope(f, "dynamic", 0, SOURCE_DYNSYM);

	row(f, 0x1000, 0x1100, symbol, 0);
	row(f, 0x1040, 0x1050, dwarf, 4);
	row(f, 0x1050, 0x1060, dwarf, 5);
	row(f, 0x1080, 0x1180, dynamic, 0);
	build(f);
	assert_string_equal(name_at(f, 0x103f), "symbol:0");
	assert_string_equal(name_at(f, 0x1040), "dwarf:4");
	assert_string_equal(name_at(f, 0x1050), "dwarf:5");
	assert_string_equal(name_at(f, 0x1060), "symbol:0");
	assert_int_equal(frames.source, SOURCE_SYMTAB);
	assert_string_equal(name_at(f, 0x10ff), "symbol:0");
	assert_string_equal(name_at(f, 0x1100), "dynamic:0");
	assert_string_equal(name_at(f, 0x1180), "");
	assert_int_equal(uhx_info(f->u)->rows, 5);
}

static void test_neighbours_that_agree_become_one(void **state)
{
	struct fixture *f = *state;
	uhx_id a = function_scope(f, "a", 0, SOURCE_DWARF);

	row(f, 0x30, 0x40, a, 1);
	row(f, 0x10, 0x20, a, 1);
	row(f, 0x20, 0x30, a, 1);
	row(f, 0x41, 0x50, a, 1);
	build(f);
	assert_int_equal(f->counts.rows, 2);
	assert_string_equal(name_at(f, 0x3f), "a:1");
	assert_string_equal(name_at(f, 0x40), "");
	assert_string_equal(name_at(f, 0x41), "a:1");
}

static void test_names(void **state)
{
	struct fixture *f = *state;
	const struct uhx_function named[] = {
		{.display = STR("ns::only_display")},
		{.linkage = STR("_Z1fv"), .display = STR("chosen")},
		{.linkage = STR("_Z1fv"), .display = STR("_Z1fv")},
		{.linkage = STR_EMPTY, .display = STR_EMPTY},
	};
	const char *want[][2] = {{"ns::only_display", "ns::only_display"},
				 {"chosen", "_Z1fv"},
				 {"_Z1fv", "_Z1fv"},
				 {"??", "??"}};

	for (size_t i = 0; i < countof(named); i++) {
		const struct uhx_scope s = {.function = uhx_builder_function(f->b, &named[i]),
					    .source = SOURCE_SYMTAB};

		row(f, i * 16, i * 16 + 16, uhx_builder_scope(f->b, &s), 0);
	}
	build(f);
	for (size_t i = 0; i < countof(named); i++) {
		uhx_lookup(f->u, i * 16, &frames);
		assert_int_equal(frames.n, 1);
		assert_true(str_is(frames.frame[0].function, want[i][0]));
		assert_true(str_is(frames.frame[0].system_name, want[i][1]));
	}
}

static void test_spread_beyond_4_gib(void **state)
{
	static const uint64_t at[] = {0,
				      0x1000,
				      UINT64_C(0xfffffff0),
				      UINT64_C(0x100000000),
				      UINT64_C(0x7f0000000000),
				      UINT64_C(0xffffffff81000000),
				      UINT64_MAX - 16};
	struct fixture *f = *state;

	for (size_t i = 0; i < countof(at); i++) {
		char name[] = {'f', (char)('0' + i), '\0'};

		row(f, at[i], at[i] + 16, function_scope(f, name, 0, SOURCE_DWARF),
		    (uint32_t)i + 1);
	}
	build(f);
	assert_int_equal(f->counts.rows, countof(at));
	for (size_t i = 0; i < countof(at); i++) {
		char want[16];

		snprintf(want, sizeof(want), "f%zu:%zu", i, i + 1);
		assert_string_equal(name_at(f, at[i]), want);
		assert_string_equal(name_at(f, at[i] + 15), want);
	}
	assert_string_equal(name_at(f, 16), "");
	assert_string_equal(name_at(f, UINT64_C(0x100000010)), "");
	assert_string_equal(name_at(f, UINT64_C(0x7effffffffff)), "");
	assert_string_equal(name_at(f, UINT64_MAX), "");
}

static void test_what_cannot_be_is_ignored(void **state)
{
	struct fixture *f = *state;
	uhx_id a = function_scope(f, "a", 0, SOURCE_DWARF);
	const struct uhx_scope no_function = {.function = 99, .source = SOURCE_DWARF};
	const struct uhx_scope no_parent = {.function = 1, .parent = 99, .source = SOURCE_DWARF};
	const struct uhx_scope no_source = {.function = 1, .source = SOURCE_COUNT};

	row(f, 0x10, 0x10, a, 1);
	row(f, 0x20, 0x10, a, 1);
	row(f, 0x30, 0x40, 0, 1);
	row(f, 0x30, 0x40, 77, 1);
	row(f, 0, UHX_ROW_BYTES_MAX + 1, a, 1);
	assert_int_equal(uhx_builder_scope(f->b, &no_function), 0);
	assert_int_equal(uhx_builder_scope(f->b, &no_parent), 0);
	assert_int_equal(uhx_builder_scope(f->b, &no_source), 0);
	build(f);
	assert_int_equal(f->counts.rows, 0);
	assert_int_equal(f->counts.functions, 0);
}

static void test_depth_is_capped(void **state)
{
	struct fixture *f = *state;
	uhx_id scope = function_scope(f, "outer", 0, SOURCE_DWARF);
	uint32_t function = 1;

	for (uint32_t i = 1; i < 2 * FRAMES_MAX; i++) {
		const struct uhx_scope s = {.function = function,
					    .parent = scope,
					    .call_line = i,
					    .source = SOURCE_DWARF};

		scope = uhx_builder_scope(f->b, &s);
	}
	row(f, 0, 8, scope, 1);
	build(f);
	uhx_lookup(f->u, 0, &frames);
	assert_int_equal(frames.n, FRAMES_MAX);
	assert_int_equal(frames.frame[1].line, FRAMES_MAX - 1);
	assert_false(frames.frame[FRAMES_MAX - 1].inlined);
}

static void test_long_string_is_cut_between_characters(void **state)
{
	struct fixture *f = *state;
	char *name = malloc(UHX_STRING_MAX + 8);
	const struct uhx_function fn = {.display = {name, UHX_STRING_MAX + 8}};
	struct uhx_scope s = {.source = SOURCE_DWARF};

	assert_non_null(name);
	memset(name, 'x', UHX_STRING_MAX + 8);
	memcpy(name + UHX_STRING_MAX - 1, "\xc3\xa9", 2);
	s.function = uhx_builder_function(f->b, &fn);
	row(f, 0, 8, uhx_builder_scope(f->b, &s), 1);
	build(f);
	uhx_lookup(f->u, 0, &frames);
	assert_int_equal(frames.n, 1);
	assert_int_equal(frames.frame[0].function.n, UHX_STRING_MAX - 1);
	free(name);
}

enum { MANY = 20000 };

// Blocks of all widths: wide jumps in lines, files, scopes.
static void add_many(struct fixture *f)
{
	unsigned seed = 11;
	uint64_t at = 0x400000;

	for (uint32_t i = 0; i < MANY; i++) {
		char name[32];
		uint32_t kind = (uint32_t)rand_r(&seed) % 16;
		uint64_t size = kind == 0 ? 300000 : kind == 1 ? 3000 : 4;

		snprintf(name, sizeof(name), "function_%u", i / (i < MANY / 2 ? 20 : 1));
		row(f, at, at + size, function_scope(f, name, i, SOURCE_DWARF),
		    kind < 4 ? i * 100000 + 1 : i + 1);
		at += size + (kind == 2 ? 7 : 0);
	}
}

static void test_many_rows(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 11;
	uint64_t at = 0x400000;

	add_many(f);
	build(f);
	assert_int_equal(f->counts.rows, MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		char want[64];
		uint32_t kind = (uint32_t)rand_r(&seed) % 16;
		uint64_t size = kind == 0 ? 300000 : kind == 1 ? 3000 : 4;

		snprintf(want, sizeof(want), "function_%u:%u", i / (i < MANY / 2 ? 20 : 1),
			 kind < 4 ? i * 100000 + 1 : i + 1);
		assert_string_equal(name_at(f, at), want);
		assert_int_equal(frames.frame[0].start_line, i);
		assert_string_equal(name_at(f, at + size - 1), want);
		at += size + (kind == 2 ? 7 : 0);
		if (kind == 2)
			assert_string_equal(name_at(f, at - 1), "");
	}
}

static void test_same_input_same_bytes(void **state)
{
	struct fixture *f = *state;
	struct buf first = BUF_INIT(MIB(16));
	struct buf second = BUF_INIT(MIB(16));
	struct err e = ERR_INIT;
	int fd;

	add_many(f);
	write_to(f);
	assert_int_equal(lseek(f->fd, 0, SEEK_SET), 0);
	assert_int_equal(io_read_fd(f->fd, &first, &e), 0);
	uhx_builder_free(f->b);
	assert_int_equal(uhx_builder_new(&f->b, &e), 0);
	add_many(f);
	fd = f->fd;
	write_to(f);
	close(fd);
	assert_int_equal(lseek(f->fd, 0, SEEK_SET), 0);
	assert_int_equal(io_read_fd(f->fd, &second, &e), 0);
	assert_int_equal(first.n, f->counts.bytes);
	assert_true(str_eq(buf_str(&first), buf_str(&second)));
	buf_deinit(&first);
	buf_deinit(&second);
}

static void test_references(void **state)
{
	struct fixture *f = *state;
	struct uhx *second;

	row(f, 0, 8, function_scope(f, "kept", 0, SOURCE_DWARF), 1);
	build(f);
	second = uhx_ref(f->u);
	uhx_unref(f->u);
	assert_string_equal(name_at(f, 4), "kept:1");
	f->u = second;
	uhx_unref(NULL);
}

static void test_dump(void **state)
{
	struct fixture *f = *state;
	struct err e = ERR_INIT;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	row(f, 0x1139, 0x1140, function_scope(f, "_Z3foov", 3, SOURCE_DWARF), 4);
	row(f, 0x1140, 0x1150, function_scope(f, "evil\x1b[2J", 0, SOURCE_SYMTAB), 0);
	build(f);
	assert_int_equal(uhx_dump(f->u, out, &e), 0);
	fclose(out);
	assert_non_null(strstr(text, "uhx version 2, "));
	assert_non_null(strstr(text, "machine x86_64, quality dwarf\n2 rows, 2 functions, "));
	assert_non_null(strstr(text, "id gnu 93ac61ec\nid htl htl-3031"));
	assert_non_null(strstr(text, "load r-x vaddr 0x1000 memsz 0x2000"));
	assert_non_null(strstr(
		text, "0x1139 dwarf\n    foo() [_Z3foov] at /src/a.c:4, starts at line 3\n"));
	assert_non_null(strstr(text, "0x1140 symtab\n    evil\\x1b[2J\n"));
	assert_non_null(strstr(text, "0x1150 hole\n"));
	free(text);
}

static void refuse(struct str bytes, enum err_kind kind, const char *message)
{
	struct err e = ERR_INIT;
	struct uhx *u = NULL;
	int fd = memfd_create("uhx", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, bytes.p, bytes.n, &e), 0);
	assert_int_equal(uhx_open_fd(fd, &u, &e), -1);
	assert_null(u);
	assert_int_equal(e.kind, kind);
	assert_string_equal(e.msg, message);
	close(fd);
}

static struct buf bytes_of(struct fixture *f)
{
	struct buf bytes = BUF_INIT(MIB(1));
	struct err e = ERR_INIT;

	assert_int_equal(lseek(f->fd, 0, SEEK_SET), 0);
	assert_int_equal(io_read_fd(f->fd, &bytes, &e), 0);
	return bytes;
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	struct uhx_header h;
	struct buf b;

	row(f, 0, 8, function_scope(f, "f", 0, SOURCE_DWARF), 1);
	build(f);
	b = bytes_of(f);
	refuse(STR_EMPTY, ERR_BAD_INDEX, "not a sound index: shorter than its header; rebuild it");
	refuse((struct str){b.p, 71}, ERR_BAD_INDEX,
	       "not a sound index: shorter than its header; rebuild it");
	refuse((struct str){b.p, b.n - 1}, ERR_BAD_INDEX,
	       "not a sound index: its size is not what its header says (cut short?); rebuild it");
	memcpy(&h, b.p, sizeof(h));
	h.version = 1;
	memcpy(b.p, &h, sizeof(h));
	refuse(buf_str(&b), ERR_UNSUPPORTED, "index version 1, this program reads 2; rebuild it");
	h.version = UHX_VERSION;
	h.features = 2;
	memcpy(b.p, &h, sizeof(h));
	refuse(buf_str(&b), ERR_UNSUPPORTED,
	       "index features 0x2 are not known to this program; rebuild it");
	h.features = 0;
	h.quality = 1;
	memcpy(b.p, &h, sizeof(h));
	refuse(buf_str(&b), ERR_BAD_INDEX,
	       "not a sound index: the checksum of its header is wrong; rebuild it");
	h.magic[0] = 'x';
	memcpy(b.p, &h, sizeof(h));
	refuse(buf_str(&b), ERR_BAD_INDEX,
	       "not a sound index: it does not start as a .uhx file does; rebuild it");
	buf_deinit(&b);
}

static void test_open_names_the_file(void **state)
{
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	(void)state;
	assert_int_equal(uhx_open("/dev/null/nothing.uhx", &u, &e), -1);
	assert_non_null(strstr(e.msg, "/dev/null/nothing.uhx"));
}

static void build_small(struct fixture *f)
{
	uhx_id outer = function_scope(f, "_Z5outerv", 1, SOURCE_DWARF);
	const struct uhx_function fn = {.linkage = STR("inner"), .start_line = 2};
	const struct uhx_scope inner = {.function = uhx_builder_function(f->b, &fn),
					.parent = outer,
					.call_file = uhx_builder_file(f->b, STR("/src/b.c")),
					.call_line = 3,
					.source = SOURCE_DWARF};
	uhx_id scope = uhx_builder_scope(f->b, &inner);

	uhx_builder_alias(f->b, 1, STR("also"));
	for (uint32_t i = 0; i < 70; i++)
		row(f, 4 * i, 4 * i + 3, i % 3 ? scope : outer, i * 50 + 1);
	row(f, UINT64_C(1) << 40, (UINT64_C(1) << 40) + 8, outer, 1);
	build(f);
}

// Recomputes the header's checksum, so that damage behind it is met by the code that follows it.
static void sign(char *bytes, size_t n)
{
	struct uhx_header h;
	size_t head;

	memcpy(&h, bytes, sizeof(h));
	head = sizeof(h) + (size_t)h.section_count * sizeof(struct uhx_section);
	if (h.section_count > UHX_SECTIONS_MAX || head > n)
		return;
	memset(bytes + offsetof(struct uhx_header, checksum), 0, sizeof(h.checksum));
	h.checksum = xxh3(bytes, head);
	memcpy(bytes + offsetof(struct uhx_header, checksum), &h.checksum, sizeof(h.checksum));
}

static struct uhx *uhx_at_hand;

static void count_frames(void *ctx, size_t i, const struct uhx_chain *chain)
{
	size_t *sum = ctx;
	struct frame f;

	assert_true(chain->n <= FRAMES_MAX && i < 300);
	for (size_t k = 0; k < chain->n; k++)
		*sum += uhx_spell(uhx_at_hand, chain->place[k].function, &f);
}

static void look_everywhere(struct uhx *u)
{
	for (uint64_t va = 0; va < 300; va++) {
		uhx_lookup(u, va, &frames);
		assert_true(frames.n <= FRAMES_MAX);
		for (size_t i = 0; i < frames.n; i++) {
			// Touch what they point to.
			xxh3(frames.frame[i].function.p, frames.frame[i].function.n);
			xxh3(frames.frame[i].system_name.p, frames.frame[i].system_name.n);
			xxh3(frames.frame[i].file.p, frames.frame[i].file.n);
		}
	}
	uhx_lookup(u, UINT64_C(1) << 40, &frames);
	uhx_lookup(u, UINT64_MAX, &frames);
}

static void look_at_many(struct uhx *u)
{
	uint64_t va[300];

	for (size_t i = 0; i < countof(va); i++)
		va[i] = i;
	uhx_at_hand = u;
	uhx_chain_many(u, va, countof(va), true, count_frames, &(size_t){0});
}

// Opens what is in fd; whatever comes of it must be orderly.
static void use(int fd, FILE *nowhere, bool *ret_opened, bool *ret_sound)
{
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	*ret_opened = *ret_sound = false;
	if (uhx_open_fd(fd, &u, &e)) {
		assert_true(e.kind == ERR_BAD_INDEX || e.kind == ERR_UNSUPPORTED);
		return;
	}
	*ret_opened = true;
	*ret_sound = uhx_verify(u, &e) == 0;
	look_everywhere(u);
	look_at_many(u);
	if (uhx_dump(u, nowhere, &e))
		assert_int_equal(e.kind, ERR_BAD_INDEX);
	uhx_unref(u);
}

static void test_every_flipped_byte(void **state)
{
	static const uint8_t flips[] = {0x01, 0x80, 0xff};
	struct fixture *f = *state;
	FILE *nowhere = fopen("/dev/null", "w");
	struct err e = ERR_INIT;
	size_t opened_signed = 0;
	struct buf b;
	int fd = memfd_create("uhx", MFD_CLOEXEC);

	assert_true(fd >= 0 && nowhere);
	build_small(f);
	b = bytes_of(f);
	for (size_t i = 0; i < b.n * countof(flips) * 2; i++) {
		bool resign = i % 2;
		size_t at = i / 2 / countof(flips);
		char *copy = mem_dup(b.p, b.n);
		bool opened;
		bool sound;

		assert_non_null(copy);
		copy[at] = (char)(copy[at] ^ flips[i / 2 % countof(flips)]);
		if (resign)
			sign(copy, b.n);
		assert_int_equal(io_pwrite_all(fd, copy, b.n, 0, &e), 0);
		use(fd, nowhere, &opened, &sound);
		if (!resign)
			assert_false(sound);
		opened_signed += resign && opened;
		free(copy);
	}
	assert_true(opened_signed > b.n); // the damage was not all caught at the door
	fclose(nowhere);
	close(fd);
	buf_deinit(&b);
}

static void test_out_of_memory_is_reported(void **state)
{
	struct uhx_meta meta = meta_of();
	unsigned long nth = 0;
	bool fired;

	(void)state;
	do {
		struct fixture f = {.fd = -1};
		struct err e = ERR_INIT;
		int result;

		mem_fault_at(++nth, 1);
		result = uhx_builder_new(&f.b, &e);
		if (!result) {
			for (uint32_t i = 0; i < 100; i++) {
				const struct uhx_function fn = {.linkage = STR("_Z1fv"),
								.start_line = i};
				const struct uhx_scope s = {.function =
								    uhx_builder_function(f.b, &fn),
							    .source = SOURCE_DWARF};

				row(&f, i * 8, i * 8 + 8, uhx_builder_scope(f.b, &s), i + 1);
			}
			f.fd = memfd_create("uhx", MFD_CLOEXEC);
			result = uhx_builder_write(f.b, &meta, f.fd, &f.counts, &e);
		}
		fired = mem_fault_off();
		assert_int_equal(result, fired ? -1 : 0);
		if (fired)
			assert_int_equal(e.kind, ERR_NOMEM);
		uhx_builder_free(f.b);
		if (f.fd >= 0)
			close(f.fd);
	} while (fired);
	assert_true(nth > 20);
}

static void test_full_disk_is_reported(void **state)
{
	struct fixture *f = *state;
	struct uhx_meta meta = meta_of();
	struct err e = ERR_INIT;
	int fd = memfd_create("uhx", MFD_CLOEXEC);

	row(f, 0, 8, function_scope(f, "f", 0, SOURCE_DWARF), 1);
	io_fault_at(3, ENOSPC);
	assert_int_equal(uhx_builder_write(f->b, &meta, fd, &f->counts, &e), -1);
	assert_true(io_fault_off());
	assert_int_equal(e.kind, ERR_NO_SPACE);
	close(fd);
}

#define WITH_BUILDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BUILDER(test_empty),
		WITH_BUILDER(test_inline_chain),
		WITH_BUILDER(test_sources_fill_each_others_holes),
		WITH_BUILDER(test_neighbours_that_agree_become_one),
		WITH_BUILDER(test_names),
		WITH_BUILDER(test_spread_beyond_4_gib),
		WITH_BUILDER(test_what_cannot_be_is_ignored),
		WITH_BUILDER(test_depth_is_capped),
		WITH_BUILDER(test_long_string_is_cut_between_characters),
		WITH_BUILDER(test_many_rows),
		WITH_BUILDER(test_same_input_same_bytes),
		WITH_BUILDER(test_references),
		WITH_BUILDER(test_dump),
		WITH_BUILDER(test_refusals),
		WITH_BUILDER(test_every_flipped_byte),
		WITH_BUILDER(test_full_disk_is_reported),
		cmocka_unit_test(test_open_names_the_file),
		cmocka_unit_test(test_out_of_memory_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
