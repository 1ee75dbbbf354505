/* SPDX-License-Identifier: Apache-2.0 */
#include "server/profile_check.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/compress.h"
#include "symbolizer/pprof.h"

enum { ARENA_CAP = 1 << 30 };

static int check_profile(struct str raw, size_t *total, struct err *e)
{
	struct buf identity = BUF_INIT(pprof_limits_default.identity_bytes);
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct pprof decoded;
	int r = -1;

	if (decompress_any(raw, &identity, e) == 0)
		r = pprof_decode(buf_str(&identity), &pprof_limits_default, &arena, &decoded, e);
	*total += identity.n;
	arena_deinit(&arena);
	buf_deinit(&identity);
	return r;
}

static int check_series(const struct push_series *s, size_t *total, struct err *e)
{
	for (size_t i = 0; i < s->profile_count; i++) {
		if (check_profile(s->profiles[i].raw, total, e) < 0)
			return err_wrap(e, "profile %zu", i);
	}
	return 0;
}

/* Small records may become large ones: what comes in at once has to fit in the head. */
int profile_check(const struct push_request *rq, size_t max_bytes, struct err *e)
{
	size_t total = 0;

	for (size_t i = 0; i < rq->series_count; i++) {
		if (check_series(&rq->series[i], &total, e) < 0)
			return err_wrap(e, "series %zu", i);
		if (total > max_bytes)
			return err_set(e, ERR_TOO_LARGE,
				       "the profiles of this push have more than %zu bytes when "
				       "decompressed; push fewer at once",
				       max_bytes);
	}
	return 0;
}
