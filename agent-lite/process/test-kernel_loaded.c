/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel modules and BPF programs by a made /proc, /sys and /lib/modules: the modules are objects that gcc
 * makes with a build-ID. No kernel with modules has run this.
 */
#include "agent-lite/process/kernel_loaded.h"

#include "agent-lite/process/kernel_module_file.h"
#include "agent-lite/elf/testing.h"
#include "base/clock.h"

#include <sys/utsname.h>

static char dir[64];
static char modules_path[96], kallsyms_path[96], sys_path[96];
static struct kernel_paths paths = {
	.modules = modules_path, .kallsyms = kallsyms_path, .sys_module = sys_path, .roots = {"/nonexistent", dir}};
static bool have_object;
static uint64_t text_at, other_at; /* as readelf and our layout rule say */

static void run(const char *fmt, ...)
{
	char command[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void put(const char *text, const char *fmt, ...)
{
	char path[256];
	va_list args;
	int n = snprintf(path, sizeof(path), "%s/", dir);

	va_start(args, fmt);
	vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, args);
	va_end(args);
	write_text(path, text);
}

/* Alignments 64 and 32 behind a note of 36 bytes: by hand, not by the code under test. */
static void make_module(void)
{
	struct utsname kernel;

	uname(&kernel);
	run("mkdir -p %s/lib/modules/%s/kernel/fs", dir, kernel.release);
	put("kernel/fs/other.ko: kernel/fs/my-fs.ko\nkernel/fs/my-fs.ko:\nkernel/fs/packed.ko.xz:\n",
	    "lib/modules/%s/modules.dep", kernel.release);
	put(".section .note.first,\"a\",@note\n.long 4,4,1\n.asciz \"abc\"\n.long 7\n"
	    ".text\n.p2align 6\nf: .skip 100\n.section .text.more,\"ax\"\n.p2align 5\ng: .skip 50\n"
	    ".section .text.gone,\"ax\"\nh: .skip 8\n", "m.s");
	run("cd %s && gcc -c -o m.o m.s && ld -r --build-id -o lib/modules/%s/kernel/fs/my-fs.ko m.o", dir,
	    kernel.release);
	run("cd %s && objcopy -O binary --only-section=.note.gnu.build-id --set-section-flags"
	    " .note.gnu.build-id=alloc lib/modules/%s/kernel/fs/my-fs.ko sys/my_fs/notes/.note.gnu.build-id",
	    dir, kernel.release);
	have_object = true;
}

static int setup(void **state)
{
	(void)state;
	test_dir_make(dir);
	snprintf(modules_path, sizeof(modules_path), "%s/modules", dir);
	snprintf(kallsyms_path, sizeof(kallsyms_path), "%s/kallsyms", dir);
	snprintf(sys_path, sizeof(sys_path), "%s/sys", dir);
	run("mkdir -p %s/sys/my_fs/notes %s/sys/my_fs/sections %s/sys/packed/sections", dir, dir, dir);
	put("my_fs 16384 0 - Live 0xffffffffc0100000\npacked 8192 1 my_fs, Live 0xffffffffc0200000 (OE)\n"
	    "hidden 4096 0 - Live 0x0000000000000000\nnonsense\n../../etc 4096 0 - Live 0xffffffffc0900000\n", "modules");
	put("0xffffffffc0100400\n", "sys/my_fs/sections/.text");
	put("0xffffffffc0102000\n", "sys/my_fs/sections/.text.more");
	put("0xffffffffc0200100\n", "sys/packed/sections/.text");
	put("ffffffff81000000 T _text\nffffffffc0300000 t bpf_prog_6deef7357e7b4530_first\t[bpf]\n"
	    "ffffffffc0300100 t bpf_prog_1122334455667788_second\t[bpf]\nffffffffc0100400 t f\t[my_fs]\n", "kallsyms");
	if (have_tool("gcc") && have_tool("objcopy") && have_tool("ld"))
		make_module();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(dir);
	return 0;
}

static void looked(struct kernel_loaded *k)
{
	struct frame f;
	struct err e = ERR_INIT;

	kernel_loaded_init(k, &paths, NULL);
	assert_ok(kernel_loaded_refresh(k, &e));
	assert_int_equal(k->looks, 0); // nobody asked for anything
	assert_false(kernel_loaded_frame(k, 0xffffffffc0100400, &f));
	assert_ok(kernel_loaded_refresh(k, &e));
	assert_int_equal(k->looks, 1);
}

static void bpf_programs_are_named_here(void **state)
{
	struct kernel_loaded k;
	struct frame f;

	(void)state;
	looked(&k);
	assert_true(kernel_loaded_frame(&k, 0xffffffffc03000ff, &f));
	assert_string_equal(f.function, "bpf_prog_6deef7357e7b4530_first");
	assert_string_equal(f.module->filename, "[bpf]");
	assert_int_equal(f.address, 0xffffffffc03000ff);
	assert_true(kernel_loaded_frame(&k, 0xffffffffc0300100, &f));
	assert_string_equal(f.function, "bpf_prog_1122334455667788_second");
	assert_false(kernel_loaded_frame(&k, 0xffffffffc02fffff, &f));
	kernel_loaded_deinit(&k);
}

static void a_module_that_cannot_be_read_has_offsets(void **state)
{
	struct kernel_loaded k;
	struct frame f;

	(void)state;
	looked(&k);
	assert_true(kernel_loaded_frame(&k, 0xffffffffc0200234, &f));
	assert_string_equal(f.module->filename, "[packed]");
	assert_string_equal(f.module->build_id, "");
	assert_int_equal(f.address, 0x134);
	assert_null(f.function);
	assert_false(kernel_loaded_frame(&k, 0xffffffffc0900000, &f));
	assert_false(kernel_loaded_frame(&k, 0, &f));
	kernel_loaded_deinit(&k);
}

/* Against nm: the address of a function is its section's, plus what nm says, plus nothing else. */
static void a_module_is_laid_out_as_the_server_does_it(void **state)
{
	struct kernel_loaded k;
	struct frame f, g;
	int fd;

	(void)state;
	if (!have_object) {
		print_message("skip: gcc, ld or objcopy is missing\n");
		skip();
	}
	looked(&k);
	assert_true(kernel_loaded_frame(&k, 0xffffffffc0100400 + 7, &f));
	assert_string_equal(f.module->filename, "[my_fs]");
	assert_int_equal(strlen(f.module->build_id), 40);
	assert_int_equal(f.address % 64, 7);
	assert_true(f.address < 256);
	text_at = f.address - 7;
	assert_true(kernel_loaded_frame(&k, 0xffffffffc0102000, &g));
	other_at = g.address;
	// .text has 100 bytes, .text.more the next multiple of 32.
	assert_int_equal(other_at, (text_at + 100 + 31) / 32 * 32);
	assert_ptr_equal(f.module, g.module);
	assert_false(kernel_loaded_frame(&k, 0xffffffffc0102000 + 50, &f)); // behind its end
	fd = kernel_loaded_open(&k, g.module->build_id);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(kernel_loaded_open(&k, "aabb"), -1);
	kernel_loaded_deinit(&k);
}

static void another_file_of_that_name_is_not_believed(void **state)
{
	struct kernel_loaded k;
	struct frame f;
	struct err e = ERR_INIT;

	(void)state;
	if (!have_object) {
		print_message("skip: gcc, ld or objcopy is missing\n");
		skip();
	}
	run("cd %s && sed -i 's/skip 100/skip 101/' m.s && gcc -c -o m.o m.s &&"
	    " ld -r --build-id -o lib/modules/$(uname -r)/kernel/fs/my-fs.ko m.o", dir);
	looked(&k);
	assert_true(kernel_loaded_frame(&k, 0xffffffffc0100400 + 7, &f));
	assert_string_equal(f.module->build_id, "");
	assert_int_equal(f.address, 7);
	// Looks become seldom where they help nothing.
	assert_false(kernel_loaded_frame(&k, 1, &f));
	assert_ok(kernel_loaded_refresh(&k, &e));
	assert_int_equal(k.looks, 1);
	clock_shift_ms(KERNEL_LOADED_PAUSE_MS + 1);
	assert_ok(kernel_loaded_refresh(&k, &e));
	assert_int_equal(k.looks, 2);
	assert_false(kernel_loaded_frame(&k, 1, &f));
	clock_shift_ms(KERNEL_LOADED_PAUSE_MS + 1);
	assert_ok(kernel_loaded_refresh(&k, &e));
	assert_int_equal(k.looks, 2);
	kernel_loaded_deinit(&k);
}

static void dashes_in_file_names(void **state)
{
	struct str path;

	(void)state;
	assert_true(kernel_module_dep_path(STR("a/x.ko.xz:\na/snd-hda.ko: a/b.ko\n"), STR("snd_hda"), &path));
	assert_true(str_is(path, "a/snd-hda.ko"));
	assert_false(kernel_module_dep_path(STR("a/x.ko.xz:\na/snd-hda.ko: a/b.ko\n"), STR("b"), &path));
	assert_false(kernel_module_dep_path(STR("a/x.ko.xz:\n"), STR("x"), &path));
	assert_false(kernel_module_dep_path(STR(""), STR("x"), &path));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bpf_programs_are_named_here),
		cmocka_unit_test(a_module_that_cannot_be_read_has_offsets),
		cmocka_unit_test(a_module_is_laid_out_as_the_server_does_it),
		cmocka_unit_test(another_file_of_that_name_is_not_believed),
		cmocka_unit_test(dashes_in_file_names),
	};

	BE_ELF_CHILD_IF_ASKED(argc, argv);
	return cmocka_run_group_tests_name("kernel_loaded", tests, setup, teardown);
}
