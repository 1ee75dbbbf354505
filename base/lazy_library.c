/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lazy_library.h"

#include <dlfcn.h>
#include <string.h>

static int fail(const struct lazy_library *l, struct err *e)
{
	const char *why = dlerror();

	return err_set(e, ERR_INTERNAL, "%s cannot be used: %s; Debian's package of it is %s", l->soname,
		       why ? why : "unknown reason", l->package);
}

static int load(struct lazy_library *l, struct err *e)
{
	void *handle = dlopen(l->soname, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return fail(l, e);
	for (const struct lazy_symbol *s = l->symbols; s->name; s++) {
		if (dlsym(handle, s->name))
			continue;
		fail(l, e);
		dlclose(handle);
		return -1;
	}
	for (const struct lazy_symbol *s = l->symbols; s->name; s++) {
		void *function = dlsym(handle, s->name);

		// POSIX lets a function's address travel as a void *; C does not let it be assigned.
		memcpy(s->pointer, &function, sizeof(function));
	}
	return 0;
}

int lazy_library_load(struct lazy_library *l, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&l->lock);
	if (!l->loaded) {
		r = load(l, e);
		l->loaded = r == 0;
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}
