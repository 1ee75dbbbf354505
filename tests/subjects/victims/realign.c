/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames whose address is not a constant away from the stack pointer: an array of variable size next to
 * one that must lie on 64 bytes (gcc keeps the frame's address in a register of its own and spills it),
 * and an argument pointer realigned on entry. main -> outer -> realigned -> entry -> inner.
 */
#include "victim.h"

#include <stdalign.h>

NOIPA uint64_t inner(volatile char *a, volatile uint64_t *b)
{
	*a = 1;
	*b = victim_burn(*b);
	return *b;
}

__attribute__((force_align_arg_pointer)) NOIPA uint64_t entry(volatile char *a, uint64_t x)
{
	alignas(32) volatile uint64_t held[4] = {x};
	uint64_t r = inner(a, held);

	KEEP(r);
	return r + held[1];
}

NOIPA uint64_t realigned(uint64_t x, size_t n)
{
	alignas(64) volatile uint64_t vector[8] = {x};
	volatile char *variable = __builtin_alloca(n);
	uint64_t r = entry(variable, vector[0]);

	KEEP(r);
	return r + vector[1];
}

NOIPA uint64_t outer(uint64_t x)
{
	x = realigned(x, 16 + (x & 255));
	KEEP(x);
	return x;
}

int main(int argc, char **argv)
{
	return victim_run(argc, argv, outer);
}
