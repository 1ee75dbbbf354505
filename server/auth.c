/* SPDX-License-Identifier: Apache-2.0 */
#include "server/auth.h"

#include <stdio.h>

static const struct {
	const char *name;
	enum token_scope scope;
} scopes[] = {
	{"read", SCOPE_READ},
	{"push", SCOPE_PUSH},
	{"upload", SCOPE_UPLOAD},
	{"admin", SCOPE_ADMIN},
	{"agent", SCOPE_AGENT},
};

int auth_scopes_parse(struct str text, unsigned *ret, struct err *e)
{
	unsigned found = 0;
	struct str word;

	while (str_next(&text, ',', &word)) {
		unsigned before = found;

		word = str_trim(word);
		for (size_t i = 0; i < countof(scopes); i++)
			found |= str_is(word, scopes[i].name) ? scopes[i].scope : 0;
		if (found == before && word.n)
			return err_set(e, ERR_USAGE,
				       "'" STR_FMT
				       "' is not a scope, or named twice; scopes are read, "
				       "push, upload, admin, agent",
				       STR_ARG(word));
	}
	if (!found)
		return err_set(e, ERR_USAGE,
			       "no scope given; scopes are read, push, upload, admin, agent");
	*ret = found;
	return 0;
}

void auth_scopes_text(unsigned set, char out[static AUTH_SCOPES_TEXT])
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < countof(scopes); i++) {
		if (set & scopes[i].scope)
			n += (size_t)snprintf(out + n, AUTH_SCOPES_TEXT - n, "%s%s", n ? "," : "",
					      scopes[i].name);
	}
}

int auth_check_start(const struct auth *a, struct err *e)
{
	bool any;

	if (a->loopback || a->allow_anonymous_write)
		return 0;
	if (token_any(a->catalog, &any, e))
		return -1;
	if (any)
		return 0;
	return err_set(
		e, ERR_CONFIG,
		"listening beyond loopback with no token would let anyone write: make one with "
		"`unhexd token create --data-dir DIR`, or say --allow-anonymous-write");
}

static void be_anonymous(unsigned allowed, struct principal *ret)
{
	*ret = (struct principal){.name = "anonymous", .scopes = allowed};
}

// What a caller without a token may do.
static int anonymous_scopes(const struct auth *a, unsigned *ret, struct err *e)
{
	unsigned read = a->require_read_token ? 0 : SCOPE_READ;
	bool any;

	*ret = read | (a->allow_anonymous_write ? SCOPE_PUSH | SCOPE_UPLOAD : 0);
	if (!a->loopback)
		return 0;
	if (token_any(a->catalog, &any, e))
		return -1;
	if (!any)
		*ret = SCOPE_READ | SCOPE_PUSH | SCOPE_UPLOAD | SCOPE_ADMIN;
	return 0;
}

// RFC 6750, 2.1: "Bearer TOKEN".
static bool bearer(const struct request *rq, struct str *ret)
{
	struct str header = request_header(rq, "Authorization");
	struct str scheme;

	if (!str_next(&header, ' ', &scheme) || !str_eq_nocase(scheme, STR("Bearer")) || !header.p)
		return false;
	*ret = str_trim(header);
	return ret->n > 0;
}

// What is allowed to agents takes their scope as well as its own.
static bool suffices(const struct route *route, unsigned set)
{
	return (set & route->scope) == route->scope ||
	       (set & (SCOPE_ADMIN | (route->agents ? SCOPE_AGENT : 0))) != 0;
}

static int check_token(const struct auth *a, struct str token, const struct route *route,
		       struct principal *ret, struct err *e)
{
	struct token_info info;
	char text[AUTH_SCOPES_TEXT];
	int rc = token_check(a->catalog, token, &info, e);

	if (rc < 0)
		return -1;
	if (rc == CATALOG_NOT_FOUND)
		return err_set(e, ERR_UNAUTHORIZED, "the token is unknown or was revoked");
	if (!suffices(route, info.scopes)) {
		auth_scopes_text(route->scope, text);
		return err_set(e, ERR_FORBIDDEN, "token '%s' has no scope '%s'", info.name, text);
	}
	snprintf(ret->name, sizeof(ret->name), "%s", info.name);
	ret->scopes = info.scopes;
	return 0;
}

int auth_authorize(const struct auth *a, const struct request *rq, struct principal *ret,
		   struct err *e)
{
	unsigned needed = rq->route->scope;
	char text[AUTH_SCOPES_TEXT];
	struct str token;
	unsigned allowed;

	if (!needed || (needed == SCOPE_READ && !a->require_read_token)) {
		be_anonymous(SCOPE_READ, ret);
		return 0;
	}
	if (bearer(rq, &token))
		return check_token(a, token, rq->route, ret, e);
	if (anonymous_scopes(a, &allowed, e))
		return -1;
	if ((allowed & needed) == needed) {
		be_anonymous(allowed, ret);
		return 0;
	}
	auth_scopes_text(needed, text);
	return err_set(e, ERR_UNAUTHORIZED,
		       "this needs a token with scope '%s': "
		       "Authorization: Bearer TOKEN",
		       text);
}
