/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of binary life; registered by binaries_new(). */
#ifndef SERVER_BINARIES_METRICS_H
#define SERVER_BINARIES_METRICS_H

#include "base/err.h"
#include "base/metrics.h"

extern struct metric metric_flights;
extern struct metric metric_queue_waiting; /* enum binaries_queue */
extern struct metric metric_upstream_requests; /* enum upstream_label */
extern struct metric metric_upstream_bytes;
extern struct metric metric_index_seconds;
extern struct metric metric_index_failures; /* index_failure_label() */
extern struct metric metric_indexes_open;
extern struct metric metric_index_hits;
extern struct metric metric_index_misses;
extern struct metric metric_lookups;      /* enum frame_source */
extern struct metric metric_lookup_tiers; /* enum lookup_tier */
extern struct metric metric_waiters;

enum binaries_queue { QUEUE_INTAKE, QUEUE_INDEX };
enum upstream_label { ASKED_FOUND, ASKED_ABSENT, ASKED_FAILED, ASKED_REFUSED };
enum lookup_tier { TIER_INDEX, TIER_RESULTS, TIER_NOWHERE };

unsigned index_failure_label(enum err_kind kind);
void binaries_metrics_register(void);

#endif
