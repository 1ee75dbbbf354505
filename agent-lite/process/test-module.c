/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address arithmetic against the truth: a running program says where its mappings and one of its
 * functions are, nm says where the function is in the file.
 */
#include "agent-lite/process/module.h"

#include "agent-lite/elf/testing.h"
#include "base/io.h"
#include <elf.h>

static char dir[64];

static int setup(void **state)
{
	(void)state;
	test_dir_make(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(dir);
	return 0;
}

static struct buf output_of(const char *command)
{
	struct buf b = BUF_INIT(1 << 20);
	char chunk[4096];
	size_t n;
	FILE *f = popen(command, "re");

	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_append(&b, chunk, n);
	assert_int_equal(pclose(f), 0);
	return b;
}

/* The value in the line that ends with " inner" (nm) or starts with "inner " (the program). */
static uint64_t value_of_inner(const struct buf *b, bool first)
{
	struct str rest = buf_str(b), line;
	uint64_t value;

	while (str_next(&rest, '\n', &line)) {
		struct str word = line;

		if (first && str_has_suffix(line, STR(" T inner")) && str_next(&line, ' ', &word) &&
		    str_hex_to_u64(word, &value))
			return value;
		if (!first && str_has_prefix(line, STR("inner ")) &&
		    str_hex_to_u64(str_skip(line, 6), &value))
			return value;
	}
	fail_msg("no inner in:\n" STR_FMT, STR_ARG(buf_str(b)));
	return 0;
}

static void check_subject(const char *compiler, const char *flags, int want_type)
{
	struct mappings m = MAPPINGS_INIT;
	struct elf_ident ident;
	struct err e = ERR_INIT;
	char path[128], command[256];
	struct module *module;
	struct mapping *at;

	snprintf(path, sizeof(path), "%s/subject", dir);
	compile(compiler, flags, "tests/subjects/busy.c", path);

	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_ok(elf_ident_read(fd, &ident, &e));
	close(fd);
	assert_int_equal(ident.type, want_type);
	snprintf(command, sizeof(command), "%s 0 2>/dev/null", path);

	struct buf said = output_of(command);
	uint64_t run_time = value_of_inner(&said, false);

	snprintf(command, sizeof(command), "nm %s", path);

	struct buf symbols = output_of(command);

	assert_ok(mappings_parse(&m, buf_str(&said), &e));
	at = mappings_find(&m, run_time);
	assert_non_null(at);
	assert_string_equal(at->path, path);
	module = module_new(path, &ident);
	assert_int_equal(module_address(module, at, run_time), value_of_inner(&symbols, true));
	module_unref(module);
	mappings_deinit(&m);
	buf_deinit(&said);
	buf_deinit(&symbols);
}

static void a_pie(void **state)
{
	(void)state;
	check_subject("gcc", "-O1 -fPIE -pie", ET_DYN);
}

static void a_fixed_executable(void **state)
{
	(void)state;
	check_subject("gcc", "-O1 -no-pie", ET_EXEC);
}

static void one_segment_for_all(void **state)
{
	(void)state;
	check_subject("gcc", "-O1 -pie -Wl,-z,noseparate-code", ET_DYN);
}

/* lld does not pad the file: p_offset and p_vaddr differ, and one page of the file is mapped twice.
 */
static void as_lld_links(void **state)
{
	(void)state;
	if (!have_tool("clang") || !have_tool("ld.lld")) {
		print_message("skip: no clang with lld\n");
		skip();
	}
	check_subject("clang", "-O1 -fuse-ld=lld -pie -fPIE", ET_DYN);
	check_subject("clang", "-O1 -fuse-ld=lld -no-pie", ET_EXEC);
}

static struct elf_ident lld_like(void)
{
	return (struct elf_ident){
		.id = {.kind = BUILD_ID_GNU, .size = 2, .bytes = {0xab, 0xcd}},
		.load_count = 3,
		.loads =
			{{.offset = 0, .vaddr = 0, .filesz = 0x614, .flags = PF_R},
			 {.offset = 0x620, .vaddr = 0x1620, .filesz = 0x150, .flags = PF_R | PF_X},
			 {.offset = 0x770, .vaddr = 0x2770, .filesz = 0x1e8, .flags = PF_R | PF_W}},
	};
}

static void the_executable_segment_wins_a_shared_page(void **state)
{
	struct elf_ident id = lld_like();
	uint64_t vaddr = 0;

	(void)state;
	assert_true(elf_offset_to_vaddr(&id, 0x620, &vaddr));
	assert_int_equal(vaddr, 0x1620);
	assert_true(
		elf_offset_to_vaddr(&id, 0x10, &vaddr)); // in its page, so mapped executable too
	assert_int_equal(vaddr, 0x1010);
	assert_true(elf_offset_to_vaddr(&id, 0xfff, &vaddr));
	assert_int_equal(vaddr, 0x1fff);
	assert_false(elf_offset_to_vaddr(&id, 0x1000, &vaddr));
}

static void overflowing_segments_hold_nothing(void **state)
{
	struct elf_ident id = {.load_count = 2,
			       .loads = {{.offset = UINT64_MAX - 1, .filesz = 16, .flags = PF_X},
					 {.offset = 16, .filesz = UINT64_MAX - 20, .flags = PF_X}}};
	uint64_t vaddr;

	(void)state;
	assert_false(elf_offset_to_vaddr(&id, UINT64_MAX, &vaddr));
	assert_false(elf_offset_to_vaddr(&id, 16, &vaddr));
}

static void without_headers_the_offset_is_shipped(void **state)
{
	struct mapping m = {.start = 0x7000, .end = 0x9000, .offset = 0x1000, .kind = MAPPING_FILE};
	struct module *plain = module_new("/x", NULL);

	(void)state;
	assert_int_equal(module_address(plain, &m, 0x7123), 0x1123);
	m.kind = MAPPING_ANON;
	assert_int_equal(module_address(plain, &m, 0x7123), 0x7123);
	assert_string_equal(plain->build_id, "");
	module_unref(plain);
}

static void stacks_are_cut_at_stray_callers(void **state)
{
	struct module *unknown = module_new("[unknown]", NULL), *known = module_new("/x", NULL);
	struct mapping item = {
		.start = 0x7000, .end = 0x9000, .kind = MAPPING_FILE, .module = known};
	struct mappings m = {.items = &item, .n = 1};
	const uint64_t ips[] = {0x7001, 0x7002, 0xdead, 0x7003};
	const uint64_t stray_leaf[] = {0xdead, 0x7003};
	struct frame f[4];

	(void)state;
	assert_int_equal(module_frames(&m, unknown, ips, 4, true, f), 2);
	assert_ptr_equal(f[1].module, known);
	assert_int_equal(f[1].address, 2);
	assert_int_equal(module_frames(&m, unknown, ips, 4, false, f), 4);
	assert_ptr_equal(f[2].module, unknown);
	assert_int_equal(f[2].address, 0xdead);
	assert_int_equal(module_frames(&m, unknown, stray_leaf, 2, true, f), 2);
	assert_ptr_equal(f[0].module, unknown);
	module_unref(known);
	module_unref(unknown);
}

static void callers_point_into_the_call(void **state)
{
	(void)state;
	assert_int_equal(address_into_call(0x1000, 0), 0x1000);
	assert_int_equal(address_into_call(0x1000, 1), 0xfff);
	assert_int_equal(address_into_call(0, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pie),
		cmocka_unit_test(a_fixed_executable),
		cmocka_unit_test(one_segment_for_all),
		cmocka_unit_test(as_lld_links),
		cmocka_unit_test(the_executable_segment_wins_a_shared_page),
		cmocka_unit_test(overflowing_segments_hold_nothing),
		cmocka_unit_test(without_headers_the_offset_is_shipped),
		cmocka_unit_test(stacks_are_cut_at_stray_callers),
		cmocka_unit_test(callers_point_into_the_call),
	};

	return cmocka_run_group_tests_name("module", tests, setup, teardown);
}
