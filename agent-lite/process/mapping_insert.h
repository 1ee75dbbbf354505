/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings of a running process as they change: a new one hides what was there, a fork has them
 * all. The modules in them are references of their own, and may be NULL: not looked for yet. One
 * owner thread.
 */
#ifndef AGENT_MAPPING_INSERT_H
#define AGENT_MAPPING_INSERT_H

#include "agent-lite/process/module.h"

/* A copy for another process; *to is empty before, and to be released also on failure. */
int mappings_copy(struct mappings *to, const struct mappings *from, struct err *e) MUST_CHECK;
/*
 * Puts a mapping where it belongs; what it covers of older ones is gone, as it is in the process.
 * Takes over the item's path and module, also on failure. MAPPING_KNOWN: that very mapping was
 * there, nothing has changed. Beyond MAPPINGS_MAX it is counted in `dropped` instead.
 */
enum { MAPPING_KNOWN = 1 };
int mapping_insert(struct mappings *m, struct mapping *item, struct err *e) MUST_CHECK;

#endif
