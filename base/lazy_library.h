/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shared library that is loaded when it is first needed instead of when the program starts. libcurl
 * brings thirty others along: to load them takes several times as long as `unhex addr2line` needs for its
 * whole answer, and most commands never talk to a server.
 *
 * A table of function pointers, each typed by the library's own header, stands in for linking it:
 *
 *	static struct {
 *		typeof(foo_open) *open;
 *	} foo;
 *	static const struct lazy_symbol symbols[] = {{"foo_open", &foo.open}, {0}};
 *	static struct lazy_library library = {"libfoo.so.1", "libfoo1", symbols, PTHREAD_MUTEX_INITIALIZER};
 *
 *	if (lazy_library_load(&library, e) == 0)
 *		foo.open(…);
 *
 * What is loaded stays for the life of the process. Thread-safe.
 */
#ifndef BASE_LAZY_LIBRARY_H
#define BASE_LAZY_LIBRARY_H

#include "base/err.h"
#include <pthread.h>

struct lazy_symbol {
	const char *name;
	void *pointer; /* to the function pointer that is set */
};

struct lazy_library {
	const char *soname;
	const char *package;               /* Debian's, for who has to install it */
	const struct lazy_symbol *symbols; /* ends with a zeroed one */
	pthread_mutex_t lock;
	bool loaded;
};

/* Sets all pointers, or none: ERR_INTERNAL, with what to install. Does nothing when it was done before. */
int lazy_library_load(struct lazy_library *l, struct err *e) MUST_CHECK;

#endif
