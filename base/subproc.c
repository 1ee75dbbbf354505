/* SPDX-License-Identifier: Apache-2.0 */
#include "base/subproc.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	FIRST_FD = 3,
	ABOVE_TARGETS = FIRST_FD + SUBPROC_FDS_MAX,
	CHUNK = 64 * 1024,
	PIPE_MAX = 1024 * 1024, // the kernel's default limit
	SAMPLE_MS = 100, // how often a running child's memory is looked at
};

// What the child gets as 0, 1, 2, 3…; all lie above every target, so that no dup2 hits a source.
struct child_fds {
	int fd[ABOVE_TARGETS];
	size_t n;
};

static void close_child_fds(struct child_fds *c)
{
	for (size_t i = 0; i < c->n; i++)
		close(c->fd[i]);
	c->n = 0;
}

static int add_child_fd(struct child_fds *c, int fd, struct err *e)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_TARGETS);

	if (high < 0)
		return err_sys(e, errno, "duplicating descriptor %d", fd);
	c->fd[c->n++] = high;
	return 0;
}

struct pipe_ends {
	int read;
	int write;
};

static void close_ends(struct pipe_ends *p)
{
	cleanup_closep(&p->read);
	cleanup_closep(&p->write);
}

// Our end does not block; the child's does, as programs expect.
static int open_pipe(struct pipe_ends *p, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return err_sys(e, errno, "creating a pipe");
	*p = (struct pipe_ends){fds[0], fds[1]};
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK))
		return err_sys(e, errno, "setting up a pipe");
	return 0;
}

static int collect_fds(const struct subproc_spec *spec, int out, int err, struct child_fds *c,
		       struct err *e)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0)
		return err_sys(e, errno, "opening /dev/null");
	if (add_child_fd(c, null, e) || add_child_fd(c, out, e) || add_child_fd(c, err, e))
		return -1;
	for (size_t i = 0; i < spec->fd_count; i++) {
		if (add_child_fd(c, spec->fds[i], e))
			return -1;
	}
	return 0;
}

static int spawn_with(const struct subproc_spec *spec, const struct child_fds *c,
		      posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr, pid_t *ret)
{
	char *const no_env[] = {NULL};
	char *const *env = spec->env ? (char *const *)(uintptr_t)spec->env : no_env;
	sigset_t signals;
	int rc = 0;

	for (size_t i = 0; i < c->n && !rc; i++)
		rc = posix_spawn_file_actions_adddup2(actions, c->fd[i], (int)i);
	// Ours are all O_CLOEXEC, but whoever started us may have left some that are not.
	if (!rc)
		rc = posix_spawn_file_actions_addclosefrom_np(actions, (int)c->n);
	sigemptyset(&signals);
	posix_spawnattr_setsigmask(attr, &signals);
	sigfillset(&signals);
	posix_spawnattr_setsigdefault(attr, &signals);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (rc)
		return rc;
	return posix_spawn(ret, spec->path, actions, attr, (char *const *)(uintptr_t)spec->argv, env);
}

static int spawn(const struct subproc_spec *spec, const struct child_fds *c, pid_t *ret,
		 struct err *e)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc;

	rc = posix_spawn_file_actions_init(&actions);
	if (rc)
		return err_sys(e, rc, "running %s", spec->path);
	rc = posix_spawnattr_init(&attr);
	if (!rc) {
		rc = spawn_with(spec, c, &actions, &attr, ret);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return rc ? err_sys(e, rc, "running %s", spec->path) : 0;
}

struct watch {
	const struct subproc_spec *spec;
	struct subproc_result *result;
	pid_t pid;
	int pidfd;
	int out;
	int err;
	uint64_t start_ms;
	bool too_large;
};

