/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/demangle.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { PATIENCE_MS = 5000 };

static void check(const char *name, const char *want)
{
	struct buf out = BUF_INIT(2 * DEMANGLE_OUT_MAX);
	bool done;

	buf_puts(&out, "<");
	done = demangle(str_from(name), &out);
	assert_int_equal(done, want != NULL);
	assert_string_equal(out.p + 1, want ? want : "");
	buf_deinit(&out);
}

static void test_languages(void **state)
{
	(void)state;
	check("_Z1fi", "f(int)");
	check("_ZN2ns3FooIiE3barERKSt6vectorIiSaIiEE",
	      "ns::Foo<int>::bar(std::vector<int, std::allocator<int> > const&)");
	check("_ZNSt6vectorIiSaIiEE9push_backEOi",
	      "std::vector<int, std::allocator<int> >::push_back(int&&)");
	check("_ZZN4main3runEvENKUliE_clEi", "main::run()::{lambda(int)#1}::operator()(int) const");
	check("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad");
	check("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
	      "3bar17h930b740aa94f1d3aE",
	      "<Test + 'static as foo::Bar<Test>>::bar");
	check("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar");
	check("_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>");
	check("_D3std5stdio4File5closeMFNeZv", "std.stdio.File.close()");
	check("_Dmain", "D main"); // of every D program
}

static void test_plain_names(void **state)
{
	(void)state;
	check("main", NULL);
	check("_start", NULL);
	check("_Znot_mangled", NULL);
	check("", NULL);
	check("_Z", NULL);
	check("main.cold", NULL);
	check("_D", NULL);
	check("_Dynamic", NULL);
	check("_R", NULL);
	check("runtime.mallocgc", NULL);
	check("$s4main3fooyyF", NULL); // Swift
	check("camlMain__foo_12", NULL);
}

static void test_suffixes(void **state)
{
	(void)state;
	check("_Z1fi.cold", "f(int) (.cold)");
	check("_ZN1a1bEv.part.0.constprop.1", "a::b() (.part.0.constprop.1)");
	check("_Z1fv.llvm.1234567", "f() (.llvm.1234567)");
	check("_Z1fv@plt", "f()@plt");
	check("_Z1fv@@GLIBCXX_3.4", "f()@@GLIBCXX_3.4");
	check("_ZN3std2rt10lang_start28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE.llvm.99",
	      "std::rt::lang_start::{{closure}} (.llvm.99)");
	check("_Z1fi..cold", NULL);
}

static char *repeat(const char *head, const char *unit, size_t times, const char *tail)
{
	struct buf b = BUF_INIT(MIB(1));

	buf_puts(&b, head);
	for (size_t i = 0; i < times; i++)
		buf_puts(&b, unit);
	buf_puts(&b, tail);
	assert_false(b.failed);
	return buf_steal(&b, NULL);
}

static void test_long_names(void **state)
{
	// Nearly 2 KiB of nested templates is an ordinary name.
	_cleanup_free_ char *real = repeat("_Z1fI", "St4pairIi", 200, "i");
	_cleanup_free_ char *ends = repeat(real, "E", 201, "vv");
	struct buf out = BUF_INIT(2 * DEMANGLE_OUT_MAX);

	(void)state;
	assert_true(strlen(ends) > 1600);
	assert_true(demangle(str_from(ends), &out));
	assert_true(str_has_prefix(buf_str(&out), STR("void f<std::pair<int, std::pair<int, ")));
	buf_deinit(&out);
}

static void test_hostile_names(void **state)
{
	static const char *const units[] = {"P", "DT", "I",   "X",  "N", "Z",
					    "F", "cv", "L_Z", "S_", "T_"};
	static const char *const heads[] = {"_Z1f", "_Z1fI", "_Z",   "_ZN",
					    "_RI",  "_RNv",  "_D1a", "_D3std"};
	uint64_t start = clock_mono_ms();

	(void)state;
	for (size_t h = 0; h < countof(heads); h++) {
		for (size_t u = 0; u < countof(units); u++) {
			_cleanup_free_ char *name = repeat(heads[h], units[u], 5000, "iE");
			struct buf out = BUF_INIT(2 * DEMANGLE_OUT_MAX);

			if (!demangle(str_from(name), &out))
				assert_int_equal(out.n, 0);
			buf_deinit(&out);
		}
	}
	assert_true(clock_mono_ms() - start < PATIENCE_MS);
}

// Every argument is a pair of the one before it, twice: 2^n letters from 5 n.
static void test_exponential_names(void **state)
{
	struct buf name = BUF_INIT(KIB(4));
	struct buf out = BUF_INIT(2 * DEMANGLE_OUT_MAX);
	uint64_t start = clock_mono_ms();

	(void)state;
	buf_puts(&name, "_Z1fSt4pairIiiES_IS0_S0_E");
	for (int i = 1; i < 36; i++) {
		char c = (char)(i < 10 ? '0' + i : 'A' + i - 10);

		buf_printf(&name, "S_IS%c_S%c_E", c, c);
	}
	assert_false(demangle(buf_str(&name), &out));
	assert_int_equal(out.n, 0);
	assert_true(clock_mono_ms() - start < PATIENCE_MS);
	buf_deinit(&name);
	buf_deinit(&out);
}

static void test_embedded_nul_and_size_cap(void **state)
{
	_cleanup_free_ char *huge = repeat("_Z1f", "i", DEMANGLE_IN_MAX, "");
	struct buf out = BUF_INIT(2 * DEMANGLE_OUT_MAX);

	(void)state;
	assert_false(demangle((struct str){"_Z1f\0i", 6}, &out));
	assert_false(demangle(str_from(huge), &out));
	assert_int_equal(out.n, 0);
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_languages),
		cmocka_unit_test(test_plain_names),
		cmocka_unit_test(test_suffixes),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_exponential_names),
		cmocka_unit_test(test_embedded_nul_and_size_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
