/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/process_open.h"

#include "agent-lite/process/regular_file.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 256 };

/* The very file first, whatever became of its name; then the path as the process sees it. */
static int open_mapping(const struct processes *ps, uint64_t pid, const struct mapping *m)
{
	char path[PATH_BYTES];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%llu/map_files/%llx-%llx", ps->proc,
		 (unsigned long long)pid, (unsigned long long)m->start, (unsigned long long)m->end);
	fd = regular_file_open(path);
	if (fd >= 0 || m->deleted)
		return fd;
	snprintf(path, sizeof(path), "%s/%llu/root", ps->proc, (unsigned long long)pid);
	return regular_file_open_inside(path, m->path, &st);
}

static int open_of(const struct processes *ps, const struct process *p, const char *build_id)
{
	for (size_t i = 0; i < p->mappings.n; i++) {
		const struct mapping *m = &p->mappings.items[i];
		int fd;

		if (m->kind != MAPPING_FILE || !m->module || !m->path ||
		    strcmp(m->module->build_id, build_id) != 0)
			continue;
		fd = open_mapping(ps, p->key.pid, m);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

int processes_open(const struct processes *ps, const char *build_id)
{
	size_t at = 0;
	struct str key;
	void *p;
	int fd = -1;

	while (fd < 0 && map_next(&ps->by_pid, &at, &key, &p))
		fd = open_of(ps, p, build_id);
	return fd;
}
