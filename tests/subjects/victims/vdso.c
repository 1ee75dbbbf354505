/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves in the vdso: main -> ask_the_time -> clock_gettime (libc) -> [vdso]. */
#include "victim.h"

NOIPA long ask_the_time(void)
{
	struct timespec t = {0};
	long sum = 0;

	for (int i = 0; i < 1000; i++) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		sum += t.tv_nsec;
	}
	return sum;
}

int main(int argc, char **argv)
{
	long sum = 0;

	victim_start(argc, argv);
	victim_ready();
	while (victim_goes_on())
		sum += ask_the_time();
	return sum == 1;
}
