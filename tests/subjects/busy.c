/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subject that burns CPU in a known chain: main -> outer -> middle -> inner. Prints its own mappings and
 * the run-time address of inner first, so that a test can check address arithmetic.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((noinline)) uint64_t inner(uint64_t x)
{
	// Optimized, gcc gives a function that calls none no frame, and a walk by frame pointers misses its caller.
	__asm__ volatile("" : : "r"(__builtin_frame_address(0)));
	for (int i = 0; i < 1000; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

__attribute__((noinline)) uint64_t middle(uint64_t x)
{
	uint64_t sum = 0;

	for (int i = 0; i < 100; i++)
		sum += inner(x + (uint64_t)i);
	return sum + 1;
}

__attribute__((noinline)) uint64_t outer(uint64_t x)
{
	uint64_t y = middle(x) ^ 7;

	return y + 1;
}

static void print_maps(void)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps)) {
		if (strchr(line, '/'))
			fputs(line, stdout);
	}
	if (maps)
		fclose(maps);
	printf("inner %p\n", (void *)inner);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 0;
	time_t end = time(NULL) + (time_t)seconds;
	uint64_t sum = 1;

	print_maps();
	while (seconds > 0 && time(NULL) < end)
		sum += outer(sum);
	fprintf(stderr, "%llu\n", (unsigned long long)sum);
	return 0;
}
