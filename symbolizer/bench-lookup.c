/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks up addresses (hexadecimal, one a line on stdin) in an index: bench-lookup F.uhx prints
 * "address TAB depth" and, for each frame, innermost first, TAB name TAB file:line. With -t it prints
 * nothing but the time of one lookup, over all addresses. Used by tests/diff and the benchmarks.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "symbolizer/uhx_reader.h"
#include <inttypes.h>
#include <stdio.h>

enum { ADDRESSES_MAX = 1 << 24, ROUNDS = 5 };

static size_t read_addresses(uint64_t **ret)
{
	char line[128];
	size_t cap = 0;
	size_t n = 0;

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t address;

		if (!str_hex_to_u64(str_trim(str_from(line)), &address))
			continue;
		if (mem_grow(ret, &cap, n + 1, sizeof(**ret), ADDRESSES_MAX))
			break;
		(*ret)[n++] = address;
	}
	return n;
}

static void print(const struct frames *f, uint64_t address)
{
	printf("0x%" PRIx64 "\t%zu", address, f->n);
	for (size_t i = 0; i < f->n; i++)
		printf("\t" STR_FMT "\t" STR_FMT ":%u", STR_ARG(f->frame[i].system_name),
		       STR_ARG(f->frame[i].file), f->frame[i].line);
	putchar('\n');
}

static void measure(const struct uhx *u, const uint64_t *addresses, size_t n, struct frames *f)
{
	uint64_t start = clock_mono_ns();
	uint64_t frames = 0;

	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < n; i++) {
			uhx_lookup(u, addresses[i], f);
			frames += f->n;
		}
	printf("%.1f ns per address, %.2f frames\n",
	       (double)(clock_mono_ns() - start) / ROUNDS / (double)MAX(n, 1),
	       (double)frames / ROUNDS / (double)MAX(n, 1));
}

int main(int argc, char **argv)
{
	static struct frames frames;
	_cleanup_(uhx_unrefp) struct uhx *u = NULL;
	_cleanup_free_ uint64_t *addresses = NULL;
	bool timed = argc == 3 && str_is(str_from(argv[1]), "-t");
	struct err e = ERR_INIT;
	size_t n;

	if (argc != 2 + timed || uhx_open(argv[1 + timed], &u, &e)) {
		fprintf(stderr, "bench-lookup: %s\n", argc == 2 + timed ? e.msg : "usage: [-t] F.uhx <ADDRESSES");
		return 2;
	}
	n = read_addresses(&addresses);
	if (timed) {
		measure(u, addresses, n, &frames);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		uhx_lookup(u, addresses[i], &frames);
		print(&frames, addresses[i]);
	}
	return 0;
}
