/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process's cgroup path tells: its container, its pod, its systemd unit. The text is that of
 * /proc/PID/cgroup (cgroups(7)): lines of "number:controllers:path", the v2 hierarchy's as "0::".
 * Paths are made by container runtimes, kubelet's two drivers and systemd, and by anybody who may
 * make cgroups, so nothing in them is believed but its form. No state; thread-safe.
 */
#ifndef AGENT_CGROUP_NAME_H
#define AGENT_CGROUP_NAME_H

#include "base/base.h"
#include "base/str.h"

enum {
	CGROUP_PATH_SIZE = 512, /* longer ones are cut */
	CGROUP_CONTAINER_SIZE = 72,
	CGROUP_POD_SIZE = 37,
	CGROUP_UNIT_SIZE = 128,
};

/* Texts are empty where there is none. */
struct cgroup_name {
	char path[CGROUP_PATH_SIZE]; /* the one that told most; "/" for the root */
	char container_id[CGROUP_CONTAINER_SIZE]; /* 64 hex digits; LXC: the name; Fargate: the task's */
	char pod_uid[CGROUP_POD_SIZE];		  /* 8-4-4-4-12 or, of static pods, 32 digits */
	char systemd_unit[CGROUP_UNIT_SIZE];	  /* "nginx.service"; not of what runs in containers */
};

void cgroup_name_parse(struct str text, struct cgroup_name *ret);

#endif
