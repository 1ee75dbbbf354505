/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/agent_metrics.h"

#include "base/metrics.h"

#include <string.h>

enum { SLOT_BYTES = 8 };

#define VALUES(...) (const char *const[]){__VA_ARGS__, NULL}

#define COUNTER(variable, metric_name, what)                                                       \
	static struct metric variable = {.name = metric_name, .help = what, .type = METRIC_COUNTER}
#define COUNTERS(variable, metric_name, what, label_name, ...)                                     \
	static struct metric variable = {                                                          \
		.name = metric_name,                                                               \
		.help = what,                                                                      \
		.type = METRIC_COUNTER,                                                            \
		.label = label_name,                                                               \
		.values = VALUES(__VA_ARGS__),                                                     \
	}
#define GAUGE(variable, metric_name, what)                                                         \
	static struct metric variable = {.name = metric_name, .help = what, .type = METRIC_GAUGE}

COUNTERS(samples, "unhex_agent_samples_total",
	 "Samples by what became of them; lost ones found the ring buffer full.", "outcome",
	 "batched", "empty", "no_room", "unwanted", "lost", "malformed");
COUNTER(in_other, "unhex_agent_samples_in_other_total",
	"Samples in the series 'other', for there were too many series.");
/* In the order of enum profile_end. */
COUNTERS(stacks, "unhex_agent_stacks_total",
	 "User stacks by why they end: root and frame_pointer_root are whole, depth was cut at 127.",
	 "end", "no_user", "frame_pointer", "depth", "fault", "root", "no_process", "bad_table",
	 "frame_pointer_root");
COUNTER(cut, "unhex_agent_stacks_cut_total",
	"User stacks cut where a caller lies in no executable mapping.");
COUNTER(copied, "unhex_agent_stacks_copied_total",
	"User stacks that came as a copy, for the kernel had no tables yet.");
COUNTER(unmapped, "unhex_agent_leaves_unmapped_total",
	"Samples whose innermost address lies in no known mapping.");
COUNTERS(pushes, "unhex_agent_pushes_total", "Batches by what became of them.", "outcome",
	 "accepted", "retried", "refused", "dropped");
COUNTERS(push_bytes, "unhex_agent_push_bytes_total", "Bytes of batches.", "outcome", "accepted",
	 "dropped");
COUNTERS(push_samples, "unhex_agent_push_samples_total", "Samples in batches.", "outcome",
	 "accepted", "dropped");
COUNTER(replayed, "unhex_agent_push_replayed_total", "Batches accepted that came from the spool.");
GAUGE(queue, "unhex_agent_push_queue_bytes", "Bytes of batches that wait in memory.");
GAUGE(spool_files, "unhex_agent_spool_files", "Batches in the spool.");
GAUGE(spool_bytes, "unhex_agent_spool_bytes", "Bytes of the spool, as on disk.");
GAUGE(spool_samples, "unhex_agent_spool_samples", "Samples in the spool.");
COUNTER(spool_dropped_files, "unhex_agent_spool_dropped_files_total",
	"Batches dropped from the spool to make room.");
COUNTER(spool_dropped_bytes, "unhex_agent_spool_dropped_bytes_total",
	"Bytes of batches dropped from the spool.");
COUNTER(spool_dropped_samples, "unhex_agent_spool_dropped_samples_total",
	"Samples in batches dropped from the spool.");
COUNTER(spool_damaged, "unhex_agent_spool_damaged_files_total",
	"Files of the spool that were torn or foreign.");
COUNTER(spool_failures, "unhex_agent_spool_failures_total",
	"Batches that the disk did not take, so that they stayed in memory.");
GAUGE(processes, "unhex_agent_processes", "Processes known.");
COUNTER(scans, "unhex_agent_process_scans_total", "Readings of /proc/PID/maps.");
COUNTER(gone, "unhex_agent_processes_gone_total",
	"Processes that ended before anything could be learnt of their mappings.");
COUNTERS(labelled, "unhex_agent_labelled_total",
	 "Processes whose labels were looked for; of these: ended before, dropped by a rule, failed "
	 "in a rule.",
	 "outcome", "all", "gone", "dropped", "failed");
COUNTERS(files, "unhex_agent_files_total",
	 "ELF files opened: read, unreadable, others than what was mapped.", "outcome", "read",
	 "failed", "other");
COUNTER(unopened, "unhex_agent_files_unopened_total", "Mapped files that could not be opened.");
COUNTER(readers, "unhex_agent_elf_readers_total", "Starts of the process that reads ELF files.");
COUNTERS(events, "unhex_agent_events_total", "Events of mappings, forks and exits.", "outcome",
	 "applied", "lost", "malformed");
