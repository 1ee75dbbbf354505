/* SPDX-License-Identifier: Apache-2.0 */
/* More frames than a stack may have in a profile: main -> dive, 300 times (or argv[2]) -> inner. */
#include "victim.h"

enum { DEPTH = 300 };

NOIPA uint64_t inner(uint64_t x)
{
	return victim_burn(x);
}

NOIPA uint64_t dive(uint64_t x, int depth)
{
	x = depth > 1 ? dive(x, depth - 1) : inner(x);
	KEEP(x);
	return x;
}

int main(int argc, char **argv)
{
	int depth = argc > 2 ? (int)strtol(argv[2], NULL, 10) : DEPTH;
	uint64_t x = 1;

	victim_start(argc, argv);
	victim_ready();
	while (victim_goes_on())
		x = dive(x, depth);
	return x == 0;
}
