/* SPDX-License-Identifier: Apache-2.0 */
/* bench-pprof FILE [ROUNDS]: how long decoding, encoding and gzip of one profile take. */
#include "base/clock.h"
#include "base/compress.h"
#include "base/io.h"
#include "symbolizer/pprof.h"
#include <stdio.h>

enum { ROUNDS = 20, GZIP_LEVEL = 6 };

struct timing {
	uint64_t best;
	uint64_t sum;
};

static void note(struct timing *t, uint64_t since)
{
	uint64_t took = clock_mono_ns() - since;

	t->best = t->best ? MIN(t->best, took) : took;
	t->sum += took;
}

static void report(const char *what, const struct timing *t, uint64_t rounds)
{
	printf("%-12s best %8.3f ms   mean %8.3f ms\n", what, (double)t->best / 1e6,
	       (double)t->sum / 1e6 / (double)rounds);
}

static int run_round(struct str packed, struct timing t[4], struct err *e)
{
	struct buf identity = BUF_INIT(MIB(256));
	struct buf encoded = BUF_INIT(MIB(256));
	struct buf gzip = BUF_INIT(MIB(256));
	struct arena arena = ARENA_INIT(GIB(1));
	struct pprof p;
	uint64_t at = clock_mono_ns();
	int r = decompress_any(packed, &identity, e);

	note(&t[0], at);
	at = clock_mono_ns();
	r = r ? r : pprof_decode(buf_str(&identity), &pprof_limits_default, &arena, &p, e);
	note(&t[1], at);
	at = clock_mono_ns();
	r = r ? r : pprof_encode(&p, &encoded, e);
	note(&t[2], at);
	at = clock_mono_ns();
	r = r ? r : gzip_compress(buf_str(&encoded), GZIP_LEVEL, &gzip, e);
	note(&t[3], at);
	if (!r && t[0].sum == t[0].best)
		printf("samples %zu, locations %zu, functions %zu; identity %zu bytes in, %zu out, "
		       "gzip %zu; arena %zu\n",
		       p.sample_count, p.location_count, p.function_count, identity.n, encoded.n,
		       gzip.n, arena.used);
	buf_deinit(&identity);
	buf_deinit(&encoded);
	buf_deinit(&gzip);
	arena_deinit(&arena);
	return r;
}

static int bench(const char *path, uint64_t rounds, struct err *e)
{
	struct buf file = BUF_INIT(MIB(256));
	struct timing t[4] = {0};
	int r = io_read_file(path, &file, e);

	for (uint64_t i = 0; !r && i < rounds; i++)
		r = run_round(buf_str(&file), t, e);
	buf_deinit(&file);
	if (r)
		return r;
	report("decompress", &t[0], rounds);
	report("decode", &t[1], rounds);
	report("encode", &t[2], rounds);
	report("gzip", &t[3], rounds);
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	uint64_t rounds = ROUNDS;

	if (argc < 2 || (argc > 2 && !str_to_u64(str_from(argv[2]), 1000000, &rounds)) || !rounds) {
		fprintf(stderr, "usage: bench-pprof FILE [ROUNDS]\n");
		return EXIT_USAGE;
	}
	if (bench(argv[1], rounds, &e)) {
		fprintf(stderr, "bench-pprof: %s\n", e.msg);
		return err_exit_code(e.kind);
	}
	return EXIT_OK;
}
