/* SPDX-License-Identifier: Apache-2.0 */
#include "base/output.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int open_special(struct output *o, const char *path, struct err *e)
{
	bool is_stdout = strcmp(path, "-") == 0;

	o->fd = is_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_WRONLY | O_CLOEXEC);
	return o->fd < 0 ? err_sys(e, errno, "opening %s", is_stdout ? "standard output" : path) : 0;
}

static int open_beside(struct output *o, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? mem_strndup(path, (size_t)MAX(slash - path, 1)) : mem_strdup(".");

	if (!dir)
		return err_nomem(e);
	if (io_pending_open(&o->pending, dir, e) < 0)
		return -1;
	o->fd = o->pending.fd;
	return 0;
}

int output_open(struct output *o, const char *path, struct err *e)
{
	*o = OUTPUT_INIT;
	o->path = path;
	return strcmp(path, "-") == 0 || is_special(path) ? open_special(o, path, e) : open_beside(o, path, e);
}

int output_publish(struct output *o, struct err *e)
{
	mode_t mask = umask(0);

	umask(mask);
	if (o->pending.fd < 0)
		return 0;
	if (fchmod(o->fd, 0666 & ~mask) < 0)
		return err_sys(e, errno, "setting the mode of %s", o->path);
	o->fd = -1;
	return io_publish(&o->pending, o->path, e);
}

void output_deinit(struct output *o)
{
	if (o->fd >= 0 && o->pending.fd < 0)
		close(o->fd);
	io_pending_deinit(&o->pending);
	*o = OUTPUT_INIT;
}