// The peak so far of a process that still lives.
static uint64_t peak_rss_kib(pid_t pid)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(16 * 1024);
	struct str rest;
	struct str line;
	uint64_t kib;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (io_read_file(path, &text, NULL))
		return 0;
	rest = buf_str(&text);
	while (str_next(&rest, '\n', &line)) {
		if (!str_has_prefix(line, STR("VmHWM:")) || !str_has_suffix(line, STR(" kB")))
			continue;
		line.n -= 3;
		return str_to_u64(str_trim(str_skip(line, 6)), UINT64_MAX, &kib) ? kib : 0;
	}
	return 0;
}

static void note_peak(struct watch *w)
{
	uint64_t kib = peak_rss_kib(w->pid);

	w->result->peak_rss_kib = MAX(w->result->peak_rss_kib, kib);
}

static void kill_child(struct watch *w)
{
	note_peak(w);
	kill(w->pid, SIGKILL); // not reaped yet, so the number is still its own
}

// Keeps what fits into b->max; returns whether all of it did.
static bool keep(struct buf *b, const char *p, size_t n)
{
	size_t room = b->max - b->n;

	buf_append(b, p, MIN(n, room));
	return n <= room;
}

// One read, so that a child that never stops writing holds nobody up. Returns whether more may come.
static bool drain(struct watch *w, int fd)
{
	char chunk[CHUNK];
	ssize_t n;

	do
		n = read(fd, chunk, sizeof(chunk));
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	if (fd == w->err)
		keep(&w->result->err, chunk, (size_t)n);
	else if (!keep(&w->result->out, chunk, (size_t)n))
		w->too_large = true;
	return true;
}

// What the dead child left in a pipe. Its own descendants may write on; a full pipe's worth is enough.
static void drain_rest(struct watch *w, int fd)
{
	struct pollfd polled = {fd, POLLIN, 0};

	for (unsigned i = 0; i < PIPE_MAX / CHUNK && !w->too_large; i++) {
		if (poll(&polled, 1, 0) <= 0 || !drain(w, fd))
			return;
	}
}

// Until the deadline, or the next look at the child.
static int poll_timeout(const struct watch *w)
{
	uint64_t spent = clock_mono_ms() - w->start_ms;

	if (!w->spec->deadline_ms)
		return SAMPLE_MS;
	if (spent >= w->spec->deadline_ms)
		return 0;
	return (int)MIN(w->spec->deadline_ms - spent, (uint64_t)SAMPLE_MS);
}

static void drain_ready(struct watch *w, struct pollfd polled[static 2])
{
	for (unsigned i = 0; i < 2; i++) {
		if (!polled[i].revents)
			continue;
		if (!drain(w, polled[i].fd))
			polled[i].fd = -1; // poll() passes over it
	}
}

/*
 * Until the child is dead. Descendants of its own may hold the pipes open longer; what they write is of
 * no interest.
 */
static int watch_child(struct watch *w, struct err *e)
{
	int stop = w->spec->stop_fd > 0 ? w->spec->stop_fd : -1; // poll() passes over -1
	struct pollfd polled[] = {{w->out, POLLIN, 0},
				  {w->err, POLLIN, 0},
				  {w->pidfd, POLLIN, 0},
				  {stop, POLLIN, 0}};

	while (!polled[2].revents) {
		int timeout = poll_timeout(w);
		int n = poll(polled, countof(polled), timeout);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "waiting for %s", w->spec->path);
		note_peak(w);
		drain_ready(w, polled);
		w->result->timed_out = n == 0 && timeout == 0;
		w->result->stopped = polled[3].revents != 0;
		if (w->result->timed_out || w->result->stopped || w->too_large)
			return 0;
	}
	return 0;
}

