/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real kernel's events of programs that we start: who they are, what they map, and the same
 * identity as their files have.
 */
#include "agent-lite/sample/mmap_events.h"

#include "agent-lite/elf/testing.h"
#include "base/clock.h"

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

static char dir[64], with_id[128], without_id[128];
static struct mmap_events *events;
static struct err opening;

static int setup(void **state)
{
	char source[128];

	(void)state;
	test_dir_make(dir);
	snprintf(source, sizeof(source), "%s/nothing.c", dir);
	snprintf(with_id, sizeof(with_id), "%s/with_id", dir);
	snprintf(without_id, sizeof(without_id), "%s/without_id", dir);
	write_text(source, "int main(void) { return 0; }\n");
	compile("gcc", "-Wl,--build-id", source, with_id);
	compile("gcc", "-Wl,--build-id=none", source, without_id);
	if (mmap_events_new(&events, &opening) < 0)
		events = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mmap_events_free(events);
	test_dir_remove(dir);
	return 0;
}

static void need_events(void)
{
	if (events)
		return;
	print_message("skip: %s\n", opening.msg);
	skip();
}

static pid_t run(const char *program)
{
	char *argv[] = {(char *)program, NULL};
	char *env[] = {NULL};
	pid_t pid;
	int status;

	assert_int_equal(posix_spawn(&pid, program, NULL, NULL, argv, env), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return pid;
}

/* What was told of one process, in order. */
struct told {
	char kinds[64]; /* F fork, X exec, M a mapping of a file, E exit */
	size_t n;
	uint64_t last_ns;
	struct mmap_event program; /* the mapping whose path is that program's */
	char comm[MMAP_COMM];
};

static void note(struct told *t, char kind, const struct mmap_event *ev)
{
	if (t->n + 1 < sizeof(t->kinds))
		t->kinds[t->n++] = kind;
	assert_true(ev->time_ns >= t->last_ns);
	t->last_ns = ev->time_ns;
}

static void note_event(struct told *t, const struct mmap_event *ev, const char *program)
{
	switch (ev->kind) {
	case MMAP_EVENT_FORK:
		note(t, 'F', ev);
		break;
	case MMAP_EVENT_EXEC:
		note(t, 'X', ev);
		memcpy(t->comm, ev->comm, sizeof(t->comm));
		break;
	case MMAP_EVENT_EXIT:
		note(t, 'E', ev);
		break;
	case MMAP_EVENT_MMAP:
		if (str_is(ev->path, program))
			t->program = *ev;
		if (ev->path.n > 0 && ev->path.p[0] == '/')
			note(t, 'M', ev);
		break;
	default:
		break;
	}
}

static struct told listen_to(const char *program)
{
	struct mmap_merge *merge = mmap_events_merge(events);
	struct told told = {.n = 0};
	struct mmap_event ev;
	uint64_t begin, end;
	pid_t pid;

	mmap_merge_look(merge); // makes room
	while (mmap_merge_next(merge, UINT64_MAX, &ev))
		;
	begin = clock_mono_ns();
	pid = run(program);
	end = clock_mono_ns();
	mmap_merge_look(merge);
	while (mmap_merge_next(merge, end, &ev)) {
		if (ev.pid == (uint32_t)pid)
			note_event(&told, &ev, program);
	}
	assert_true(told.last_ns >= begin && told.last_ns <= end);
	return told;
}

static void a_programs_life_is_told(void **state)
{
	struct told told;

	(void)state;
	need_events();
	told = listen_to(with_id);
	assert_true(told.n >= 5); // the program, the loader, libc
	assert_memory_equal(told.kinds, "FXM", 3);
	assert_int_equal(told.kinds[told.n - 1], 'E');
	assert_string_equal(told.comm, "with_id");
	assert_true(told.program.prot & PROT_EXEC);
}

static void build_ids_agree_with_the_files(void **state)
{
	struct elf_ident ident;
	struct told told;
	struct err e = ERR_INIT;
	int fd = open(with_id, O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_ok(elf_ident_read(fd, &ident, &e));
	close(fd);
	need_events();
	if (!mmap_events_tell_build_ids(events)) {
		print_message("skip: this kernel does not tell build-IDs\n");
		skip();
	}
	told = listen_to(with_id);
	assert_int_equal(ident.id.kind, BUILD_ID_GNU);
	assert_int_equal(told.program.build_id_size, ident.id.size);
	assert_memory_equal(told.program.build_id, ident.id.bytes, ident.id.size);
}

/* So that the file can be told from another one that has its path by now. */
static void what_has_no_build_id_has_its_inode(void **state)
{
	struct told told;
	struct stat st;

	(void)state;
	need_events();
	told = listen_to(without_id);
	assert_int_equal(stat(without_id, &st), 0);
	assert_int_equal(told.program.build_id_size, 0);
	assert_int_equal(told.program.inode, st.st_ino);
}

static void whoever_waits_is_woken(void **state)
{
	struct pollfd fd;

	(void)state;
	need_events();
	fd = (struct pollfd){mmap_events_fd(events), POLLIN, 0};
	for (int i = 0; i < 20; i++)
		run(with_id);
	assert_int_equal(poll(&fd, 1, 5000), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_programs_life_is_told),
		cmocka_unit_test(build_ids_agree_with_the_files),
		cmocka_unit_test(what_has_no_build_id_has_its_inode),
		cmocka_unit_test(whoever_waits_is_woken),
	};

	return cmocka_run_group_tests_name("mmap_events", tests, setup, teardown);
}
