/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/agent_metrics.h"

#include "base/metrics.h"
#include "base/testing.h"

static void assert_says(const char *line)
{
	struct buf text = BUF_INIT(1 << 20);

	metrics_write(&text, "test");
	assert_holds(buf_str(&text), line);
	buf_deinit(&text);
}

static void numbers_come_out_as_they_went_in(void **state)
{
	struct agent_numbers n = {
		.collector = {.counted = 100, .unwanted = 3, .overflowed = 2},
		.sampler = {.lost = 5},
		.processes = 7,
		.push = {.pushes = 11, .samples = 95, .spool = {.files = 4, .dropped_samples = 6}},
		.tables = {.slots = 1000},
		.modules = {.reader_starts = 2},
	};

	(void)state;
	n.collector.ends[PROFILE_END_ROOT] = 90;
	n.collector.ends[PROFILE_END_COUNT - 1] = 9;
	agent_metrics_register();
	agent_metrics_update(&n);
	assert_says("\nunhex_agent_samples_total{outcome=\"batched\"} 100\n");
	assert_says("\nunhex_agent_samples_total{outcome=\"unwanted\"} 3\n");
	assert_says("\nunhex_agent_samples_total{outcome=\"lost\"} 5\n");
	assert_says("\nunhex_agent_samples_in_other_total 2\n");
	assert_says("\nunhex_agent_stacks_total{end=\"root\"} 90\n");
	assert_says("\nunhex_agent_stacks_total{end=\"frame_pointer_root\"} 9\n"); // the last one
	assert_says("\nunhex_agent_processes 7\n");
	assert_says("\nunhex_agent_pushes_total{outcome=\"accepted\"} 11\n");
	assert_says("\nunhex_agent_push_samples_total{outcome=\"accepted\"} 95\n");
	assert_says("\nunhex_agent_spool_files 4\n");
	assert_says("\nunhex_agent_spool_dropped_samples_total 6\n");
	assert_says("\nunhex_agent_unwind_table_bytes 8000\n");
	assert_says("\nunhex_agent_elf_readers_total 2\n");
	assert_says("\nprocess_resident_memory_bytes ");
	assert_says("\nprocess_cpu_seconds_total ");

	// Counters only grow; gauges follow.
	n.collector.counted = 150;
	n.push.spool.files = 0;
	agent_metrics_update(&n);
	agent_metrics_update(&n);
	assert_says("\nunhex_agent_samples_total{outcome=\"batched\"} 150\n");
	assert_says("\nunhex_agent_spool_files 0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_come_out_as_they_went_in),
	};

	return cmocka_run_group_tests_name("agent_metrics", tests, NULL, NULL);
}
