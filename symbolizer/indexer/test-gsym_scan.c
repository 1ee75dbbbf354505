/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GSYM files made here byte by byte, in both versions and byte orders, sound and hostile; and
 * random indexes that must come back the same from what gsym_writer.c makes of them.
 */
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/gsym_writer.h"
#include "symbolizer/indexer/gsym_scan.h"
#include "symbolizer/uhx_format.h"
#include "tests/unit/gsym_file.h"

#include <sys/mman.h>
#include <unistd.h>

enum { FLIPS = 4000 };

static struct frames frames;

// f at 0x1010..0x1050: lines; a() inlined in two places, and b() into the second of them.
static void rich_function(struct gsym_file_parts *f)
{
	struct buf inlines = BUF_INIT(GSYM_FILE_BYTES);
	uint64_t a = gsym_file_string(f, "_Z1av");
	uint64_t b = gsym_file_string(f, "b");

	gsym_file_function(f, 0x10, 0x40, "f");
	// Special opcodes: line -1 … 2, so 4 + (line + 1) + 4 × address.
	GSYM_FILE_INFO(f, GSYM_INFO_LINES,
	    "\x7f\x02\x0a"         // line 10
	    "\x05"                 // 0x1010: 10
	    "\x07"                 // 0x1010 once more: 12, which counts
	    "\x02\x10"             // 0x1020: 12
	    "\x01\x02\x03\x62\x03" // file 2, line -30 …
	    "\x1e\x06"             // … and back, 0x1020: 13
	    "\x03\x1e\x02\x10"     // 0x1030: 43
	    "\x01\x01\x46\x00");   // file 1; 0x1040: 44 (address +16, line +1)
	gsym_file_node(f, &inlines, "\x01\x00\x40", 3, true, 0, 0, 0);
	// At 0x1020 … 0x1028 and 0x1030 … 0x1040, and in the second at its first four bytes.
	gsym_file_node(f, &inlines, "\x02\x10\x08\x20\x10", 5, true, a, 1, 70);
	gsym_file_node(f, &inlines, "\x01\x10\x04", 3, false, b, 2, 80);
	buf_append_c(&inlines, 0);
	buf_append_c(&inlines, 0);
	gsym_file_info(f, GSYM_INFO_INLINES, &inlines);
	buf_deinit(&inlines);
}

static void merged_info(struct gsym_file_parts *f)
{
	struct buf merged = BUF_INIT(GSYM_FILE_BYTES);

	gsym_file_put(f, &merged, 1, 4);
	gsym_file_put(f, &merged, 4 + gsym_file_string_size(f) + 8, 4);
	gsym_file_put(f, &merged, 0x40, 4);
	gsym_file_put(f, &merged, gsym_file_string(f, "folded"), gsym_file_string_size(f));
	gsym_file_put(f, &merged, 0, 8);
	gsym_file_info(f, GSYM_INFO_MERGED, &merged);
	buf_deinit(&merged);
}

static void sound_file(struct gsym_file_parts *f)
{
	rich_function(f);
	merged_info(f);
	GSYM_FILE_INFO(f, 4, "call sites");
	GSYM_FILE_INFO(f, 4711, "to come");
	gsym_file_info(f, GSYM_INFO_END, NULL);
	gsym_file_function(f, 0x60, 0, "label"); // up to the next
	gsym_file_info(f, GSYM_INFO_END, NULL);
	gsym_file_function(f, 0x70, 4, "small");
	gsym_file_info(f, GSYM_INFO_END, NULL);
	gsym_file_function(f, 0x70, 8, "big");
	gsym_file_info(f, GSYM_INFO_END, NULL);
}

/* ---- reading it ---- */

