/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Through libc and back: main -> sort_all -> qsort (libc, its own frames) -> compare -> weigh; and
 * leaves inside libc and libm: main -> copy_all -> memcpy, main -> roots -> cbrt.
 */
#include "victim.h"

#include <math.h>
#include <string.h>

enum { ITEMS = 64, BYTES = 1 << 20 };

char from[BYTES], to[BYTES]; /* not static: copies of it have to be made */

NOIPA int weigh(int a, int b)
{
	uint64_t x = (uint64_t)a;

	for (int i = 0; i < 2000; i++) {
		x = x * 2862933555777941757u + (uint64_t)b;
		KEEP(x);
	}
	return a - b;
}

static NOIPA int compare(const void *a, const void *b)
{
	int r = weigh(*(const int *)a, *(const int *)b);

	KEEP(r);
	return r;
}

NOIPA void sort_all(void)
{
	int items[ITEMS];

	for (int i = 0; i < ITEMS; i++)
		items[i] = (i * 37) & (ITEMS - 1);
	qsort(items, ITEMS, sizeof(items[0]), compare);
	__asm__ volatile("" : : "r"(items) : "memory");
}

NOIPA void copy_all(void)
{
	for (int i = 0; i < 8; i++) {
		memcpy(to, from, sizeof(to));
		__asm__ volatile("" : : : "memory");
	}
}

NOIPA double roots(double x)
{
	double sum = 0;

	for (int i = 0; i < 20 * 1000; i++)
		sum += cbrt(x + i);
	return sum;
}

int main(int argc, char **argv)
{
	double sum = 0;

	victim_start(argc, argv);
	victim_ready();
	while (victim_goes_on()) {
		sort_all();
		copy_all();
		sum += roots(sum);
	}
	return sum == 1;
}
