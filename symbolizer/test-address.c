/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/address.h"

#include "tests/unit/elf_headers.h"
#include "tests/unit/toolbox.h"

static const struct program_header *executable(const struct program_headers *h)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->p[i].flags & PF_X)
			return &h->p[i];
	}
	fail_msg("no executable segment");
	return NULL;
}

// ---- a real process that tells where it runs -----------------------------------------------------

static const char program[] =
	"#include <stdio.h>\n"
	"__attribute__((noinline)) int target(int x) { __asm__ volatile(\"\" ::: \"memory\"); return x + 1; }\n"
	"int main(void)\n"
	"{\n"
	"	char line[512];\n"
	"	FILE *f = fopen(\"/proc/self/maps\", \"r\");\n"
	"	printf(\"%p\\n\", (void *)&target);\n"
	"	while (fgets(line, sizeof(line), f))\n"
	"		fputs(line, stdout);\n"
	"	return target(-1);\n"
	"}\n";

struct process {
	struct address_mapping mapping; // the one that holds target
	uint64_t runtime;               // target's address in the process
	uint64_t linked;                // target's address by nm
};

static uint64_t hex(struct str s)
{
	uint64_t v;

	assert_true(str_hex_to_u64(s, &v));
	return v;
}

// "start-limit perms offset dev inode path"
static bool parse_map(struct str line, uint64_t inside, struct address_mapping *ret)
{
	struct str range, start, field;

	if (!str_next(&line, ' ', &range) || !str_next(&range, '-', &start))
		return false;
	ret->start = hex(start);
	ret->limit = hex(range);
	assert_true(str_next(&line, ' ', &field) && str_next(&line, ' ', &field));
	ret->file_offset = hex(field);
	return inside >= ret->start && inside < ret->limit;
}

static struct process run_process(const char *name)
{
	struct process p = {0};
	struct str rest, line;
	bool found = false;
	char *text;

	assert_int_equal(toolbox_run("./%s >maps.txt", name), 0);
	text = toolbox_read("maps.txt", NULL);
	rest = str_from(text);
	assert_true(str_next(&rest, '\n', &line));
	p.runtime = hex(line);
	while (!found && str_next(&rest, '\n', &line))
		found = parse_map(line, p.runtime, &p.mapping);
	assert_true(found);
	free(text);
	p.linked = toolbox_nm(name, "target");
	assert_true(p.linked);
	return p;
}

static bool build(const char *name, const char *options)
{
	toolbox_write("target.c", str_from(program));
	return toolbox_run("gcc -O1 -g %s -o %s target.c 2>cc.log", options, name) == 0;
}

static struct program_headers debug_headers(const char *name)
{
	char debug[64];

	snprintf(debug, sizeof(debug), "%s.debug", name);
	assert_int_equal(toolbox_run("objcopy --only-keep-debug %s %s", name, debug), 0);
	return elf_headers(debug, false);
}

// With the executable's own program headers, and with those that objcopy leaves in the debug file.
static void check_process(const char *name, const char *options, enum address_rule with_own,
			  enum address_rule with_debug)
{
	struct program_headers h;
	struct process p;
	uint64_t va = 0;

	assert_true(build(name, options));
	p = run_process(name);
	h = elf_headers(name, true);
	assert_int_equal(address_to_va(&p.mapping, &h, p.runtime, &va), with_own);
	assert_int_equal(va, p.linked);

	h = debug_headers(name);
	va = 0;
	assert_int_equal(address_to_va(&p.mapping, &h, p.runtime, &va), with_debug);
	assert_int_equal(va, p.linked);
}

// ---- tests: processes ----------------------------------------------------------------------------

static void a_pie_of_gcc(void **state)
{
	(void)state;
	check_process("pie", "-pie -fPIE", ADDRESS_BY_FILE_OFFSET, ADDRESS_BY_SEGMENT_SIZE);
}

