/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-pprof PROFILE [ROUNDS [INDEX]]
 *
 * What one profile costs from pprof to pprof, step by step: CPU time (user and system) of this process,
 * the best and the median round. INDEX (unhex-indexer -o INDEX ELF) is the open, warm index behind every
 * mapping that names a build-ID; without it nothing is named. One round is one pass over each step and no
 * more, so that two runs of different ROUNDS under callgrind give the instructions of a round.
 */
#include "base/clock.h"
#include "base/compress.h"
#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/pprof.h"
#include "symbolizer/pprof_symbolize.h"
#include "symbolizer/uhx_reader.h"
#include <stdio.h>
#include <time.h>

enum { ROUNDS = 20, ROUNDS_MAX = 10000 };
// As in the server: server/door_symbolize.c, server/main.c.
enum { ZSTD_LEVEL = 1, FREED_KEPT = 16 << 20 };

// The last three are sums of those before, round by round: what the whole way costs.
enum step { GUNZIP, UNZSTD, DECODE, SYMBOLIZE, ENCODE, GZIP, ZSTD, WORK, VIA_GZIP, VIA_ZSTD, STEPS };

static const char *const step_names[STEPS] = {
	[GUNZIP] = "gunzip", [UNZSTD] = "unzstd", [DECODE] = "decode",     [SYMBOLIZE] = "symbolize",
	[ENCODE] = "encode", [GZIP] = "gzip",     [ZSTD] = "zstd",         [WORK] = "work",
	[VIA_GZIP] = "via_gzip", [VIA_ZSTD] = "via_zstd",
};

struct bench {
	struct buf gzip_in;
	struct buf zstd_in;
	struct uhx *index;
	uint64_t rounds;
	uint64_t *ns[STEPS]; // by round
};

// Everything of one round dies with it, as in a request.
struct round {
	struct buf identity;
	struct buf unzstd;
	struct buf encoded;
	struct buf gzip;
	struct buf zstd;
	struct arena arena;
	struct pprof p;
	struct symbolize_stats stats;
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// ---- the resolver: one index behind every build-ID -----------------------------------------------

static int find_module(void *ctx, struct str build_id UNUSED, struct module *ret, struct err *e UNUSED)
{
	*ret = (struct module){.status = MODULE_MISSING};
	if (ctx)
		*ret = (struct module){.status = MODULE_OK, .headers = uhx_info(ctx)->headers,
				       .handle = ctx};
	return 0;
}

static int look_up(void *ctx UNUSED, const struct module *m, uint64_t va, struct frames *ret,
		   struct err *e UNUSED)
{
	uhx_lookup(m->handle, va, ret);
	return 0;
}

static void release(void *ctx UNUSED, struct module *m UNUSED)
{
}

// ---- one round -----------------------------------------------------------------------------------

static int symbolize(struct bench *b, struct round *r, struct err *e)
{
	const struct resolver resolver = {b->index, find_module, look_up, release};
	const struct symbolize_options options = {.rename = RENAME_BETTER};

	return pprof_symbolize(&r->p, &resolver, &options, &r->stats, e);
}

static int run_step(struct bench *b, struct round *r, enum step step, struct err *e)
{
	switch (step) {
	case GUNZIP:
		return gzip_decompress(buf_str(&b->gzip_in), &r->identity, e);
	case UNZSTD:
		return zstd_decompress(buf_str(&b->zstd_in), &r->unzstd, e);
	case DECODE:
		return pprof_decode(buf_str(&r->identity), &pprof_limits_default, &r->arena, &r->p, e);
	case SYMBOLIZE:
		return symbolize(b, r, e);
	case ENCODE:
		return pprof_encode(&r->p, &r->encoded, e);
	case GZIP:
		return gzip_compress_fast(buf_str(&r->encoded), &r->gzip, e);
	default:
		return zstd_compress(buf_str(&r->encoded), ZSTD_LEVEL, &r->zstd, e);
	}
}

static void add_up(struct bench *b, uint64_t i)
{
	b->ns[WORK][i] = b->ns[DECODE][i] + b->ns[SYMBOLIZE][i] + b->ns[ENCODE][i];
	b->ns[VIA_GZIP][i] = b->ns[GUNZIP][i] + b->ns[WORK][i] + b->ns[GZIP][i];
	b->ns[VIA_ZSTD][i] = b->ns[UNZSTD][i] + b->ns[WORK][i] + b->ns[ZSTD][i];
}

static void describe(const struct bench *b, const struct round *r)
{
	printf("profile: samples %zu locations %zu named %zu functions %zu arena %zu\n",
	       r->p.sample_count, r->stats.locations, r->stats.resolved, r->p.function_count,
	       r->arena.used);
	printf("bytes: gzip_in %zu zstd_in %zu plain_in %zu plain_out %zu gzip_out %zu zstd_out %zu\n",
	       b->gzip_in.n, b->zstd_in.n, r->identity.n, r->encoded.n, r->gzip.n, r->zstd.n);
}

static int run_round(struct bench *b, uint64_t number, struct err *e)
{
	struct round r = {
		.identity = BUF_INIT(MIB(256)),
		.unzstd = BUF_INIT(MIB(256)),
		.encoded = BUF_INIT(MIB(256)),
		.gzip = BUF_INIT(MIB(256)),
		.zstd = BUF_INIT(MIB(256)),
		.arena = ARENA_INIT(GIB(1)),
	};
	int rc = 0;

	for (enum step step = GUNZIP; step <= ZSTD && !rc; step++) {
		uint64_t at = cpu_ns();

		rc = run_step(b, &r, step, e);
		b->ns[step][number] = cpu_ns() - at;
	}
	if (!rc)
		add_up(b, number);
	if (!rc && number == 0)
		describe(b, &r);
	arena_deinit(&r.arena);
	buf_deinit(&r.identity);
	buf_deinit(&r.unzstd);
	buf_deinit(&r.encoded);
	buf_deinit(&r.gzip);
	buf_deinit(&r.zstd);
	return rc;
}

// ---- all of them ---------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x > *y) - (*x < *y);
}

