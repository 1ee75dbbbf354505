/* SPDX-License-Identifier: Apache-2.0 */
// POST /v1/symbolize: whatever is asked, the answer is JSON or an error.
#include "symbolizer/symbolize_json.h"
#include "tests/unit/fake_resolver.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	struct buf out = BUF_INIT(MIB(16));
	struct err e = ERR_INIT;
	struct resolver resolver;
	struct fake fake;
	size_t pending;
	json_t *answer;

	resolver = fake_resolver(&fake);
	if (symbolize_json(in, &resolver, &symbolize_json_limits_default, &out, &pending, &e) == 0) {
		check(json_parse(buf_str(&out), &answer, &e) == 0);
		json_decref(answer);
	} else {
		check(e.kind != ERR_NONE && e.kind != ERR_NOMEM);
	}
	check(fake.opened == fake.released);
	buf_deinit(&out);
	return 0;
}
