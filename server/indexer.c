/* SPDX-License-Identifier: Apache-2.0 */
#include "server/indexer.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/subproc.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

enum {
	PROBE_DEADLINE_MS = 30000,
	STDERR_MAX = 4096,
	NUMBER_MAX = 32,
};

struct indexer {
	char *path;
	uint64_t deadline_ms;
	char max_memory[NUMBER_MAX];
	char max_cpu[NUMBER_MAX];
	int stop_fd; // readable once we are to stop
};

int indexer_new(const char *path, uint64_t deadline_ms, uint64_t max_memory, struct indexer **ret,
		struct err *e)
{
	struct indexer *x = mem_zalloc(sizeof(*x));

	if (!x)
		return err_nomem(e);
	x->path = mem_strdup(path);
	x->deadline_ms = deadline_ms;
	snprintf(x->max_memory, sizeof(x->max_memory), "%" PRIu64, max_memory);
	snprintf(x->max_cpu, sizeof(x->max_cpu), "%" PRIu64, deadline_ms / 1000 + 1);
	x->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (x->path && x->stop_fd > 0) {
		*ret = x;
		return 0;
	}
	if (x->stop_fd < 0)
		err_sys(e, errno, "creating an eventfd");
	else
		err_nomem(e);
	indexer_free(x);
	return -1;
}

void indexer_stop(struct indexer *x)
{
	uint64_t one = 1;
	ssize_t n = write(x->stop_fd, &one, sizeof(one)); // stays readable: nobody reads it

	(void)n;
}

void indexer_free(struct indexer *x)
{
	if (!x)
		return;
	if (x->stop_fd >= 0)
		close(x->stop_fd);
	free(x->path);
	free(x);
}

static struct str first_line(struct str s)
{
	struct str line = STR_EMPTY;

	str_next(&s, '\n', &line);
	return str_trim(line);
}

static int signal_err(const struct subproc_result *r, struct err *e)
{
	if (r->signal == SIGXCPU)
		return err_set(e, ERR_INDEXER_TIMEOUT, "the indexer used up its CPU time");
	if (r->signal == SIGKILL)
		return err_set(e, ERR_INDEXER_KILLED,
			       "the indexer was killed by signal 9, perhaps by the kernel for want of memory");
	return err_set(e, ERR_INDEXER_CRASHED, "the indexer was killed by signal %d (%s)", r->signal,
		       strsignal(r->signal));
}

static int check_end(const struct subproc_result *r, uint64_t deadline_ms, struct err *e)
{
	if (r->stopped)
		return err_set(e, ERR_SHUTTING_DOWN, "the server is shutting down");
	if (r->timed_out)
		return err_set(e, ERR_INDEXER_TIMEOUT, "the indexer was not done after %" PRIu64 " s",
			       deadline_ms / 1000);
	if (r->signal)
		return signal_err(r, e);
	if (r->exit_code == 0)
		return 0;
	indexer_error_parse(buf_str(&r->out), first_line(buf_str(&r->err)), e);
	return -1;
}

static int run(struct indexer *x, struct subproc_spec *spec, struct subproc_result *ret,
	       struct err *e)
{
	spec->path = x->path;
	spec->stop_fd = x->stop_fd;
	spec->max_stdout = INDEXER_REPORT_MAX;
	spec->max_stderr = STDERR_MAX;
	if (subproc_run(spec, ret, e)) {
		if (e && e->kind == ERR_TOO_LARGE)
			e->kind = ERR_INDEXER_CRASHED;
		return -1;
	}
	if (check_end(ret, spec->deadline_ms, e)) {
		subproc_result_deinit(ret);
		return -1;
	}
	return 0;
}

int indexer_probe(struct indexer *x, int fd, struct probe_report *ret, char **ret_json, struct err *e)
{
	const char *argv[] = {x->path,	 "--max-memory", x->max_memory, "--max-cpu",
			      x->max_cpu, "--probe",	 "fd:3",	NULL};
	struct subproc_spec spec = {
		.argv = argv,
		.fds = {fd},
		.fd_count = 1,
		.deadline_ms = MIN(x->deadline_ms, (uint64_t)PROBE_DEADLINE_MS),
	};
	struct subproc_result r;
	int rc;

	if (run(x, &spec, &r, e))
		return -1;
	rc = probe_report_parse(buf_str(&r.out), ret, e);
	if (!rc && ret_json)
		*ret_json = buf_steal(&r.out, NULL);
	subproc_result_deinit(&r);
	return rc;
}

int indexer_index(struct indexer *x, const struct indexer_files *files, char **ret_json,
		  struct err *e)
{
	const char *argv[] = {x->path,	  "--max-memory", x->max_memory, "--max-cpu",
			      x->max_cpu, "-o",		  "fd:3",	 "fd:4",
			      files->debug >= 0 ? "fd:5" : NULL, NULL};
	struct subproc_spec spec = {
		.argv = argv,
		.fds = {files->out, files->elf, files->debug},
		.fd_count = files->debug >= 0 ? 3 : 2,
		.deadline_ms = x->deadline_ms,
	};
	struct subproc_result r;
	int rc;

	if (run(x, &spec, &r, e))
		return -1;
	rc = index_report_check(buf_str(&r.out), e);
	if (!rc)
		*ret_json = buf_steal(&r.out, NULL);
	subproc_result_deinit(&r);
	return rc;
}

bool indexer_failure_is_final(const struct err *e)
{
	switch (e->kind) {
	case ERR_NOT_ELF:
	case ERR_BAD_ELF:
	case ERR_UNSUPPORTED:
	case ERR_NO_BUILD_ID:
	case ERR_ID_MISMATCH:
	case ERR_TOO_LARGE:
	case ERR_TOO_DEEP:
	case ERR_BAD_INDEX:
	case ERR_INDEXER_CRASHED:
	case ERR_INDEXER_MEMORY:
		return true;
	default:
		return false;
	}
}

bool indexer_failure_may_pass(const struct err *e)
{
	return e->kind == ERR_INDEXER_TIMEOUT || e->kind == ERR_INDEXER_KILLED;
}
