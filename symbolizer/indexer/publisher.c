/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/publisher.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/output.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct publisher {
	struct output output;
	int said;	   // the child's stdout, a memory file
	sigset_t signals;  // SIGCHLD, and those that are passed on
	sigset_t old_mask;
	pid_t child;
	int status; // as waitpid() tells
};

static void publisher_deinit(struct publisher *p)
{
	output_deinit(&p->output);
	if (p->said >= 0)
		close(p->said);
	sigprocmask(SIG_SETMASK, &p->old_mask, NULL);
}

// They are waited for from here on, so that none is missed.
static void hold_signals(struct publisher *p)
{
	static const int held[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};

	signal(SIGCHLD, SIG_DFL); // where it is ignored there is no status to wait for
	sigemptyset(&p->signals);
	for (size_t i = 0; i < countof(held); i++)
		sigaddset(&p->signals, held[i]);
	sigprocmask(SIG_BLOCK, &p->signals, &p->old_mask);
}

static NORETURN void be_child(struct publisher *p, pid_t parent, publisher_work work, void *ctx)
{
	sigprocmask(SIG_SETMASK, &p->old_mask, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent || dup2(p->said, STDOUT_FILENO) < 0)
		_exit(EXIT_FAILED);
	exit(work(ctx, p->output.fd));
}

static void await_child(struct publisher *p)
{
	while (waitpid(p->child, &p->status, WNOHANG) == 0) {
		int number = sigwaitinfo(&p->signals, NULL);

		if (number > 0 && number != SIGCHLD)
			kill(p->child, number);
	}
}

static int run_child(struct publisher *p, publisher_work work, void *ctx, struct err *e)
{
	pid_t self = getpid();

	p->said = memfd_create("report", MFD_CLOEXEC);
	if (p->said < 0)
		return err_sys(e, errno, "memfd_create");
	p->child = fork();
	if (p->child < 0)
		return err_sys(e, errno, "fork");
	if (p->child == 0)
		be_child(p, self, work, ctx);
	await_child(p);
	return 0;
}

static int repeat_what_it_said(const struct publisher *p, struct err *e)
{
	uint64_t size;

	if (io_file_size(p->said, &size, e) || lseek(p->said, 0, SEEK_SET) < 0 ||
	    io_copy(p->said, STDOUT_FILENO, size, e))
		return err_set(e, ERR_IO, "the report cannot be written to stdout");
	return 0;
}

static int conclude(struct publisher *p, struct err *e)
{
	if (WIFSIGNALED(p->status))
		return 0;
	if (WEXITSTATUS(p->status) == EXIT_OK && output_publish(&p->output, e))
		return -1;
	return repeat_what_it_said(p, e);
}

// The core, if any, is the child's.
static void end_by(int number)
{
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	signal(number, SIG_DFL);
	raise(number);
}

int publisher_run(const char *path, publisher_work work, void *ctx, struct err *e)
{
	struct publisher p = {.output = OUTPUT_INIT, .said = -1};
	int rc;

	hold_signals(&p);
	rc = output_open(&p.output, path, e) || run_child(&p, work, ctx, e) || conclude(&p, e) ? -1 : 0;
	publisher_deinit(&p);
	if (rc)
		return -1;
	if (WIFSIGNALED(p.status))
		end_by(WTERMSIG(p.status));
	return WIFEXITED(p.status) ? WEXITSTATUS(p.status) : EXIT_FAILED;
}
