/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/local_resolver.h"

#include "tests/unit/sibling.h"
#include "tests/unit/toolbox.h"
#include "base/testing.h"

static bool built;

static int setup(void **state)
{
	built = sibling_indexer();
	return toolbox_setup(state) ||
	       toolbox_run("printf 'int twice(int a) { return a * 2; }\\nint main(void) { return twice(3); }\\n' >a.c && "
			   "gcc -g -O0 -Wl,--build-id a.c -o whole && objcopy --only-keep-debug whole whole.debug && "
			   "strip -o bare whole");
}

static void in_dir(char out[static 256], const char *name)
{
	snprintf(out, 256, "%s/%s", toolbox_dir, name);
}

static void look_up_here(char *const *dirs, const char *id, const char *hint, enum module_status want)
{
	struct local_resolver *l = NULL;
	static struct frames frames;
	const struct resolver *r;
	struct err e = ERR_INIT;
	struct module m;

	assert_ok(local_resolver_new(dirs, &l, &e));
	assert_ok(local_resolver_hint(l, str_from(id), str_from(hint), &e));
	r = local_resolver_resolver(l);
	assert_ok(r->module(r->ctx, str_from(id), &m, &e));
	assert_int_equal(m.status, want);
	if (want == MODULE_OK) {
		assert_ok(r->lookup(r->ctx, &m, toolbox_nm("whole", "twice"), &frames, &e));
		assert_str(frames.frame[0].function, "twice");
	}
	r->release(r->ctx, &m);
	local_resolver_free(l);
}

static void local_files_resolve_only_if_they_are_of_the_id(void **state)
{
	char dir[256], whole[256], bare[256], id[64];
	char *const dirs[] = {dir, NULL}, *const none[] = {NULL};
	char *text;

	(void)state;
	if (!built) {
		print_message("unhex-indexer is not built\n");
		skip();
	}
	unsetenv("DEBUGINFOD_URLS");
	assert_int_equal(toolbox_run("id=$(readelf -n whole | sed -n 's/.*Build ID: //p') && printf %%s $id >id && "
				     "mkdir -p d/.build-id/$(printf %%.2s $id) && "
				     "cp whole.debug d/.build-id/$(printf %%.2s $id)/${id#??}.debug"), 0);
	text = toolbox_read("id", NULL);
	snprintf(id, sizeof(id), "%s", text);
	free(text);
	in_dir(dir, "d");
	in_dir(whole, "whole");
	in_dir(bare, "bare");
	look_up_here(dirs, id, "", MODULE_OK);
	look_up_here(dirs, id, bare, MODULE_OK);
	look_up_here(none, id, whole, MODULE_OK);
	look_up_here(none, "0123456789abcdef", whole, MODULE_MISSING);
	look_up_here(none, id, "whole", MODULE_MISSING); // not an absolute path
	look_up_here(none, "not an id", whole, MODULE_MISSING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_files_resolve_only_if_they_are_of_the_id),
	};

	return cmocka_run_group_tests_name("local_resolver", tests, setup, toolbox_teardown);
}
