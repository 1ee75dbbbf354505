/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a request's head that we read ourselves: target, Accept-Encoding, Range. Whatever
 * comes, decoded parts lie inside the decoded path, a range inside the size, a weight below 1001.
 */
#include "server/negotiate.h"
#include "server/target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE = 1000 };

static void check_range(struct str header)
{
	uint64_t off = 0;
	uint64_t len = 0;

	if (range_parse(header, SIZE, &off, &len) == RANGE_ONE &&
	    (!len || !range_fits(off, len, SIZE)))
		abort();
}

static void check_target(const struct target *t)
{
	for (size_t i = 0; i < t->segment_count; i++) {
		struct str tail = target_tail(t, i);

		if (tail.n < t->segments[i].n || tail.p + tail.n != t->path.p + t->path.n)
			abort();
	}
	if (memchr(t->path.p, '\0', t->path.n))
		abort();
	(void)target_has_dots(t, t->segment_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct arena arena = ARENA_INIT(1 << 20);
	struct err e = ERR_INIT;
	struct target t;

	if (target_parse(&arena, text, &t, &e) == 0)
		check_target(&t);
	else if (!e.msg[0])
		abort();
	check_range(text);
	if (accept_weight(text, "zstd") > 1000)
		abort();
	arena_deinit(&arena);
	return 0;
}
