/* SPDX-License-Identifier: Apache-2.0 */
/* Function starts of real libraries as libdw's reader of call frames has them, and records made by hand. */
#include "base/eh_frame.h"

#include "tests/unit/indexing.h"
#include <elfutils/libdw.h>
#include <inttypes.h>

enum { RANGES_MAX = 200000 };

static struct addr_range ours[RANGES_MAX];
static size_t our_count;
static struct frames frames;

static const char program[] =
	"int hidden(int x) { return x * 3; }\n"
	"int (*table[])(int) = {hidden};\n"
	"int main(int argc, char **argv) { (void)argv; return table[argc](argc); }\n";

static int setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	toolbox_write("p.c", str_from(program));
	return toolbox_run("gcc -g -O1 p.c -o full && strip -o stripped full && cp stripped bare && "
			   "dd if=/dev/zero of=bare bs=1 seek=40 count=8 conv=notrunc 2>/dev/null && "
			   "dd if=/dev/zero of=bare bs=1 seek=58 count=6 conv=notrunc 2>/dev/null");
}

static int collect(void *ctx, uint64_t start, uint64_t end)
{
	(void)ctx;
	assert_true(our_count < RANGES_MAX);
	ours[our_count++] = (struct addr_range){start, end};
	return 0;
}

// ---- libdw as the oracle -----------------------------------------------------------------------

static bool equals(const struct addr_range *r, Dwarf_Addr start, Dwarf_Addr end)
{
	return r->start == start && r->end == end;
}

// dwarf_next_cfi() gives an FDE's bytes; its range is what dwarf_cfi_addrframe() finds at its start.
static size_t compare_library(const char *path)
{
	struct err e = ERR_INIT;
	int fd = io_open_read(path, &e);
	struct elf_image img;
	const struct elf_section *s;
	struct eh_frame f = {.address_size = 8};
	Dwarf_CFI *cfi;

	if (fd < 0 || elf_image_open(&img, fd, path, &e))
		fail_msg("%s", e.msg);
	s = elf_image_section(&img, ".eh_frame");
	assert_non_null(s);
	assert_int_equal(elf_image_data(&img, s, &f.bytes, &e), 0);
	f.vaddr = s->header.sh_addr;
	our_count = 0;
	assert_int_equal(eh_frame_read(&f, collect, NULL, &e), 0);
	cfi = dwarf_getcfi_elf(img.elf);
	assert_non_null(cfi);
	for (size_t i = 0; i < our_count; i++) {
		Dwarf_Addr start;
		Dwarf_Addr end;
		Dwarf_Frame *frame = NULL;
		bool signal;

		if (dwarf_cfi_addrframe(cfi, ours[i].start, &frame))
			fail_msg("%s: libdw has nothing at 0x%" PRIx64, path, ours[i].start);
		dwarf_frame_info(frame, &start, &end, &signal);
		// a frame is a row of the FDE: it starts there and does not go beyond
		assert_true(start == ours[i].start && end <= ours[i].end);
		free(frame);
	}
	dwarf_cfi_end(cfi);
	elf_image_close(&img);
	close(fd);
	return our_count;
}

// All FDEs that dwarf_next_cfi() walks over, without those it cannot tell the CIE of.
static size_t count_by_libdw(const char *path)
{
	struct err e = ERR_INIT;
	int fd = io_open_read(path, &e);
	struct elf_image img;
	const struct elf_section *s;
	Dwarf_Off at = 0;
	Dwarf_Off next;
	size_t n = 0;
	Elf_Data *data;
	Dwarf_CFI_Entry entry;

	if (fd < 0 || elf_image_open(&img, fd, path, &e))
		fail_msg("%s", e.msg);
	s = elf_image_section(&img, ".eh_frame");
	data = elf_rawdata(s->scn, NULL);
	while (dwarf_next_cfi(img.header.e_ident, data, true, at, &next, &entry) == 0) {
		n += !dwarf_cfi_cie_p(&entry);
		at = next;
	}
	elf_image_close(&img);
	close(fd);
	return n;
}

static void test_libraries(void **state)
{
	static const char *const names[] = {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libcrypto.so.3",
					    "libdw.so.1", "libsqlite3.so.0"};
	size_t compared = 0;

	(void)state;
	for (size_t i = 0; i < countof(names); i++) {
		char path[256];
		char *text;
		size_t n;

		toolbox_run("ldconfig -p | awk '$1 == \"%s\" { print $NF; exit }' | tr -d '\\n' >path.txt",
			    names[i]);
		text = toolbox_read("path.txt", NULL);
		snprintf(path, sizeof(path), "%s", text);
		free(text);
		if (!path[0]) {
			print_message("no %s here\n", names[i]);
			continue;
		}
		n = compare_library(path);
		assert_int_equal(n, count_by_libdw(path));
		compared += n > 1000;
	}
	assert_true(compared >= 2); // libc is always there, and libdw and sqlite are what we link
}

