/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random times, so that a fleet that was started or cut off together does not knock at the server in
 * step. Thread-safe.
 */
#ifndef AGENT_JITTER_H
#define AGENT_JITTER_H

#include "base/base.h"

/* Evenly from low to high, both included; low <= high. */
uint64_t jitter_between(uint64_t low, uint64_t high);
/* A window's length, 10 % around the interval. */
uint64_t jitter_interval(uint64_t interval_ms);
/* The first window's: hosts spread over the interval from then on. */
uint64_t jitter_first_interval(uint64_t interval_ms);

#endif
