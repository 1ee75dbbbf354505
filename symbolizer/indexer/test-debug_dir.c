/* SPDX-License-Identifier: Apache-2.0 */
/* Where debug files lie, and which of those found are not taken. */
#include "symbolizer/indexer/debug_dir.h"

#include "tests/unit/indexing.h"

static struct opt_list dirs;
static char *dir_list[2];
static const struct sandbox_limits limits = {.address_space = GIB(2), .cpu_seconds = 20, .file_size = MIB(1)};
static char root[256];

static int setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	toolbox_write("p.c", STR("int main(int c, char **v) { (void)v; return c; }\n"));
	toolbox_write("q.c", STR("int main(int c, char **v) { (void)v; return c + 1; }\n"));
	snprintf(root, sizeof(root), "%s/dbg", toolbox_dir);
	dir_list[0] = root;
	dirs = (struct opt_list){.items = dir_list, .n = 1};
	return toolbox_run("mkdir -p bin dbg && gcc -g -Wl,--build-id p.c -o whole && "
			   "objcopy --only-keep-debug whole p.debug && strip -o bare whole && "
			   "objcopy --remove-section .note.gnu.build-id bare && "
			   "gcc -g q.c -o other && objcopy --only-keep-debug other other.debug && "
			   "objcopy --add-gnu-debuglink=p.debug bare bin/p");
}

typedef int finder(const struct debug_wanted *w, int fd, const char *name, int *ret_fd, char out[static 4096],
		   struct err *e);

// The path found, under the test's folder; "" where none is.
static const char *look_with(finder *find, const char *name)
{
	static char found[4096];
	struct debug_wanted w = {&dirs, &limits};
	struct err e = ERR_INIT;
	char path[256];
	int debug_fd = -1;
	int fd = indexing_fd(name);
	int rc;

	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, name);
	rc = find(&w, fd, path, &debug_fd, found, &e);
	close(fd);
	if (rc < 0)
		fail_msg("%s", e.msg);
	if (rc == DEBUG_DIR_NOT_NEEDED)
		return "not needed";
	if (!rc)
		return "";
	close(debug_fd);
	assert_true(str_has_prefix(str_from(found), str_from(toolbox_dir)));
	return found + strlen(toolbox_dir) + 1;
}

static const char *look(const char *name)
{
	return look_with(debug_dir_find, name);
}

static void expect(const char *command, const char *binary, const char *where)
{
	if (toolbox_run("%s", command))
		fail_msg("failed: %s", command);
	assert_string_equal(look(binary), where);
}

// GDB's order: what comes earlier wins.
static void test_order(void **state)
{
	char under[512];
	char command[1024];

	(void)state;
	snprintf(under, sizeof(under), "dbg%s/bin/p.debug", toolbox_dir);
	expect("true", "bin/p", "");
	expect("cp p.debug dbg/", "bin/p", "dbg/p.debug");
	snprintf(command, sizeof(command), "mkdir -p dbg%s/bin && cp p.debug %s", toolbox_dir, under);
	expect(command, "bin/p", under);
	expect("mkdir -p bin/.debug && cp p.debug bin/.debug/", "bin/p", "bin/.debug/p.debug");
	expect("cp p.debug bin/", "bin/p", "bin/p.debug");
	expect("true", "whole", "not needed");
}

// A file of that name from another build, a damaged one, the binary itself: the search goes on.
static void test_checksum(void **state)
{
	(void)state;
	expect("cp other.debug bin/p.debug", "bin/p", "bin/.debug/p.debug");
	expect("head -c 1000 p.debug >bin/.debug/p.debug; cp p.debug dbg/; rm -rf dbg/tmp", "bin/p", "dbg/p.debug");
	expect("mkdir self && cp bin/p self/p.debug && rm -rf dbg/* bin/p.debug bin/.debug", "self/p.debug", "");
	expect("cp bin/p self/copy && cp p.debug dbg/", "self/copy", "dbg/p.debug");
	// cut short behind the name: no checksum, so no link
	expect("printf 'p.debug\\0' >link && cp bare nocrc && objcopy --add-section .gnu_debuglink=link nocrc",
	       "nocrc", "");
	expect("printf '../../etc/passwd\\0\\0\\0\\0aaaa' >link && cp bare evil && "
	       "objcopy --add-section .gnu_debuglink=link evil", "evil", "");
}

static void test_symbolic_link(void **state)
{
	(void)state;
	expect("rm -rf dbg/* && cp p.debug bin/ && mkdir -p links && ln -s ../bin/p links/p", "links/p",
	       "bin/p.debug");
}

// By build-ID before any link, and without one.
static void test_build_id(void **state)
{
	char *where;

	(void)state;
	assert_int_equal(toolbox_run(
		"id=$(readelf -n whole | awk '/Build ID/ { print $3 }') && d=dbg/.build-id/${id%%${id#??}} && "
		"mkdir -p $d && cp p.debug $d/${id#??}.debug && strip -o bin/named whole && "
		"cp p.debug bin/named.debug && objcopy --add-gnu-debuglink=bin/named.debug bin/named && "
		"echo $d/${id#??}.debug | tr -d '\\n' >where"), 0);
	where = toolbox_read("where", NULL);
	expect("true", "bin/named", where);
	expect("rm -rf dbg/.build-id", "bin/named", "bin/named.debug");
	free(where);
}

static void expect_alt(const char *command, const char *where)
{
	if (toolbox_run("%s", command))
		fail_msg("failed: %s", command);
	assert_string_equal(look_with(debug_dir_find_alt, "one"), where);
}

// What dwz shared: below .dwz/ as the link says, by its build-ID before; never another file, nor elsewhere.
static void test_shared_by_dwz(void **state)
{
	(void)state;
	if (!toolbox_has("dwz")) {
		print_message("dwz is missing\n");
		skip();
	}
	assert_int_equal(toolbox_run(
		"{ for i in $(seq 60); do echo \"struct s$i { int a, b; struct s$i *next; } v$i;\"; done; "
		"echo 'int main(void) { return 0; }'; } >s.c && mkdir -p dbg/.dwz/x && gcc -g s.c -o one && cp one two && "
		"cp one evil1 && cp one evil2 && "
		"dwz -m shared -M ../../.dwz/x/s.debug one two && dwz -m up -M .dwz/../up evil1 evil2 && cp up dbg/up"), 0);
	expect_alt("true", "");
	expect_alt("cp shared dbg/.dwz/x/s.debug", "dbg/.dwz/x/s.debug");
	expect_alt("cp whole dbg/.dwz/x/s.debug", "");
	assert_string_equal(look_with(debug_dir_find_alt, "evil1"), "");
	assert_string_equal(look_with(debug_dir_find_alt, "whole"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_symbolic_link),
		cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_shared_by_dwz),
	};

	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
