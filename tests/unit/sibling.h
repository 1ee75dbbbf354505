/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For unit tests of code that runs unhex-indexer as the sibling of the running program: puts a link to the
 * built one beside the test. Header-only.
 */
#ifndef TESTS_UNIT_SIBLING_H
#define TESTS_UNIT_SIBLING_H

#include "base/base.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* False: it is not built. */
UNUSED static bool sibling_indexer(void)
{
	char self[PATH_MAX], built[PATH_MAX + 32], link[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *name, *test;

	self[n < 0 ? 0 : n] = '\0';
	test = strstr(self, "/test/");
	name = strrchr(self, '/');
	if (!test || !name)
		return false;
	*name = '\0';
	snprintf(link, sizeof(link), "%s/unhex-indexer", self);
	*test = '\0';
	snprintf(built, sizeof(built), "%s/unhex-indexer", self);
	return access(built, X_OK) == 0 && (symlink(built, link) == 0 || errno == EEXIST);
}

#endif
