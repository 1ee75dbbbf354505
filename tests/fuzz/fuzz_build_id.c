/* SPDX-License-Identifier: Apache-2.0 */
/* What parses as a build-ID has a text form that parses to the same again. */
#include "base/build_id.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct build_id *id)
{
	struct build_id again[2];
	char text[BUILD_ID_TEXT];
	int n;

	build_id_text(id, text);
	n = build_id_parse(str_from(text), again, NULL);
	if (n < 1 || !build_id_eq(id, &again[0]))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct build_id ids[2];
	struct err e = ERR_INIT;
	int n = build_id_parse((struct str){(const char *)data, size}, ids, &e);

	if (n < 0 && e.kind != ERR_BAD_BUILD_ID)
		abort();
	for (int i = 0; i < n; i++)
		check(&ids[i]);
	return 0;
}
