/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/relabel.h"

#include "base/mem.h"
#include "base/testing.h"

static struct relabel *rules(const char *json)
{
	struct relabel *r = NULL;
	struct err e = ERR_INIT;

	assert_ok(relabel_parse(str_from(json), &r, &e));
	return r;
}

static void set(struct labels *l, const char *name, const char *value)
{
	struct err e = ERR_INIT;

	assert_ok(labels_set(l, str_from(name), str_from(value), &e));
}

static struct labels subject(void)
{
	struct labels l = {.n = 0};

	set(&l, "__meta_process_comm", "java");
	set(&l, "__meta_cgroup_path", "/kubepods/batch-7/job");
	set(&l, "service_name", "checkout");
	set(&l, "pod", "checkout-7d9f8-x2x9z");
	set(&l, "node", "n1");
	return l;
}

/* Applies the rules; the labels are then those of `want`: "name=value name=value", without __ ones. */
static void assert_makes(const char *json, bool want_keep, const char *want)
{
	struct relabel *r = rules(json);
	struct labels l = subject();
	struct buf packed = BUF_INIT(LABELS_PACKED_MAX), text = BUF_INIT(LABELS_PACKED_MAX);
	struct str rest, name, value;
	struct err e = ERR_INIT;
	bool keep;

	assert_ok(relabel_apply(r, &l, &keep, &e));
	assert_int_equal(keep, want_keep);
	assert_ok(labels_pack(&l, &packed, &e));
	for (rest = buf_str(&packed); labels_next(&rest, &name, &value);)
		buf_printf(&text, "%s" STR_FMT "=" STR_FMT, text.n ? " " : "", STR_ARG(name),
			   STR_ARG(value));
	if (want_keep)
		assert_str(buf_str(&text), want);
	buf_deinit(&text);
	buf_deinit(&packed);
	labels_deinit(&l);
	relabel_free(r);
}

#define ALL "node=n1 pod=checkout-7d9f8-x2x9z service_name=checkout"

static void replacing(void **state)
{
	(void)state;
	assert_makes("[]", true, ALL);
	assert_makes("[{\"source_labels\":[\"__meta_process_comm\"],\"target_label\":\"comm\"}]",
		     true, "comm=java " ALL);
	assert_makes("[{\"source_labels\":[\"pod\"],\"regex\":\"(.*)-[a-z0-9]+-[a-z0-9]{5}\","
		     "\"target_label\":\"pod\",\"replacement\":\"$1\"}]",
		     true, "node=n1 pod=checkout service_name=checkout");
	// No match: nothing happens; the whole text has to match.
	assert_makes("[{\"source_labels\":[\"node\"],\"regex\":\"n\",\"target_label\":\"x\"}]", true,
		     ALL);
	assert_makes("[{\"source_labels\":[\"node\"],\"regex\":\"x|n1\",\"target_label\":\"x\"}]",
		     true, ALL); // no group: $1 is empty
	// Joined, in the order given; constants; ${1} and $$.
	assert_makes("[{\"source_labels\":[\"node\",\"service_name\"],\"separator\":\"/\","
		     "\"regex\":\"(n)(.)/(.*)\",\"target_label\":\"x\","
		     "\"replacement\":\"$3@${1}x$2$$\"}]",
		     true, ALL " x=checkout@nx1$");
	assert_makes("[{\"target_label\":\"cluster\",\"replacement\":\"prod\"}]", true,
		     "cluster=prod " ALL);
	// An empty result removes.
	assert_makes("[{\"target_label\":\"pod\",\"replacement\":\"\"}]", true,
		     "node=n1 service_name=checkout");
	assert_makes("[{\"source_labels\":[\"__meta_cgroup_path\"],\"regex\":\"/[^/]+/"
		     "([^/]+)/.*\",\"target_label\":\"job\"}]",
		     true, "job=batch-7 " ALL);
}

static void keeping_and_dropping(void **state)
{
	static const char drop[] = "[{\"source_labels\":[\"service_name\"],\"regex\":\"check.*\","
				   "\"action\":\"drop\"}]";
	static const char keep[] = "[{\"source_labels\":[\"service_name\"],\"regex\":\"check.*\","
				   "\"action\":\"keep\"}]";

	(void)state;
	assert_makes(drop, false, "");
	assert_makes(keep, true, ALL);
	assert_makes("[{\"source_labels\":[\"none\"],\"regex\":\".+\",\"action\":\"keep\"}]", false,
		     "");
	assert_makes("[{\"source_labels\":[\"none\"],\"regex\":\".+\",\"action\":\"drop\"}]", true,
		     ALL);
}

static void names(void **state)
{
	(void)state;
	assert_makes("[{\"action\":\"labelmap\",\"regex\":\"__meta_process_(.*)\"}]", true,
		     "comm=java " ALL);
	assert_makes("[{\"action\":\"labelmap\",\"regex\":\"(n)ode\",\"replacement\":\"k8s_$0\"}]",
		     true, "k8s_node=n1 " ALL);
	assert_makes("[{\"action\":\"labeldrop\",\"regex\":\"pod|node\"}]", true,
		     "service_name=checkout");
	// What rules behind still may want is not dropped: it is not sent anyway.
	assert_makes("[{\"action\":\"labelkeep\",\"regex\":\"service_name\"},"
		     "{\"source_labels\":[\"__meta_process_comm\"],\"target_label\":\"comm\"}]",
		     true, "comm=java service_name=checkout");
}