// ---- through the index -------------------------------------------------------------------------

static void expect(struct uhx *u, uint64_t address, uint64_t start)
{
	char name[32];

	snprintf(name, sizeof(name), "fun_0x%" PRIx64, start);
	uhx_lookup(u, address, &frames);
	if (frames.n != 1 || !str_is(frames.frame[0].function, name))
		fail_msg("at 0x%" PRIx64 ": '" STR_FMT "' instead of '%s'", address,
			 STR_ARG(frames.n ? frames.frame[0].function : STR_EMPTY), name);
	assert_int_equal(frames.source, SOURCE_EH_FRAME);
	assert_int_equal(frames.frame[0].line, 0);
}

static void test_stripped(void **state)
{
	static const char *const files[] = {"stripped", "bare"};
	uint64_t hidden = toolbox_nm("full", "hidden");
	uint64_t main_ = toolbox_nm("full", "main");

	(void)state;
	for (size_t i = 0; i < countof(files); i++) {
		struct indexing x;

		indexing_run(&x, files[i], NULL, NULL);
		if (!x.index)
			fail_msg("%s", x.error.msg);
		expect(x.index, hidden, hidden);
		expect(x.index, hidden + 2, hidden);
		expect(x.index, main_ + 1, main_);
		uhx_lookup(x.index, hidden - 1, &frames);
		assert_true(!frames.n || !str_is(frames.frame[0].function, "hidden"));
		assert_non_null(strstr(x.report.p, "\"eh_frame\""));
		indexing_deinit(&x);
	}
}

// Where a symbol has a name it is taken.
static void test_only_where_needed(void **state)
{
	struct indexing x;

	(void)state;
	indexing_run(&x, "full", NULL, NULL);
	uhx_lookup(x.index, toolbox_nm("full", "hidden"), &frames);
	assert_int_equal(frames.source, SOURCE_DWARF);
	indexing_deinit(&x);
	assert_int_equal(toolbox_run("strip -g full -o symbols"), 0);
	indexing_run(&x, "symbols", NULL, NULL);
	uhx_lookup(x.index, toolbox_nm("full", "hidden"), &frames);
	assert_int_equal(frames.source, SOURCE_SYMTAB);
	indexing_deinit(&x);
}

static void test_debug_frame(void **state)
{
	struct indexing x;
	uint64_t hidden;

	(void)state;
	assert_int_equal(toolbox_run("gcc -g -O1 -fno-asynchronous-unwind-tables -fno-unwind-tables p.c -o df && "
				     "objcopy --strip-all --keep-section=.debug_frame df df.stripped"), 0);
	hidden = toolbox_nm("df", "hidden");
	indexing_run(&x, "df.stripped", NULL, NULL);
	expect(x.index, hidden + 1, hidden);
	indexing_deinit(&x);
}

// ---- by hand -----------------------------------------------------------------------------------

struct section {
	uint8_t bytes[256];
	size_t n;
	bool big;
};

static void put(struct section *s, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		s->bytes[s->n++] = (uint8_t)(value >> 8 * (s->big ? size - 1 - i : i));
}

static void put_cie(struct section *s, bool wide, const char *augmentation, uint8_t encoding)
{
	size_t n = strlen(augmentation) + 1;
	size_t extra = augmentation[0] == 'z' ? 2 : 0;

	if (wide)
		put(s, UINT32_MAX, 4);
	put(s, 4 + 1 + n + 3 + extra, wide ? 8 : 4);
	put(s, 0, 4);
	put(s, 1, 1);
	memcpy(s->bytes + s->n, augmentation, n);
	s->n += n;
	put(s, 0x017810, 3); // factors, return register
	if (extra)
		put(s, s->big ? 0x0100 | encoding : (uint64_t)encoding << 8 | 1, 2);
}

static void put_fde(struct section *s, bool wide, uint64_t start, uint64_t size, unsigned width)
{
	if (wide)
		put(s, UINT32_MAX, 4);
	put(s, 4 + 2 * width, wide ? 8 : 4);
	put(s, s->n, 4); // back to the CIE at 0
	put(s, start, width);
	put(s, size, width);
}

