/* SPDX-License-Identifier: Apache-2.0 */
#include "store/push_log_file.h"

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "store/folder.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

enum { NAME_DIGITS = 16, FILES_MAX = 1 << 16 };

static const char magic[8] = {'U', 'N', 'H', 'E', 'X', 'L', 'G', '1'};

struct file_header {
	char magic[8];
	uint64_t first;
};
_Static_assert(sizeof(struct file_header) == 16, "on disk");

struct record_header {
	uint32_t length;
	uint32_t check;
	uint64_t position;
	uint64_t hash;
};
_Static_assert(sizeof(struct record_header) == LOG_RECORD_HEADER, "on disk");

static int file_path(const char *dir, const struct log_file *f, char out[static FOLDER_PATH],
		     struct err *e)
{
	return folder_path(out, e, dir, "%016jx.log", (uintmax_t)f->first);
}

// ---- records --------------------------------------------------------------------------------------

static uint32_t check_of(struct record_header h)
{
	h.check = 0;
	return (uint32_t)xxh3(&h, sizeof(h));
}

void log_record_header(struct str record, uint64_t position, uint8_t out[static LOG_RECORD_HEADER])
{
	struct record_header h = {
		.length = htole32((uint32_t)record.n),
		.position = htole64(position),
		.hash = htole64(xxh3(record.p, record.n)),
	};

	h.check = htole32(check_of(h));
	memcpy(out, &h, sizeof(h));
}

enum record_state { RECORD_WHOLE, RECORD_END, RECORD_TORN, RECORD_DAMAGED };

static bool all_zero(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i])
			return false;
	}
	return true;
}

// A crash cuts a record off, or leaves zeros where the size was on disk and the bytes were not.
static enum record_state next_record(struct str rest, uint64_t after, uint64_t *ret_position,
				     struct str *ret)
{
	struct record_header h;

	if (!rest.n)
		return RECORD_END;
	if (rest.n < sizeof(h) || all_zero(rest))
		return RECORD_TORN;
	memcpy(&h, rest.p, sizeof(h));
	if (le32toh(h.check) != check_of(h) || le64toh(h.position) <= after)
		return RECORD_DAMAGED;
	*ret = (struct str){rest.p + sizeof(h), le32toh(h.length)};
	*ret_position = le64toh(h.position);
	if (ret->n > rest.n - sizeof(h))
		return RECORD_TORN;
	return le64toh(h.hash) == xxh3(ret->p, ret->n) ? RECORD_WHOLE : RECORD_DAMAGED;
}

// ---- reading a file ---------------------------------------------------------------------------------

struct mapping {
	int fd;
	char *p;
	size_t n;
};

static void unmap(struct mapping *m)
{
	if (m->p)
		munmap(m->p, m->n);
	if (m->fd >= 0)
		close(m->fd);
}

static int map_file(const char *path, struct mapping *m, struct err *e)
{
	uint64_t size;
	void *p;

	m->fd = open(path, O_RDWR | O_CLOEXEC);
	if (m->fd < 0)
		return err_sys(e, errno, "opening %s", path);
	if (io_file_size(m->fd, &size, e))
		return -1;
	m->n = (size_t)size;
	if (!m->n)
		return 0;
	p = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, m->fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, errno, "mapping %s", path);
	m->p = p;
	return 0;
}

static enum record_state check_header(const struct mapping *m, const struct log_file *f)
{
	struct file_header h;

	if (m->n < sizeof(h) || all_zero((struct str){m->p, m->n}))
		return RECORD_TORN;
	memcpy(&h, m->p, sizeof(h));
	return memcmp(h.magic, magic, sizeof(magic)) == 0 && le64toh(h.first) == f->first
		       ? RECORD_WHOLE
		       : RECORD_DAMAGED;
}

// Up to the first record that is not whole: *ret_end says what it is.
static int read_records(const struct mapping *m, struct log_file *f, log_record_fn *fn, void *ctx,
			enum record_state *ret_end, struct err *e)
{
	struct str record = STR_EMPTY;
	uint64_t position = 0;

	f->last = f->first - 1;
	f->size = 0;
	*ret_end = check_header(m, f);
	if (*ret_end == RECORD_WHOLE)
		f->size = sizeof(struct file_header);
	while (*ret_end == RECORD_WHOLE) {
		*ret_end = next_record((struct str){m->p + f->size, m->n - f->size}, f->last, &position,
				       &record);
		if (*ret_end != RECORD_WHOLE)
			break;
		if (fn && fn(ctx, position, record, e))
			return -1;
		f->last = position;
		f->size += sizeof(struct record_header) + record.n;
	}
	return 0;
}

