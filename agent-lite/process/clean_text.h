/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that come from the host (thread names, paths) may hold any bytes; protobuf strings must be
 * UTF-8, and receivers refuse a whole profile over one that is not. No state; thread-safe.
 */
#ifndef AGENT_CLEAN_TEXT_H
#define AGENT_CLEAN_TEXT_H

/* Where the text is not UTF-8, every byte beyond ASCII becomes '?'; control characters always do.
 */
void clean_text(char *s);

#endif