static void mistakes_name_the_rule(void **state)
{
	static const struct {
		const char *json, *says;
	} bad[] = {
		{"", "JSON line 1"},
		{"[{]", "JSON line 1, column 3"},
		{"{}", "not a list"},
		{"[7]", "rule 1: not an object"},
		{"[{\"target_label\":\"a\"},{\"action\":\"hashmod\"}]", "rule 2: action 'hashmod'"},
		{"[{\"target_labels\":\"a\"}]", "rule 1: 'target_labels' is not known"},
		{"[{\"source_labels\":\"a\",\"target_label\":\"b\"}]", "must be a list"},
		{"[{\"source_labels\":[\"a-b\"],\"target_label\":\"b\"}]", "'a-b' is no label name"},
		{"[{\"source_labels\":[1],\"target_label\":\"b\"}]", "is no label name"},
		{"[{\"source_labels\":[\"a\"]}]", "rule 1: replace needs target_label"},
		{"[{\"target_label\":\"a-b\"}]", "target_label 'a-b' is no label name"},
		{"[{\"action\":\"drop\"}]", "drop needs source_labels"},
		{"[{\"target_label\":\"a\",\"regex\":7}]", "regex must be a text"},
		{"[{\"target_label\":\"a\",\"regex\":\"(\"}]", "regex '('"},
		{"[{\"target_label\":\"a\",\"regex\":\"(?:x)\"}]", "every ( ) is a group"},
		{"[{\"target_label\":\"a\",\"regex\":\"\\\\d+\"}]", "write [0-9]"},
		{"[{\"target_label\":\"a\",\"regex\":\"(a)\\\\1\"}]", "back references"},
		{"[{\"target_label\":\"a\",\"regex\":\"a\\\\\"}]", "ends with a backslash"},
		{"[{\"target_label\":\"a\",\"regex\":\"((a{100}){50})\"}]", "more than 1000 times"},
		{"[{\"target_label\":\"a\",\"regex\":\"a{5,99999999999999999999}\"}]",
		 "more than 1000 times"},
		{"[{\"target_label\":\"a\",\"replacement\":\"$x\"}]", "replacement '$x'"},
	};

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		struct relabel *r = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(relabel_parse(str_from(bad[i].json), &r, &e), -1);
		assert_err(&e, ERR_CONFIG, bad[i].says);
	}
}

/* Values come from processes: the longest, against expressions that make matchers work. */
static void hard_work_is_bounded(void **state)
{
	struct relabel *r = rules("[{\"source_labels\":[\"a\"],\"regex\":\"((x*)*)*y\",\"target_label\":\"b\"},"
				  "{\"source_labels\":[\"a\"],\"regex\":\"(x{1,30}){1,30}y\",\"target_label\":\"b\"},"
				  "{\"source_labels\":[\"a\",\"a\",\"a\"],\"regex\":\"(.*)(.*)(.*)(.*)z\",\"target_label\":\"b\"}]");
	struct labels l = {.n = 0};
	char value[LABEL_VALUE_MAX + 1];
	struct err e = ERR_INIT;
	bool keep;

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	set(&l, "a", value);
	assert_ok(relabel_apply(r, &l, &keep, &e));
	assert_true(keep);
	assert_string_equal(labels_get(&l, STR("b")), "");
	labels_deinit(&l);
	relabel_free(r);
}

static void what_does_not_fit_is_an_error(void **state)
{
	struct relabel *r = rules("[{\"action\":\"labelmap\",\"regex\":\"(n)ode\",\"replacement\":\"a-$1\"}]");
	struct labels l = subject();
	struct err e = ERR_INIT;
	bool keep;

	(void)state;
	assert_int_equal(relabel_apply(r, &l, &keep, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "relabel rule 1: 'a-n'");
	labels_deinit(&l);
	relabel_free(r);
}

static void out_of_memory_is_survived(void **state)
{
	static const char json[] = "[{\"source_labels\":[\"pod\"],\"regex\":\"(.*)\",\"target_label\":\"x\"},"
				   "{\"action\":\"labelmap\",\"regex\":\"(n)ode\"}]";
	bool fired = true;

	(void)state;
	for (unsigned long nth = 1; fired; nth++) {
		struct labels l = subject();
		struct relabel *r = NULL;
		struct err e = ERR_INIT;
		bool keep;
		int rc;

		mem_fault_at(nth, 0);
		rc = relabel_parse(str_from(json), &r, &e);
		if (rc == 0)
			rc = relabel_apply(r, &l, &keep, &e);
		fired = mem_fault_off();
		assert_true(fired ? rc < 0 && e.kind == ERR_NOMEM : rc == 0);
		relabel_free(r);
		labels_deinit(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replacing),
		cmocka_unit_test(keeping_and_dropping),
		cmocka_unit_test(names),
		cmocka_unit_test(mistakes_name_the_rule),
		cmocka_unit_test(hard_work_is_bounded),
		cmocka_unit_test(what_does_not_fit_is_an_error),
		cmocka_unit_test(out_of_memory_is_survived),
	};

	return cmocka_run_group_tests_name("relabel", tests, NULL, NULL);
}
