/* SPDX-License-Identifier: Apache-2.0 */
#include "base/build_id.h"
#include "base/cleanup.h"
#include "upload-cli/command.h"
#include "upload-cli/debuginfod_client.h"
#include <errno.h>
#include <string.h>

enum { URLS_MAX = 64 << 10 };

DEFINE_CLEANUP(debuginfod_client *, debuginfod_client_close)

/* The debuginfod protocol knows GNU build-IDs only, as lower-case hex. */
static int gnu_id(const char *text, char hex[static BUILD_ID_TEXT], struct err *e)
{
	struct build_id ids[2];

	if (build_id_parse(str_from(text), ids, e) < 0)
		return -1;
	if (ids[0].kind != BUILD_ID_GNU)
		return err_set(e, ERR_BAD_BUILD_ID, "%s is no GNU build-ID; debuginfod knows no other", text);
	build_id_text(&ids[0], hex);
	return 0;
}

static int find(debuginfod_client *client, const char *what, const char *hex, const char *extra,
		char **ret_path, struct err *e)
{
	const unsigned char *id = (const unsigned char *)hex;

	if (strcmp(what, "debuginfo") == 0)
		return debuginfod.find_debuginfo(client, id, 0, ret_path);
	if (strcmp(what, "executable") == 0)
		return debuginfod.find_executable(client, id, 0, ret_path);
	if (strcmp(what, "source") == 0 && extra)
		return debuginfod.find_source(client, id, 0, extra, ret_path);
	if (strcmp(what, "section") == 0 && extra)
		return debuginfod.find_section(client, id, 0, extra, ret_path);
	return err_set(e, ERR_USAGE, "find: say debuginfo ID, executable ID, source ID PATH or section ID NAME");
}

/* Asks our server, too: it speaks the protocol. */
static int add_server(const char *server, struct err *e)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	struct buf both = BUF_INIT(URLS_MAX);
	int r;

	if (!server || !*server)
		return 0;
	buf_printf(&both, "%s%s%s", server, urls ? " " : "", urls ? urls : "");
	r = buf_check(&both, "the list of servers", e);
	if (r == 0 && setenv("DEBUGINFOD_URLS", both.p, 1) < 0)
		r = err_nomem(e);
	buf_deinit(&both);
	return r;
}

static int print_found(debuginfod_client *client, const struct operands *words, const char *hex, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	fd = find(client, words->p[0], hex, words->n > 2 ? words->p[2] : NULL, &path, e);
	if (fd == -1 && e->kind == ERR_USAGE)
		return -1;
	if (fd == -ENOENT || fd == -ENOSYS)
		return err_set(e, ERR_NOT_FOUND, "no %s of %s%s", words->p[0], hex,
			       getenv("DEBUGINFOD_URLS") ? "" : "; no server is named: set UNHEX_SERVER or "
								"DEBUGINFOD_URLS");
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "fetching %s of %s: %s", words->p[0], hex, strerror(-fd));
	close(fd);
	if (!path)
		return err_set(e, ERR_INTERNAL, "libdebuginfod names no file for %s", hex);
	puts(path);
	return 0;
}

static int run_find(const struct operands *words, struct err *e)
{
	_cleanup_(debuginfod_client_closep) debuginfod_client *client = NULL;
	char hex[BUILD_ID_TEXT];

	if (gnu_id(words->p[1], hex, e) < 0 || debuginfod_client_open(&client, e) < 0)
		return -1;
	return print_found(client, words, hex, e);
}

int command_find(int argc, char **argv)
{
	struct server_options server = {0};
	struct opt opts[] = {SERVER_OPTS(&server), {0}};
	struct opt_table table = {
		.opts = opts,
		.env_prefix = "UNHEX_",
		.usage = "unhex find debuginfo|executable|source|section ID [PATH|NAME]",
		.intro = "Fetches what belongs to a build-ID and prints the path of the local copy. Asks the\n"
			 "server named, then those of DEBUGINFOD_URLS; the copy lies in libdebuginfod's cache.",
	};
	struct operands words;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &words, &code))
		return code;
	if (words.n < 2 || words.n > 3)
		code = command_usage("find: say what, and whose: unhex find debuginfo ID");
	else if (add_server(server.url, &e) < 0 || run_find(&words, &e) < 0)
		code = command_fail(&e);
	free(words.p);
	opt_deinit(&table);
	return code;
}