static int scan(struct str bytes, struct uhx **ret, struct gsym_counts *counts, struct err *e)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct uhx_meta meta = {.machine = STR("any")};
	struct uhx_counts written;
	struct gsym_image g;
	int fd;

	if (gsym_image_open(&g, bytes, "x.gsym", e))
		return -1;
	assert_int_equal(uhx_builder_new(&b, e), 0);
	if (gsym_scan(&g, b, counts, e))
		return -1;
	fd = memfd_create("uhx", MFD_CLOEXEC);
	assert_true(fd >= 0);
	if (uhx_builder_write(b, &meta, fd, &written, e) || uhx_open_fd(fd, ret, e) ||
	    uhx_verify(*ret, e))
		fail_msg("%s", e->msg);
	close(fd);
	return 0;
}

static struct uhx *index_of(struct gsym_file_parts *f, struct gsym_counts *counts)
{
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	if (scan(gsym_file_finish(f), &u, counts, &e))
		fail_msg("version %u, big %d: %s", f->version, f->big, e.msg);
	return u;
}

// "name file:line, …", innermost first; "" for a hole.
static void expect(const struct uhx *u, uint64_t address, const char *wanted)
{
	char text[512] = "";

	uhx_lookup(u, address, &frames);
	for (size_t i = 0; i < frames.n; i++) {
		const struct frame *f = &frames.frame[i];
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "%s" STR_FMT " " STR_FMT ":%u", i ? ", " : "",
			 STR_ARG(f->function), STR_ARG(f->file), f->line);
	}
	assert_string_equal(text, wanted);
}

static void check_sound(unsigned version, bool big)
{
	struct gsym_file_parts f = gsym_file_new(version, big);
	struct gsym_counts counts;
	struct uhx *u;

	sound_file(&f);
	u = index_of(&f, &counts);
	assert_int_equal(counts.functions, 4);
	assert_int_equal(counts.with_lines, 1);
	assert_int_equal(counts.merged, 1);
	expect(u, 0x100f, "");
	expect(u, 0x1010, "f /src/main.c:12");
	expect(u, 0x1020, "a() inc/h.h:13, f /src/main.c:70");
	expect(u, 0x1028, "f inc/h.h:13");
	expect(u, 0x1030, "b inc/h.h:43, a() inc/h.h:80, f /src/main.c:70");
	expect(u, 0x1034, "a() inc/h.h:43, f /src/main.c:70");
	expect(u, 0x1040, "f /src/main.c:44");
	assert_int_equal(frames.source, SOURCE_DWARF);
	expect(u, 0x104f, "f /src/main.c:44");
	expect(u, 0x1050, "");
	expect(u, 0x106f, "label :0");
	assert_int_equal(frames.source, SOURCE_SYMTAB);
	expect(u, 0x1073, "small :0");
	expect(u, 0x1074, "big :0");
	expect(u, 0x1078, "");
	uhx_unref(u);
	gsym_file_deinit(&f);
}

static void test_sound(void **state)
{
	(void)state;
	for (unsigned version = 1; version <= 2; version++) {
		check_sound(version, false);
		check_sound(version, true);
	}
}

static void test_identity(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned version = 1; version <= 2; version++) {
		struct gsym_file_parts f = gsym_file_new(version, version == 2);
		struct gsym_image g;

		sound_file(&f);
		assert_int_equal(gsym_image_open(&g, gsym_file_finish(&f), "x", &e), 0);
		assert_true(str_eq(g.uuid, STR("\xab\xcd\x03")));
		assert_int_equal(g.version, version);
		gsym_file_deinit(&f);
	}
}

/* ---- hostile files ---- */

static void refused(struct gsym_file_parts *f, enum err_kind kind, const char *why)
{
	struct err e = ERR_INIT;
	struct gsym_counts counts;
	struct uhx *u = NULL;

	assert_int_equal(scan(gsym_file_finish(f), &u, &counts, &e), -1);
	assert_int_equal(e.kind, kind);
	if (!strstr(e.msg, why))
		fail_msg("'%s' does not say '%s'", e.msg, why);
	gsym_file_deinit(f);
}

