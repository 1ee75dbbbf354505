/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/resolve.h"

#include "tests/unit/toolbox.h"
#include "tests/unit/fake_resolver.h"

static struct frames frames;

static void check(const char *id, uint64_t va, enum module_status status, const char *module_reason,
		  const char *reason)
{
	struct fake fake;
	const struct resolver r = fake_resolver(&fake);
	struct err e = ERR_INIT;
	struct module m;
	const char *why;

	assert_int_equal(resolve_open(&r, str_from(id), &m, &e), 0);
	assert_int_equal(m.status, status);
	assert_true(!m.reason == !module_reason);
	if (module_reason)
		assert_string_equal(m.reason, module_reason);
	assert_int_equal(resolve_lookup(&r, &m, va, &frames, &why, &e), 0);
	assert_true(!why == (frames.n > 0));
	assert_true(!why == !reason);
	if (reason)
		assert_string_equal(why, reason);
	resolve_close(&r, &m);
	assert_int_equal(fake.opened, fake.released);
	// Only what has names is asked for names.
	assert_int_equal(fake.lookups, status == MODULE_OK);
}

static void there_is_always_a_reason(void **state)
{
	(void)state;
	check("aaaa", 0x1100, MODULE_OK, NULL, NULL);
	check("aaaa", 0x1, MODULE_OK, NULL, "no_symbol");
	check("bbbb", 0x1100, MODULE_PENDING, "pending", "pending");
	check("cccc", 0x1100, MODULE_MISSING, "not_found", "not_found");
	check("ffff", 0x1100, MODULE_INVALID, "malformed_elf", "malformed_elf");
	check("no id!", 0x1100, MODULE_INVALID, "bad_build_id", "bad_build_id");
}

static void errors_are_not_reasons(void **state)
{
	struct fake fake;
	const struct resolver r = fake_resolver(&fake);
	struct err e = ERR_INIT;
	struct module m;
	const char *why;

	(void)state;
	assert_int_equal(resolve_open(&r, STR("fail"), &m, &e), -1);
	assert_int_equal(e.kind, ERR_DB);
	assert_int_equal(resolve_open(&r, STR("fail"), &m, NULL), -1);
	assert_int_equal(resolve_open(&r, STR("aaaa"), &m, &e), 0);
	assert_int_equal(resolve_lookup(&r, &m, 0x1400, &frames, &why, &e), -1);
	resolve_close(&r, &m);
}

static void statuses_have_names(void **state)
{
	(void)state;
	assert_string_equal(module_status_name(MODULE_OK), "ok");
	assert_string_equal(module_status_name(MODULE_PENDING), "pending");
	assert_string_equal(module_status_name(MODULE_MISSING), "missing");
	assert_string_equal(module_status_name(MODULE_INVALID), "invalid");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_is_always_a_reason),
		cmocka_unit_test(errors_are_not_reasons),
		cmocka_unit_test(statuses_have_names),
	};

	return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
