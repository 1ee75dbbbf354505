/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main -> outer -> middle -> inner: built with frame pointers, without, static, position independent
 * and not; deleted or replaced while it runs; inside a container.
 */
#include "victim.h"

NOIPA uint64_t inner(uint64_t x)
{
#ifdef KEEP_FRAME
	// Optimized, gcc gives a function that calls none no frame, whatever the options say.
	__asm__ volatile("" : : "r"(__builtin_frame_address(0)));
#endif
	return victim_burn(x);
}

NOIPA uint64_t middle(uint64_t x)
{
	x = inner(x);
	KEEP(x);
	return x;
}

NOIPA uint64_t outer(uint64_t x)
{
	x = middle(x);
	KEEP(x);
	return x;
}

int main(int argc, char **argv)
{
	return victim_run(argc, argv, outer);
}
