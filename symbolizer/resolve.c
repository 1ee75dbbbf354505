/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/resolve.h"

const char *module_status_name(enum module_status s)
{
	switch (s) {
	case MODULE_OK:
		return "ok";
	case MODULE_PENDING:
		return "pending";
	case MODULE_MISSING:
		return "missing";
	case MODULE_INVALID:
		break;
	}
	return "invalid";
}

// For resolvers that do not say.
static const char *reason_of(enum module_status s)
{
	switch (s) {
	case MODULE_PENDING:
		return "pending";
	case MODULE_MISSING:
		return err_code(ERR_NOT_FOUND);
	case MODULE_OK:
	case MODULE_INVALID:
		break;
	}
	return err_code(ERR_BAD_BUILD_ID);
}

int resolve_open(const struct resolver *r, struct str build_id, struct module *ret, struct err *e)
{
	struct module m = {0};
	struct err why = ERR_INIT;

	if (r->module(r->ctx, build_id, &m, &why)) {
		if (why.kind != ERR_BAD_BUILD_ID) {
			if (e)
				*e = why;
			return -1;
		}
		m = (struct module){.status = MODULE_INVALID, .reason = err_code(why.kind)};
	}
	if (m.status != MODULE_OK && !m.reason)
		m.reason = reason_of(m.status);
	*ret = m;
	return 0;
}

void resolve_close(const struct resolver *r, struct module *m)
{
	// A module made here for bad text was never the resolver's.
	if (m->handle || m->status != MODULE_INVALID)
		r->release(r->ctx, m);
}

int resolve_lookup(const struct resolver *r, const struct module *m, uint64_t va,
		   struct frames *ret, const char **ret_reason, struct err *e)
{
	ret->n = 0;
	ret->source = SOURCE_NONE;
	*ret_reason = m->reason;
	if (m->status != MODULE_OK)
		return 0;
	if (r->lookup(r->ctx, m, va, ret, e))
		return -1;
	ret->n = MIN(ret->n, (size_t)FRAMES_MAX);
	*ret_reason = ret->n ? NULL : "no_symbol";
	return 0;
}
