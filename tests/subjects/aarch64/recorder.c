/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs every chain once for each of its instructions, with a breakpoint there. When it is first
 * hit, registers and what of the stack has changed since are written to standard output:
 *
 *   load HEX                  where the program's first byte lies
 *   top HEX                   the stack's end
 *   chain NAME                begins one
 *   at PC SP X29 X30          begins a record
 *   w ADDRESS WORD...         words of the stack that are no longer what they were (first: 0)
 *
 * Neither libc nor relocations: position-independent, for Linux on aarch64.
 */
#include "context.h"

/* Hidden: found by distance, not by way of a table that somebody would have to relocate. */
#pragma GCC visibility push(hidden)
extern unsigned __start_chain_restorer[], __stop_chain_restorer[];
extern void restorer(void);
extern const char __ehdr_start[];
void record_all(unsigned long top);
#pragma GCC visibility pop

enum { WRITE = 64, SIGALTSTACK = 132, SIGACTION = 134, MPROTECT = 226, EXIT = 93 };
enum { ILL = 4, TRAP = 5, SA_SIGINFO = 4, SA_RESTORER = 0x04000000, SA_ONSTACK = 0x08000000 };
enum { STACK_WORDS = 4096, BREAKPOINT = (int)0xd4200000 };

typedef unsigned outer_fn(unsigned n);
typedef void handler_fn(int number, void *info, void *context);

static struct {
	unsigned long top;
	unsigned long stack[STACK_WORDS]; /* below top, as last written */
	unsigned *place;		  /* of the breakpoint */
	unsigned instruction;		  /* that belongs there */
	unsigned n;
	char out[4096];
} recorder;

static char other_stack[65536] __attribute__((aligned(16)));

static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

static void flush(void)
{
	if (call(WRITE, 1, (long)recorder.out, recorder.n, 0) != (long)recorder.n)
		call(EXIT, 1, 0, 0, 0);
	recorder.n = 0;
}

static void put(const char *s)
{
	while (*s) {
		recorder.out[recorder.n++] = *s++;
		if (recorder.n == sizeof(recorder.out))
			flush();
	}
}

static void put_hex(unsigned long n)
{
	char digits[18];
	char *p = &digits[17];

	*p = 0;
	do {
		*--p = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n);
	*--p = ' ';
	put(p);
}

static void put_stack(unsigned long sp)
{
	unsigned long *word = (unsigned long *)sp;
	int is_open = 0;

	if (recorder.top - sp > sizeof(recorder.stack))
		call(EXIT, 2, 0, 0, 0);
	for (; (unsigned long)word < recorder.top; word++) {
		unsigned long *last = &recorder.stack[STACK_WORDS - (recorder.top - (unsigned long)word) / 8];

		if (*word != *last) {
			if (!is_open) {
				put("w");
				put_hex((unsigned long)word);
			}
			put_hex(*word);
			*last = *word;
			is_open = 1;
		} else if (is_open) {
			put("\n");
			is_open = 0;
		}
	}
	if (is_open)
		put("\n");
}

static void write_code(unsigned *place, unsigned instruction)
{
	*(volatile unsigned *)place = instruction;
	__asm__ volatile("dc cvau, %0; dsb ish; ic ivau, %0; dsb ish; isb" : : "r"(place) : "memory");
}

static void hit(int number, void *info, void *context)
{
	struct context *c = context;

	(void)number;
	(void)info;
	if (c->pc != (unsigned long)recorder.place)
		call(EXIT, 3, 0, 0, 0);
	write_code(recorder.place, recorder.instruction);
	put("at");
	put_hex(c->pc);
	put_hex(c->sp);
	put_hex(c->x[29]);
	put_hex(c->x[30]);
	put("\n");
	put_stack(c->sp);
}

static void handle(int number, handler_fn *handler, long flags)
{
	struct {
		handler_fn *handler;
		long flags;
		void (*restorer)(void);
		long mask;
	} action = {handler, flags | SA_SIGINFO | SA_RESTORER, restorer, 0};

	if (call(SIGACTION, number, (long)&action, 0, 8) != 0)
		call(EXIT, 4, 0, 0, 0);
}

static void record_range(outer_fn *outer, unsigned *begin, unsigned *end)
{
	unsigned long page = (unsigned long)begin & ~4095ul;

	if (call(MPROTECT, (long)page, (long)((unsigned long)end - page), 7, 0) != 0)
		call(EXIT, 5, 0, 0, 0);
	for (unsigned *p = begin; p < end; p++) {
		recorder.place = p;
		recorder.instruction = *p;
		write_code(p, (unsigned)BREAKPOINT);
		outer(100);
		write_code(p, recorder.instruction);
	}
}

static void record_chain(const char *name, outer_fn *outer, handler_fn *handler, unsigned *begin,
			 unsigned *end)
{
	put("chain ");
	put(name);
	put("\n");
	handle(ILL, handler, 0);
	record_range(outer, begin, end);
	record_range(outer, __start_chain_restorer, __stop_chain_restorer);
}

#define RECORD(chain)                                                                              \
	do {                                                                                       \
		_Pragma("GCC visibility push(hidden)")                                             \
		extern outer_fn chain##_outer;                                                     \
		extern handler_fn chain##_handler;                                                 \
		extern unsigned __start_chain_##chain[], __stop_chain_##chain[];                   \
		_Pragma("GCC visibility pop")                                                      \
		record_chain(#chain, chain##_outer, chain##_handler, __start_chain_##chain,        \
			     __stop_chain_##chain);                                                \
	} while (0)

void record_all(unsigned long top)
{
	struct {
		void *p;
		long flags, size;
	} stack = {0, 0, sizeof(other_stack)};

	stack.p = other_stack; // as an initializer it would come with a relocation
	__asm__ volatile("" : "+m"(stack));
	if (call(SIGALTSTACK, (long)&stack, 0, 0, 0) != 0)
		call(EXIT, 6, 0, 0, 0);
	handle(TRAP, hit, SA_ONSTACK);
	recorder.top = top;
	put("load");
	put_hex((unsigned long)__ehdr_start);
	put("\ntop");
	put_hex(top);
	put("\n");
	RECORD(gcc);
	RECORD(gcc_bare);
	RECORD(gcc_signed);
	RECORD(clang);
	RECORD(clang_bare);
	flush();
}
