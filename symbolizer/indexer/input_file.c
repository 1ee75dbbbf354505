/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/input_file.h"

#include "base/io.h"
#include "base/str.h"
#include <fcntl.h>
#include <sys/stat.h>

int inherited_fd(const char *name, int *ret_fd, struct err *e)
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
	int rc = inherited_fd(name, &fd, e);

	if (rc)
		return rc < 0 ? -1 : fd;
	return io_open_read(name, e);
}

static bool same(const struct stat *x, const struct stat *y)
{
	return x->st_dev == y->st_dev && x->st_ino == y->st_ino;
}

bool input_file_same(int a, int b)
{
	struct stat x;
	struct stat y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && same(&x, &y);
}

bool output_file_is(const char *name, int fd)
{
	struct stat x;
	struct stat y;
	int out = -1;

	if (inherited_fd(name, &out, NULL))
		return out >= 0 && input_file_same(out, fd);
	return stat(name, &x) == 0 && fstat(fd, &y) == 0 && same(&x, &y);
}
