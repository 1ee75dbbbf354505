/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what. Reading is open to all unless told otherwise; pushing and uploading need a token
 * with that scope, and removing one with admin. The scope agent pushes and uploads too, but what it
 * uploads is trusted least. Without any token, a server on loopback lets
 * everyone do everything; beyond loopback it refuses to start, unless anonymous writes were
 * allowed. Thread-safe.
 */
#ifndef SERVER_AUTH_H
#define SERVER_AUTH_H

#include "base/err.h"
#include "server/request.h"
#include "store/catalog.h"

struct auth {
	struct catalog *catalog;
	bool loopback;
	bool allow_anonymous_write;
	bool require_read_token;
};

/* ERR_CONFIG where the server would be open to the world. */
int auth_check_start(const struct auth *a, struct err *e) MUST_CHECK;
/* ERR_UNAUTHORIZED: no token, or not one of ours; ERR_FORBIDDEN: it lacks the scope. */
int auth_authorize(const struct auth *a, const struct request *rq, struct principal *ret,
		   struct err *e) MUST_CHECK;

/* "read,push" → bits of enum token_scope. ERR_USAGE. */
int auth_scopes_parse(struct str text, unsigned *ret, struct err *e) MUST_CHECK;
enum { AUTH_SCOPES_TEXT = 32 };
void auth_scopes_text(unsigned scopes, char out[static AUTH_SCOPES_TEXT]);

#endif
