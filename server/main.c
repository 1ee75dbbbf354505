/* SPDX-License-Identifier: Apache-2.0 */
/* unhexd: reads its options, starts the server, waits for TERM, stops it. */
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/app.h"
#include "server/token_command.h"
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { FREED_KEPT = 16 << 20 }; // what a profile of 1 MB takes, all in all

static int print_version(void)
{
	printf("unhexd %s\ncommit %s\nlibmicrohttpd %s\n", UNHEX_VERSION, UNHEX_COMMIT,
	       MHD_get_version());
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int fail(const struct err *e)
{
	fprintf(stderr, "unhexd: %s\n", e->msg);
	if (e->kind == ERR_USAGE)
		fprintf(stderr, "Try 'unhexd --help'.\n");
	return err_exit_code(e->kind);
}

static int print_text(struct buf *text)
{
	bool ok = !text->failed && fwrite(text->p, 1, text->n, stdout) == text->n;

	buf_deinit(text);
	return ok && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int print_help(const struct config *c)
{
	struct buf text = BUF_INIT(MIB(1));

	opt_help(&c->table, &text);
	return print_text(&text);
}

static int print_config(const struct config *c)
{
	struct buf text = BUF_INIT(MIB(1));

	opt_print(&c->table, &text);
	return print_text(&text);
}

// Blocked before the first thread starts, so that every thread inherits it and only main() takes
// them.
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigprocmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void wait_for_end(const sigset_t *set)
{
	int sig;

	do {
		sig = 0;
		if (sigwait(set, &sig))
			return;
	} while (sig == SIGHUP); // nothing to reload yet
	LOG(LOG_INFO, "stopping", {"signal", LOG_S(sig == SIGTERM ? "TERM" : "INT")});
}

static int announce(const struct app *a, struct err *e)
{
	char port[16];
	int n = snprintf(port, sizeof(port), "%u\n", http_port(a->http));

	LOG(LOG_INFO, "listening", {"url", LOG_S(http_url(a->http))},
	    {"data_dir", LOG_S(a->config->data_dir)}, {"version", LOG_S(UNHEX_VERSION)});
	if (!a->config->port_file)
		return 0;
	return io_write_file(a->config->port_file, port, (size_t)n, 0644, e);
}

static int serve(const struct config *c)
{
	struct err e = ERR_INIT;
	struct app *a = NULL;
	sigset_t signals;
	int rc;

	mem_keep_freed(FREED_KEPT);
	log_setup(c->log_level, c->log_format);
	block_signals(&signals);
	rc = app_start(c, &a, &e);
	if (rc == 0)
		rc = announce(a, &e);
	if (rc == 0)
		wait_for_end(&signals);
	app_stop(a);
	if (rc)
		return fail(&e);
	LOG(LOG_INFO, "stopped");
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct config c;
	struct err e = ERR_INIT;
	int rc;

	if (argc > 1 && strcmp(argv[1], "token") == 0)
		return token_command(argc - 1, argv + 1);
	rc = config_load(&c, argc, argv, &e);
	if (rc == OPT_HELP)
		rc = print_help(&c);
	else if (rc == OPT_VERSION)
		rc = print_version();
	else if (rc < 0)
		rc = fail(&e);
	else if (c.print_config)
		rc = print_config(&c);
	else if (c.check_config)
		rc = EXIT_OK;
	else
		rc = serve(&c);
	config_deinit(&c);
	return rc;
}
