/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler that burns CPU on top of what it interrupted: burn_in_handler <- on_tick <- (the kernel's
 * signal frame) <- inner <- outer <- main. With "alternate" the handler has a stack of its own.
 */
#include "victim.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

enum { TICK_US = 4000 };

static uint64_t handled;

NOIPA uint64_t burn_in_handler(uint64_t x)
{
	for (int i = 0; i < 50; i++)
		x = victim_burn(x);
	return x;
}

static NOIPA void on_tick(int number)
{
	handled = burn_in_handler(handled + (uint64_t)number);
	__asm__ volatile("" : : : "memory");
}

NOIPA uint64_t inner(uint64_t x)
{
	for (int i = 0; i < 1000; i++)
		x = victim_burn(x);
	return x;
}

NOIPA uint64_t outer(uint64_t x)
{
	x = inner(x);
	KEEP(x);
	return x;
}

int main(int argc, char **argv)
{
	struct itimerval every = {{0, TICK_US}, {0, TICK_US}};
	struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
	stack_t stack = {.ss_sp = malloc(64 << 10), .ss_size = 64 << 10};
	uint64_t x = 1;

	victim_start(argc, argv);
	if (argc > 2 && strcmp(argv[2], "alternate") == 0) {
		action.sa_flags |= SA_ONSTACK;
		if (!stack.ss_sp || sigaltstack(&stack, NULL) != 0)
			return 1;
	}
	if (sigaction(SIGPROF, &action, NULL) != 0 || setitimer(ITIMER_PROF, &every, NULL) != 0)
		return 1;
	victim_ready();
	while (victim_goes_on())
		x = outer(x);
	return x == 0;
}
