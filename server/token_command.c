/* SPDX-License-Identifier: Apache-2.0 */
#include "server/token_command.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/opt.h"
#include "server/auth.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

struct arguments {
	char *data_dir;
	char *name;
	char *scope;
};

typedef int subcommand_fn(struct catalog *c, const struct arguments *a, struct err *e);

static int create_token(struct catalog *c, const struct arguments *a, struct err *e)
{
	char token[80];
	unsigned scopes;

	if (auth_scopes_parse(str_from(a->scope), &scopes, e) ||
	    token_create(c, a->name ? a->name : "default", scopes, token, e))
		return -1;
	printf("%s\n", token);
	fprintf(stderr,
		"This token is shown only now. Send it as 'Authorization: Bearer TOKEN'.\n");
	return 0;
}

static int list_tokens(struct catalog *c, const struct arguments *a, struct err *e)
{
	_cleanup_free_ struct token_info *tokens = NULL;
	size_t n = 0;

	if (token_list(c, &tokens, &n, e))
		return -1;
	if (!n)
		fprintf(stderr, "There are no tokens in %s.\n", a->data_dir);
	for (size_t i = 0; i < n; i++) {
		char scopes[AUTH_SCOPES_TEXT];
		char when[32];

		auth_scopes_text(tokens[i].scopes, scopes);
		clock_rfc3339(tokens[i].created_unix_s * 1000000000, when);
		printf("%-24s %-24s %.10s%s\n", tokens[i].name, scopes, when,
		       tokens[i].revoked ? "  revoked" : "");
	}
	return 0;
}

static int revoke_token(struct catalog *c, const struct arguments *a, struct err *e)
{
	if (!a->name)
		return err_set(e, ERR_USAGE, "token revoke needs --name");
	return token_revoke(c, a->name, e);
}

static subcommand_fn *find(const char *name)
{
	static const struct {
		const char *name;
		subcommand_fn *fn;
	} all[] = {{"create", create_token}, {"list", list_tokens}, {"revoke", revoke_token}};

	for (size_t i = 0; i < countof(all); i++) {
		if (str_is(str_from(name), all[i].name))
			return all[i].fn;
	}
	return NULL;
}

// Only `create` may come before the server's first start; elsewhere a folder without a catalog is a mistake.
static int open_catalog(const struct arguments *a, bool may_make, struct catalog **ret, struct err *e)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/catalog.db", a->data_dir) >= sizeof(path))
		return err_set(e, ERR_USAGE, "--data-dir is too long");
	if (!may_make && access(path, F_OK))
		return errno == ENOENT || errno == ENOTDIR
			       ? err_set(e, ERR_NOT_FOUND, "there is no data dir of unhexd at %s (no catalog.db)",
					 a->data_dir)
			       : err_sys(e, errno, "%s", path);
	if (may_make && io_mkdirs(a->data_dir, 0700, e))
		return -1;
	return catalog_open(path, ret, e);
}

static int run(const struct arguments *a, const char *word, struct err *e)
{
	subcommand_fn *fn = find(word);
	struct catalog *catalog;
	int rc;

	if (!fn)
		return err_set(e, ERR_USAGE, "'token %s' is not create, list or revoke", word);
	if (!a->data_dir)
		return err_set(e, ERR_USAGE, "token %s needs --data-dir", word);
	if (open_catalog(a, fn == create_token, &catalog, e))
		return -1;
	rc = fn(catalog, a, e);
	catalog_close(catalog);
	return rc;
}

static int help(const struct opt_table *t)
{
	struct buf text = BUF_INIT(64 * 1024);

	opt_help(t, &text);
	if (!text.failed)
		fwrite(text.p, 1, text.n, stdout);
	buf_deinit(&text);
	return EXIT_OK;
}

static int fail(const struct err *e)
{
	fprintf(stderr, "unhexd: %s\n", e->msg);
	if (e->kind == ERR_USAGE)
		fprintf(stderr, "Try 'unhexd token --help'.\n");
	return err_exit_code(e->kind);
}

int token_command(int argc, char **argv)
{
	struct arguments a = {NULL, NULL, NULL};
	struct opt opts[] = {
		{.name = "data-dir",
		 .type = OPT_STRING,
		 .target = &a.data_dir,
		 .arg = "DIR",
		 .help = "the server's data dir; create makes it when missing",
		 .group = "Options"},
		{.name = "name",
		 .type = OPT_STRING,
		 .target = &a.name,
		 .arg = "NAME",
		 .flag_only = true,
		 .help = "what to call it: appears in lists, logs and as the origin of uploads"},
		{.name = "scope",
		 .type = OPT_STRING,
		 .target = &a.scope,
		 .arg = "SCOPES",
		 .fallback = "read,push,upload",
		 .flag_only = true,
		 .help = "what it allows: read, push, upload, admin; agent: push, and upload with "
			 "the least trust"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.env_prefix = "UNHEX_",
		.usage = "unhexd token create|list|revoke --data-dir DIR [--name N] [--scope S]",
		.intro = "Makes, lists and revokes tokens. `create` prints the token once; only "
			 "its hash is\n"
			 "kept. A running server sees changes at once.\n"
			 "\n"
			 "  unhexd token create --data-dir /var/lib/unhex --name ci --scope upload",
	};
	char *words[16];
	struct err e = ERR_INIT;
	size_t n = 0;
	int rc = argc <= 16 ? opt_parse(&table, argc, argv, words, &n, &e)
			    : err_set(&e, ERR_USAGE, "too many words");

	if (rc == OPT_HELP)
		rc = help(&table);
	else if (rc == 0 && n == 1)
		rc = run(&a, words[0], &e);
	else if (rc == 0)
		rc = err_set(&e, ERR_USAGE, "token needs one word: create, list or revoke");
	opt_deinit(&table);
	return rc < 0 ? fail(&e) : rc;
}
