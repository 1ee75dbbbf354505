/* SPDX-License-Identifier: Apache-2.0 */
#include "store/folder.h"

#include "base/cleanup.h"
#include "base/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum { MODE = 0750 };

static void close_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int folder_own(const char *path, struct err *e)
{
	_cleanup_close_ int fd = -1;

	if (io_mkdirs(path, MODE, e))
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "opening folder %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return steal_fd(&fd);
	if (errno == EWOULDBLOCK)
		return err_set(e, ERR_CONFLICT, "folder %s is in use by another process", path);
	return err_sys(e, errno, "locking folder %s", path);
}

int folder_path(char out[static FOLDER_PATH], struct err *e, const char *dir, const char *fmt, ...)
{
	int n = snprintf(out, FOLDER_PATH, "%s/", dir);
	va_list args;
	int rest = -1;

	if (n > 0 && n < FOLDER_PATH) {
		va_start(args, fmt);
		rest = vsnprintf(out + n, (size_t)(FOLDER_PATH - n), fmt, args);
		va_end(args);
	}
	if (rest < 0 || rest >= FOLDER_PATH - n)
		return err_set(e, ERR_BAD_PATH, "the path of a file in folder %.64s… is too long", dir);
	return 0;
}

static int each_entry(const char *dir, bool hidden, folder_fn *fn, void *ctx, struct err *e)
{
	_cleanup_(close_dirp) DIR *d = opendir(dir);
	char path[FOLDER_PATH];

	if (!d)
		return err_sys(e, errno, "opening folder %s", dir);
	for (;;) {
		const struct dirent *entry = (errno = 0, readdir(d));

		if (!entry)
			return errno ? err_sys(e, errno, "reading folder %s", dir) : 0;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    (entry->d_name[0] == '.' && !hidden))
			continue;
		if (folder_path(path, e, dir, "%s", entry->d_name) ||
		    fn(ctx, path, entry->d_name, e))
			return -1;
	}
}

int folder_each(const char *dir, folder_fn *fn, void *ctx, struct err *e)
{
	return each_entry(dir, false, fn, ctx, e);
}

static int remove_file(void *ctx, const char *path, const char *name, struct err *e)
{
	(void)ctx;
	(void)name;
	if (unlink(path) && errno != ENOENT && errno != EISDIR && errno != EPERM)
		return err_sys(e, errno, "removing %s", path);
	return 0;
}

int folder_empty(const char *dir, struct err *e)
{
	return each_entry(dir, true, remove_file, NULL, e);
}

int folder_sync(const char *dir, struct err *e)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "opening folder %s", dir);
	return io_fsync(fd, e);
}