static void a_pie_whose_code_shares_pages(void **state)
{
	(void)state;
	check_process("shared_pages", "-pie -fPIE -Wl,-z,noseparate-code", ADDRESS_BY_FILE_OFFSET,
		      ADDRESS_BY_SEGMENT_SIZE);
}

// The kernel may honour the linked address (rule 2) or not (3): the answer is the same.
static void a_pie_linked_elsewhere(void **state)
{
	struct program_headers h;
	struct process p;
	uint64_t va = 0;

	(void)state;
	assert_true(build("elsewhere", "-pie -fPIE -Wl,-z,separate-code -Wl,-Ttext-segment=0x10000000"));
	p = run_process("elsewhere");
	h = elf_headers("elsewhere", true);
	assert_true(p.linked > 0x10000000);
	assert_true(address_is_known(address_to_va(&p.mapping, &h, p.runtime, &va)));
	assert_int_equal(va, p.linked);
	// The same process, had it been moved: the mapping alone tells.
	p.mapping.start += 0x555500000000;
	p.mapping.limit += 0x555500000000;
	p.runtime += 0x555500000000;
	assert_int_equal(address_to_va(&p.mapping, &h, p.runtime, &va), ADDRESS_BY_FILE_OFFSET);
	assert_int_equal(va, p.linked);
}

static void an_executable_at_a_fixed_place(void **state)
{
	(void)state;
	// It runs where it was linked: the second rule says so before any arithmetic.
	check_process("fixed", "-no-pie -fno-pie", ADDRESS_IN_SEGMENT, ADDRESS_IN_SEGMENT);
}

// lld does not pad the file: p_offset and p_vaddr differ by pages.
static void a_pie_of_lld(void **state)
{
	struct program_headers h;

	(void)state;
	if (!toolbox_has("ld.lld")) {
		print_message("SKIP: no ld.lld\n");
		skip();
	}
	check_process("lld", "-pie -fPIE -fuse-ld=lld", ADDRESS_BY_FILE_OFFSET,
		      ADDRESS_BY_SEGMENT_SIZE);
	h = elf_headers("lld", true);
	assert_int_not_equal(executable(&h)->vaddr, executable(&h)->offset);
}

// What Alloy and the OTel profiler's pprof exporter send: the segment's own addresses as the mapping.
static void the_alloy_convention(void **state)
{
	struct program_headers h;
	struct address_mapping m;
	uint64_t target, va = 0;

	(void)state;
	assert_true(build("alloy", "-pie -fPIE"));
	target = toolbox_nm("alloy", "target");
	h = elf_headers("alloy", true);
	m.start = executable(&h)->vaddr & ~(uint64_t)4095;
	m.limit = executable(&h)->vaddr + executable(&h)->memsz;
	m.file_offset = executable(&h)->offset;
	assert_int_equal(address_to_va(&m, &h, target, &va), ADDRESS_IN_SEGMENT);
	assert_int_equal(va, target);
	// The same with a debug file's headers: p_vaddr is all it takes.
	h = debug_headers("alloy");
	assert_int_equal(address_to_va(&m, &h, target, &va), ADDRESS_IN_SEGMENT);
	assert_int_equal(va, target);
	// Outside of the mapping it is no address of that convention.
	assert_int_equal(address_to_va(&m, &h, m.limit, &va), ADDRESS_OUTSIDE);
}

static void file_offsets_of_a_real_binary(void **state)
{
	struct program_headers h;
	const struct program_header *x;
	uint64_t target, va = 0;

	(void)state;
	assert_true(build("offsets", "-pie -fPIE -Wl,-Ttext-segment=0x10000000"));
	target = toolbox_nm("offsets", "target");
	h = elf_headers("offsets", true);
	x = executable(&h);
	assert_int_equal(address_from_offset(&h, target - x->vaddr + x->offset, &va),
			 ADDRESS_BY_FILE_OFFSET);
	assert_int_equal(va, target);
	assert_int_equal(address_from_offset(&h, UINT64_MAX, &va), ADDRESS_OUTSIDE);
	h = debug_headers("offsets");
	assert_int_equal(address_from_offset(&h, target, &va), ADDRESS_NO_PROGRAM_HEADERS);
}

