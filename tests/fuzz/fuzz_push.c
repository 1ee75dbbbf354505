/* SPDX-License-Identifier: Apache-2.0 */
// Push requests, in either form by their first byte; what was read must come back as it was.
#include "symbolizer/push_request.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void write_and_read(const struct push_request *rq)
{
	struct arena arena = ARENA_INIT(MIB(64));
	struct buf first = BUF_INIT(MIB(16));
	struct buf second = BUF_INIT(MIB(16));
	struct err e = ERR_INIT;
	struct push_request again;

	push_request_encode(rq, &first);
	check(!first.failed);
	check(push_request_decode(buf_str(&first), &arena, &again, &e) == 0);
	check(again.series_count == rq->series_count);
	push_request_encode(&again, &second);
	check(str_eq(buf_str(&first), buf_str(&second)));
	buf_deinit(&first);
	buf_deinit(&second);
	arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	struct arena arena = ARENA_INIT(MIB(64));
	struct err e = ERR_INIT;
	struct push_request rq;
	int r;

	if (size && data[0] == '{')
		r = push_request_decode_json(in, &arena, &rq, &e);
	else
		r = push_request_decode(in, &arena, &rq, &e);
	if (r == 0)
		write_and_read(&rq);
	else
		check(e.kind != ERR_NONE && e.kind != ERR_NOMEM);
	arena_deinit(&arena);
	return 0;
}