static uint64_t timeval_us(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/*
 * A spawned child shares our memory until it executes, and the kernel counts that: its rusage tells the
 * truth only where it exceeds our own peak. Below that there is what was seen while it ran.
 */
static void settle_peak(struct subproc_result *r, const struct rusage *child)
{
	struct rusage ours;

	if (getrusage(RUSAGE_SELF, &ours) == 0 && child->ru_maxrss > ours.ru_maxrss)
		r->peak_rss_kib = (uint64_t)child->ru_maxrss;
}

static int reap(struct watch *w, struct err *e)
{
	struct subproc_result *r = w->result;
	struct rusage usage;
	int status;

	while (wait4(w->pid, &status, 0, &usage) < 0) {
		if (errno != EINTR)
			return err_sys(e, errno, "waiting for %s", w->spec->path);
	}
	r->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	r->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	r->wall_ms = clock_mono_ms() - w->start_ms;
	r->cpu_us = timeval_us(usage.ru_utime) + timeval_us(usage.ru_stime);
	settle_peak(r, &usage);
	return 0;
}

static int check_output(const struct watch *w, struct err *e)
{
	if (w->too_large)
		return err_set(e, ERR_TOO_LARGE, "%s wrote more than %zu bytes and was stopped",
			       w->spec->path, w->spec->max_stdout);
	if (buf_check(&w->result->out, "captured output", e))
		return -1;
	return buf_check(&w->result->err, "captured output", e);
}

// The child is dead and reaped when this returns, whatever it returns.
static int see_through(struct watch *w, struct err *e)
{
	int rc;

	w->pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	if (w->pidfd < 0)
		rc = err_sys(e, errno, "watching %s", w->spec->path);
	else
		rc = watch_child(w, e);
	if (rc || w->too_large || w->result->timed_out || w->result->stopped)
		kill_child(w);
	if (reap(w, rc ? NULL : e))
		rc = -1;
	drain_rest(w, w->out);
	drain_rest(w, w->err);
	if (w->pidfd >= 0)
		close(w->pidfd);
	return rc ? rc : check_output(w, e);
}

static int run(const struct subproc_spec *spec, struct subproc_result *result,
	       struct pipe_ends pipes[static 2], struct child_fds *c, struct err *e)
{
	struct watch w = {.spec = spec, .result = result, .start_ms = clock_mono_ms()};

	if (open_pipe(&pipes[0], e) || open_pipe(&pipes[1], e) ||
	    collect_fds(spec, pipes[0].write, pipes[1].write, c, e) || spawn(spec, c, &w.pid, e))
		return -1;
	// The child has its own; with ours open its death would not end the pipes.
	close_child_fds(c);
	close(steal_fd(&pipes[0].write));
	close(steal_fd(&pipes[1].write));
	w.out = pipes[0].read;
	w.err = pipes[1].read;
	return see_through(&w, e);
}

int subproc_run(const struct subproc_spec *spec, struct subproc_result *ret, struct err *e)
{
	struct subproc_result result = SUBPROC_RESULT_INIT;
	struct pipe_ends pipes[2] = {{-1, -1}, {-1, -1}};
	struct child_fds c = {.n = 0};
	int rc;

	if (spec->fd_count > SUBPROC_FDS_MAX)
		return err_set(e, ERR_INTERNAL, "running %s: too many descriptors", spec->path);
	result.out = BUF_INIT(spec->max_stdout);
	result.err = BUF_INIT(spec->max_stderr);
	rc = run(spec, &result, pipes, &c, e);
	close_child_fds(&c);
	close_ends(&pipes[0]);
	close_ends(&pipes[1]);
	if (rc)
		subproc_result_deinit(&result);
	else
		*ret = result;
	return rc;
}

void subproc_result_deinit(struct subproc_result *r)
{
	buf_deinit(&r->out);
	buf_deinit(&r->err);
}

int subproc_sibling(const char *name, char out[static 4096], struct err *e)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
	struct str dir;
	int len;

	if (n < 0)
		return err_sys(e, errno, "finding our own executable");
	dir = (struct str){self, (size_t)n};
	dir.n -= str_basename(dir).n;
	len = snprintf(out, 4096, STR_FMT "%s", STR_ARG(dir), name);
	if (n == (ssize_t)sizeof(self) || len < 0 || len >= 4096)
		return err_set(e, ERR_BAD_PATH, "the path of our own executable is too long");
	return 0;
}
