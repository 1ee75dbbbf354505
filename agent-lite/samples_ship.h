/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `unhex-agent --from-samples`: dumps of the SIGPROF sampler (samples_file.h) as the same profiles
 * that eBPF sampling gives, to the same places. Files are opened by the paths in each dump's maps,
 * if they still are the inodes that were mapped.
 */
#ifndef AGENT_SAMPLES_SHIP_H
#define AGENT_SAMPLES_SHIP_H

#include "agent-lite/options.h"

/*
 * All dumps must have been taken at the same rate. ERR_BAD_REQUEST naming the file, ERR_NOT_FOUND
 * when they hold no samples, errors of the sink. Logs figures at the end.
 */
int samples_ship(const struct options *o, struct err *e) MUST_CHECK;

#endif
