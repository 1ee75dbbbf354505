/* SPDX-License-Identifier: Apache-2.0 */
#include "server/binaries_metrics.h"

struct metric metric_flights = {
	.name = "unhex_flights",
	.help = "Binaries being fetched or indexed.",
	.type = METRIC_GAUGE,
};

static const char *const queues[] = {[QUEUE_INTAKE] = "intake", [QUEUE_INDEX] = "index", NULL};
struct metric metric_queue_waiting = {
	.name = "unhex_binary_queue_waiting",
	.help = "Binaries waiting for a worker.",
	.type = METRIC_GAUGE,
	.label = "queue",
	.values = queues,
};

static const char *const answers[] = {[ASKED_FOUND] = "found",
				      [ASKED_ABSENT] = "absent",
				      [ASKED_FAILED] = "failed",
				      [ASKED_REFUSED] = "refused",
				      NULL};
struct metric metric_upstream_requests = {
	.name = "unhex_upstream_requests_total",
	.help = "Files asked of upstream servers; refused: what came was not what was asked for.",
	.type = METRIC_COUNTER,
	.label = "outcome",
	.values = answers,
};

struct metric metric_upstream_bytes = {
	.name = "unhex_upstream_bytes_total",
	.help = "Bytes of whole files fetched from upstream servers.",
	.type = METRIC_COUNTER,
};

static const double index_buckets[] = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
struct metric metric_index_seconds = {
	.name = "unhex_index_seconds",
	.help = "Wall time of building an index.",
	.type = METRIC_HISTOGRAM,
	.buckets = index_buckets,
	.bucket_count = countof(index_buckets),
};

static const enum err_kind failure_kinds[] = {
	ERR_NOT_ELF,	     ERR_BAD_ELF,	 ERR_UNSUPPORTED, ERR_TOO_LARGE, ERR_TOO_DEEP,
	ERR_INDEXER_CRASHED, ERR_INDEXER_TIMEOUT, ERR_INDEXER_KILLED, ERR_INDEXER_MEMORY, ERR_BAD_INDEX,
	ERR_NO_SPACE,	     ERR_IO};
// The last one is for the rest. Filled from the table of errors, so that the spellings agree.
static const char *failures[countof(failure_kinds) + 2];
struct metric metric_index_failures = {
	.name = "unhex_index_failures_total",
	.help = "Indexes that could not be built.",
	.type = METRIC_COUNTER,
	.label = "reason",
	.values = failures,
};

struct metric metric_indexes_open = {
	.name = "unhex_index_cache_open",
	.help = "Indexes mapped by the cache.",
	.type = METRIC_GAUGE,
};
struct metric metric_index_hits = {
	.name = "unhex_index_cache_hits_total",
	.help = "Indexes wanted that were mapped already.",
	.type = METRIC_COUNTER,
};
struct metric metric_index_misses = {
	.name = "unhex_index_cache_misses_total",
	.help = "Indexes wanted that were not mapped.",
	.type = METRIC_COUNTER,
};

// In the order of enum frame_source.
static const char *const sources[] = {"none",	"eh_frame",  "plt",   "dynsym",
				      "symtab", "gopclntab", "dwarf", NULL};
struct metric metric_lookups = {
	.name = "unhex_lookups_total",
	.help = "Addresses looked up, by what named them.",
	.type = METRIC_COUNTER,
	.label = "source",
	.values = sources,
};

static const char *const tiers[] = {[TIER_INDEX] = "index",
				    [TIER_RESULTS] = "results",
				    [TIER_NOWHERE] = "nowhere",
				    NULL};
struct metric metric_lookup_tiers = {
	.name = "unhex_lookups_answered_total",
	.help = "Addresses looked up, by where the answer came from.",
	.type = METRIC_COUNTER,
	.label = "from",
	.values = tiers,
};

struct metric metric_waiters = {
	.name = "unhex_waiters",
	.help = "Requests suspended until binaries have come.",
	.type = METRIC_GAUGE,
};

unsigned index_failure_label(enum err_kind kind)
{
	unsigned i = 0;

	while (i < countof(failure_kinds) && failure_kinds[i] != kind)
		i++;
	return i;
}

void binaries_metrics_register(void)
{
	struct metric *const all[] = {
		&metric_flights,	&metric_queue_waiting, &metric_upstream_requests,
		&metric_upstream_bytes, &metric_index_seconds, &metric_index_failures,
		&metric_indexes_open,	&metric_index_hits,    &metric_index_misses,
		&metric_lookups,	&metric_lookup_tiers,  &metric_waiters};

	for (size_t i = 0; i < countof(failure_kinds); i++)
		failures[i] = err_code(failure_kinds[i]);
	failures[countof(failure_kinds)] = "other";
	for (size_t i = 0; i < countof(all); i++)
		metric_register(all[i]);
}
