/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every asker of a resolver does alike: open a module, look one address up, and have a reason at
 * hand where no name comes. Threading as the resolver's.
 */
#ifndef SYMBOLIZER_RESOLVE_H
#define SYMBOLIZER_RESOLVE_H

#include "symbolizer/resolver.h"

/* "ok", "pending", "missing", "invalid": as in the HTTP interface. */
const char *module_status_name(enum module_status s);

/*
 * r->module(), except that text that is no build-ID gives MODULE_INVALID rather than an error, and that
 * a reason is never NULL where the status is not OK. On 0 the caller owes resolve_close().
 */
int resolve_open(const struct resolver *r, struct str build_id, struct module *ret, struct err *e)
	MUST_CHECK;
void resolve_close(const struct resolver *r, struct module *m);

/*
 * The frames at a virtual address. Where there are none (also: the module is not OK), ret->n is 0 and
 * *ret_reason is a stable code ("no_symbol", or the module's reason); else it is NULL.
 */
int resolve_lookup(const struct resolver *r, const struct module *m, uint64_t va,
		   struct frames *ret, const char **ret_reason, struct err *e) MUST_CHECK;

#endif
