/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/labels.h"

#include "base/mem.h"
#include "base/testing.h"

static void set(struct labels *l, const char *name, const char *value)
{
	struct err e = ERR_INIT;

	assert_ok(labels_set(l, str_from(name), str_from(value), &e));
}

static void the_packed_form_is_in_order_of_names(void **state)
{
	static const char want[] = "a\0 2\0b\0 1\0c\0 3";
	struct labels l = {.n = 0};
	struct buf packed = BUF_INIT(LABELS_PACKED_MAX);
	struct err e = ERR_INIT;

	(void)state;
	set(&l, "b", " 1");
	set(&l, "c", "old");
	set(&l, "a", " 2");
	set(&l, "c", " 3");
	set(&l, "__meta_x", "not sent");
	assert_string_equal(labels_get(&l, STR("c")), " 3");
	assert_string_equal(labels_get(&l, STR("d")), "");
	assert_ok(labels_pack(&l, &packed, &e));
	assert_int_equal(packed.n, sizeof(want));
	assert_memory_equal(packed.p, want, sizeof(want));
	assert_str(labels_find(buf_str(&packed), STR("b")), " 1");
	assert_int_equal(labels_find(buf_str(&packed), STR("2")).n, 0); // a value is no name
	buf_deinit(&packed);
	labels_deinit(&l);
}

static void an_empty_value_is_no_label(void **state)
{
	struct labels l = {.n = 0};

	(void)state;
	set(&l, "a", "");
	assert_int_equal(l.n, 0);
	set(&l, "a", "1");
	set(&l, "b", "2");
	set(&l, "a", "");
	assert_int_equal(l.n, 1);
	assert_string_equal(l.items[0].name, "b");
	struct err e = ERR_INIT;

	assert_ok(labels_set(&l, STR("b"), (struct str){"\0x", 2}, &e));
	labels_remove(&l, STR("b"));
	assert_int_equal(l.n, 0);
	labels_deinit(&l);
}

static void what_comes_from_processes_is_bounded_and_clean(void **state)
{
	char value[LABEL_VALUE_MAX + 100], name[LABEL_NAME_MAX + 2];
	struct labels l = {.n = 0};
	struct err e = ERR_INIT;

	(void)state;
	memset(value, 'v', sizeof(value));
	assert_ok(labels_set(&l, STR("long"), (struct str){value, sizeof(value)}, &e));
	assert_int_equal(strlen(labels_get(&l, STR("long"))), LABEL_VALUE_MAX);
	set(&l, "odd", "a\n\xff");
	assert_string_equal(labels_get(&l, STR("odd")), "a??");
	memset(name, 'n', sizeof(name));
	static const char *const bad[] = {"", "1a", "a-b", "a.b", "\xc3\xa9"};
	for (size_t i = 0; i < countof(bad); i++)
		assert_int_equal(labels_set(&l, str_from(bad[i]), STR("x"), &e), -1);
	assert_int_equal(labels_set(&l, (struct str){name, sizeof(name)}, STR("x"), &e), -1);
	for (size_t i = 0; l.n < LABELS_MAX; i++) {
		snprintf(name, sizeof(name), "n%zu", i);
		set(&l, name, "x");
	}
	assert_int_equal(labels_set(&l, STR("more"), STR("x"), &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "more than 48 labels");
	set(&l, "n3", "changed"); // what is there may still change
	labels_deinit(&l);
}

/* With __name__, which the request adds, it is 30: what Pyroscope takes. */
static void no_more_are_packed_than_stores_take(void **state)
{
	struct labels l = {.n = 0};
	struct buf packed = BUF_INIT(LABELS_PACKED_MAX);
	struct str rest, name, value;
	struct err e = ERR_INIT;
	unsigned n = 0;
	char text[16];

	(void)state;
	for (int i = 0; i < LABELS_MAX; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		set(&l, text, "x");
	}
	assert_ok(labels_pack(&l, &packed, &e));
	for (rest = buf_str(&packed); labels_next(&rest, &name, &value);)
		n++;
	assert_int_equal(n, LABELS_SENT_MAX - 1);
	buf_deinit(&packed);
	labels_deinit(&l);
}

static void out_of_memory_is_survived(void **state)
{
	bool fired = true;

	(void)state;
	for (unsigned long nth = 1; fired; nth++) {
		struct buf packed = BUF_INIT(LABELS_PACKED_MAX);
		struct err e = ERR_INIT;
		int r;

		mem_fault_at(nth, 0);
		r = labels_of_service("web", "c0ffee", &packed, &e);
		fired = mem_fault_off();
		assert_true(fired ? r < 0 && e.kind == ERR_NOMEM : r == 0);
		buf_deinit(&packed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_packed_form_is_in_order_of_names),
		cmocka_unit_test(an_empty_value_is_no_label),
		cmocka_unit_test(what_comes_from_processes_is_bounded_and_clean),
		cmocka_unit_test(no_more_are_packed_than_stores_take),
		cmocka_unit_test(out_of_memory_is_survived),
	};

	return cmocka_run_group_tests_name("labels", tests, NULL, NULL);
}
