/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent's tests share: compiling subjects, and being one's own ELF reader. For test-*.c
 * alone.
 */
#ifndef AGENT_TESTING_H
#define AGENT_TESTING_H

#include "agent-lite/elf/elf_child.h"
#include "base/testing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static inline bool have_tool(const char *name)
{
	char command[256];

	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	return system(command) == 0;
}

static inline void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Runs `compiler flags -o out source`; the test fails when that fails. */
static inline void compile(const char *compiler, const char *flags, const char *source,
			   const char *out)
{
	char command[1024];

	snprintf(command, sizeof(command), "%s %s -o %s %s", compiler, flags, out, source);
	if (system(command) != 0)
		fail_msg("%s", command);
}

/*
 * Test programs whose code starts an elf_child are their own child: this goes first in main().
 * Returns where the process was started as one.
 */
#define BE_ELF_CHILD_IF_ASKED(argc, argv)                                                          \
	do {                                                                                       \
		if ((argc) == 2 && strcmp((argv)[1], ELF_CHILD_ARG) == 0)                          \
			return elf_child_main();                                                   \
	} while (0)

#endif
