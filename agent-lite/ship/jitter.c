/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/jitter.h"

#include <sys/random.h>

enum {
	SPREAD = 10,	 // a tenth of the interval, up or down
	FIRST_SHARE = 5, // the first window is at least a fifth
};

uint64_t jitter_between(uint64_t low, uint64_t high)
{
	uint64_t random = 0;

	// Early in boot there may be no randomness yet; waiting for it is not worth it.
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = 0;
	return low + random % (high - low + 1);
}

uint64_t jitter_interval(uint64_t interval_ms)
{
	return jitter_between(interval_ms - interval_ms / SPREAD, interval_ms + interval_ms / SPREAD);
}

uint64_t jitter_first_interval(uint64_t interval_ms)
{
	return jitter_between(interval_ms / FIRST_SHARE, interval_ms);
}