// ---- tests: the rules by themselves --------------------------------------------------------------

static const struct program_headers none = {NULL, 0, false};

static void no_mapping_range_means_virtual(void **state)
{
	const struct address_mapping zero = {0, 0, 0};
	uint64_t va = 0;

	(void)state;
	assert_int_equal(address_to_va(&zero, &none, 0x1139, &va), ADDRESS_IS_VIRTUAL);
	assert_int_equal(va, 0x1139);
	assert_null(address_reason(ADDRESS_IS_VIRTUAL));
	assert_true(address_is_known(ADDRESS_IS_VIRTUAL));
}

static void without_headers_nothing_is_said(void **state)
{
	const struct address_mapping m = {0x555500000000, 0x555500001000, 0x1000};
	uint64_t va = 7;

	(void)state;
	assert_int_equal(address_to_va(&m, &none, 0x555500000139, &va), ADDRESS_NO_PROGRAM_HEADERS);
	assert_int_equal(va, 7);
	assert_string_equal(address_reason(ADDRESS_NO_PROGRAM_HEADERS), "no_program_headers");
	assert_false(address_is_known(ADDRESS_NO_PROGRAM_HEADERS));
}

static void addresses_outside_are_refused(void **state)
{
	const struct program_header p = {.vaddr = 0x1000, .memsz = 0x800, .offset = 0x1000,
					 .filesz = 0x800, .align = 4096, .flags = 5};
	const struct program_headers h = {&p, 1, true};
	struct address_mapping m = {0x555500000000, 0x555500001000, 0x1000};
	uint64_t va = 7;

	(void)state;
	assert_int_equal(address_to_va(&m, &h, 0x5554ffffffff, &va), ADDRESS_OUTSIDE);
	assert_int_equal(address_to_va(&m, &h, 0x555500001000, &va), ADDRESS_OUTSIDE);
	// In the mapping, but beyond the segment's bytes.
	assert_int_equal(address_to_va(&m, &h, 0x555500000800, &va), ADDRESS_OUTSIDE);
	assert_int_equal(va, 7);
	assert_string_equal(address_reason(ADDRESS_OUTSIDE), "address_outside");
	// Without a limit the mapping has no end; the segment has.
	m.limit = 0;
	assert_int_equal(address_to_va(&m, &h, 0x5555000007ff, &va), ADDRESS_BY_FILE_OFFSET);
	assert_int_equal(va, 0x17ff);
	// No sum overflows.
	m = (struct address_mapping){1, 0, UINT64_MAX};
	assert_int_equal(address_to_va(&m, &h, UINT64_MAX, &va), ADDRESS_OUTSIDE);
}

static void trust_is_needed_for_offsets(void **state)
{
	// A debug file may carry offsets of its own: they mean nothing for the process.
	const struct program_header p = {.vaddr = 0x2000, .memsz = 0x800, .offset = 0x40,
					 .filesz = 0x800, .align = 4096, .flags = 5};
	const struct address_mapping m = {0x555500000000, 0x555500001000, 0x1000};
	struct program_headers h = {&p, 1, false};
	uint64_t va = 0;

	(void)state;
	assert_int_equal(address_to_va(&m, &h, 0x555500000139, &va), ADDRESS_BY_SEGMENT_SIZE);
	assert_int_equal(va, 0x2139);
}

