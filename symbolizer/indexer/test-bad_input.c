/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thousands of damaged copies of ELF files of many kinds, each probed, copied and indexed in a process
 * of its own with limits on memory and time: it ends with an index that can be read, or with one reason,
 * never by a signal or a sanitizer's report. UNHEX_BAD_CASES sets how many there are of each file; a
 * failure leaves its input in the build folder.
 */
#include "symbolizer/indexer/extract.h"
#include "symbolizer/indexer/probe.h"
#include "tests/unit/indexing.h"
#include "tests/unit/mutate.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum {
	CASES = SANITIZED ? 200 : 500, // of a small file
	SECONDS = SANITIZED ? 60 : 10,
	REASON = 64, // exit status: this plus the kind of the error
	LOOKUPS = 64,
};

static const char freestanding[] =
	"struct s { int a; long b; };\n"
	"static inline int in(struct s *p, int n) { for (int i = 0; i < n; i++) p->a += i ^ p->b; return p->a; }\n"
	"__attribute__((noinline)) int out(struct s *p) { return in(p, 3) + in(p, p->a); }\n"
	"struct s global;\n"
	"void _start(void) { global.a = out(&global); for (;;); }\n";

static const char go_program[] = "package main\n"
				 "type t struct{ n int }\n"
				 "func (x *t) inlined(n int) int { return x.n*n + 1 }\n"
				 "func main() { x := &t{3}; println(x.inlined(4), x.inlined(5)) }\n";

static const struct subject {
	const char *name;
	const char *command; // in the test's folder; leaves NAME
	unsigned share;	     // of the cases, in percent: large files take longer
} subjects[] = {
	{"c", "gcc -O2 -g -o c free.c -nostdlib -static -ffreestanding", 100},
	{"dwarf2", "gcc -O2 -gdwarf-2 -gstrict-dwarf -o dwarf2 free.c -nostdlib -static -ffreestanding", 100},
	{"dwarf64", "gcc -O2 -g -gdwarf64 -o dwarf64 free.c -nostdlib -static -ffreestanding", 100},
	{"bits32", "gcc -m32 -O2 -g -o bits32 free.c -nostdlib -static -ffreestanding", 100},
	{"cxx", "g++ -O2 -g -o cxx $SRC/shapes.cc", 50},
	{"cxx-clang", "clang++ -O2 -g -gdwarf-5 -o cxx-clang $SRC/shapes.cc", 50},
	{"cxx-clang4", "clang++ -O2 -g -gdwarf-4 -ffunction-sections -o cxx-clang4 $SRC/shapes.cc", 50},
	{"stripped", "g++ -O2 -s -o stripped $SRC/shapes.cc", 100},
	{"debug", "objcopy --only-keep-debug cxx debug", 50},
	{"compressed", "objcopy --compress-debug-sections=zlib cxx compressed", 100},
	{"compressed-old", "objcopy --compress-debug-sections=zlib-gnu cxx compressed-old", 50},
	{"object", "g++ -O2 -g -ffunction-sections -c -o object $SRC/shapes.cc", 50},
	{"debugdata",
	 "objcopy --strip-debug cxx mini && xz -f mini && strip -o debugdata cxx && "
	 "objcopy --add-section .gnu_debugdata=mini.xz debugdata", 100},
	{"big-endian",
	 "clang --target=powerpc64-linux-gnu -O2 -g -o big-endian free.c -nostdlib -static -ffreestanding "
	 "-fuse-ld=lld", 100},
	{"big-endian-object", "clang --target=s390x-linux-gnu -O2 -g -c -o big-endian-object free.c", 100},
	{"go", "GOFLAGS= GO111MODULE=off GOTOOLCHAIN=local /usr/bin/go build -ldflags '-s -w' -o go main.go", 10},
	{"go-dwarf", "GOFLAGS= GO111MODULE=off GOTOOLCHAIN=local /usr/bin/go build -o go-dwarf main.go", 5},
};

static char source_dir[256];

static int setup(void **state)
{
	if (toolbox_setup(state) || !getcwd(source_dir, sizeof(source_dir)))
		return -1;
	toolbox_write("free.c", (struct str){freestanding, sizeof(freestanding) - 1});
	toolbox_write("main.go", (struct str){go_program, sizeof(go_program) - 1});
	return 0;
}

/* ---- in the child ---- */

static int memory_file(const char *bytes, size_t n)
{
	int fd = memfd_create("case", MFD_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < n;) {
		ssize_t wrote = pwrite(fd, bytes + at, n - at, (off_t)at);

		if (wrote <= 0)
			_exit(2);
		at += (size_t)wrote;
	}
	return fd;
}

static void look_around(int fd)
{
	static struct frames frames;
	struct err e = ERR_INIT;
	struct uhx *u = NULL;
	uint64_t state = 1;

	if (uhx_open_fd(fd, &u, &e) || uhx_verify(u, &e)) {
		fprintf(stderr, "the index is bad: %s\n", e.msg);
		_exit(3);
	}
	for (int i = 0; i < LOOKUPS; i++) {
		uhx_lookup(u, mutate_random(&state) >> (mutate_random(&state) % 64), &frames);
		uhx_lookup(u, 0x1000 + mutate_random(&state) % 0x4000, &frames);
	}
	uhx_unref(u);
}

