/* SPDX-License-Identifier: Apache-2.0 */
/* Text as a JIT writes it, in two steps: ranges stay sorted and apart, the last line wins. */
#include "agent-lite/process/perf_map.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct perf_map *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct perf_map_entry *at = &m->entries[i];
		const char *name = perf_map_find(m, at->start);

		if (at->size == 0 || at->start + at->size < at->start || at->name >= m->names.n)
			abort();
		if (i > 0 && at->start < at[-1].start + at[-1].size)
			abort();
		if (name != m->names.p + at->name ||
		    perf_map_find(m, at->start + at->size - 1) != name)
			abort();
		if (strlen(name) > PERF_MAP_NAME_MAX || !str_is_utf8(str_from(name)))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str text = {(const char *)data, size};
	struct perf_map m = PERF_MAP_INIT;
	struct err e = ERR_INIT;

	if (perf_map_add(&m, (struct str){text.p, size / 2}, &e) < 0 ||
	    perf_map_add(&m, str_skip(text, size / 2), &e) < 0)
		abort();
	check(&m);
	perf_map_deinit(&m);
	return 0;
}
