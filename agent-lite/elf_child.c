/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf_child.h"

#include "agent-lite/rights.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
	CHILD_FD = 3,
	ANSWER_TIMEOUT_MS = 3000,
	CHILD_CPU_SECONDS = 60, // for its whole life; then it is replaced
};

struct request {
	uint32_t sequence;
};

struct answer {
	uint32_t sequence;
	uint32_t kind; /* enum err_kind; ERR_NONE: ident is valid */
	struct elf_ident ident;
	char msg[256];
};

struct elf_child {
	char *program;
	int sock; /* -1: not running */
	pid_t pid;
	uint32_t sequence;
	unsigned starts;
};

/* ---- the child ------------------------------------------------------------------------------- */

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* 1 with *ret_fd to close, 0 when the agent is gone, -1 on nonsense. */
static int receive_request(struct request *rq, int *ret_fd)
{
	union fd_control control;
	struct iovec iov = {rq, sizeof(*rq)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	do {
		n = recvmsg(CHILD_FD, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;

	struct cmsghdr *c = n == sizeof(*rq) ? CMSG_FIRSTHDR(&m) : NULL;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	return 1;
}

static bool answer_request(const struct request *rq, int fd)
{
	struct answer a = {.sequence = rq->sequence};
	struct err err = ERR_INIT;

	if (elf_ident_read(fd, &a.ident, &err) < 0) {
		a.kind = err.kind;
		snprintf(a.msg, sizeof(a.msg), "%.*s", (int)sizeof(a.msg) - 1, err.msg);
	}
	return write(CHILD_FD, &a, sizeof(a)) == (ssize_t)sizeof(a); // the sandbox knows no send(2)
}

int elf_child_main(void)
{
	const struct sandbox_limits limits = {
		.address_space = MIB(256),
		.cpu_seconds = CHILD_CPU_SECONDS,
		.file_size = 0,
		.receive_fds = true,
	};
	struct sandbox_state state;
	struct request rq;
	struct err err = ERR_INIT;
	int fd, r;

	if (rights_give_up(&err) < 0 || sandbox_enter(&limits, &state, &err) < 0) {
		fprintf(stderr, "unhex-agent: ELF reader: cannot enter its sandbox: %s\n",
			err.msg);
		return err_exit_code(err.kind);
	}
	while ((r = receive_request(&rq, &fd)) > 0) {
		bool sent = answer_request(&rq, fd);

		close(fd);
		if (!sent)
			return EXIT_FAILED;
	}
	return r == 0 ? EXIT_OK : EXIT_FAILED;
}

/* ---- the agent ------------------------------------------------------------------------------- */

static void stop_child(struct elf_child *c)
{
	if (c->sock >= 0)
		close(c->sock);
	c->sock = -1;
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	c->pid = 0;
}

static int spawn_child(struct elf_child *c, int sock)
{
	char *argv[] = {(char *)"unhex-agent", (char *)ELF_CHILD_ARG, NULL};
	char *env[] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&actions, sock, CHILD_FD);
	// Ours are all O_CLOEXEC, but whoever started us may have left some that are not.
	posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_FD + 1);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	r = posix_spawn(&c->pid, c->program, &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

static int start_child(struct elf_child *c, struct err *e)
{
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair for the ELF reader");
	// dup2 onto itself would keep close-on-exec.
	if (pair[1] == CHILD_FD) {
		pair[1] = fcntl(CHILD_FD, F_DUPFD_CLOEXEC, CHILD_FD + 1);
		close(CHILD_FD);
	}
	r = spawn_child(c, pair[1]);
	close(pair[1]);
	if (r != 0) {
		close(pair[0]);
		c->pid = 0;
		return err_sys(e, r, "starting the ELF reader %s", c->program);
	}
	c->sock = pair[0];
	c->starts++;
	return 0;
}

static int send_request(struct elf_child *c, int fd, struct err *e)
{
	struct request rq = {.sequence = ++c->sequence};
	union fd_control control = {.bytes = {0}};
	struct iovec iov = {&rq, sizeof(rq)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	if (sendmsg(c->sock, &m, MSG_NOSIGNAL) != (ssize_t)sizeof(rq))
		return err_sys(e, errno, "sending a file to the ELF reader");
	return 0;
}

static int wait_readable(int sock, struct err *e)
{
	uint64_t deadline = clock_mono_ms() + ANSWER_TIMEOUT_MS;

	for (;;) {
		struct pollfd p = {sock, POLLIN, 0};
		uint64_t now = clock_mono_ms();
		int r = poll(&p, 1, now < deadline ? (int)(deadline - now) : 0);

		if (r > 0)
			return 0;
		if (r == 0)
			return err_set(e, ERR_TIMEOUT, "the ELF reader gave no answer in %d ms",
				       ANSWER_TIMEOUT_MS);
		if (errno != EINTR)
			return err_sys(e, errno, "waiting for the ELF reader");
	}
}

/* The child has read a hostile file: nothing in its answer is believed. */
static bool answer_is_sane(const struct answer *a, uint32_t sequence)
{
	if (a->sequence != sequence || a->kind >= ERR_KIND_COUNT)
		return false;
	if (memchr(a->msg, 0, sizeof(a->msg)) == NULL)
		return false;
	if (a->kind != ERR_NONE)
		return true;
	return a->ident.load_count <= ELF_IDENT_LOADS_MAX && a->ident.id.size > 0 &&
	       a->ident.id.size <= BUILD_ID_MAX && (unsigned)a->ident.id.kind <= BUILD_ID_HTL;
}

static int receive_answer(struct elf_child *c, struct answer *a, struct err *e)
{
	ssize_t n;

	if (wait_readable(c->sock, e) < 0)
		return -1;
	do {
		n = recv(c->sock, a, sizeof(*a), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "reading the ELF reader's answer");
	if (n == 0)
		return err_set(e, ERR_INTERNAL, "the ELF reader died over this file");
	if (n != sizeof(*a) || !answer_is_sane(a, c->sequence))
		return err_set(e, ERR_INTERNAL, "the ELF reader gave a malformed answer");
	return 0;
}

int elf_child_ident(struct elf_child *c, int fd, struct elf_ident *ret, struct err *e)
{
	struct answer a;

	if (c->sock < 0 && start_child(c, e) < 0)
		return -1;
	if (send_request(c, fd, e) < 0) {
		// It died since the last file, so this one is not to blame: try once more.
		stop_child(c);
		if (start_child(c, e) < 0 || send_request(c, fd, e) < 0)
			return -1;
	}
	if (receive_answer(c, &a, e) < 0) {
		stop_child(c);
		return -1;
	}
	if (a.kind != ERR_NONE)
		return err_set(e, (enum err_kind)a.kind, "%s", a.msg);
	*ret = a.ident;
	return 0;
}

unsigned elf_child_starts(const struct elf_child *c)
{
	return c->starts;
}

int elf_child_new(const char *program, struct elf_child **ret, struct err *e)
{
	struct elf_child *c = mem_zalloc(sizeof(*c));

	if (!c)
		return err_nomem(e);
	c->sock = -1;
	c->program = mem_strdup(program ? program : "/proc/self/exe");
	if (!c->program) {
		free(c);
		return err_nomem(e);
	}
	*ret = c;
	return 0;
}

void elf_child_free(struct elf_child *c)
{
	if (!c)
		return;
	stop_child(c);
	free(c->program);
	free(c);
}
