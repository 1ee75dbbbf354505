/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/input_file.h"

#include "base/io.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// 1 where `name` is an fd:N, 0 where it is a path.
static int inherited(const char *name, int *ret_fd, struct err *e)
{
	struct str s = str_from(name);
	uint64_t fd;

	if (!str_has_prefix(s, STR("fd:")))
		return 0;
	if (!str_to_u64(str_skip(s, 3), INT32_MAX, &fd) || fcntl((int)fd, F_GETFD) < 0)
		return err_set(e, ERR_USAGE, "%s is not an open descriptor", name);
	*ret_fd = (int)fd;
	return 1;
}

int input_file_open(const char *name, struct err *e)
{
	int fd;
	int rc = inherited(name, &fd, e);

	if (rc)
		return rc < 0 ? -1 : fd;
	return io_open_read(name, e);
}

int output_file_open(const char *name, struct err *e)
{
	int fd;
	int rc = inherited(name, &fd, e);

	if (rc)
		return rc < 0 ? -1 : fd;
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? err_sys(e, errno, "%s", name) : fd;
}

bool input_file_same(int a, int b)
{
	struct stat x;
	struct stat y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int output_file_clear(int fd, const char *name, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) || (S_ISREG(st.st_mode) && ftruncate(fd, 0)))
		return err_sys(e, errno, "%s", name);
	return 0;
}
