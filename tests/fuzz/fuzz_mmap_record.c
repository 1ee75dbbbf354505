/* SPDX-License-Identifier: Apache-2.0 */
/* A perf event's ring: records stay inside it, and what is told of them inside the record. */
#include "agent-lite/process/mmap_record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct mmap_event *ev, const char *record, size_t n)
{
	if (ev->kind == MMAP_EVENT_MMAP) {
		if (ev->len == 0 || ev->start + ev->len < ev->start ||
		    ev->build_id_size > MAPPING_ID_MAX)
			abort();
		if (ev->path.p < record || ev->path.p + ev->path.n > record + n)
			abort();
	}
	if (memchr(ev->comm, 0, sizeof(ev->comm)) == NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size};
	const void *record;
	bool broken, malformed;
	size_t n = 0;

	while ((record = mmap_records_next(&rest, &n, &broken))) {
		struct mmap_event ev;

		if ((const char *)record + n != rest.p || n == 0)
			abort();
		if (mmap_record_parse(record, n, &ev, &malformed))
			check(&ev, record, n);
	}
	if (rest.n != 0)
		abort();
	return 0;
}