int log_file_read(const char *dir, struct log_file *f, log_record_fn *fn, void *ctx, struct err *e)
{
	_cleanup_(unmap) struct mapping m = {.fd = -1};
	enum record_state end;
	struct err why = ERR_INIT;
	char path[FOLDER_PATH];

	if (file_path(dir, f, path, e))
		return -1;
	if (map_file(path, &m, &why)) {
		if (why.kind == ERR_NOT_FOUND)
			return 0;
		if (e)
			*e = why;
		return -1;
	}
	return read_records(&m, f, fn, ctx, &end, e);
}

// ---- mending --------------------------------------------------------------------------------------

static int keep_aside(const char *path, struct str rest, struct log_damage *d, struct err *e)
{
	char aside[FOLDER_PATH];
	int n = snprintf(aside, sizeof(aside), "%s.damaged", path);

	if (n < 0 || n >= FOLDER_PATH)
		return err_set(e, ERR_BAD_PATH, "the path %.64s… is too long", path);
	if (io_write_file(aside, rest.p, rest.n, 0600, e))
		return -1;
	d->damaged_bytes += rest.n;
	snprintf(d->file, sizeof(d->file), "%.255s", aside);
	return 0;
}

static int cut_off(const char *path, int fd, uint64_t size, struct err *e)
{
	if (ftruncate(fd, (off_t)size))
		return err_sys(e, errno, "cutting %s off at %ju", path, (uintmax_t)size);
	return io_fsync(fd, e);
}

int log_file_mend(const char *dir, struct log_file *f, struct log_damage *d, struct err *e)
{
	_cleanup_(unmap) struct mapping m = {.fd = -1};
	enum record_state end;
	char path[FOLDER_PATH];

	if (file_path(dir, f, path, e) || map_file(path, &m, e) ||
	    read_records(&m, f, NULL, NULL, &end, e))
		return -1;
	if (end == RECORD_END)
		return 0;
	if (end == RECORD_TORN)
		d->torn_bytes += m.n - f->size;
	else if (keep_aside(path, (struct str){m.p + f->size, m.n - f->size}, d, e))
		return -1;
	if (f->size)
		return cut_off(path, m.fd, f->size, e);
	if (unlink(path))
		return err_sys(e, errno, "removing %s", path);
	return LOG_FILE_GONE;
}

// ---- files ----------------------------------------------------------------------------------------

static int write_header(int fd, const char *dir, struct log_file *f, struct err *e)
{
	struct file_header h = {.first = htole64(f->first)};

	memcpy(h.magic, magic, sizeof(magic));
	if (io_pwrite_all(fd, &h, sizeof(h), 0, e) || io_fsync(fd, e) || folder_sync(dir, e))
		return -1;
	f->last = f->first - 1;
	f->size = sizeof(h);
	return 0;
}

int log_file_create(const char *dir, struct log_file *f, struct err *e)
{
	_cleanup_close_ int fd = -1;
	char path[FOLDER_PATH];

	if (file_path(dir, f, path, e))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "creating %s", path);
	if (write_header(fd, dir, f, e)) {
		unlink(path);
		return -1;
	}
	return steal_fd(&fd);
}

int log_file_open(const char *dir, const struct log_file *f, struct err *e)
{
	char path[FOLDER_PATH];
	int fd;

	if (file_path(dir, f, path, e))
		return -1;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "opening %s", path) : fd;
}

bool log_file_remove(const char *dir, const struct log_file *f)
{
	char path[FOLDER_PATH];

	return file_path(dir, f, path, NULL) == 0 && (unlink(path) == 0 || errno == ENOENT);
}

struct listing {
	struct log_file *files;
	size_t n;
	size_t cap;
};

static int add_listed(void *ctx, const char *path, const char *name, struct err *e)
{
	struct listing *l = ctx;
	struct str s = str_from(name);
	uint64_t first;

	(void)path;
	if (s.n != NAME_DIGITS + 4 || !str_has_suffix(s, STR(".log")) ||
	    strspn(name, "0123456789abcdef") != NAME_DIGITS ||
	    !str_hex_to_u64((struct str){name, NAME_DIGITS}, &first) || !first)
		return 0;
	if (mem_grow(&l->files, &l->cap, l->n + 1, sizeof(*l->files), FILES_MAX))
		return err_nomem(e);
	l->files[l->n++] = (struct log_file){.first = first};
	return 0;
}

static int by_first(const void *a, const void *b)
{
	uint64_t x = ((const struct log_file *)a)->first;
	uint64_t y = ((const struct log_file *)b)->first;

	return (x > y) - (x < y);
}

int log_file_list(const char *dir, struct log_file **ret, size_t *ret_n, struct err *e)
{
	struct listing l = {0};

	if (folder_each(dir, add_listed, &l, e)) {
		free(l.files);
		return -1;
	}
	if (l.n)
		qsort(l.files, l.n, sizeof(*l.files), by_first);
	*ret = l.files;
	*ret_n = l.n;
	return 0;
}