static int read_section(const struct section *s, uint64_t vaddr, unsigned address_size)
{
	struct eh_frame f = {.bytes = {(const char *)s->bytes, s->n},
			     .vaddr = vaddr,
			     .big_endian = s->big,
			     .address_size = address_size,
			     .text_base = 0x5000,
			     .data_base = 0x7000};
	struct err e = ERR_INIT;

	our_count = 0;
	return eh_frame_read(&f, collect, NULL, &e);
}

static void expect_range(size_t i, uint64_t start, uint64_t end)
{
	assert_true(i < our_count);
	if (!equals(&ours[i], start, end))
		fail_msg("0x%" PRIx64 "-0x%" PRIx64 " instead of 0x%" PRIx64 "-0x%" PRIx64, ours[i].start,
			 ours[i].end, start, end);
}

static void test_encodings(void **state)
{
	static const struct {
		uint8_t encoding;
		unsigned width;
		uint64_t written;
		int64_t relative_to; // -1: its own place
	} cases[] = {
		{0x00, 8, 0x401000, 0},   {0x03, 4, 0x401000, 0},    {0x04, 8, 0x401000, 0},
		{0x02, 2, 0x4010, 0},     {0x0b, 4, 0x401000, 0},    {0x0c, 8, 0x401000, 0},
		{0x0a, 2, 0x1010, 0},     {0x1b, 4, 0x300, -1},      {0x1b, 4, 0xfffffe00, -1},
		{0x1c, 8, 0x300, -1},     {0x23, 4, 0x10, 0x5000},   {0x3b, 4, 0x20, 0x7000},
	};

	(void)state;
	for (int big = 0; big < 2; big++) {
		for (int wide = 0; wide < 2; wide++) {
			for (size_t i = 0; i < countof(cases); i++) {
				struct section s = {.big = big};
				uint64_t want = cases[i].written;

				put_cie(&s, wide, "zR", cases[i].encoding);
				if (cases[i].relative_to < 0) // behind length and id
					want = 0x10000 + s.n + (wide ? 16 : 8) +
					       (uint64_t)(int64_t)(int32_t)want;
				else
					want += (uint64_t)cases[i].relative_to;
				put_fde(&s, wide, cases[i].written, 0x42, cases[i].width);
				put(&s, 0, 4);
				assert_int_equal(read_section(&s, 0x10000, 8), 0);
				assert_int_equal(our_count, 1);
				expect_range(0, want, want + 0x42);
			}
		}
	}
}

// What cannot be known statically, or means nothing, is left out; what follows it is not.
static void test_left_out(void **state)
{
	struct section s = {.big = false};

	(void)state;
	put_cie(&s, false, "zR", 0x80); // indirect
	put_fde(&s, false, 0x1000, 0x10, 8);
	assert_int_equal(read_section(&s, 0, 8), 0);
	assert_int_equal(our_count, 0);
	s.n = 0;
	put_cie(&s, false, "", 0);
	put_fde(&s, false, 0x1000, 0, 8);		 // empty
	put_fde(&s, false, UINT64_MAX - 4, 0x10, 8); // beyond the end of everything
	put_fde(&s, false, 0x2000, 0x10, 8);
	assert_int_equal(read_section(&s, 0, 8), 0);
	assert_int_equal(our_count, 1);
	expect_range(0, 0x2000, 0x2010);
	s.n = 0;
	put_cie(&s, false, "", 0);
	put_fde(&s, false, 0x8048000, 0x10, 4);
	assert_int_equal(read_section(&s, 0, 4), 0);
	expect_range(0, 0x8048000, 0x8048010);
}

static void test_damage(void **state)
{
	struct section s = {.big = false};

	(void)state;
	put_cie(&s, false, "zR", 0);
	put_fde(&s, false, 0x1000, 0x10, 8);
	for (size_t n = s.n - 1; n > 0; n--) {
		s.n = n;
		our_count = 0;
		assert_true(read_section(&s, 0, 8) <= 0);
		assert_int_equal(our_count, 0);
	}
	s.n = 0;
	put(&s, 0x7fffffff, 4);
	put(&s, 0, 8);
	assert_int_equal(read_section(&s, 0, 8), -1);
	// a CIE pointer beyond the section, and to itself
	s.n = 0;
	put(&s, 20, 4);
	put(&s, 0x100, 4);
	put(&s, 0, 8);
	put(&s, 0, 8);
	assert_int_equal(read_section(&s, 0, 8), 0);
	assert_int_equal(our_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libraries),	  cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_only_where_needed), cmocka_unit_test(test_debug_frame),
		cmocka_unit_test(test_encodings),	  cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