// Ends with 0 for an index, REASON + kind for a reason.
static NORETURN void child(const char *bytes, size_t n)
{
	struct elf_image img = ELF_IMAGE_INIT;
	struct warnings warnings = {0};
	struct buf report = BUF_INIT(MIB(16));
	struct json_out j = JSON_OUT(&report);
	struct err e = ERR_INIT;
	struct index_input in = {
		.files = {&img}, .out_fd = memory_file("", 0), .warnings = &warnings};

	if (elf_image_open(&img, memory_file(bytes, n), "case", &e))
		_exit(REASON + (int)e.kind);
	probe_write(&img, &j);
	if (extract_run(&img, memory_file("", 0), &j, &e) && !e.msg[0])
		_exit(4);
	e = ERR_INIT;
	if (index_run(&in, &j, &e))
		_exit(e.msg[0] ? REASON + (int)e.kind : 4);
	look_around(in.out_fd);
	_exit(0);
}

/* ---- in the parent ---- */

static void limit_self(void)
{
	const struct rlimit cpu = {SECONDS, SECONDS};
	const struct rlimit memory = {GIB(1), GIB(1)};
	const struct rlimit core = {0, 0};

	if (setrlimit(RLIMIT_CPU, &cpu) || setrlimit(RLIMIT_CORE, &core) ||
	    (!SANITIZED && setrlimit(RLIMIT_AS, &memory)))
		_exit(2);
}

static int run_case(const char *bytes, size_t n)
{
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		limit_self();
		child(bytes, n);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void keep(const struct subject *s, const char *bytes, size_t n, uint64_t number, int status)
{
	const char *build = getenv("UNHEX_BUILD");
	struct err e = ERR_INIT;
	char path[512];

	snprintf(path, sizeof(path), "%s/bad-%s-%llu", build ? build : "/tmp", s->name, (unsigned long long)number);
	if (io_write_file(path, bytes, n, 0644, &e))
		print_message("%s\n", e.msg);
	print_message("%s, case %llu: wait status %#x; input kept in %s\n", s->name, (unsigned long long)number,
		      (unsigned)status, path);
}

// Reasons that say what is wrong with the file, or that it asks for too much.
static bool is_reason(int status)
{
	static const enum err_kind kinds[] = {ERR_NOT_ELF,   ERR_BAD_ELF,	ERR_UNSUPPORTED, ERR_TOO_LARGE,
					      ERR_TOO_DEEP,  ERR_ID_MISMATCH, ERR_NOMEM};

	for (size_t i = 0; WIFEXITED(status) && i < countof(kinds); i++)
		if (WEXITSTATUS(status) == REASON + (int)kinds[i])
			return true;
	return false;
}

static uint64_t wanted_cases(const struct subject *s)
{
	const char *text = getenv("UNHEX_BAD_CASES");
	uint64_t cases = CASES;

	if (text && !str_to_u64(str_from(text), UINT32_MAX, &cases))
		fail_msg("UNHEX_BAD_CASES=%s is no number", text);
	return MAX(cases * s->share / 100, (uint64_t)3);
}

static void test_damaged(void **state)
{
	const struct subject *s = *state;
	uint64_t cases = wanted_cases(s);
	unsigned failures = 0;
	unsigned indexes = 0;
	struct mutate_file file;
	bool good;
	char *bytes;
	char *copy;
	size_t n;

	if (toolbox_run("SRC=%s/tests/subjects; %s >build.log 2>&1", source_dir, s->command)) {
		print_message("skipped: cannot be built here: %s\n", s->command);
		skip();
	}
	bytes = toolbox_read(s->name, &n);
	copy = malloc(n);
	assert_non_null(copy);
	mutate_begin(&file, bytes, n);
	assert_true(file.area_count > 3);
	good = run_case(bytes, n) == 0; // kinds of files that are refused whole are in the test too
	for (uint64_t i = 0; i < cases; i++) {
		size_t left;
		int status;

		memcpy(copy, bytes, n);
		left = mutate_case(&file, copy, i);
		status = run_case(copy, left);
		indexes += status == 0;
		if (status == 0 || is_reason(status))
			continue;
		keep(s, copy, left, i, status);
		failures++;
	}
	print_message("%s: %llu cases, %u gave an index, the others a reason\n", s->name,
		      (unsigned long long)cases, indexes);
	free(copy);
	free(bytes);
	assert_int_equal(failures, 0);
	assert_true(indexes < cases);
	assert_true(!good || indexes > 0 || cases < 10);
}

int main(void)
{
	struct CMUnitTest tests[countof(subjects)];

	for (size_t i = 0; i < countof(subjects); i++)
		tests[i] = (struct CMUnitTest){.name = subjects[i].name,
					       .test_func = test_damaged,
					       .initial_state = (void *)(uintptr_t)&subjects[i]};
	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
