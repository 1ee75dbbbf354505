/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf reader: never beyond the input, and the raw fields put together are the input again. */
#include "base/pb.h"

#include <stdlib.h>

enum { DEPTH_MAX = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_packed(const struct pb_field *f)
{
	struct pb_packed packed = pb_packed(f);
	uint64_t v;

	while (pb_packed_next(&packed, &v, NULL) > 0)
		;
}

// Any bytes may be a message.
static void read_message(struct str s, unsigned depth)
{
	struct pb_reader r = pb_reader(s);
	const char *at = s.p;
	struct err e = ERR_INIT;
	struct pb_field f;
	int rc;

	while ((rc = pb_next(&r, &f, &e)) > 0) {
		if (f.raw.p != at || !f.number)
			abort();
		at += f.raw.n;
		read_packed(&f);
		if (f.wire == PB_BYTES && depth < DEPTH_MAX)
			read_message(f.bytes, depth + 1);
	}
	if ((rc == 0) != (at == s.p + s.n) || (rc < 0 && e.kind != ERR_BAD_PROTOBUF))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_message((struct str){(const char *)data, size}, 0);
	return 0;
}
