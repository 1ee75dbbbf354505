/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that make a series' labels out of what is known of a process: a subset of Prometheus'
 * relabel_config (prometheus.io/docs, Configuration, <relabel_config>), written as a JSON array of
 * objects with its names:
 *
 *   [{"source_labels": ["__meta_process_comm"], "regex": "kworker.*", "action": "drop"},
 *    {"source_labels": ["__meta_cgroup_path"], "regex": "/batch/([^/]+)/.*",
 *     "target_label": "job", "replacement": "$1"}]
 *
 * Actions: replace (the default), keep, drop, labelmap, labeldrop, labelkeep. Expressions are POSIX
 * extended ones and match the whole text; no back references, so that their time is bounded by text
 * and expression. Immutable once read; thread-safe.
 */
#ifndef AGENT_RELABEL_H
#define AGENT_RELABEL_H

#include "agent-lite/ship/labels.h"
#include "base/base.h"
#include "base/err.h"

enum {
	RELABEL_RULES_MAX = 100,
	RELABEL_REGEX_MAX = 512,
	RELABEL_FILE_MAX = 256 << 10,
	RELABEL_SOURCES_MAX = 16,
};

struct relabel;

/* ERR_CONFIG naming the rule (from 1), or the place in the JSON, and what is wrong with it. */
int relabel_parse(struct str text, struct relabel **ret, struct err *e) MUST_CHECK;
int relabel_read(const char *path, struct relabel **ret, struct err *e) MUST_CHECK;
void relabel_free(struct relabel *r); /* accepts NULL */

/*
 * Applies the rules in order. *ret_keep: false when a rule drops the process; the rest is then not
 * looked at. A rule whose labels do not fit (labels_set) is an error.
 */
int relabel_apply(const struct relabel *r, struct labels *l, bool *ret_keep, struct err *e)
	MUST_CHECK;

#endif
