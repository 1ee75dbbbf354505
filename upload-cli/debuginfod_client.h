/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libdebuginfod, the stock client, loaded when something is to be fetched (base/lazy_library.h says why).
 * The functions are the library's own: one client per thread.
 */
#ifndef UPLOAD_CLI_DEBUGINFOD_CLIENT_H
#define UPLOAD_CLI_DEBUGINFOD_CLIENT_H

#include "base/err.h"
#include <elfutils/debuginfod.h>

struct debuginfod {
	typeof(debuginfod_begin) *begin;
	typeof(debuginfod_end) *end;
	typeof(debuginfod_find_debuginfo) *find_debuginfo;
	typeof(debuginfod_find_executable) *find_executable;
	typeof(debuginfod_find_source) *find_source;
	typeof(debuginfod_find_section) *find_section;
};

/* Not to be touched before debuginfod_client_open() was successful. */
extern struct debuginfod debuginfod;

/* *ret goes back with debuginfod_client_close(). ERR_INTERNAL without the library, ERR_NOMEM. */
int debuginfod_client_open(debuginfod_client **ret, struct err *e) MUST_CHECK;
void debuginfod_client_close(debuginfod_client *c); /* accepts NULL */

#endif
