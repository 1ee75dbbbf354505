/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/perf_map_file.h"

#include "agent-lite/process/regular_file.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { STATUS_MAX = 64 << 10 };

struct perf_map_file *perf_map_file_new(void)
{
	struct perf_map_file *f = mem_zalloc(sizeof(*f));

	if (!f)
		return NULL;
	f->map = PERF_MAP_INIT;
	f->pause_ms = PERF_MAP_PAUSE_MS;
	return f;
}

void perf_map_file_free(struct perf_map_file *f)
{
	if (!f)
		return;
	perf_map_deinit(&f->map);
	free(f);
}

/* ---- whose it is ----------------------------------------------------------------------------- */

/* The nth word (from 0) of what follows the key, or the last one where n is negative. */
static bool word_after(struct str text, struct str key, int n, uint64_t *ret)
{
	struct str line, word;
	bool found = false;

	while (str_next(&text, '\n', &line)) {
		if (!str_has_prefix(line, key))
			continue;
		line = str_trim(str_skip(line, key.n));
		for (int i = 0; str_next(&line, '\t', &word); i++) {
			if (n < 0 || i == n)
				found = str_to_u64(word, UINT32_MAX, ret);
		}
		return found;
	}
	return false;
}

bool perf_map_owner(struct str status_text, uint64_t *ret_pid, uint64_t *ret_uid)
{
	// proc(5): real, effective, saved set, file system; from the outermost namespace inwards.
	return word_after(status_text, STR("Uid:"), 1, ret_uid) &&
	       word_after(status_text, STR("NSpid:"), -1, ret_pid);
}

/* fd or -1 */
static int open_map(const char *proc, uint64_t pid, struct stat *ret)
{
	_cleanup_(buf_deinit) struct buf status = BUF_INIT(STATUS_MAX);
	_cleanup_close_ int fd = -1;
	uint64_t pid_inside, uid;
	char path[256], name[64];
	struct err ignored;

	snprintf(path, sizeof(path), "%s/%llu/status", proc, (unsigned long long)pid);
	if (io_read_file(path, &status, &ignored) < 0 ||
	    !perf_map_owner(buf_str(&status), &pid_inside, &uid))
		return -1;
	snprintf(path, sizeof(path), "%s/%llu/root", proc, (unsigned long long)pid);
	snprintf(name, sizeof(name), "tmp/perf-%llu.map", (unsigned long long)pid_inside);
	fd = regular_file_open_inside(path, name, ret);
	if (fd < 0 || (ret->st_uid != uid && ret->st_uid != 0))
		return -1;
	return steal_fd(&fd);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Another file, or one that was begun anew. */
static void begin_anew(struct perf_map_file *f, const struct stat *st)
{
	perf_map_deinit(&f->map);
	f->device = st->st_dev;
	f->inode = st->st_ino;
	f->read = 0;
}

/* As many whole lines as there are, and fit. */
static int read_on(struct perf_map_file *f, int fd, uint64_t size, struct err *e)
{
	uint64_t n = MIN(size - f->read, (uint64_t)PERF_MAP_STEP_MAX);
	_cleanup_free_ char *text = mem_alloc(n);
	const char *last;
	struct err ignored;

	if (!text)
		return err_nomem(e);
	if (io_pread_all(fd, text, n, f->read, &ignored) < 0)
		return 0;
	last = memrchr(text, '\n', n);
	if (!last) {
		f->read += n == PERF_MAP_STEP_MAX ? n : 0; // no line is that long
		return 0;
	}
	n = (uint64_t)(last + 1 - text);
	f->read += n;
	return perf_map_add(&f->map, (struct str){text, n}, e);
}

/* 1: something was read; 0: nothing new, or no file. */
static int look(struct perf_map_file *f, const char *proc, uint64_t pid, struct err *e)
{
	struct stat st;
	_cleanup_close_ int fd = open_map(proc, pid, &st);
	uint64_t size, before;

	if (fd < 0)
		return 0;
	size = MIN((uint64_t)st.st_size, (uint64_t)PERF_MAP_FILE_MAX);
	if (st.st_dev != f->device || st.st_ino != f->inode || size < f->read)
		begin_anew(f, &st);
	before = f->read;
	if (size > f->read && read_on(f, fd, size, e) < 0)
		return -1;
	return f->read > before;
}

int perf_map_file_follow(struct perf_map_file *f, const char *proc, uint64_t pid, struct err *e)
{
	uint64_t now = clock_mono_ms();
	int news;

	if (now < f->next_ms)
		return 0;
	news = look(f, proc, pid, e);
	f->pause_ms = news > 0 ? PERF_MAP_PAUSE_MS
			       : MIN(2 * f->pause_ms, (uint64_t)PERF_MAP_PAUSE_MAX_MS);
	f->next_ms = now + f->pause_ms;
	return news < 0 ? -1 : 0;
}
