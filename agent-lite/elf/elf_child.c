/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/elf_child.h"

#include "agent-lite/elf/elf_child_wire.h"
#include "agent-lite/rights/rights.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
	ANSWER_TIMEOUT_MS = 3000,
	CHILD_CPU_SECONDS = 60,	  // for its whole life; then it is replaced
	CHILD_KEEPS = 128 * 1024, // bytes: larger blocks go back to the kernel when they are freed
};

struct elf_child {
	char *program;
	int sock; /* -1: not running */
	pid_t pid;
	uint32_t sequence;
	unsigned starts;
	int memory;	       /* what tables are written to; -1: not made yet */
	const uint64_t *slots; /* its mapping here, read-only */
	bool lent;	       /* there may be a table in it */
};

/* ---- the child ------------------------------------------------------------------------------- */

struct fds {
	int fd[ELF_CHILD_FDS_MAX];
	size_t n;
};

static void close_fds(struct fds *fds)
{
	while (fds->n > 0)
		close(fds->fd[--fds->n]);
}

static size_t fds_wanted(const struct elf_request *rq)
{
	return rq->kind == ELF_REQUEST_TABLE ? 2 : 1;
}

/* 1 with *ret_fds to close, 0 when the agent is gone, -1 on nonsense. */
static int receive_request(struct elf_request *rq, struct fds *ret_fds)
{
	union elf_fd_control control;
	struct iovec iov = {rq, sizeof(*rq)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	do {
		n = recvmsg(ELF_CHILD_FD, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;

	struct cmsghdr *c = n == sizeof(*rq) ? CMSG_FIRSTHDR(&m) : NULL;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(fds_wanted(rq) * sizeof(int)))
		return -1;
	ret_fds->n = fds_wanted(rq);
	memcpy(ret_fds->fd, CMSG_DATA(c), ret_fds->n * sizeof(int));
	return 1;
}

static int build_table(const struct fds *fds, struct unwind_table *ret, struct err *e)
{
	uint64_t *slots = mmap(NULL, ELF_CHILD_SLOTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			       fds->fd[1], 0);
	int r;

	if (slots == MAP_FAILED)
		return err_sys(e, errno, "mapping the memory of an unwind table");
	r = unwind_table_build(fds->fd[0], slots, UNWIND_SLOTS_MAX, ret, e);
	munmap(slots, ELF_CHILD_SLOTS_BYTES);
	return r;
}

static int read_file(uint32_t kind, const struct fds *fds, struct elf_answer *a, struct err *e)
{
	switch (kind) {
	case ELF_REQUEST_TABLE:
		return build_table(fds, &a->table, e);
	case ELF_REQUEST_SYMBOLS:
		return elf_symbols_plan(fds->fd[0], &a->symbols, e);
	case ELF_REQUEST_CODE:
		return elf_code_sections(fds->fd[0], &a->code, e);
	default:
		return elf_ident_read(fds->fd[0], &a->ident, e);
	}
}

static bool answer_request(const struct elf_request *rq, const struct fds *fds)
{
	struct elf_answer a = {.sequence = rq->sequence};
	struct err err = ERR_INIT;
	int r = read_file(rq->kind, fds, &a, &err);

	if (r < 0) {
		a.kind = err.kind;
		snprintf(a.msg, sizeof(a.msg), "%.*s", (int)sizeof(a.msg) - 1, err.msg);
	}
	return write(ELF_CHILD_FD, &a, sizeof(a)) == (ssize_t)sizeof(a); // the sandbox knows no send(2)
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
	struct elf_request rq;
	struct err err = ERR_INIT;
	struct fds fds;
	int r;

	mallopt(M_MMAP_THRESHOLD, CHILD_KEEPS);
	mallopt(M_TRIM_THRESHOLD, CHILD_KEEPS);
	if (rights_give_up(&err) < 0 || sandbox_enter(&limits, &state, &err) < 0) {
		fprintf(stderr, "unhex-agent: ELF reader: cannot enter its sandbox: %s\n",
			err.msg);
		return err_exit_code(err.kind);
	}
	while ((r = receive_request(&rq, &fds)) > 0) {
		bool sent = answer_request(&rq, &fds);

		close_fds(&fds);
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
	posix_spawn_file_actions_adddup2(&actions, sock, ELF_CHILD_FD);
	// Ours are all O_CLOEXEC, but whoever started us may have left some that are not.
	posix_spawn_file_actions_addclosefrom_np(&actions, ELF_CHILD_FD + 1);
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
	if (pair[1] == ELF_CHILD_FD) {
		pair[1] = fcntl(ELF_CHILD_FD, F_DUPFD_CLOEXEC, ELF_CHILD_FD + 1);
		close(ELF_CHILD_FD);
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

static int send_request(struct elf_child *c, enum elf_request_kind kind, const struct fds *fds,
			struct err *e)
{
	struct elf_request rq = {.sequence = ++c->sequence, .kind = kind};
	union elf_fd_control control = {.bytes = {0}};
	struct iovec iov = {&rq, sizeof(rq)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(fds->n * sizeof(int)),
	};
	struct cmsghdr *h = &control.align; // the first, and only, one

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(fds->n * sizeof(int));
	memcpy(CMSG_DATA(h), fds->fd, fds->n * sizeof(int));
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

static bool ident_is_sane(const struct elf_ident *ident)
{
	return ident->load_count <= ELF_IDENT_LOADS_MAX && ident->id.size > 0 &&
	       ident->id.size <= BUILD_ID_MAX && (unsigned)ident->id.kind <= BUILD_ID_HTL;
}

/* Pages lead to rows that are there, in order. */
static bool table_is_sane(const struct unwind_table *t, const uint64_t *slots)
{
	uint32_t at = 0;

	if (t->pages > UNWIND_SLOTS_MAX || t->rows > UNWIND_SLOTS_MAX - t->pages ||
	    (t->rows > 0) != (t->pages > 0))
		return false;
	for (size_t i = 0; i < t->pages; i++) {
		struct unwind_page page;

		memcpy(&page, &slots[i], sizeof(page));
		if (page.first != at || page.end < page.first || page.end > t->rows)
			return false;
		at = page.end;
	}
	return at == t->rows;
}

/* The child has read a hostile file: nothing in its answer is believed. */
static bool answer_is_sane(const struct elf_child *c, enum elf_request_kind kind,
			   const struct elf_answer *a)
{
	if (a->sequence != c->sequence || a->kind >= ERR_KIND_COUNT)
		return false;
	if (memchr(a->msg, 0, sizeof(a->msg)) == NULL)
		return false;
	if (a->kind != ERR_NONE)
		return true;
	switch (kind) {
	case ELF_REQUEST_TABLE:
		return table_is_sane(&a->table, c->slots);
	case ELF_REQUEST_SYMBOLS:
		return symbols_plan_is_sane(&a->symbols, UINT64_MAX);
	case ELF_REQUEST_CODE:
		return code_sections_are_sane(&a->code);
	default:
		return ident_is_sane(&a->ident);
	}
}

static int receive_answer(struct elf_child *c, enum elf_request_kind kind, struct elf_answer *a,
			  struct err *e)
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
	if (n != sizeof(*a) || !answer_is_sane(c, kind, a))
		return err_set(e, ERR_INTERNAL, "the ELF reader gave a malformed answer");
	return 0;
}

static int ask(struct elf_child *c, enum elf_request_kind kind, const struct fds *fds,
	       struct elf_answer *ret, struct err *e)
{
	if (c->sock < 0 && start_child(c, e) < 0)
		return -1;
	if (send_request(c, kind, fds, e) < 0) {
		// It died since the last file, so this one is not to blame: try once more.
		stop_child(c);
		if (start_child(c, e) < 0 || send_request(c, kind, fds, e) < 0)
			return -1;
	}
	if (receive_answer(c, kind, ret, e) < 0) {
		stop_child(c);
		return -1;
	}
	if (ret->kind != ERR_NONE)
		return err_set(e, (enum err_kind)ret->kind, "%s", ret->msg);
	return 0;
}

int elf_child_ident(struct elf_child *c, int fd, struct elf_ident *ret, struct err *e)
{
	const struct fds fds = {.fd = {fd}, .n = 1};
	struct elf_answer a;

	if (ask(c, ELF_REQUEST_IDENT, &fds, &a, e) < 0)
		return -1;
	*ret = a.ident;
	return 0;
}

int elf_child_symbols(struct elf_child *c, int fd, struct symbols_plan *ret, struct err *e)
{
	const struct fds fds = {.fd = {fd}, .n = 1};
	struct elf_answer a;

	if (ask(c, ELF_REQUEST_SYMBOLS, &fds, &a, e) < 0)
		return -1;
	*ret = a.symbols;
	return 0;
}

int elf_child_code(struct elf_child *c, int fd, struct code_sections *ret, struct err *e)
{
	const struct fds fds = {.fd = {fd}, .n = 1};
	struct elf_answer a;

	if (ask(c, ELF_REQUEST_CODE, &fds, &a, e) < 0)
		return -1;
	*ret = a.code;
	return 0;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* Sealed: a child that shrinks it would have the agent die of reading it. */
static int make_memory(struct elf_child *c, struct err *e)
{
	_cleanup_close_ int fd = memfd_create("unhex-unwind-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	if (fd < 0)
		return err_sys(e, errno, "memfd_create for unwind tables");
	if (ftruncate(fd, ELF_CHILD_SLOTS_BYTES) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_sys(e, errno, "sizing the memory of unwind tables");
	p = mmap(NULL, ELF_CHILD_SLOTS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, errno, "mapping the memory of unwind tables");
	c->slots = p;
	c->memory = steal_fd(&fd);
	return 0;
}

void elf_child_table_release(struct elf_child *c)
{
	if (c->lent)
		fallocate(c->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, ELF_CHILD_SLOTS_BYTES);
	c->lent = false;
}

int elf_child_table(struct elf_child *c, int fd, struct unwind_table *ret,
		    const uint64_t **ret_slots, struct err *e)
{
	struct fds fds = {.fd = {fd, -1}, .n = 2};
	struct elf_answer a;

	elf_child_table_release(c);
	if (c->memory < 0 && make_memory(c, e) < 0)
		return -1;
	fds.fd[1] = c->memory;
	c->lent = true;
	if (ask(c, ELF_REQUEST_TABLE, &fds, &a, e) < 0) {
		elf_child_table_release(c);
		return -1;
	}
	*ret = a.table;
	*ret_slots = c->slots;
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
	c->memory = -1;
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
	if (c->memory >= 0) {
		munmap((void *)c->slots, ELF_CHILD_SLOTS_BYTES);
		close(c->memory);
	}
	free(c->program);
	free(c);
}