static struct gsym_file_parts with_info(uint32_t kind, const char *p, size_t n)
{
	struct gsym_file_parts f = gsym_file_new(1, false);

	gsym_file_function(&f, 0x10, 0x40, "f");
	gsym_file_raw_info(&f, kind, p, n);
	gsym_file_info(&f, GSYM_INFO_END, NULL);
	return f;
}

#define REFUSED(kind, literal, why)                                                                \
	do {                                                                                       \
		struct gsym_file_parts f_ = with_info((kind), (literal), sizeof(literal) - 1);     \
		refused(&f_, ERR_BAD_GSYM, (why));                                                 \
	} while (0)

static void test_bad_lines(void **state)
{
	(void)state;
	REFUSED(GSYM_INFO_LINES, "", "line table has no end");
	REFUSED(GSYM_INFO_LINES, "\x00\x03\x01\x05", "line table has no end");
	REFUSED(GSYM_INFO_LINES, "\x03\x00\x01\x05\x00", "special line opcodes is empty");
	REFUSED(GSYM_INFO_LINES, "\x81\x80\x80\x80\x80\x80\x80\x80\x80\x7f\x00\x01\x05\x00",
		"special line opcodes is empty or too wide");
	REFUSED(GSYM_INFO_LINES, "\x00\x03\x01\x01\x03\x05\x00", "a file that is not there");
	REFUSED(GSYM_INFO_LINES,
		"\x00\x03\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x7f\x00",
		"leaves the address space");
	REFUSED(GSYM_INFO_LINES, "\x00\x03\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"line table has no end");
}

static void test_bad_inlines(void **state)
{
	(void)state;
	REFUSED(GSYM_INFO_INLINES, "", "inlined code is cut short");
	REFUSED(GSYM_INFO_INLINES, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00\x01", "cut short");
	REFUSED(GSYM_INFO_INLINES, "\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00",
		"too far");
	REFUSED(GSYM_INFO_INLINES, "\x01\x00\x40\x00\x00\x00\x00\x00\x7f\x00", "names no file");
	REFUSED(GSYM_INFO_INLINES, "\x01\x00\x40\x01\x00\x00\x00\x00\x00\x00", "cut short");
	REFUSED(GSYM_INFO_MERGED, "\x02\x00\x00\x00", "merged functions are cut short");
	REFUSED(GSYM_INFO_MERGED, "\x01\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00",
		"merged functions are cut short");
}

static struct gsym_file_parts nested(unsigned depth)
{
	struct gsym_file_parts f = gsym_file_new(1, false);
	struct buf b = BUF_INIT(GSYM_FILE_BYTES);

	gsym_file_function(&f, 0x10, 0x40, "f");
	for (unsigned i = 0; i < depth; i++)
		gsym_file_node(&f, &b, "\x01\x00\x40", 3, i + 1 < depth, i ? 1 : 0, i ? 1 : 0, 1);
	for (unsigned i = 1; i < depth; i++)
		buf_append_c(&b, 0);
	gsym_file_info(&f, GSYM_INFO_INLINES, &b);
	gsym_file_info(&f, GSYM_INFO_END, NULL);
	buf_deinit(&b);
	return f;
}

static void test_depth(void **state)
{
	struct gsym_file_parts f = nested(FRAMES_MAX);
	struct gsym_counts counts;
	struct uhx *u = index_of(&f, &counts);

	(void)state;
	uhx_lookup(u, 0x1010, &frames);
	assert_int_equal(frames.n, FRAMES_MAX);
	uhx_unref(u);
	gsym_file_deinit(&f);
	f = nested(FRAMES_MAX + 2);
	refused(&f, ERR_BAD_GSYM, "nested too deep");
}

// Each child claims every address: as many steps as children times ranges, if one let them.
static void test_overlapping_siblings(void **state)
{
	enum { CHILDREN = 3000 };
	struct gsym_file_parts f = gsym_file_new(1, false);
	struct buf b = BUF_INIT(GSYM_FILE_BYTES);

	(void)state;
	gsym_file_function(&f, 0x10, 0x40, "f");
	gsym_file_node(&f, &b, "\x01\x00\x40", 3, true, 0, 0, 0);
	for (unsigned i = 0; i < CHILDREN; i++) {
		buf_append_c(&b, 3);
		buf_append(&b, "\x00\x40", 2);
		for (unsigned k = 0; k < 2; k++) {
			buf_append_c(&b, (char)(i * (k + 1) % 0x40));
			buf_append_c(&b, 1);
		}
		buf_append_c(&b, 0);
		gsym_file_put(&f, &b, 1, 4);
		buf_append(&b, "\x01\x01", 2);
	}
	buf_append_c(&b, 0);
	gsym_file_info(&f, GSYM_INFO_INLINES, &b);
	gsym_file_info(&f, GSYM_INFO_END, NULL);
	buf_deinit(&b);
	refused(&f, ERR_BAD_GSYM, "overlaps too much");
}

static void test_shared_infos(void **state)
{
	struct gsym_file_parts f = gsym_file_new(2, false);
	struct buf big = BUF_INIT(GSYM_FILE_BYTES);

	(void)state;
	gsym_file_function(&f, 0x10, 0x40, "f");
	for (unsigned i = 0; i < 200; i++)
		buf_append_c(&big, 'x');
	gsym_file_info(&f, 99, &big);
	gsym_file_info(&f, GSYM_INFO_END, NULL);
	buf_deinit(&big);
	f.starts[1] = 0x60;
	f.offsets[1] = f.offsets[0];
	f.count = 2;
	refused(&f, ERR_BAD_GSYM, "overlaps that of others");
}

static void test_bad_tables(void **state)
{
	struct gsym_file_parts f;

	(void)state;
	f = gsym_file_new(3, false);
	refused(&f, ERR_UNSUPPORTED, "version 3 is not read");
	f = gsym_file_new(1, false);
	f.address_size = 3;
	sound_file(&f);
	refused(&f, ERR_BAD_GSYM, "not 1, 2, 4 or 8 bytes wide");
	f = gsym_file_new(1, true);
	sound_file(&f);
	f.starts[1] = 0x8;
	refused(&f, ERR_BAD_GSYM, "out of order");
	f = gsym_file_new(2, false);
	sound_file(&f);
	f.offsets[2] = UINT64_MAX;
	refused(&f, ERR_BAD_GSYM, "info is cut short");
	f = gsym_file_new(2, false);
	sound_file(&f);
	f.base = UINT64_MAX - 4;
	refused(&f, ERR_BAD_GSYM, "more than 64 bits");
	f = gsym_file_new(1, false);
	gsym_file_function(&f, 0, 4, "");
	gsym_file_info(&f, GSYM_INFO_END, NULL);
	refused(&f, ERR_BAD_GSYM, "no name");
}

// Either an index that opens, or one reason.
static void survive(struct str bytes)
{
	struct err e = ERR_INIT;
	struct gsym_counts counts;
	struct uhx *u = NULL;
	// A block of its own, so that ASan sees where it ends.
	char *copy = mem_dup(bytes.n ? bytes.p : "", MAX(bytes.n, (size_t)1));

	assert_non_null(copy);
	if (scan((struct str){copy, bytes.n}, &u, &counts, &e))
		assert_true(e.kind == ERR_BAD_GSYM || e.kind == ERR_UNSUPPORTED);
	uhx_unref(u);
	free(copy);
}

static void test_cut(void **state)
{
	(void)state;
	for (unsigned version = 1; version <= 2; version++) {
		struct gsym_file_parts f = gsym_file_new(version, version == 1);
		struct str bytes;

		sound_file(&f);
		bytes = gsym_file_finish(&f);
		for (size_t n = 0; n < bytes.n; n++)
			survive((struct str){bytes.p, n});
		gsym_file_deinit(&f);
	}
}

static void test_flips(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (unsigned i = 0; i < FLIPS; i++) {
		struct gsym_file_parts f = gsym_file_new(1 + i % 2, i % 3 == 0);

		sound_file(&f);
		gsym_file_finish(&f);
		for (unsigned k = 0; k <= i % 4; k++) {
			size_t at = (size_t)rand_r(&seed) % f.bytes.n;

			f.bytes.p[at] ^= (char)(1 << rand_r(&seed) % 8);
		}
		survive(buf_str(&f.bytes));
		gsym_file_deinit(&f);
	}
}

/* ---- there and back ---- */

enum { FUNCTIONS = 40, ROWS = 60, DEPTH = 6, ADDRESS_STEP = 3 };

static uint32_t random_line(unsigned *seed)
{
	static const uint32_t odd[] = {0, 1, INT32_MAX, UINT32_MAX, 1000000};
	unsigned r = (unsigned)rand_r(seed);

	return r % 16 == 0 ? odd[r / 16 % countof(odd)] : 100 + r % 50;
}

static uhx_id random_file(struct uhx_builder *b, unsigned *seed)
{
	static const char *const paths[] = {"/a/b.c", "x.c", "/r.c", "d/e/x.c", "d/e/y.c", ""};

	return uhx_builder_file(b, str_from(paths[(size_t)rand_r(seed) % countof(paths)]));
}

static uhx_id random_function(struct uhx_builder *b, unsigned *seed)
{
	unsigned number = (unsigned)rand_r(seed) % FUNCTIONS;
	char linkage[32];
	char display[64] = "";
	struct uhx_function f;

	snprintf(linkage, sizeof(linkage), number % 3 ? "f%u" : "_Z2f%uv", number % 10);
	if (number % 4 == 1)
		snprintf(display, sizeof(display), "ns::%s", linkage);
	f = (struct uhx_function){str_from(linkage), str_from(display), number};
	return uhx_builder_function(b, &f);
}

static uhx_id random_scope(struct uhx_builder *b, uhx_id parent, unsigned *seed)
{
	struct uhx_scope s = {
		.function = random_function(b, seed),
		.parent = parent,
		.source = SOURCE_DWARF,
	};

	if (parent) {
		s.call_file = random_file(b, seed);
		s.call_line = random_line(seed);
	}
	return uhx_builder_scope(b, &s);
}

// Rows of `step` bytes and less, holes between, inlined to all depths.
static void random_rows(struct uhx_builder *b, uint64_t start, uint64_t step, unsigned *seed)
{
	uhx_id scopes[DEPTH] = {random_scope(b, 0, seed)};
	unsigned depth = 1;

	for (unsigned i = 0; i < ROWS; i++) {
		uint64_t end = start + 1 + (uint64_t)rand_r(seed) % step;
		struct uhx_row row = {.start = start, .end = end};

		switch (rand_r(seed) % 6) {
		case 0:
			depth = depth < DEPTH ? depth + 1 : 1;
			scopes[depth - 1] =
				random_scope(b, depth > 1 ? scopes[depth - 2] : 0, seed);
			break;
		case 1:
			depth = 1 + (unsigned)rand_r(seed) % depth;
			break;
		default:
			break;
		}
		row.scope = scopes[depth - 1];
		row.file = random_file(b, seed);
		row.line = row.file ? random_line(seed) : 0;
		uhx_builder_row(b, &row);
		start = row.end + (rand_r(seed) % 10 == 0 ? step : 0);
	}
}

static int random_index_fd(unsigned seed, uint64_t step)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct uhx_meta meta = {.machine = STR("any")};
	struct uhx_counts counts;
	struct err e = ERR_INIT;
	int fd = memfd_create("uhx", MFD_CLOEXEC);

	assert_int_equal(uhx_builder_new(&b, &e), 0);
	for (unsigned i = 0; i < FUNCTIONS; i++)
		random_rows(b, 0x10000 + i * step * ROWS * 2, step, &seed);
	if (uhx_builder_write(b, &meta, fd, &counts, &e))
		fail_msg("%s", e.msg);
	return fd;
}

static struct uhx *random_index(unsigned seed, uint64_t step)
{
	int fd = random_index_fd(seed, step);
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	if (uhx_open_fd(fd, &u, &e))
		fail_msg("%s", e.msg);
	close(fd);
	return u;
}

static struct uhx *there_and_back(const struct uhx *u)
{
	int fd = memfd_create("gsym", MFD_CLOEXEC);
	struct buf bytes = BUF_INIT(MIB(64));
	struct gsym_export exported;
	struct gsym_counts counts;
	struct err e = ERR_INIT;
	struct uhx *back = NULL;

	if (gsym_write(u, fd, &exported, &e) || lseek(fd, 0, SEEK_SET) != 0 ||
	    io_read_fd(fd, &bytes, &e) || scan(buf_str(&bytes), &back, &counts, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(exported.bytes, bytes.n);
	assert_int_equal(exported.functions, counts.functions);
	assert_false(exported.uuid);
	buf_deinit(&bytes);
	close(fd);
	return back;
}

// Start lines and columns are lost; of two names the one that was exported.
static void assert_same(const struct frames *a, const struct frames *b, uint64_t address)
{
	if (a->n != b->n)
		fail_msg("at %#lx: %zu frames, then %zu", (unsigned long)address, a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct frame *x = &a->frame[i];
		const struct frame *y = &b->frame[i];

		if (!str_eq(x->function, y->function) || !str_eq(x->file, y->file) ||
		    x->line != y->line || x->inlined != y->inlined)
			fail_msg("at %#lx, frame %zu: " STR_FMT " " STR_FMT ":%u, then " STR_FMT
				 " " STR_FMT ":%u",
				 (unsigned long)address, i, STR_ARG(x->function), STR_ARG(x->file),
				 x->line, STR_ARG(y->function), STR_ARG(y->file), y->line);
	}
}

static void check_round_trip(unsigned seed, uint64_t step)
{
	static struct frames other;
	struct uhx *u = random_index(seed, step);
	struct uhx *back = there_and_back(u);
	uint64_t end = 0x10000 + FUNCTIONS * step * ROWS * 2;
	size_t named = 0;

	for (uint64_t a = 0x10000 - 1; a < end; a += step / 8 + 1) {
		uhx_lookup(u, a, &frames);
		uhx_lookup(back, a, &other);
		assert_same(&frames, &other, a);
		named += frames.n != 0;
	}
	assert_true(named > FUNCTIONS * ROWS);
	uhx_unref(u);
	uhx_unref(back);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 10; seed++)
		check_round_trip(seed, 1 + seed * seed);
	check_round_trip(11, 5000);
	check_round_trip(12, UINT64_C(10) << 20); // beyond 4 GiB: address offsets of 8 bytes
}

// So that damage gets past the header's checksum; those of the sections are not looked at here.
static void sign(struct buf *b)
{
	struct uhx_header h;

	memcpy(&h, b->p, sizeof(h));
	h.file_size = b->n;
	h.section_count = MIN(h.section_count, (uint32_t)UHX_SECTION_KINDS);
	h.checksum = 0;
	memcpy(b->p, &h, sizeof(h));
	h.checksum = xxh3(b->p, sizeof(h) + h.section_count * sizeof(struct uhx_section));
	memcpy(b->p, &h, sizeof(h));
}

// 1: exported; 0: refused.
static int export_bytes(const struct buf *bytes)
{
	int in = memfd_create("uhx", MFD_CLOEXEC);
	int out = memfd_create("gsym", MFD_CLOEXEC);
	struct gsym_export exported;
	struct err e = ERR_INIT;
	struct uhx *u = NULL;
	int result;

	assert_int_equal(io_write_all(in, bytes->p, bytes->n, &e), 0);
	result = uhx_open_fd(in, &u, &e) == 0 && gsym_write(u, out, &exported, &e) == 0;
	if (!result)
		assert_true(e.kind == ERR_BAD_INDEX || e.kind == ERR_UNSUPPORTED ||
			    e.kind == ERR_NOT_FOUND || e.kind == ERR_TOO_LARGE);
	uhx_unref(u);
	close(in);
	close(out);
	return result;
}

static void test_damaged_index(void **state)
{
	enum { DAMAGES = 1000 };
	struct buf sound = BUF_INIT(MIB(1));
	struct err e = ERR_INIT;
	unsigned seed = 3;
	unsigned exports = 0;
	int fd = random_index_fd(2, 9);

	(void)state;
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(io_read_fd(fd, &sound, &e), 0);
	for (unsigned i = 0; i < DAMAGES; i++) {
		struct buf b = BUF_INIT(MIB(1));

		buf_append_str(&b, buf_str(&sound));
		for (unsigned k = 0; k <= i % 4; k++) {
			size_t at = (size_t)rand_r(&seed) % b.n;

			b.p[at] ^= (char)(1 << rand_r(&seed) % 8);
		}
		sign(&b);
		exports += export_bytes(&b);
		buf_deinit(&b);
	}
	assert_in_range(exports, DAMAGES / 20, DAMAGES - 1);
	buf_deinit(&sound);
	close(fd);
}

static bool export_fails(const struct uhx *u, unsigned long nth)
{
	int fd = memfd_create("gsym", MFD_CLOEXEC);
	struct gsym_export exported;
	struct err e = ERR_INIT;
	int result;
	bool fired;

	mem_fault_at(nth, 1);
	result = gsym_write(u, fd, &exported, &e);
	fired = mem_fault_off();
	assert_int_equal(result, fired ? -1 : 0);
	if (fired)
		assert_int_equal(e.kind, ERR_NOMEM);
	close(fd);
	return fired;
}

static bool scan_fails(const struct gsym_image *g, unsigned long nth)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct gsym_counts counts;
	struct err e = ERR_INIT;
	bool fired;

	assert_int_equal(uhx_builder_new(&b, &e), 0);
	mem_fault_at(nth, 1);
	// What the builder lacks, it tells when it is to write.
	if (gsym_scan(g, b, &counts, &e))
		assert_int_equal(e.kind, ERR_NOMEM);
	fired = mem_fault_off();
	return fired;
}

static void test_out_of_memory(void **state)
{
	struct gsym_file_parts f = gsym_file_new(1, false);
	struct uhx *u = random_index(5, 9);
	struct err e = ERR_INIT;
	struct gsym_image g;
	unsigned long nth = 1;

	(void)state;
	while (export_fails(u, nth))
		nth++;
	assert_true(nth > 20);
	uhx_unref(u);
	sound_file(&f);
	assert_int_equal(gsym_image_open(&g, gsym_file_finish(&f), "x", &e), 0);
	for (nth = 1; scan_fails(&g, nth);)
		nth++;
	assert_true(nth > 5);
	gsym_file_deinit(&f);
}

static void test_nothing_to_export(void **state)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct uhx_meta meta = {.machine = STR("any")};
	struct gsym_export exported;
	struct uhx_counts counts;
	struct err e = ERR_INIT;
	struct uhx *u = NULL;
	int fd = memfd_create("uhx", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(uhx_builder_new(&b, &e), 0);
	assert_int_equal(uhx_builder_write(b, &meta, fd, &counts, &e), 0);
	assert_int_equal(uhx_open_fd(fd, &u, &e), 0);
	assert_int_equal(gsym_write(u, fd, &exported, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	uhx_unref(u);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_bad_inlines),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_overlapping_siblings),
		cmocka_unit_test(test_shared_infos),
		cmocka_unit_test(test_bad_tables),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damaged_index),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_nothing_to_export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
