/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/command.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/printable.h"
#include <stdarg.h>

enum { HELP_MAX = 1 << 20, TOKEN_MAX = 4096, URL_MAX_BYTES = 8192, ANSWER_MAX = 1 << 30 };

static int print_help(const struct opt_table *t)
{
	struct buf text = BUF_INIT(HELP_MAX);

	opt_help(t, &text);
	fwrite(text.p, 1, text.n, stdout);
	buf_deinit(&text);
	return EXIT_OK;
}

bool command_parse(struct opt_table *t, int argc, char **argv, struct operands *ret, int *ret_exit)
{
	struct err e = ERR_INIT;
	char **rest = mem_calloc((size_t)argc + 1, sizeof(*rest));
	int r;

	if (!rest) {
		err_nomem(&e);
		*ret_exit = command_fail(&e);
		return false;
	}
	r = opt_parse(t, argc, argv, rest, &ret->n, &e);
	ret->p = rest;
	if (r == 0)
		return true;
	if (r == OPT_HELP)
		*ret_exit = print_help(t);
	else if (r == OPT_VERSION)
		*ret_exit = printf("unhex %s (%s)\n", UNHEX_VERSION, UNHEX_COMMIT) < 0;
	else
		*ret_exit = command_usage("%s: %s", argv[0], e.msg);
	free(rest);
	ret->p = NULL;
	opt_deinit(t);
	return false;
}

int command_fail(const struct err *e)
{
	fputs("unhex: ", stderr);
	printable_put(str_from(e->msg), stderr); // a server's words may be in it
	fputc('\n', stderr);
	if (e->kind == ERR_UNAUTHORIZED || e->kind == ERR_FORBIDDEN)
		fputs("unhex: name a token with --token-file or UNHEX_TOKEN_FILE; the server's admin makes one "
		      "with: unhexd token create --data-dir DIR --name NAME --scope upload\n", stderr);
	return err_exit_code(e->kind);
}

int command_usage(const char *fmt, ...)
{
	va_list args;

	fputs("unhex ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("; try --help\n", stderr);
	return EXIT_USAGE;
}

int command_tmpfile(struct err *e)
{
	const char *dir = getenv("TMPDIR");

	return io_tmpfile(dir && *dir ? dir : "/tmp", e);
}

static int read_token(const char *path, struct http_client *http, struct err *e)
{
	struct buf text = BUF_INIT(TOKEN_MAX);
	char *token = NULL;
	int r = -1;

	if (io_read_file(path, &text, e) == 0) {
		struct str line = str_trim(buf_str(&text));

		token = mem_strndup(line.p, line.n);
		r = token ? http_client_token(http, token, e) : err_nomem(e);
	}
	free(token);
	buf_deinit(&text);
	return r;
}

int remote_open(const struct server_options *o, struct remote *ret, struct err *e)
{
	struct remote r = REMOTE_INIT;
	struct str url = str_from(o->url);

	if (url.n == 0)
		return err_set(e, ERR_USAGE, "no server: say --server URL or set UNHEX_SERVER");
	while (url.n && url.p[url.n - 1] == '/')
		url.n--;
	r.url = mem_strndup(url.p, url.n);
	if (!r.url)
		return err_nomem(e);
	if (http_client_new("unhex/" UNHEX_VERSION, ANSWER_MAX, &r.http, e) < 0 ||
	    (o->token_file && read_token(o->token_file, r.http, e) < 0)) {
		remote_close(&r);
		return -1;
	}
	*ret = r;
	return 0;
}

void remote_close(struct remote *r)
{
	http_client_free(r->http);
	free(r->url);
	*r = REMOTE_INIT;
}

int remote_do(struct remote *r, struct http_request *rq, const char *path, struct http_response *ret,
	      struct err *e)
{
	char url[URL_MAX_BYTES];
	int n = snprintf(url, sizeof(url), "%s%s", r->url, path), rc;

	if (n < 0 || (size_t)n >= sizeof(url))
		return err_set(e, ERR_USAGE, "the URL is too long");
	rq->url = url;
	rc = http_do(r->http, rq, ret, e);
	rq->url = NULL;
	return rc;
}

int remote_get(struct remote *r, const char *path, struct http_response *ret, struct err *e)
{
	struct http_request rq = HTTP_REQUEST_INIT;
	struct http_response answer = {0};

	if (remote_do(r, &rq, path, &answer, e) < 0)
		return -1;
	if (http_status_err(&answer, r->url, e) < 0) {
		http_response_deinit(&answer);
		return -1;
	}
	*ret = answer;
	return 0;
}

int remote_get_json(struct remote *r, const char *path, json_t **ret, struct err *e)
{
	struct http_response answer = {0};
	int rc;

	if (remote_get(r, path, &answer, e) < 0)
		return -1;
	rc = json_parse(buf_str(&answer.body), ret, e);
	http_response_deinit(&answer);
	return rc < 0 ? err_wrap(e, "%s answered with something else than JSON", r->url) : 0;
}
