/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include "base/testing.h"
#include <pthread.h>

static const char *const results[] = {"ok", "failed", NULL};
static const double bounds[] = {0.1, 1, 10};

static struct metric requests = {
	.name = "unhex_requests_total",
	.help = "Requests answered.\nWith a \\ in it.",
	.type = METRIC_COUNTER,
	.label = "result",
	.values = results,
};
static struct metric waiting = {
	.name = "unhex_waiting",
	.help = "Tasks that wait.",
	.type = METRIC_GAUGE,
};
static struct metric seconds = {
	.name = "unhex_request_seconds",
	.help = "Time to answer.",
	.type = METRIC_HISTOGRAM,
	.buckets = bounds,
	.bucket_count = countof(bounds),
};
static struct metric by_result = {
	.name = "unhex_bytes",
	.help = "Sizes.",
	.type = METRIC_HISTOGRAM,
	.label = "result",
	.values = results,
	.buckets = bounds,
	.bucket_count = countof(bounds),
};

static struct buf page = BUF_INIT(1 << 20);

static struct str written(void)
{
	buf_clear(&page);
	metrics_write(&page, "1.2.3");
	assert_false(page.failed);
	return buf_str(&page);
}

static int setup(void **state)
{
	(void)state;
	metric_register(&requests);
	metric_register(&waiting);
	metric_register(&seconds);
	metric_register(&by_result);
	metric_register(&requests);
	metric_register(&by_result);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_deinit(&page);
	return 0;
}

static void counters_and_gauges(void **state)
{
	struct str text;

	(void)state;
	metric_add(&requests, 1, 5);
	metric_inc(&requests);
	metric_add(&requests, METRIC_LABELS_MAX, 1);
	metric_set(&waiting, 0, 10);
	metric_gauge_add(&waiting, 0, -12);
	text = written();
	assert_holds(text, "# HELP unhex_requests_total Requests answered.\\nWith a \\\\ in it.\n"
			   "# TYPE unhex_requests_total counter\n"
			   "unhex_requests_total{result=\"ok\"} 1\n"
			   "unhex_requests_total{result=\"failed\"} 5\n"
			   "# HELP unhex_waiting Tasks that wait.\n# TYPE unhex_waiting gauge\n"
			   "unhex_waiting -2\n");
	assert_int_equal(metric_get(&requests, 1), 5);
}

static void histograms_cumulate(void **state)
{
	struct str text;

	(void)state;
	metric_observe(&seconds, 0, 0.1);
	metric_observe(&seconds, 0, 0.5);
	metric_observe(&seconds, 0, 100);
	metric_observe(&by_result, 1, 2.5);
	metric_observe(&by_result, 2, 2.5);
	text = written();
	assert_holds(text, "# TYPE unhex_request_seconds histogram\n"
			   "unhex_request_seconds_bucket{le=\"0.1\"} 1\n"
			   "unhex_request_seconds_bucket{le=\"1\"} 2\n"
			   "unhex_request_seconds_bucket{le=\"10\"} 2\n"
			   "unhex_request_seconds_bucket{le=\"+Inf\"} 3\n"
			   "unhex_request_seconds_sum 100.6\n"
			   "unhex_request_seconds_count 3\n");
	assert_holds(text, "unhex_bytes_bucket{result=\"failed\",le=\"1\"} 0\n"
			   "unhex_bytes_bucket{result=\"failed\",le=\"10\"} 1\n"
			   "unhex_bytes_bucket{result=\"failed\",le=\"+Inf\"} 1\n"
			   "unhex_bytes_sum{result=\"failed\"} 2.5\n"
			   "unhex_bytes_count{result=\"failed\"} 1\n");
}

static double value_of(struct str text, const char *name)
{
	char line[128];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", name);
	at = memmem(text.p, text.n, line, strlen(line));
	if (!at)
		fail_msg("no %s", name);
	return strtod(at + strlen(line), NULL);
}

static void the_process_reports_itself(void **state)
{
	struct str text = written();

	(void)state;
	assert_holds(text, "unhex_build_info{version=\"1.2.3\"} 1\n");
	assert_true(value_of(text, "process_resident_memory_bytes") > 100000);
	assert_true(value_of(text, "process_virtual_memory_bytes") > 1000000);
	assert_true(value_of(text, "process_open_fds") >= 3);
	assert_true(value_of(text, "process_max_fds") >= 3);
	assert_true(value_of(text, "process_start_time_seconds") > 1.5e9);
	assert_true(value_of(text, "process_cpu_seconds_total") >= 0);
}

static void registering_twice_is_once(void **state)
{
	struct str text = written();
	const char *line = "# TYPE unhex_bytes histogram\n";
	const char *first = memmem(text.p, text.n, line, strlen(line));

	(void)state;
	assert_non_null(first);
	assert_null(strstr(first + 1, line));
}

static void *observe_many(void *arg)
{
	for (int i = 0; i < 10000; i++)
		metric_observe(arg, 0, 0.5);
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	uint64_t before = metric_get(&by_result, 0);
	pthread_t threads[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, observe_many, &by_result), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_get(&by_result, 0) - before, 20000);
	assert_holds(written(), "unhex_bytes_sum{result=\"ok\"} 10000\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_and_gauges),
		cmocka_unit_test(histograms_cumulate),
		cmocka_unit_test(the_process_reports_itself),
		cmocka_unit_test(registering_twice_is_once),
		cmocka_unit_test(threads_lose_nothing),
	};

	return cmocka_run_group_tests_name("metrics", tests, setup, teardown);
}
