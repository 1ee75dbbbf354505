/* SPDX-License-Identifier: Apache-2.0 */
// pprof from anywhere: decoded, written, read again, merged with itself, symbolized, counted. What was
// read must come back as it was.
#include "base/compress.h"
#include "symbolizer/pprof_merge.h"
#include "symbolizer/pprof_symbolize.h"
#include "symbolizer/pprof_top.h"
#include "tests/unit/fake_resolver.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

// What is written is valid, and writing it again changes nothing.
static void write_and_read(const struct pprof *p)
{
	struct arena arena = ARENA_INIT(MIB(64));
	struct buf first = BUF_INIT(MIB(64));
	struct buf second = BUF_INIT(MIB(64));
	struct err e = ERR_INIT;
	struct pprof again;

	check(pprof_encode(p, &first, &e) == 0);
	check(pprof_decode(buf_str(&first), &pprof_limits_default, &arena, &again, &e) == 0);
	check(again.sample_count == p->sample_count && again.location_count == p->location_count);
	check(pprof_encode(&again, &second, &e) == 0);
	check(str_eq(buf_str(&first), buf_str(&second)));
	buf_deinit(&first);
	buf_deinit(&second);
	arena_deinit(&arena);
}

static void use(struct pprof *p)
{
	const struct pprof *twice[] = {p, p};
	const struct symbolize_options opt = {.rename = (enum rename_policy)(p->sample_count % 3)};
	struct symbolize_stats stats;
	struct err e = ERR_INIT;
	struct resolver resolver;
	struct pprof_top top;
	struct pprof merged;
	struct fake fake;

	write_and_read(p);
	check(pprof_merge(twice, 2, p->arena, &merged, &e) == 0);
	write_and_read(&merged);
	if (p->sample_type_count)
		check(pprof_top(p, pprof_default_value(p), p->arena, &top, &e) == 0);
	resolver = fake_resolver(&fake);
	if (pprof_symbolize(p, &resolver, &opt, &stats, &e) == 0)
		write_and_read(p);
	else
		check(e.kind == ERR_DB || e.kind == ERR_NOMEM);
	check(fake.opened == fake.released);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	struct arena arena = ARENA_INIT(MIB(64));
	struct buf identity = BUF_INIT(MIB(1));
	struct err e = ERR_INIT;
	struct pprof p;

	if (decompress_any(in, &identity, &e) == 0) {
		if (pprof_decode(buf_str(&identity), &pprof_limits_default, &arena, &p, &e) == 0)
			use(&p);
		else
			check(e.kind == ERR_BAD_PPROF || e.kind == ERR_TOO_LARGE);
	}
	arena_deinit(&arena);
	buf_deinit(&identity);
	return 0;
}