static void the_segment_of_the_right_size_is_meant(void **state)
{
	const struct program_header p[] = {
		{.vaddr = 0x1040, .memsz = 0x2000, .align = 4096, .flags = 5}, // 3 pages
		{.vaddr = 0x8000, .memsz = 0x1800, .align = 4096, .flags = 5}, // 2 pages
		{.vaddr = 0xc000, .memsz = 0x3000, .align = 4096, .flags = 6}, // 3 pages of data
	};
	struct program_headers h = {p, countof(p), false};
	struct address_mapping m = {0x555500003000, 0x555500005000, 0x1000};
	uint64_t va = 0;

	(void)state;
	assert_int_equal(address_to_va(&m, &h, 0x555500003010, &va), ADDRESS_BY_SEGMENT_SIZE);
	assert_int_equal(va, 0x8010);
	m.limit = m.start + 0x3000;
	assert_int_equal(address_to_va(&m, &h, 0x555500003050, &va), ADDRESS_BY_SEGMENT_SIZE);
	assert_int_equal(va, 0x1050);
	// Two segments, neither of that size: which one is meant cannot be said.
	m.limit = m.start + 0x9000;
	assert_int_equal(address_to_va(&m, &h, 0x555500003050, &va), ADDRESS_NO_PROGRAM_HEADERS);
	// The only one is meant, whatever the size.
	h.n = 1;
	assert_int_equal(address_to_va(&m, &h, 0x555500003050, &va), ADDRESS_BY_SEGMENT_SIZE);
	assert_int_equal(va, 0x1050);
}

static void large_pages_of_arm64(void **state)
{
	// p_align 64 KiB, mapped by a kernel with pages of 64 KiB.
	const struct program_header p = {.vaddr = 0x21234, .memsz = 0x3000, .align = 65536, .flags = 5};
	const struct program_headers h = {&p, 1, false};
	const struct address_mapping m = {0xaaaa00020000, 0xaaaa00030000, 0x20000};
	const struct address_mapping alloy = {0x20000, 0x30000, 0x20000};
	uint64_t va = 0;

	(void)state;
	assert_int_equal(address_to_va(&m, &h, 0xaaaa00021300, &va), ADDRESS_BY_SEGMENT_SIZE);
	assert_int_equal(va, 0x21300);
	assert_int_equal(address_to_va(&alloy, &h, 0x21300, &va), ADDRESS_IN_SEGMENT);
	assert_int_equal(va, 0x21300);
}

static void nonsense_headers_are_survived(void **state)
{
	const struct program_header p[] = {
		{.vaddr = UINT64_MAX - 1, .memsz = UINT64_MAX, .offset = UINT64_MAX - 5,
		 .filesz = UINT64_MAX, .align = 3, .flags = 5},
		{.vaddr = UINT64_MAX, .memsz = 1, .offset = 0, .filesz = UINT64_MAX, .flags = 7},
	};
	struct program_headers h = {p, countof(p), true};
	const struct address_mapping m = {0x1000, 0x2000, UINT64_MAX - 4};
	uint64_t va = 0;

	(void)state;
	assert_int_equal(address_to_va(&m, &h, 0x1002, &va), ADDRESS_OUTSIDE);
	h.trusted = false;
	assert_false(address_is_known(address_to_va(&m, &h, 0x1002, &va)));
	h.n = 1;
	assert_int_equal(address_to_va(&m, &h, 0x1002, &va), ADDRESS_OUTSIDE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pie_of_gcc),
		cmocka_unit_test(a_pie_whose_code_shares_pages),
		cmocka_unit_test(a_pie_linked_elsewhere),
		cmocka_unit_test(an_executable_at_a_fixed_place),
		cmocka_unit_test(a_pie_of_lld),
		cmocka_unit_test(the_alloy_convention),
		cmocka_unit_test(file_offsets_of_a_real_binary),
		cmocka_unit_test(no_mapping_range_means_virtual),
		cmocka_unit_test(without_headers_nothing_is_said),
		cmocka_unit_test(addresses_outside_are_refused),
		cmocka_unit_test(trust_is_needed_for_offsets),
		cmocka_unit_test(the_segment_of_the_right_size_is_meant),
		cmocka_unit_test(large_pages_of_arm64),
		cmocka_unit_test(nonsense_headers_are_survived),
	};

	return cmocka_run_group_tests_name("address", tests, toolbox_setup, toolbox_teardown);
}
