/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/regular_file.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From a descriptor of O_PATH, which has opened nothing yet. */
static int open_if_regular(int place, struct stat *ret)
{
	char path[64];

	if (place < 0 || fstat(place, ret) < 0 || !S_ISREG(ret->st_mode))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
	// Not blocking: somebody may hold a lease on it.
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

int regular_file_open(const char *path)
{
	_cleanup_close_ int place = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	return open_if_regular(place, &st);
}

int regular_file_open_inside(const char *root, const char *path, struct stat *ret)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int at = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int place = -1;

	if (at < 0)
		return -1;
	place = (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
	return open_if_regular(place, ret);
}
