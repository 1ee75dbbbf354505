/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a file again by what a running process has mapped. The processes' owner thread. */
#ifndef AGENT_PROCESS_OPEN_H
#define AGENT_PROCESS_OPEN_H

#include "agent-lite/process/process.h"

/*
 * A descriptor of the file of that build-ID, through any process that maps it now; -1: none can be
 * opened. What was opened may be another file by now: who reads it looks at its build-ID.
 */
int processes_open(const struct processes *ps, const char *build_id);

#endif
