/* SPDX-License-Identifier: Apache-2.0 */
/* Time, from one place, so that tests can move it. Thread-safe. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
/* What this thread has used of the processor; for figures that other work must not change. Not shifted. */
uint64_t clock_thread_cpu_ns(void);
int64_t clock_unix_s(void);
int64_t clock_unix_ns(void);
/* Test hook: added to every answer above, in milliseconds. */
void clock_shift_ms(int64_t by);
/* RFC 3339 in UTC with milliseconds; out holds 32 bytes. */
void clock_rfc3339(int64_t unix_ns, char out[static 32]);
/* Unix seconds (fraction allowed) or RFC 3339; false where neither. */
bool clock_parse(const char *s, int64_t *ret_unix_ns);

#endif
