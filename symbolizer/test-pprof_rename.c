/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_rename.h"

#include "tests/unit/toolbox.h"

static bool is_same(const char *name, const char *system_name, const char *ours, const char *our_system)
{
	const struct pprof_function a = {str_from(name), str_from(system_name), STR_EMPTY, 0, STR_EMPTY};
	const struct pprof_function b = {str_from(ours), str_from(our_system), STR_EMPTY, 0, STR_EMPTY};

	return pprof_is_same_function(&a, &b);
}

static void one_function_has_many_spellings(void **state)
{
	(void)state;
	assert_true(is_same("f(int)", "_Z1fi", "f(int)", "_Z1fi"));
	assert_true(is_same("_Z1fi", "", "f(int)", "_Z1fi"));
	assert_true(is_same("f", "", "f(int)", "_Z1fi"));
	assert_true(is_same("f(short)", "_Z1fi", "f(int)", "_Z1fi"));
	assert_true(is_same("(anonymous namespace)::f", "", "(anonymous namespace)::f(int)", "_ZN"));
	assert_true(is_same("A::operator()", "", "A::operator()(int) const", "_ZN"));
	assert_true(is_same("main.(*T).Run", "main.(*T).Run", "main.(*T).Run", "main.(*T).Run"));
	assert_false(is_same("main.(*T).Run", "", "main.(*T).Stop", ""));
	assert_false(is_same("ns::(anonymous namespace)::f()", "", "ns::(anonymous namespace)::g()", ""));
	assert_false(is_same("f", "", "g(int)", "_Z1gi"));
	assert_false(is_same("", "", "", ""));
}

static const struct pprof_function functions[] = {
	{STR("outer()"), STR("_Z5outerv"), STR("o.cc"), 1, STR("")},
	{STR("inner()"), STR("_Z5innerv"), STR("i.cc"), 1, STR("")},
	{STR("outer"), STR("outer"), STR(""), 0, STR("")},
	{STR("other"), STR("other"), STR(""), 0, STR("")},
};

static const struct pprof_line ours[] = {
	{.function = 1, .line = 7},
	{.function = 0, .line = 9},
};

static void better_means_more_and_no_less(void **state)
{
	const struct pprof_line bare = {.function = 2};
	const struct pprof_line with_line = {.function = 2, .line = 3};
	const struct pprof_line foreign = {.function = 3};
	const struct pprof_line full = {.function = 0, .line = 9};
	const struct pprof_line no_line = {.function = 0};
	const struct pprof_chain chain = {ours, 2};

	(void)state;
	assert_true(pprof_is_better(functions, (struct pprof_chain){&bare, 1}, chain));
	assert_true(pprof_is_better(functions, (struct pprof_chain){&with_line, 1}, chain));
	assert_true(pprof_is_better(functions, (struct pprof_chain){&full, 1}, chain));
	assert_true(pprof_is_better(functions, (struct pprof_chain){NULL, 0}, chain));
	// Another name: another binary, or a better source than ours.
	assert_false(pprof_is_better(functions, (struct pprof_chain){&foreign, 1}, chain));
	// Nothing new, or something lost.
	assert_false(pprof_is_better(functions, chain, chain));
	assert_false(pprof_is_better(functions, chain, (struct pprof_chain){&ours[1], 1}));
	assert_false(pprof_is_better(functions, (struct pprof_chain){&with_line, 1},
				     (struct pprof_chain){&no_line, 1}));
	assert_false(pprof_is_better(functions, (struct pprof_chain){&full, 1},
				     (struct pprof_chain){&with_line, 1}));
	assert_false(pprof_is_better(functions, chain, (struct pprof_chain){NULL, 0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_function_has_many_spellings),
		cmocka_unit_test(better_means_more_and_no_less),
	};

	return cmocka_run_group_tests_name("pprof_rename", tests, NULL, NULL);
}
