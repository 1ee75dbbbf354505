/* SPDX-License-Identifier: Apache-2.0 */
#include "server/router.h"

#include <stdio.h>

static const struct {
	const char *name;
	enum method method;
} methods[] = {
	{"GET", METHOD_GET},	     {"HEAD", METHOD_HEAD},	{"POST", METHOD_POST},
	{"PUT", METHOD_PUT},	     {"DELETE", METHOD_DELETE}, {"PATCH", METHOD_PATCH},
	{"OPTIONS", METHOD_OPTIONS},
};

enum method method_parse(struct str name)
{
	for (size_t i = 0; i < countof(methods); i++) {
		if (str_is(name, methods[i].name))
			return methods[i].method;
	}
	return METHOD_OTHER;
}

const char *method_name(enum method m)
{
	for (size_t i = 0; i < countof(methods); i++) {
		if (methods[i].method == m)
			return methods[i].name;
	}
	return "OTHER";
}

void methods_text(unsigned set, char out[static METHODS_TEXT])
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < countof(methods); i++) {
		if (set & methods[i].method)
			n += (size_t)snprintf(out + n, METHODS_TEXT - n, "%s%s", n ? ", " : "",
					      methods[i].name);
	}
}

static bool pattern_matches(const char *pattern, const struct target *t, struct str *params)
{
	struct str rest = str_skip(str_from(pattern), 1);
	struct str part;
	size_t captured = 0;
	size_t i = 0;

	for (; str_next(&rest, '/', &part); i++) {
		if (str_is(part, "{*}")) {
			params[captured] = target_tail(t, i);
			return params[captured].n > 0;
		}
		if (i >= t->segment_count)
			return false;
		if (str_is(part, "{}")) {
			if (!t->segments[i].n || captured == ROUTE_PARAMS_MAX)
				return false;
			params[captured++] = t->segments[i];
		} else if (!str_eq(part, t->segments[i])) {
			return false;
		}
	}
	return i == t->segment_count;
}

static unsigned methods_of(const struct route *r)
{
	return r->methods | (r->methods & METHOD_GET ? METHOD_HEAD : 0);
}

// Errors of unknown paths look like those of their neighbours.
static enum error_style style_of(const struct route *table, const struct target *t)
{
	for (const struct route *r = table; r->name && t->segment_count; r++) {
		struct str rest = str_skip(str_from(r->pattern), 1);
		struct str first;

		if (str_next(&rest, '/', &first) && first.n && str_eq(first, t->segments[0]))
			return r->style;
	}
	return STYLE_PROBLEM;
}

int router_match(const struct route *table, enum method m, const struct target *t,
		 struct route_match *ret, struct err *e)
{
	*ret = (struct route_match){.style = style_of(table, t)};
	if (target_has_dots(t, t->segment_count))
		return err_set(e, ERR_BAD_PATH, "the path has '.' or '..' segments");
	for (const struct route *r = table; r->name; r++) {
		struct str params[ROUTE_PARAMS_MAX] = {STR_EMPTY, STR_EMPTY};

		if (!pattern_matches(r->pattern, t, params))
			continue;
		ret->allowed |= methods_of(r);
		if (!(methods_of(r) & m))
			continue;
		ret->route = r;
		ret->style = r->style;
		memcpy(ret->param, params, sizeof(params));
		return 0;
	}
	if (ret->allowed)
		return err_set(e, ERR_METHOD, "%s is not a method of this path", method_name(m));
	return err_set(e, ERR_NOT_FOUND, "there is nothing at this path");
}
