/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/scan.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

static int add(struct scan *s, const char *path, struct err *e)
{
	char *copy;

	if (s->n >= SCAN_FILES_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d files; name smaller folders", SCAN_FILES_MAX);
	if (mem_grow(&s->paths, &s->cap, s->n + 1, sizeof(*s->paths), SCAN_FILES_MAX) < 0)
		return err_nomem(e);
	copy = mem_strdup(path);
	if (!copy)
		return err_nomem(e);
	s->paths[s->n++] = copy;
	return 0;
}

static bool is_elf(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char magic[4];

	return fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) && memcmp(magic, "\177ELF", 4) == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int take(struct scan *s, const FTSENT *entry, struct err *e)
{
	if (entry->fts_level > SCAN_DEPTH_MAX)
		return err_set(e, ERR_TOO_DEEP, "%s: more than %d folders deep", entry->fts_path, SCAN_DEPTH_MAX);
	switch (entry->fts_info) {
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return err_sys(e, entry->fts_errno, "%s", entry->fts_path);
	case FTS_F:
		return is_elf(entry->fts_path) ? add(s, entry->fts_path, e) : 0;
	default:
		return 0;
	}
}

static int walk(struct scan *s, const char *path, struct err *e)
{
	char *copy = mem_strdup(path);
	char *roots[] = {copy, NULL};
	FTS *tree = copy ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name) : NULL;
	FTSENT *entry;
	int r = 0;

	if (!tree) {
		free(copy);
		return err_sys(e, errno, "%s", path);
	}
	while (r == 0) {
		errno = 0;
		entry = fts_read(tree);
		if (!entry)
			break;
		r = take(s, entry, e);
	}
	if (r == 0 && errno)
		r = err_sys(e, errno, "%s", path);
	fts_close(tree);
	free(copy);
	return r;
}

int scan_add(struct scan *s, const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(e, errno, "%s", path);
	return S_ISDIR(st.st_mode) ? walk(s, path, e) : add(s, path, e);
}

void scan_deinit(struct scan *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->paths[i]);
	free(s->paths);
	*s = SCAN_INIT;
}
