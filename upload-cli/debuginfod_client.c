/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/debuginfod_client.h"

#include "base/lazy_library.h"

struct debuginfod debuginfod;

static const struct lazy_symbol symbols[] = {
	{"debuginfod_begin", &debuginfod.begin},
	{"debuginfod_end", &debuginfod.end},
	{"debuginfod_find_debuginfo", &debuginfod.find_debuginfo},
	{"debuginfod_find_executable", &debuginfod.find_executable},
	{"debuginfod_find_source", &debuginfod.find_source},
	{"debuginfod_find_section", &debuginfod.find_section},
	{0},
};
static struct lazy_library library = {"libdebuginfod.so.1", "libdebuginfod1", symbols, PTHREAD_MUTEX_INITIALIZER,
				      false};

int debuginfod_client_open(debuginfod_client **ret, struct err *e)
{
	debuginfod_client *client;

	if (lazy_library_load(&library, e) < 0)
		return -1;
	client = debuginfod.begin();
	if (!client)
		return err_nomem(e);
	*ret = client;
	return 0;
}

void debuginfod_client_close(debuginfod_client *c)
{
	if (c)
		debuginfod.end(c);
}
