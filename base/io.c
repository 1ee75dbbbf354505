/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_CHUNK = 128 * 1024, READ_CHUNK = 64 * 1024, PATH_MAX_BYTES = 4096 };

static struct fault fault;
static atomic_int fault_errno;

struct fd_name {
	char text[256];
};

// For messages. Where /proc does not tell (a sandbox), the number has to do.
static struct fd_name name_of(int fd)
{
	struct fd_name name;
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name.text, sizeof(name.text) - 1);
	if (n > 0)
		name.text[n] = '\0';
	else
		snprintf(name.text, sizeof(name.text), "descriptor %d", fd);
	return name;
}

static int fail_fd(int fd, const char *doing, struct err *e)
{
	int errnum = errno;

	return err_sys(e, errnum, "%s %s", doing, name_of(fd).text);
}

static bool injected(void)
{
	if (!fault_hits(&fault))
		return false;
	errno = atomic_load(&fault_errno);
	return true;
}

int io_pread_all(int fd, void *p, size_t n, uint64_t off, struct err *e)
{
	char *to = p;

	if (off > INT64_MAX || n > INT64_MAX - off)
		return err_set(e, ERR_CORRUPT, "reading %s: offset %ju is out of range",
			       name_of(fd).text, (uintmax_t)off);
	while (n) {
		ssize_t got = pread(fd, to, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_fd(fd, "reading", e);
		if (got == 0)
			return err_set(e, ERR_CORRUPT,
				       "reading %s: it ends at offset %ju, %zu bytes early",
				       name_of(fd).text, (uintmax_t)off, n);
		to += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int io_write_all(int fd, const void *p, size_t n, struct err *e)
{
	const char *from = p;

	while (n) {
		ssize_t put = injected() ? -1 : write(fd, from, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail_fd(fd, "writing", e);
		from += put;
		n -= (size_t)put;
	}
	return 0;
}

int io_pwrite_all(int fd, const void *p, size_t n, uint64_t off, struct err *e)
{
	const char *from = p;

	if (off > INT64_MAX || n > INT64_MAX - off)
		return err_set(e, ERR_IO, "writing %s: offset %ju is out of range",
			       name_of(fd).text, (uintmax_t)off);
	while (n) {
		ssize_t put = injected() ? -1 : pwrite(fd, from, n, (off_t)off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail_fd(fd, "writing", e);
		from += put;
		off += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

int io_fsync(int fd, struct err *e)
{
	if (injected() || fsync(fd))
		return fail_fd(fd, "syncing", e);
	return 0;
}

// One read of at most `room` bytes onto the end of b; 0 at the end of the file.
static ssize_t read_some(int fd, struct buf *b, size_t room, struct err *e)
{
	char *to = buf_reserve(b, room);
	ssize_t n;

	if (!to)
		return buf_check(b, name_of(fd).text, e);
	do
		n = read(fd, to, room);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_fd(fd, "reading", e);
	buf_commit(b, (size_t)n);
	return n;
}

// At the maximum the only good news is that nothing more comes.
static int expect_end(int fd, const struct buf *b, struct err *e)
{
	char more;
	ssize_t n;

	do
		n = read(fd, &more, 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_fd(fd, "reading", e);
	if (n > 0)
		return err_set(e, ERR_TOO_LARGE, "%s is larger than the limit of %zu bytes",
			       name_of(fd).text, b->max);
	return 0;
}

int io_read_fd(int fd, struct buf *b, struct err *e)
{
	ssize_t n;

	do {
		size_t room = MIN(b->max - MIN(b->n, b->max), (size_t)READ_CHUNK);

		if (!room)
			return expect_end(fd, b, e);
		n = read_some(fd, b, room, e);
	} while (n > 0);
	return n < 0 ? -1 : 0;
}

int io_open_read(const char *path, struct err *e)
{
	// O_NONBLOCK: a FIFO in the place of a file must not hang us. It means nothing for files.
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, errno, "opening %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_BAD_PATH, "opening %s: not a regular file", path);
	return steal_fd(&fd);
}

int io_read_file(const char *path, struct buf *b, struct err *e)
{
	_cleanup_close_ int fd = io_open_read(path, e);

	return fd < 0 ? -1 : io_read_fd(fd, b, e);
}

int io_file_size(int fd, uint64_t *ret, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return fail_fd(fd, "reading the size of", e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_BAD_PATH, "%s: not a regular file", name_of(fd).text);
	*ret = (uint64_t)st.st_size;
	return 0;
}

// dir + "/.tmp-XXXXXX", created and opened.
static int open_temporary(const char *dir, char tmp[static PATH_MAX_BYTES], struct err *e)
{
	int n = snprintf(tmp, PATH_MAX_BYTES, "%s/.tmp-XXXXXX", *dir ? dir : ".");
	int fd;

	if (n < 0 || n >= PATH_MAX_BYTES)
		return err_set(e, ERR_BAD_PATH, "the path of folder %.64s… is too long", dir);
	fd = mkostemp(tmp, O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "creating a temporary file in %s", dir) : fd;
}

int io_tmpfile(const char *dir, struct err *e)
{
	char tmp[PATH_MAX_BYTES];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	// File systems and kernels without O_TMPFILE answer in these ways.
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd < 0 ? err_sys(e, errno, "creating a temporary file in %s", dir) : fd;
	fd = open_temporary(dir, tmp, e);
	if (fd >= 0)
		unlink(tmp);
	return fd;
}

static int make_folder(const char *path, mode_t mode, struct err *e)
{
	struct stat st;
	int errnum;

	if (mkdir(path, mode) == 0)
		return 0;
	errnum = errno;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return err_sys(e, errnum, "creating folder %s", path);
}

int io_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX_BYTES];
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return err_set(e, ERR_BAD_PATH, "the path %.64s… is too long", path);
	memcpy(part, path, n + 1);
	for (size_t i = 1; i < n; i++) {
		if (part[i] != '/' || part[i - 1] == '/')
			continue;
		part[i] = '\0';
		if (make_folder(part, mode, e))
			return -1;
		part[i] = '/';
	}
	return make_folder(part, mode, e);
}

int io_copy(int from_fd, int to_fd, uint64_t n, struct err *e)
{
	_cleanup_free_ char *chunk = mem_alloc(COPY_CHUNK);

	if (!chunk)
		return err_nomem(e);
	while (n) {
		ssize_t got = read(from_fd, chunk, (size_t)MIN(n, (uint64_t)COPY_CHUNK));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_fd(from_fd, "reading", e);
		if (got == 0)
			return err_set(e, ERR_CORRUPT, "reading %s: it ends %ju bytes early",
				       name_of(from_fd).text, (uintmax_t)n);
		if (io_write_all(to_fd, chunk, (size_t)got, e))
			return -1;
		n -= (uint64_t)got;
	}
	return 0;
}

int io_pending_open(struct io_pending *f, const char *dir, struct err *e)
{
	_Static_assert(sizeof(f->tmp) == PATH_MAX_BYTES, "tmp holds a path");
	int fd = open_temporary(dir, f->tmp, e);

	if (fd < 0) {
		f->tmp[0] = '\0';
		return -1;
	}
	f->fd = fd;
	return 0;
}

static int sync_folder_of(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX_BYTES];
	_cleanup_close_ int fd = -1;

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)MAX(slash - path, 1) : 1,
		 slash ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "opening folder %s", dir);
	return io_fsync(fd, e);
}

int io_publish(struct io_pending *f, const char *path, struct err *e)
{
	if (io_fsync(f->fd, e))
		return -1;
	if (injected() || rename(f->tmp, path))
		return err_sys(e, errno, "renaming %s to %s", f->tmp, path);
	f->tmp[0] = '\0';
	close(steal_fd(&f->fd));
	return sync_folder_of(path, e);
}

void io_pending_deinit(struct io_pending *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->tmp[0])
		unlink(f->tmp);
	*f = IO_PENDING_INIT;
}

static int write_pending(struct io_pending *f, const void *p, size_t n, mode_t mode, struct err *e)
{
	if (fchmod(f->fd, mode))
		return err_sys(e, errno, "setting the mode of %s", f->tmp);
	return io_write_all(f->fd, p, n, e);
}

int io_write_file(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	_cleanup_(io_pending_deinit) struct io_pending f = IO_PENDING_INIT;
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX_BYTES];

	if (slash && slash - path >= (ptrdiff_t)sizeof(dir))
		return err_set(e, ERR_BAD_PATH, "the path %.64s… is too long", path);
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)MAX(slash - path, 1) : 1,
		 slash ? path : ".");
	if (io_pending_open(&f, dir, e) || write_pending(&f, p, n, mode, e))
		return -1;
	return io_publish(&f, path, e);
}

void io_fault_at(unsigned long nth, int errnum)
{
	atomic_store(&fault_errno, errnum);
	fault_arm(&fault, nth, 1);
}

bool io_fault_off(void)
{
	return fault_disarm(&fault);
}