GAUGE(tables, "unhex_agent_unwind_tables", "Unwind tables in the kernel.");
GAUGE(table_rows, "unhex_agent_unwind_table_slots", "Rows and pages of all unwind tables.");
GAUGE(table_bytes, "unhex_agent_unwind_table_bytes", "Bytes of all unwind tables.");
GAUGE(table_processes, "unhex_agent_unwind_processes", "Processes whose mappings the kernel has.");
COUNTERS(refused, "unhex_agent_unwind_refused_total",
	 "Tables, and processes' mappings, that found no room in the kernel.", "what", "table",
	 "process");
COUNTERS(given, "unhex_agent_given_total",
	 "What --upload did: questions asked, files and kernels' lists sent, what could not be read, "
	 "was refused, failed.",
	 "what", "question", "file", "list", "unreadable", "refused", "failed");
COUNTER(given_bytes, "unhex_agent_given_bytes_total", "Compressed bytes sent by --upload.");

#define N(member) offsetof(struct agent_numbers, member)

/* Where each number goes. */
static const struct flow {
	size_t from; /* a uint64_t in struct agent_numbers */
	struct metric *to;
	unsigned label;
} flows[] = {
	{N(collector.counted), &samples, 0},
	{N(collector.empty), &samples, 1},
	{N(collector.dropped), &samples, 2},
	{N(collector.unwanted), &samples, 3},
	{N(sampler.lost), &samples, 4},
	{N(sampler.malformed), &samples, 5},
	{N(collector.overflowed), &in_other, 0},
	{N(collector.cut), &cut, 0},
	{N(collector.copies), &copied, 0},
	{N(process.leaves_unmapped), &unmapped, 0},
	{N(push.pushes), &pushes, 0},
	{N(push.retries), &pushes, 1},
	{N(push.refused), &pushes, 2},
	{N(push.dropped), &pushes, 3},
	{N(push.bytes), &push_bytes, 0},
	{N(push.dropped_bytes), &push_bytes, 1},
	{N(push.samples), &push_samples, 0},
	{N(push.dropped_samples), &push_samples, 1},
	{N(push.replayed), &replayed, 0},
	{N(push.waiting_bytes), &queue, 0},
	{N(push.spool.files), &spool_files, 0},
	{N(push.spool.bytes), &spool_bytes, 0},
	{N(push.spool.samples), &spool_samples, 0},
	{N(push.spool.dropped_files), &spool_dropped_files, 0},
	{N(push.spool.dropped_bytes), &spool_dropped_bytes, 0},
	{N(push.spool.dropped_samples), &spool_dropped_samples, 0},
	{N(push.spool.damaged_files), &spool_damaged, 0},
	{N(push.disk_failures), &spool_failures, 0},
	{N(processes), &processes, 0},
	{N(process.scans), &scans, 0},
	{N(process.gone), &gone, 0},
	{N(process.files_unopened), &unopened, 0},
	{N(labels.looked_at), &labelled, 0},
	{N(labels.gone), &labelled, 1},
	{N(labels.dropped), &labelled, 2},
	{N(labels.failed), &labelled, 3},
	{N(modules.files_read), &files, 0},
	{N(modules.files_failed), &files, 1},
	{N(modules.files_other), &files, 2},
	{N(events.events), &events, 0},
	{N(events.lost), &events, 1},
	{N(events.malformed), &events, 2},
	{N(tables.tables), &tables, 0},
	{N(tables.slots), &table_rows, 0},
	{N(tables.processes), &table_processes, 0},
	{N(modules.tables_refused), &refused, 0},
	{N(tables.processes_refused), &refused, 1},
	{N(given.questions), &given, 0},
	{N(given.files), &given, 1},
	{N(given.lists), &given, 2},
	{N(given.unreadable), &given, 3},
	{N(given.refused), &given, 4},
	{N(given.failures), &given, 5},
	{N(given.bytes), &given_bytes, 0},
};

void agent_metrics_register(void)
{
	for (size_t i = 0; i < countof(flows); i++)
		metric_register(flows[i].to);
	metric_register(&stacks);
	metric_register(&readers);
	metric_register(&table_bytes);
}

/* Counters take what was added since; nobody else adds to them. */
static void put(struct metric *m, unsigned label, uint64_t value)
{
	uint64_t before = metric_get(m, label);

	if (m->type == METRIC_GAUGE)
		metric_set(m, label, (int64_t)value);
	else if (value > before)
		metric_add(m, label, value - before);
}

void agent_metrics_update(const struct agent_numbers *n)
{
	for (size_t i = 0; i < countof(flows); i++) {
		uint64_t value;

		memcpy(&value, (const char *)n + flows[i].from, sizeof(value));
		put(flows[i].to, flows[i].label, value);
	}
	for (unsigned end = 0; end < PROFILE_END_COUNT; end++)
		put(&stacks, end, n->collector.ends[end]);
	put(&readers, 0, n->modules.reader_starts);
	put(&table_bytes, 0, n->tables.slots * SLOT_BYTES);
}
