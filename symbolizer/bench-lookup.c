/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-lookup INDEX [ROUNDS [WAY]] < ADDRESSES
 *
 * Processor time per lookup in this process: the addresses (hexadecimal, one per line) in the order given,
 * all of them per round, the fastest and the median round; "first" is the first round of its way.
 * The ways: "chain" gives the inline chain by ids, "batch" the same for many at once, "strings" fills
 * struct frames with names and files as every user does.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "symbolizer/uhx_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESSES_MAX = 10 * 1000 * 1000, ROUNDS = 11, ROUNDS_MAX = 1000 };

struct result {
	uint64_t hits;
	uint64_t frames;
	uint64_t sum; // of what was found: it is read, as a user would
};

static uint64_t *read_addresses(size_t *ret_n)
{
	uint64_t *addresses = NULL;
	size_t cap = 0;
	size_t n = 0;
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t va;

		if (!str_hex_to_u64(str_trim(str_from(line)), &va))
			continue;
		if (mem_grow(&addresses, &cap, n + 1, sizeof(*addresses), ADDRESSES_MAX))
			break;
		addresses[n++] = va;
	}
	*ret_n = n;
	return addresses;
}

// One after the other, by ids: functions and lines.
static struct result by_ids(const struct uhx *u, const uint64_t *addresses, size_t n)
{
	static struct uhx_chain chain;
	struct result r = {0};

	for (size_t i = 0; i < n; i++) {
		uhx_chain(u, addresses[i], false, &chain);
		r.hits += chain.n > 0;
		r.frames += chain.n;
		for (size_t k = 0; k < chain.n; k++)
			r.sum += chain.place[k].function + chain.place[k].line;
	}
	return r;
}

static void take_chain(void *ctx, size_t i, const struct uhx_chain *chain)
{
	struct result *r = ctx;

	(void)i;
	r->hits += chain->n > 0;
	r->frames += chain->n;
	for (size_t k = 0; k < chain->n; k++)
		r->sum += chain->place[k].function + chain->place[k].line;
}

// Many at once, by ids.
static struct result batched(const struct uhx *u, const uint64_t *addresses, size_t n)
{
	struct result r = {0};

	uhx_chain_many(u, addresses, n, false, take_chain, &r);
	return r;
}

// One after the other, with all names and files in hand.
static struct result with_strings(const struct uhx *u, const uint64_t *addresses, size_t n)
{
	static struct frames frames;
	struct result r = {0};

	for (size_t i = 0; i < n; i++) {
		uhx_lookup(u, addresses[i], &frames);
		r.hits += frames.n > 0;
		r.frames += frames.n;
		for (size_t k = 0; k < frames.n; k++)
			r.sum += frames.frame[k].function.n + frames.frame[k].file.n;
	}
	return r;
}

typedef struct result way(const struct uhx *u, const uint64_t *addresses, size_t n);

static const struct {
	const char *name;
	way *look_up;
} ways[] = {
	{"chain", by_ids},
	{"batch", batched},
	{"strings", with_strings},
};

static int compare(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

static void measure(const struct uhx *u, const char *name, way *look_up, const uint64_t *addresses,
		    size_t n, size_t rounds)
{
	double ns[ROUNDS_MAX];
	struct result r = {0};
	double first = 0;

	for (size_t i = 0; i < rounds; i++) {
		uint64_t start = clock_thread_cpu_ns();

		r = look_up(u, addresses, n);
		ns[i] = (double)(clock_thread_cpu_ns() - start) / (double)n;
		if (i == 0)
			first = ns[i];
	}
	qsort(ns, rounds, sizeof(ns[0]), compare);
	printf("%s ns/lookup: first %.1f fastest %.1f median %.1f hits %" PRIu64 " frames %" PRIu64
	       " sum %" PRIu64 "\n",
	       name, first, ns[0], ns[rounds / 2], r.hits, r.frames, r.sum);
}

static bool is_wanted(const char *name, const char *only)
{
	return !only || strcmp(name, only) == 0;
}

int main(int argc, char **argv)
{
	_cleanup_(uhx_unrefp) struct uhx *u = NULL;
	_cleanup_free_ uint64_t *addresses = NULL;
	uint64_t rounds = ROUNDS;
	struct err e = ERR_INIT;
	size_t n = 0;

	if (argc < 2 || argc > 4 ||
	    (argc >= 3 && (!str_to_u64(str_from(argv[2]), ROUNDS_MAX, &rounds) || !rounds))) {
		fprintf(stderr, "usage: bench-lookup INDEX [ROUNDS [chain|batch|strings]] < ADDRESSES\n");
		return EXIT_USAGE;
	}
	if (uhx_open(argv[1], &u, &e)) {
		fprintf(stderr, "bench-lookup: %s\n", e.msg);
		return err_exit_code(e.kind);
	}
	addresses = read_addresses(&n);
	if (!n) {
		fprintf(stderr, "bench-lookup: no addresses on standard input\n");
		return EXIT_NOT_FOUND;
	}
	printf("addresses %zu index_bytes %" PRIu64 " cold_bytes %" PRIu64 " rows %" PRIu64 " rounds %" PRIu64 "\n",
	       n, uhx_info(u)->file_size, uhx_info(u)->cold_size, uhx_info(u)->rows, rounds);
	for (size_t i = 0; i < countof(ways); i++)
		if (is_wanted(ways[i].name, argc == 4 ? argv[3] : NULL))
			measure(u, ways[i].name, ways[i].look_up, addresses, n, (size_t)rounds);
	return EXIT_OK;
}
