/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the debug file of a binary, and the file that dwz shared between debug files, as GDB does
 * (manual, "Debugging Information in Separate Files"): by build ID in DIR/.build-id/ab/cdef.debug, by the
 * name in .gnu_debuglink beside the binary, in .debug/ beside it, and in DIR, there too under the binary's own
 * folder. What a link leads to must have the checksum that it tells: a file left from another build has not,
 * nor has the binary itself. What dwz shared is looked for by its build ID, then where its link says below
 * DIR/.dwz/ (Debian has no .build-id/ entry for it), and must have that build ID.
 *
 * What to look for is read from the file itself, so that happens in a forked process inside the sandbox;
 * of what it says only a build ID, a plain file name and a path that does not lead upwards are used.
 */
#ifndef SYMBOLIZER_INDEXER_DEBUG_DIR_H
#define SYMBOLIZER_INDEXER_DEBUG_DIR_H

#include "base/opt.h"
#include "base/sandbox.h"

struct debug_wanted {
	const struct opt_list *dirs;
	const struct sandbox_limits *limits; /* of the process that reads the file */
};

enum { DEBUG_DIR_FOUND = 1, DEBUG_DIR_NOT_NEEDED = 2 };

/*
 * Looks for the debug file of the open `fd`, called `name`. DEBUG_DIR_FOUND with *ret_fd and its path in
 * out; DEBUG_DIR_NOT_NEEDED where the file has its debug information itself; 0 where none is found; -1
 * where the file cannot be read. Errors are those of elf_image_open().
 */
int debug_dir_find(const struct debug_wanted *w, int fd, const char *name, int *ret_fd,
		   char out[static 4096], struct err *e) MUST_CHECK;
/* The same for the shared file that `fd` refers to; 0 also where it refers to none. */
int debug_dir_find_alt(const struct debug_wanted *w, int fd, const char *name, int *ret_fd,
		       char out[static 4096], struct err *e) MUST_CHECK;

#endif
