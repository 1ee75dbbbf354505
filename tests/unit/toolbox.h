/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For unit tests whose input is made by other programs (compilers, go, objcopy): a folder of their own,
 * running commands, reading what they print. Header-only; failures end the test.
 */
#ifndef TESTS_UNIT_TOOLBOX_H
#define TESTS_UNIT_TOOLBOX_H

#include "base/buf.h"
#include "base/io.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants the four above. */
#include <cmocka.h>

static char toolbox_dir[] = "/tmp/unhex-test-XXXXXX";

/* For cmocka_run_group_tests(): the folder is made before and removed after. */
UNUSED static int toolbox_setup(void **state)
{
	(void)state;
	return mkdtemp(toolbox_dir) ? 0 : -1;
}

UNUSED static int toolbox_teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", toolbox_dir);
	return system(command);
}

/* The exit status of a shell command run in the folder. */
UNUSED PRINTF(1, 2) static int toolbox_run(const char *fmt, ...)
{
	char command[2048];
	va_list ap;
	int n = snprintf(command, sizeof(command), "cd %s && ", toolbox_dir);

	va_start(ap, fmt);
	vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
	va_end(ap);
	return system(command);
}

UNUSED static bool toolbox_has(const char *program)
{
	return toolbox_run("command -v %s >/dev/null 2>&1", program) == 0;
}

/* The file in the folder, NUL-terminated; the caller frees. */
UNUSED static char *toolbox_read(const char *name, size_t *ret_n)
{
	struct buf b = BUF_INIT(MIB(256));
	struct err e = ERR_INIT;
	char path[256];
	size_t n = 0;
	char *text;

	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, name);
	if (io_read_file(path, &b, &e))
		fail_msg("%s", e.msg);
	text = buf_steal(&b, &n);
	assert_non_null(text);
	if (ret_n)
		*ret_n = n;
	return text;
}

UNUSED static void toolbox_write(const char *name, struct str bytes)
{
	struct err e = ERR_INIT;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, name);
	if (io_write_file(path, bytes.p, bytes.n, 0644, &e))
		fail_msg("%s", e.msg);
}

/* The address of a symbol as nm prints it; 0 where there is none. */
UNUSED static uint64_t toolbox_nm(const char *file, const char *symbol)
{
	uint64_t address = 0;
	struct str hex;
	char *text;

	toolbox_run("nm %s 2>/dev/null | awk '$3 == \"%s\" { print $1; exit }' >nm.txt", file,
		    symbol);
	text = toolbox_read("nm.txt", NULL);
	hex = str_trim(str_from(text));
	if (hex.n && !str_hex_to_u64(hex, &address))
		fail_msg("nm printed '%s'", text);
	free(text);
	return address;
}

/* The go to use: Debian's own, whose standard library comes compiled, before any other. NULL: none. */
UNUSED static const char *toolbox_go(void)
{
	if (access("/usr/bin/go", X_OK) == 0)
		return "/usr/bin/go";
	return toolbox_has("go") ? "go" : NULL;
}

/* Builds main.go of the folder; a build folder's cache is used where there is one. */
UNUSED static bool toolbox_go_build(const char *options, const char *out)
{
	const char *build = getenv("UNHEX_BUILD");

	return toolbox_run("GO111MODULE=off GOFLAGS=-buildvcs=false GOTOOLCHAIN=local GOCACHE=%s/gocache "
			   "%s build %s -o %s main.go >go.log 2>&1",
			   build ? build : toolbox_dir, toolbox_go(), options, out) == 0;
}

#endif
