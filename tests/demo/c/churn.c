/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A C workload that nobody uploads: stripped, so its frames stay hex, and the missing list names it with
 * the command that would help.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static __attribute__((noinline)) uint64_t scramble(uint64_t x)
{
	for (int i = 0; i < 64; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

static __attribute__((noinline)) uint64_t churn(uint64_t seed, int rounds)
{
	uint64_t sum = 0;

	for (int i = 0; i < rounds; i++)
		sum += scramble(seed + (uint64_t)i);
	return sum;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double end = now() + (argc > 1 ? atof(argv[1]) : 10);
	uint64_t sum = 1;

	while (now() < end)
		sum += churn(sum, 1000);
	printf("churn: %llu\n", (unsigned long long)sum);
	return 0;
}
