/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's capability sets as bit masks, 1 << CAP_…; see capabilities(7). No state. */
#ifndef AGENT_CAPABILITIES_H
#define AGENT_CAPABILITIES_H

#include "base/base.h"
#include "base/err.h"

#include <linux/capability.h>

// Newer than some kernel headers.
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#define CAP_CHECKPOINT_RESTORE 40
#endif

enum capabilities_set { CAPABILITIES_EFFECTIVE, CAPABILITIES_PERMITTED };

/* Of this thread. */
int capabilities_get(enum capabilities_set which, uint64_t *ret, struct err *e) MUST_CHECK;
/* Effective and permitted become these, which must be permitted; inheritable becomes empty. */
int capabilities_set(uint64_t caps, struct err *e) MUST_CHECK;

#endif
