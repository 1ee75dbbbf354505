/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One chain of calls, compiled several times: by each compiler, with the flags that shape frames.
 * outer, wide, middle, inner, leaf; there a signal strikes; restorer, handler, handled. CHAIN says
 * what the functions' names begin with: each chain has a section of its own.
 */
#include "context.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(s) #s
#define TEXT(s) TEXT_(s)
#define NAME(f) JOIN(CHAIN, JOIN(_, f))
#define CODE __attribute__((noinline, section("chain_" TEXT(CHAIN))))
#define TOUCH(p) __asm__ volatile("" : : "r"(p) : "memory")

/* No frame. */
CODE unsigned NAME(handled)(unsigned n)
{
	__asm__ volatile("" : "+r"(n));
	return n * 5;
}

CODE void NAME(handler)(int number, void *info, void *context)
{
	struct context *c = context;

	(void)info;
	NAME(handled)((unsigned)number);
	c->pc += 4;
}

/* No frame, either; `udf` is struck by a signal. */
CODE unsigned NAME(leaf)(unsigned n)
{
	__asm__ volatile("udf #0" : "+r"(n) : : "memory");
	return n * 3;
}

/* More than 4 KiB, and registers to be saved. */
CODE unsigned NAME(inner)(unsigned n)
{
	char large[5000];
	unsigned a;

	TOUCH(large);
	a = NAME(leaf)(n);
	TOUCH(large);
	return NAME(leaf)(a) + a + n;
}

/* Without frame pointers it saves the link register alone. */
CODE unsigned NAME(middle)(unsigned n)
{
	return NAME(inner)(n + 1) ^ 1;
}

/* More than 1 KiB, and of the saved registers the link register alone. */
CODE unsigned NAME(wide)(unsigned n)
{
	char buffer[1500];

	TOUCH(buffer);
	n = NAME(middle)(n);
	TOUCH(buffer);
	return n;
}

/* Its frame's size is known when it runs: it counts from x29. */
CODE unsigned NAME(outer)(unsigned n)
{
	char sized[n];

	TOUCH(sized);
	n = NAME(wide)(n);
	TOUCH(sized);
	return n ^ 2;
}
