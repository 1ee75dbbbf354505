/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent says of itself: a line when it starts, figures when it ends, and numbers for
 * /metrics meanwhile. All come from what its parts count. The agent's owner thread.
 */
#ifndef AGENT_AGENT_REPORT_H
#define AGENT_AGENT_REPORT_H

#include "agent-lite/agent_parts.h"

void agent_report_start(const struct agent *a);
/* push: what sink_finish() said. */
void agent_report_end(const struct agent *a, const struct pusher_stats *push);
void agent_report_metrics(const struct agent *a);

#endif
