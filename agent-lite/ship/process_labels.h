/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The labels of processes' series: found once, when a process image is first sampled, and then kept
 * in their packed form. Before the rules these are
 *
 *   service_name  OTEL_SERVICE_NAME or service.name of the process's environment, else the
 *                 container's name or ID, else its systemd unit, else its comm; "kernel" for
 *                 threads of the kernel
 *   node, container_id, pod_uid, systemd_unit, namespace, pod, container: where known
 *   __meta_process_comm, __meta_process_executable, __meta_cgroup_path: for the rules alone
 *
 * Of a process that has ended before it could be looked at, what is known of its cgroup and of its
 * parent has to do.
 * Bounded; what was not asked for longest goes. One owner thread.
 */
#ifndef AGENT_PROCESS_LABELS_H
#define AGENT_PROCESS_LABELS_H

#include "agent-lite/process/process.h"
#include "agent-lite/ship/relabel.h"
#include "base/opt.h"

struct process_labels_config {
	const char *proc;	       /* "/proc"; tests have their own */
	const char *node;	       /* NULL: the host's name */
	const struct opt_list *labels; /* "name=value", for every series; NULL: none */
	const char *rules;	       /* file; NULL: none */
};

struct process_subject {
	struct process_key key;
	uint64_t cgroup_id; /* in the v2 hierarchy; 0: not known */
	const char *comm;
	uint64_t parent; /* PID; 0: not known */
};

struct process_labels_stats {
	uint64_t known;	    /* processes now */
	uint64_t looked_at; /* since the start */
	uint64_t gone;	    /* of these: ended before */
	uint64_t dropped;   /* of these: by a rule */
	uint64_t failed;    /* of these: a rule could not be applied, see relabel_apply() */
};

struct process_labels;

int process_labels_new(const struct process_labels_config *config, struct process_labels **ret,
		       struct err *e) MUST_CHECK;
void process_labels_free(struct process_labels *pl); /* accepts NULL */

enum { PROCESS_DROPPED = 1 };
/*
 * *ret: packed, borrowed until the next call. PROCESS_DROPPED: a rule does not want the process.
 * -1: ERR_NOMEM.
 */
int process_labels_get(struct process_labels *pl, const struct process_subject *subject,
		       struct str *ret, struct err *e) MUST_CHECK;
/* Forgets what was not asked for in `idle_ms`. */
void process_labels_expire(struct process_labels *pl, uint64_t idle_ms);
void process_labels_stats(const struct process_labels *pl, struct process_labels_stats *ret);

#endif
