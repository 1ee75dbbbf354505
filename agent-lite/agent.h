/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running agent: sampler → collector → sink, one loop, until the time is up or SIGTERM or
 * SIGINT comes; then what was collected is shipped.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent-lite/options.h"

/*
 * 0 when everything sampled was delivered. Errors: of sampler_new() (nothing was sampled), of the
 * sink; ERR_NOT_FOUND when a file was asked for and nothing was sampled. Logs start, and figures at
 * the end.
 */
int agent_run(const struct options *o, struct err *e) MUST_CHECK;

#endif