static void report(const char *what, uint64_t *ns, uint64_t rounds)
{
	qsort(ns, rounds, sizeof(*ns), compare);
	printf("%-10s best %8.3f ms   median %8.3f ms\n", what, (double)ns[0] / 1e6,
	       (double)ns[rounds / 2] / 1e6);
}

// The profile in both encodings, whichever it came in.
static int read_profile(struct bench *b, const char *path, struct err *e)
{
	struct buf file = BUF_INIT(MIB(256));
	struct buf plain = BUF_INIT(MIB(256));
	int rc = io_read_file(path, &file, e);

	if (!rc)
		rc = decompress_any(buf_str(&file), &plain, e);
	if (!rc && encoding_sniff(buf_str(&file)) == ENCODING_GZIP)
		buf_append_str(&b->gzip_in, buf_str(&file));
	else if (!rc)
		rc = gzip_compress_fast(buf_str(&plain), &b->gzip_in, e);
	if (!rc)
		rc = zstd_compress(buf_str(&plain), ZSTD_LEVEL, &b->zstd_in, e);
	buf_deinit(&file);
	buf_deinit(&plain);
	return rc;
}

static int run_rounds(struct bench *b, struct err *e)
{
	for (size_t i = 0; i < STEPS; i++) {
		b->ns[i] = mem_calloc(b->rounds, sizeof(**b->ns));
		if (!b->ns[i])
			return err_nomem(e);
	}
	for (uint64_t i = 0; i < b->rounds; i++) {
		if (run_round(b, i, e))
			return -1;
	}
	for (size_t i = 0; i < STEPS; i++)
		report(step_names[i], b->ns[i], b->rounds);
	return 0;
}

static int run_bench(struct bench *b, const char *profile, const char *index, struct err *e)
{
	if (read_profile(b, profile, e) || (index && uhx_open(index, &b->index, e)))
		return -1;
	return run_rounds(b, e);
}

int main(int argc, char **argv)
{
	struct bench b = {
		.gzip_in = BUF_INIT(MIB(256)), .zstd_in = BUF_INIT(MIB(256)), .rounds = ROUNDS};
	struct err e = ERR_INIT;
	int rc;

	if (argc < 2 || argc > 4 ||
	    (argc > 2 && (!str_to_u64(str_from(argv[2]), ROUNDS_MAX, &b.rounds) || !b.rounds))) {
		fprintf(stderr, "usage: bench-pprof PROFILE [ROUNDS [INDEX]]\n");
		return EXIT_USAGE;
	}
	mem_keep_freed(FREED_KEPT);
	rc = run_bench(&b, argv[1], argc > 3 ? argv[3] : NULL, &e);
	if (rc)
		fprintf(stderr, "bench-pprof: %s\n", e.msg);
	for (size_t i = 0; i < STEPS; i++)
		free(b.ns[i]);
	uhx_unref(b.index);
	buf_deinit(&b.gzip_in);
	buf_deinit(&b.zstd_in);
	return rc ? err_exit_code(e.kind) : EXIT_OK;
}
