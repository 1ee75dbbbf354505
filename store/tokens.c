/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens. Only the SHA-256 is kept: 256 random bits need no slow hash, and a look-up by hash leaks
 * nothing a guesser could use.
 */
#include "store/catalog_db.h"

#include "base/clock.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

enum { RANDOM_BYTES = 32, TOKENS_MAX = 10000, TOKEN_MAX = 256 };

// The prefix lets secret scanners recognise one.
#define TOKEN_PREFIX "unhex_"

static bool name_is_valid(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	size_t n = strlen(name);

	return n > 0 && n < sizeof(((struct token_info *)0)->name) && strspn(name, allowed) == n;
}

struct new_token {
	const char *name;
	unsigned scopes;
	uint8_t hash[SHA256_SIZE];
};

static int insert_token(struct sql *c, void *ctx, struct err *e)
{
	const struct new_token *t = ctx;
	_cleanup_(query_end) struct query q =
		query(c, "INSERT INTO token(name, hash, scopes, created) VALUES(?, ?, ?, ?)"
			 " ON CONFLICT(name) DO UPDATE SET hash = excluded.hash, scopes = excluded.scopes,"
			 " created = excluded.created, revoked = 0 WHERE revoked");

	query_cstr(&q, t->name);
	query_blob(&q, t->hash, sizeof(t->hash));
	query_i64(&q, t->scopes);
	query_i64(&q, clock_unix_s());
	if (query_run(&q, e))
		return -1;
	if (!sql_changes(c))
		return err_set(e, ERR_CONFLICT,
			       "a token named '%s' is in use; revoke it or choose another name", t->name);
	return 0;
}

int token_create(struct catalog *c, const char *name, unsigned scopes, char ret_token[static 80],
		 struct err *e)
{
	struct new_token t = {.name = name, .scopes = scopes};
	uint8_t secret[RANDOM_BYTES];
	char text[sizeof(TOKEN_PREFIX) + 2 * (size_t)RANDOM_BYTES] = TOKEN_PREFIX;

	if (!name_is_valid(name))
		return err_set(e, ERR_USAGE,
			       "a token's name has 1 to 63 letters, digits, '.', '_', '-'; '%.80s' has not",
			       name);
	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return err_sys(e, errno, "drawing a token");
	hex_encode(secret, sizeof(secret), text + strlen(TOKEN_PREFIX));
	sha256_of(text, strlen(text), t.hash);
	if (db_write(c->db, insert_token, &t, e))
		return -1;
	memcpy(ret_token, text, sizeof(text));
	return 0;
}

static void read_token(struct query *q, struct token_info *t)
{
	query_col_copy(q, t->name, sizeof(t->name));
	t->scopes = (unsigned)query_col_i64(q);
	t->created_unix_s = query_col_i64(q);
	t->revoked = query_col_i64(q) != 0;
}

int token_list(struct catalog *c, struct token_info **ret, size_t *ret_n, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q =
		query(r.sql, "SELECT name, scopes, created, revoked FROM token ORDER BY name");
	_cleanup_free_ struct token_info *tokens = NULL;
	size_t cap = 0;
	size_t n = 0;
	int rc;

	while ((rc = query_step(&q, e)) > 0) {
		if (mem_grow(&tokens, &cap, n + 1, sizeof(*tokens), TOKENS_MAX))
			return err_nomem(e);
		read_token(&q, &tokens[n++]);
	}
	if (rc < 0)
		return -1;
	*ret = steal_ptr(tokens);
	*ret_n = n;
	return 0;
}

static int revoke_token(struct sql *c, void *ctx, struct err *e)
{
	const char *name = ctx;
	_cleanup_(query_end) struct query q =
		query(c, "UPDATE token SET revoked = 1 WHERE name = ? AND NOT revoked");

	query_cstr(&q, name);
	if (query_run(&q, e))
		return -1;
	if (!sql_changes(c))
		return err_set(e, ERR_NOT_FOUND, "no token named '%.80s' is in use", name);
	return 0;
}

int token_revoke(struct catalog *c, const char *name, struct err *e)
{
	_cleanup_free_ char *copy = mem_strdup(name);

	if (!copy)
		return err_nomem(e);
	return db_write(c->db, revoke_token, copy, e);
}

int token_check(struct catalog *c, struct str token, struct token_info *ret, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q =
		query(r.sql, "SELECT name, scopes, created, revoked FROM token"
			     " WHERE hash = ? AND NOT revoked");
	uint8_t hash[SHA256_SIZE];
	int rc;

	if (token.n > TOKEN_MAX)
		return CATALOG_NOT_FOUND;
	sha256_of(token.p, token.n, hash);
	query_blob(&q, hash, sizeof(hash));
	rc = query_step(&q, e);
	if (rc > 0)
		read_token(&q, ret);
	return rc < 0 ? -1 : rc ? 0 : CATALOG_NOT_FOUND;
}

int token_any(struct catalog *c, bool *ret, struct err *e)
{
	_cleanup_(db_reader_end) struct db_reader r = db_reader(c->db);
	_cleanup_(query_end) struct query q =
		query(r.sql, "SELECT EXISTS(SELECT 1 FROM token WHERE NOT revoked)");

	if (query_step(&q, e) < 0)
		return -1;
	*ret = query_col_i64(&q) != 0;
	return 0;
}
