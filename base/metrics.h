/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms with bounded label sets, and their Prometheus text exposition
 * (format 0.0.4). A metric is a static object registered once; updates are lock-free atomics and may
 * come from any thread. Names carry the unhex_ prefix and base units (seconds, bytes); counters end
 * in _total. Label values come from a fixed list given at registration, never from outside.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/base.h"
#include "base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum { METRIC_BUCKETS_MAX = 16, METRIC_LABELS_MAX = 192 };

struct metric {
	const char *name;
	const char *help;
	enum metric_type type;
	const char *label;          /* NULL: no label */
	const char *const *values;  /* label values, NULL-terminated; index = value given to updates */
	const char *label2;         /* a second label, or NULL; index = first * number of second values + second */
	const char *const *values2;
	const double *buckets;      /* histogram bounds, ascending */
	unsigned bucket_count;
	/* state */
	_Atomic uint64_t cells[METRIC_LABELS_MAX]; /* counters, gauges (as int64), histogram counts */
	_Atomic uint64_t sums[METRIC_LABELS_MAX];  /* histogram sums: the bits of a double */
	_Atomic uint64_t (*hist)[METRIC_BUCKETS_MAX]; /* per label, not cumulative; set at registration */
	struct metric *next;
};

/* Registers (idempotent). Call before threads start. */
void metric_register(struct metric *m);
void metric_add(struct metric *m, unsigned label, uint64_t n);
static inline void metric_inc(struct metric *m)
{
	metric_add(m, 0, 1);
}
void metric_set(struct metric *m, unsigned label, int64_t value);
void metric_gauge_add(struct metric *m, unsigned label, int64_t by);
void metric_observe(struct metric *m, unsigned label, double value);
uint64_t metric_get(const struct metric *m, unsigned label);

/* All registered metrics, plus process_* and unhex_build_info{version}. */
void metrics_write(struct buf *out, const char *version);

#endif
