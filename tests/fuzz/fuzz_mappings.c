/* SPDX-License-Identifier: Apache-2.0 */
/* Text as /proc/PID/maps and as a dump of the SIGPROF sampler: ranges stay sorted, stacks bounded.
 */
#include "agent-lite/process/mappings.h"
#include "agent-lite/ship/samples_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_mappings(struct str text)
{
	struct mappings m = MAPPINGS_INIT;
	struct err e = ERR_INIT;

	if (mappings_parse(&m, text, &e) < 0)
		abort();
	for (size_t i = 0; i < m.n; i++) {
		const struct mapping *at = &m.items[i];

		if (at->start >= at->end || (i > 0 && at->start < m.items[i - 1].end))
			abort();
		if (mappings_find(&m, at->start) != at || mappings_find(&m, at->end - 1) != at)
			abort();
		if ((at->kind == MAPPING_FILE) != (at->path != NULL))
			abort();
		if (at->path && !str_is_utf8(str_from(at->path)))
			abort();
	}
	mappings_deinit(&m);
}

static void check_dump(struct str text)
{
	uint64_t ips[SAMPLES_DEPTH];
	struct samples_file f;
	struct err e = ERR_INIT;
	size_t n;

	if (samples_file_parse(text, &f, &e) < 0)
		return;
	check_mappings(f.maps);
	while (samples_file_next(&f.stacks, ips, &n, &e) == 1) {
		if (n > SAMPLES_DEPTH)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str text = {(const char *)data, size};

	check_mappings(text);
	check_dump(text);
	return 0;
}
