/* SPDX-License-Identifier: Apache-2.0 */
/* unhex-agent: samples this host, ships addresses and build-IDs. */
#include "agent-lite/agent.h"
#include "agent-lite/elf/elf_child.h"
#include "agent-lite/rights/privilege.h"
#include "agent-lite/sample/sampler.h"
#include "agent-lite/samples_ship.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REPORT_MAX = 64 << 10 };

static int print(struct buf *b)
{
	struct err err;

	return io_write_all(STDOUT_FILENO, b->p, b->n, &err) < 0 ? EXIT_FAILED : EXIT_OK;
}

static int print_help(void)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(REPORT_MAX);

	options_help(&b);
	return print(&b);
}

static int print_version(void)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(REPORT_MAX);

	buf_printf(&b, "unhex-agent %s\ncommit %s\n", UNHEX_VERSION, UNHEX_COMMIT);
	return print(&b);
}

static int ignore_sample(void *ctx UNUSED, const struct record *r UNUSED, struct err *e UNUSED)
{
	return 0;
}

/* What the list cannot tell: seccomp, a security module, a verifier that disagrees. */
static bool try_sampler(struct buf *out)
{
	const uint32_t self = (uint32_t)getpid();
	const struct sampler_config config = {.hz = 1, .pids = &self, .pid_count = 1};
	struct sampler *s;
	struct err err = ERR_INIT;

	if (sampler_new(&config, ignore_sample, NULL, &s, &err) < 0) {
		buf_printf(out, "missing  trial: %s\n", err.msg);
		return false;
	}
	sampler_free(s);
	buf_puts(out, "ok       trial: the BPF program was loaded and attached\n");
	return true;
}

static int check(void)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(REPORT_MAX);
	struct requirement all[REQUIREMENTS_MAX];
	size_t n = privilege_look(all);
	bool complete = privilege_report(all, n, &b) && try_sampler(&b);

	return print(&b) == EXIT_OK && complete ? EXIT_OK : EXIT_REFUSED;
}

static int fail(const struct err *err)
{
	fprintf(stderr, "unhex-agent: %s%s\n", err->msg, err->kind == ERR_USAGE ? "; try --help" : "");
	return err_exit_code(err->kind);
}

static int run(const struct options *o)
{
	struct err err = ERR_INIT;
	int r;

	if (o->check)
		return check();
	r = o->from_samples ? samples_ship(o, &err) : agent_run(o, &err);
	return r < 0 ? fail(&err) : EXIT_OK;
}

int main(int argc, char **argv)
{
	_cleanup_(options_deinit) struct options o = {0};
	struct err err = ERR_INIT;

	if (argc == 2 && strcmp(argv[1], ELF_CHILD_ARG) == 0)
		return elf_child_main();
	switch (options_parse(&o, argc, argv, &err)) {
	case 0:
		return run(&o);
	case OPT_HELP:
		return print_help();
	case OPT_VERSION:
		return print_version();
	default:
		return fail(&err);
	}
}
