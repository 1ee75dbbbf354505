/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the victims of the agent's tests share. A victim says "ready", then burns CPU in a call chain
 * that tests/e2e/agent_victims.py knows, until its time (argv[1], seconds) is over. NOIPA keeps a
 * function a function of its own; KEEP() behind a call keeps the call from becoming a jump.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOIPA __attribute__((noipa))
#define KEEP(x) __asm__ volatile("" : "+r"(x))

enum { ROUNDS = 40 * 1000 }; /* tens of microseconds: what is between two of them hardly shows */

/* The name it was built under: two programs of one source are two, with build-IDs of their own. */
__attribute__((used)) static const char victim_name[] = VICTIM;

static double victim_end;

static inline double victim_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void victim_start(int argc, char **argv)
{
	victim_end = victim_now() + (argc > 1 ? strtod(argv[1], NULL) : 1);
}

static inline void victim_ready(void)
{
	puts("ready");
	fflush(stdout);
}

static inline bool victim_goes_on(void)
{
	return victim_now() < victim_end;
}

static inline __attribute__((always_inline)) uint64_t victim_burn(uint64_t x)
{
	for (int i = 0; i < ROUNDS; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		KEEP(x);
	}
	return x;
}

/* What main() does in most of them: step() until the time is over. Inlined, so it has no frame. */
static inline __attribute__((always_inline)) int victim_run(int argc, char **argv,
							     uint64_t (*step)(uint64_t x))
{
	uint64_t x = 1;

	victim_start(argc, argv);
	victim_ready();
	while (victim_goes_on())
		x = step(x);
	return x == 0;
}

#endif
