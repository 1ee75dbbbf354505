/* SPDX-License-Identifier: Apache-2.0 */
/* MiniDebugInfo made as the GDB manual says, and spoiled in each way. */
#include "symbolizer/indexer/debugdata.h"

#include "tests/unit/indexing.h"

static const char library[] =
	"static __attribute__((noinline)) int hidden(int x) { __asm__(\"\"); return x * 3; }\n"
	"int exported(int x);\n"
	"int exported(int x) { return hidden(x) + 1; }\n";

static struct frames frames;

static int setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	toolbox_write("s.c", str_from(library));
	return toolbox_run(
		"gcc -O1 -g -shared -fPIC -nostdlib -Wl,--build-id s.c -o full.so && cp full.so x.so && "
		"nm -D x.so --format=posix --defined-only | awk '{ print $1 }' | sort >dynsyms && "
		"nm x.so --format=posix --defined-only | "
		"awk '{ if ($2 == \"T\" || $2 == \"t\" || $2 == \"D\") print $1 }' | sort >funcsyms && "
		"comm -13 dynsyms funcsyms >keep_symbols && objcopy --only-keep-debug x.so debug && "
		"objcopy -S --remove-section .gdb_index --remove-section .comment "
		"--keep-symbols=keep_symbols debug mini && strip --strip-all -R .comment x.so && "
		"cp x.so bare.so && xz -k mini && objcopy --add-section .gnu_debugdata=mini.xz x.so");
}

static void expect(struct uhx *u, const char *symbol, enum frame_source source)
{
	uhx_lookup(u, toolbox_nm("full.so", symbol) + 1, &frames);
	assert_int_equal(frames.n, 1);
	assert_int_equal(frames.source, source);
	if (source != SOURCE_EH_FRAME && !str_is(frames.frame[0].function, symbol))
		fail_msg(STR_FMT " instead of %s", STR_ARG(frames.frame[0].function), symbol);
}

static void test_merged(void **state)
{
	struct indexing x;

	(void)state;
	indexing_run(&x, "bare.so", NULL, NULL);
	expect(x.index, "hidden", SOURCE_EH_FRAME);
	expect(x.index, "exported", SOURCE_DYNSYM);
	assert_int_equal(uhx_info(x.index)->quality, QUALITY_DYNSYM);
	indexing_deinit(&x);
	indexing_run(&x, "x.so", NULL, NULL);
	expect(x.index, "hidden", SOURCE_SYMTAB);
	expect(x.index, "exported", SOURCE_DYNSYM);
	assert_int_equal(uhx_info(x.index)->quality, QUALITY_SYMTAB);
	assert_int_equal(x.warnings.n, 0);
	indexing_deinit(&x);
}

// The rest of the file still has its names.
static void refuse(const char *why)
{
	struct indexing x;

	assert_int_equal(toolbox_run("cp bare.so bad.so && objcopy --add-section .gnu_debugdata=bad bad.so"), 0);
	indexing_run(&x, "bad.so", NULL, NULL);
	if (!x.index)
		fail_msg("%s", x.error.msg);
	expect(x.index, "hidden", SOURCE_EH_FRAME);
	expect(x.index, "exported", SOURCE_DYNSYM);
	assert_int_equal(x.warnings.n, 1);
	if (!strstr(x.warnings.text[0], why))
		fail_msg("'%s' does not say '%s'", x.warnings.text[0], why);
	indexing_deinit(&x);
}

static void test_damage(void **state)
{
	(void)state;
	toolbox_write("bad", STR("no xz at all"));
	refuse("not xz");
	toolbox_run("head -c 200 mini.xz >bad");
	refuse("cut off");
	toolbox_run("cp mini.xz bad && printf '\\377\\377\\377' | dd of=bad bs=1 seek=100 conv=notrunc 2>/dev/null");
	refuse("damaged xz data");
	toolbox_run("echo text | xz >bad");
	refuse("not an ELF file");
	toolbox_run("head -c 300 mini | xz >bad");
	refuse("truncated");
	toolbox_run("sed s/hidden/other/ s.c >o.c && gcc -shared -nostdlib -Wl,--build-id -fPIC o.c -o o.so && "
		    "xz -c o.so >bad");
	refuse("belongs to another file");
}

// 300 MB of zeros are 45 KB of xz.
static void test_bomb(void **state)
{
	(void)state;
	toolbox_run("head -c 300000000 /dev/zero | xz -0 >bad");
	refuse("larger than what is read of it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_bomb),
	};

	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
