/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Go program is built by every Go at hand, stripped, and prints where it is, as the Go runtime
 * sees it itself; the index must say the same. Then its unstripped twin is asked about addresses
 * all over the text through llvm-symbolizer, that is through DWARF.
 */
#include "symbolizer/indexer/gopclntab.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/indexer/go_table.h"
#include "symbolizer/uhx_reader.h"

#include <elf.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

static const char program[] =
	"package main\n"                                                               // 1
	"import \"runtime\"\n"                                                         // 2
	"type shape struct{ n int }\n"                                                 // 3
	"func (s *shape) method(depth int) int { return inlinedOuter(s.n + depth) }\n" // 4
	"func inlinedOuter(n int) int {\n"                                             // 5
	"	n++\n"                                                                 // 6
	"	return inlinedInner(n)\n"                                              // 7
	"}\n"                                                                          // 8
	"func inlinedInner(n int) int {\n"                                             // 9
	"	report(n)\n"                                                           // 10
	"	return n + 1\n"                                                        // 11
	"}\n"                                                                          // 12
	"func generic[T int | string](v T, f func(T)) {\n"                             // 13
	"	f(v)\n"                                                                // 14
	"}\n"                                                                          // 15
	"//go:noinline\n"                                                              // 16
	"func report(n int) {\n"                                                       // 17
	"	pcs := make([]uintptr, 64)\n"
	"	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])\n"
	"	for {\n"
	"		f, more := frames.Next()\n"
	"		println(\"frame\", f.PC, f.Line, f.Function, f.File)\n"
	"		if !more { break }\n"
	"	}\n"
	"	println(\"end\", n)\n"
	"}\n"
	"func main() {\n"
	"	s := &shape{1}\n"
	"	s.method(2)\n"
	"	done := make(chan int)\n"
	"	go func() { inlinedOuter(3); close(done) }()\n"
	"	<-done\n"
	"	generic(4, func(v int) { inlinedInner(v) })\n"
	"	generic(\"x\", func(v string) { report(len(v)) })\n"
	"	defer func() { recover(); report(5) }()\n"
	"	var p *shape\n"
	"	p.method(0)\n"
	"}\n";

static const struct toolchain {
	const char *name;
	const char *go;
	bool has_start_lines;
} toolchains[] = {
	{"distribution", "/usr/bin/go", false},
	{"newer", "/usr/local/go/bin/go", true},
};

static char dir[] = "/tmp/test-gopclntab.XXXXXX";
static struct frames frames;

/* ---- a small reader of ELF files, 64 bits, little-endian, trusted ---- */

struct elf {
	struct buf bytes;
	struct gopclntab_segment segments[16];
	struct gopclntab_input input;
};

static struct str section_bytes(const struct elf *f, const Elf64_Shdr *s)
{
	assert_true(range_fits(s->sh_offset, s->sh_size, f->bytes.n));
	return (struct str){f->bytes.p + s->sh_offset, s->sh_size};
}

static void read_sections(struct elf *f, const Elf64_Ehdr *h)
{
	const Elf64_Shdr *sections = (const Elf64_Shdr *)(const void *)(f->bytes.p + h->e_shoff);
	struct str names = section_bytes(f, &sections[h->e_shstrndx]);

	for (size_t i = 1; i < h->e_shnum; i++) {
		struct str name = str_from(str_skip(names, sections[i].sh_name).p);

		if (str_is(name, ".text"))
			f->input.text_vaddr = sections[i].sh_addr;
		if (!str_is(name, ".gopclntab"))
			continue;
		f->input.table = section_bytes(f, &sections[i]);
		f->input.table_vaddr = sections[i].sh_addr;
	}
}

static void read_segments(struct elf *f, const Elf64_Ehdr *h)
{
	const Elf64_Phdr *headers = (const Elf64_Phdr *)(const void *)(f->bytes.p + h->e_phoff);

	for (size_t i = 0; i < h->e_phnum; i++) {
		const Elf64_Phdr *p = &headers[i];

		if (p->p_type != PT_LOAD || f->input.segment_count == countof(f->segments))
			continue;
		if (p->p_flags & PF_X)
			f->input.text_end = p->p_vaddr + p->p_memsz;
		f->segments[f->input.segment_count++] = (struct gopclntab_segment){
			p->p_vaddr, {f->bytes.p + p->p_offset, p->p_filesz}};
	}
	f->input.segments = f->segments;
}

static void elf_read(struct elf *f, const char *path)
{
	struct err e = ERR_INIT;

	*f = (struct elf){.bytes = BUF_INIT(MIB(64))};
	if (io_read_file(path, &f->bytes, &e))
		fail_msg("%s", e.msg);
	read_sections(f, (const Elf64_Ehdr *)(const void *)f->bytes.p);
	read_segments(f, (const Elf64_Ehdr *)(const void *)f->bytes.p);
	assert_true(f->input.table.n > 0);
}

/* ---- building, indexing ---- */

static char *path_of(const struct toolchain *t, const char *what)
{
	static char path[2][256];
	static unsigned turn;
	char *p = path[turn++ % 2];

	snprintf(p, sizeof(path[0]), "%s/%s.%s", dir, t->name, what);
	return p;
}

static void sh(const char *fmt, ...) PRINTF(1, 2);
static void sh(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command))
		fail_msg("failed: %s", command);
}

static const struct toolchain *need(void **state)
{
	const struct toolchain *t = *state;

	if (access(t->go, X_OK)) {
		print_message("skipped: no %s\n", t->go);
		skip();
	}
	return t;
}

static const char *build(const struct toolchain *t, const char *what, const char *flags)
{
	const char *path = path_of(t, what);

	if (access(path, X_OK))
		sh("cd %s && HOME=${HOME:-/root} GOTOOLCHAIN=local GOFLAGS=-mod=mod CGO_ENABLED=0 "
		   "%s build %s -o %s .",
		   dir, t->go, flags, path);
	return path;
}

static const char *build_stripped(const struct toolchain *t)
{
	return build(t, "stripped", "-ldflags '-s -w'");
}

static struct uhx *index_of(const struct gopclntab_input *in, struct gopclntab_counts *counts)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	_cleanup_close_ int fd = memfd_create("uhx", MFD_CLOEXEC);
	struct uhx_meta meta = {.quality = QUALITY_GOPCLNTAB, .machine = STR("x86_64")};
	struct uhx_counts written;
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	assert_true(fd >= 0);
	if (uhx_builder_new(&b, &e) || gopclntab_index(in, b, counts, &e) ||
	    uhx_builder_write(b, &meta, fd, &written, &e) || uhx_open_fd(fd, &u, &e))
		fail_msg("%s", e.msg);
	return u;
}

/* ---- the program's own word ---- */

enum { SEEN_MAX = 256, STACK_MAX = 32 };

struct seen {
	uint64_t pc;
	uint32_t line;
	char function[256];
	char file[256];
};

// What the program printed, "end" as entries without a pc.
static size_t run_program(const char *path, struct seen *seen)
{
	char command[512];
	char line[1024];
	size_t n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "%s 2>&1", path);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && n < SEEN_MAX) {
		seen[n] = (struct seen){0};
		if (sscanf(line, "frame %" SCNu64 " %" SCNu32 " %255s %255s", &seen[n].pc,
			   &seen[n].line, seen[n].function, seen[n].file) == 4 ||
		    strncmp(line, "end ", 4) == 0)
			n++;
	}
	pclose(f);
	return n;
}

// As the runtime prints them (runtime/symtab.go: funcNameForPrint): type arguments as "[...]".
static void shorten(struct str name, char out[static 256])
{
	const char *open = memchr(name.p, '[', name.n);
	const char *close = open ? memrchr(name.p, ']', name.n) : NULL;

	if (close)
		snprintf(out, 256, "%.*s[...]%.*s", (int)(open - name.p), name.p,
			 (int)(name.p + name.n - close - 1), close + 1);
	else
		snprintf(out, 256, STR_FMT, STR_ARG(name));
}

static void check_frame(const struct frame *f, const struct seen *want)
{
	char name[256];

	shorten(f->function, name);
	assert_string_equal(name, want->function);
	assert_true(str_is(f->file, want->file));
	assert_int_equal(f->line, want->line);
}

// The runtime's frame i and those after it, until one that is not inlined, are the chain at its pc.
static size_t check_chain(struct uhx *u, const struct seen *seen)
{
	size_t i;

	uhx_lookup(u, seen[0].pc, &frames);
	assert_true(frames.n > 0);
	assert_int_equal(frames.source, SOURCE_GOPCLNTAB);
	for (i = 0; i < frames.n; i++) {
		assert_true(seen[i].pc != 0);
		check_frame(&frames.frame[i], &seen[i]);
		assert_int_equal(frames.frame[i].inlined, i + 1 < frames.n);
	}
	return frames.n;
}

static void test_agrees_with_the_runtime(void **state)
{
	const struct toolchain *t = need(state);
	static struct seen seen[SEEN_MAX];
	struct gopclntab_counts counts;
	const char *path = build_stripped(t);
	size_t inlined = 0;
	struct elf f;
	struct uhx *u;
	size_t n;

	elf_read(&f, path);
	assert_true(gopclntab_probe(f.input.table));
	u = index_of(&f.input, &counts);
	assert_true(counts.has_inlines);
	assert_true(counts.functions > 1000 && counts.inlined > 500);
	n = run_program(path, seen);
	assert_true(n > 25);
	for (size_t i = 0; i < n; i++) {
		if (seen[i].pc)
			inlined += check_chain(u, &seen[i]) > 1;
	}
	assert_true(inlined >= 6);
	uhx_unref(u);
	buf_deinit(&f.bytes);
}

static void test_start_lines(void **state)
{
	const struct toolchain *t = need(state);
	static struct seen seen[SEEN_MAX];
	const char *path = build_stripped(t);
	struct gopclntab_counts counts;
	struct elf f;
	struct uhx *u;
	size_t n;

	elf_read(&f, path);
	u = index_of(&f.input, &counts);
	n = run_program(path, seen);
	for (size_t i = 0; i < n; i++) {
		uhx_lookup(u, seen[i].pc, &frames);
		if (strcmp(seen[i].function, "main.report") == 0)
			assert_int_equal(frames.frame[0].start_line, 17);
		if (strcmp(seen[i].function, "main.inlinedInner") == 0)
			assert_int_equal(frames.frame[0].start_line, t->has_start_lines ? 9 : 0);
	}
	uhx_unref(u);
	buf_deinit(&f.bytes);
}

static void test_outside_is_a_hole(void **state)
{
	const struct toolchain *t = need(state);
	struct gopclntab_counts counts;
	uint64_t entry;
	struct go_table table;
	struct err e = ERR_INIT;
	struct elf f;
	struct uhx *u;

	elf_read(&f, build_stripped(t));
	assert_int_equal(go_table_parse(f.input.table, &table, &e), 0);
	assert_true(go_table_entry(&table, table.function_count, &entry));
	u = index_of(&f.input, &counts);
	uhx_lookup(u, f.input.text_vaddr - 1, &frames);
	assert_int_equal(frames.n, 0);
	uhx_lookup(u, f.input.text_vaddr, &frames);
	assert_int_not_equal(frames.n, 0);
	uhx_lookup(u, f.input.text_vaddr + entry, &frames);
	assert_int_equal(frames.n, 0);
	uhx_unref(u);
	buf_deinit(&f.bytes);
}

// The table alone, as a debug file keeps it: since Go 1.26 the trees are in it too.
static void test_table_alone(void **state)
{
	const struct toolchain *t = need(state);
	struct gopclntab_counts counts;
	struct elf f;

	elf_read(&f, build_stripped(t));
	f.input.segment_count = 0;
	uhx_unref(index_of(&f.input, &counts));
	assert_true(counts.functions > 1000);
	assert_int_equal(counts.has_inlines, t->has_start_lines);
	buf_deinit(&f.bytes);
}

/* ---- DWARF's word ---- */

enum { SAMPLES = 3000 };

struct answer {
	size_t n;
	char function[STACK_MAX][256];
	char place[STACK_MAX][256]; // file:line
};

// llvm-symbolizer: a function line and a file:line:column line per frame, then an empty line.
static bool read_answer(FILE *f, struct answer *ret)
{
	char line[1024];

	ret->n = 0;
	while (fgets(line, sizeof(line), f)) {
		char *end;

		line[strcspn(line, "\n")] = '\0';
		if (!line[0])
			return true;
		if (ret->n == STACK_MAX)
			continue;
		shorten(str_from(line), ret->function[ret->n]);
		if (!fgets(line, sizeof(line), f))
			return false;
		end = strrchr(line, ':');
		assert_non_null(end);
		snprintf(ret->place[ret->n++], sizeof(ret->place[0]), "%.*s", (int)(end - line),
			 line);
	}
	return false;
}

static bool same_function(struct str name, const char *in_dwarf)
{
	char shortened[256];
	size_t n;

	shorten(name, shortened);
	n = strlen(shortened);
	// The ABI of an assembly function is part of its name in DWARF alone.
	return strncmp(shortened, in_dwarf, n) == 0 &&
	       (!in_dwarf[n] || strcmp(in_dwarf + n, ".abi0") == 0 ||
		strcmp(in_dwarf + n, ".abiinternal") == 0);
}

static bool same_answer(const struct answer *a)
{
	if (!frames.n)
		return a->n == 1 && strcmp(a->function[0], "??") == 0;
	if (a->n != frames.n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const char *dwarf_place = a->place[i];
		char place[512];

		while (strncmp(dwarf_place, "./", 2) == 0) // "./<autogenerated>"
			dwarf_place += 2;
		snprintf(place, sizeof(place), STR_FMT ":%" PRIu32, STR_ARG(frames.frame[i].file),
			 frames.frame[i].line);
		if (!same_function(frames.frame[i].function, a->function[i]) ||
		    strcmp(place, dwarf_place) != 0)
			return false;
	}
	return true;
}

static void print_difference(uint64_t va, const struct answer *a)
{
	print_message("%#" PRIx64 "\n", va);
	for (size_t i = 0; i < a->n; i++)
		print_message("  dwarf %s %s\n", a->function[i], a->place[i]);
	for (size_t i = 0; i < frames.n; i++)
		print_message("  table " STR_FMT " " STR_FMT ":%" PRIu32 "\n",
			      STR_ARG(frames.frame[i].function), STR_ARG(frames.frame[i].file),
			      frames.frame[i].line);
}

static void write_addresses(const char *path, const uint64_t *va)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (size_t i = 0; i < SAMPLES; i++)
		fprintf(f, "%#" PRIx64 "\n", va[i]);
	fclose(f);
}

static void sample(const struct elf *f, uint64_t *va)
{
	struct go_table table;
	struct err e = ERR_INIT;
	uint64_t size = 0;
	unsigned seed = 3;

	assert_int_equal(go_table_parse(f->input.table, &table, &e), 0);
	assert_true(go_table_entry(&table, table.function_count, &size));
	for (size_t i = 0; i < SAMPLES; i++)
		va[i] = f->input.text_vaddr + (uint64_t)rand_r(&seed) % size;
}

static void test_agrees_with_dwarf(void **state)
{
	const struct toolchain *t = need(state);
	static uint64_t va[SAMPLES];
	static struct answer answer;
	struct gopclntab_counts counts;
	char command[1024];
	size_t same = 0;
	struct elf f;
	struct uhx *u;
	FILE *llvm;

	if (system("command -v llvm-symbolizer >/dev/null")) {
		print_message("skipped: no llvm-symbolizer\n");
		skip();
	}
	elf_read(&f, build_stripped(t));
	u = index_of(&f.input, &counts);
	sample(&f, va);
	write_addresses(path_of(t, "addresses"), va);
	snprintf(command, sizeof(command), "llvm-symbolizer --inlines --no-demangle -e %s <%s",
		 build(t, "full", ""), path_of(t, "addresses"));
	llvm = popen(command, "r");
	assert_non_null(llvm);
	for (size_t i = 0; i < SAMPLES; i++) {
		assert_true(read_answer(llvm, &answer));
		uhx_lookup(u, va[i], &frames);
		if (same_answer(&answer))
			same++;
		else if (getenv("VERBOSE"))
			print_difference(va[i], &answer);
	}
	pclose(llvm);
	print_message("%zu of %d addresses as in DWARF\n", same, SAMPLES);
	assert_true(same >= SAMPLES * 99 / 100);
	uhx_unref(u);
	buf_deinit(&f.bytes);
}

/* ---- damage ---- */

// Indexes a copy that ends where its memory ends; any outcome but disorder will do.
static void try_table(const struct gopclntab_input *in, const char *bytes, size_t n)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct gopclntab_input damaged = *in;
	struct gopclntab_counts counts;
	struct err e = ERR_INIT;
	char *copy = mem_dup(bytes, n);

	assert_non_null(copy);
	assert_int_equal(uhx_builder_new(&b, &e), 0);
	damaged.table = (struct str){copy, n};
	if (gopclntab_index(&damaged, b, &counts, &e))
		assert_true(e.kind == ERR_BAD_ELF || e.kind == ERR_UNSUPPORTED ||
			    e.kind == ERR_TOO_LARGE);
	gopclntab_probe(damaged.table);
	free(copy);
}

enum { TRUNCATION_STEP = 64, TRUNCATIONS = 150, FLIPS = 300 };

static void test_truncations(void **state)
{
	const struct toolchain *t = need(state);
	struct elf f;
	size_t step;

	elf_read(&f, build_stripped(t));
	for (size_t n = 0; n < KIB(8); n += TRUNCATION_STEP)
		try_table(&f.input, f.input.table.p, n);
	step = f.input.table.n / TRUNCATIONS / TRUNCATION_STEP * TRUNCATION_STEP + TRUNCATION_STEP;
	for (size_t n = KIB(8); n < f.input.table.n; n += step)
		try_table(&f.input, f.input.table.p, n);
	for (size_t n = 0; n < 64; n++)
		try_table(&f.input, f.input.table.p, n);
	buf_deinit(&f.bytes);
}

static void test_flips(void **state)
{
	const struct toolchain *t = need(state);
	unsigned seed = 77;
	struct elf f;
	char *copy;

	elf_read(&f, build_stripped(t));
	copy = mem_dup(f.input.table.p, f.input.table.n);
	assert_non_null(copy);
	for (int i = 0; i < FLIPS; i++) {
		size_t places = i % 3 ? 1 : 50;

		memcpy(copy, f.input.table.p, f.input.table.n);
		for (size_t k = 0; k < places; k++) {
			size_t range = i % 2 ? 72 : f.input.table.n;

			copy[(size_t)rand_r(&seed) % range] = (char)rand_r(&seed);
		}
		try_table(&f.input, copy, f.input.table.n);
	}
	free(copy);
	buf_deinit(&f.bytes);
}

static void refuse(struct str table, enum err_kind kind, const char *message)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct gopclntab_input in = {.table = table};
	struct gopclntab_counts counts;
	struct err e = ERR_INIT;

	assert_int_equal(uhx_builder_new(&b, &e), 0);
	assert_int_equal(gopclntab_index(&in, b, &counts, &e), -1);
	assert_int_equal(e.kind, kind);
	assert_string_equal(e.msg, message);
}

static void test_refusals(void **state)
{
	(void)state;
	refuse(STR_EMPTY, ERR_BAD_ELF, ".gopclntab does not start with a header of Go's");
	refuse(STR("\xf1\xff\xff\xff\0\0\1\7........"), ERR_BAD_ELF,
	       ".gopclntab does not start with a header of Go's");
	refuse(STR("\xfb\xff\xff\xff\0\0\1\10........"), ERR_UNSUPPORTED,
	       ".gopclntab is of Go 1.2–1.15; tables are read from Go 1.16 on");
	refuse(STR("\xf1\xff\xff\xff\0\0\1\10...."), ERR_BAD_ELF,
	       ".gopclntab ends inside its header");
	assert_false(gopclntab_probe(STR("\xf1\xff\xff\xff\0\0\3\10")));
	assert_true(gopclntab_probe(STR("\xff\xff\xff\xf0\0\0\4\4")));
}

static int set_up(void **state)
{
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/main.go", dir);
	if (io_write_file(path, program, sizeof(program) - 1, 0644, &e))
		return -1;
	snprintf(path, sizeof(path), "%s/go.mod", dir);
	return io_write_file(path, "module walk\ngo 1.18\n", 20, 0644, &e);
}

static int tear_down(void **state)
{
	(void)state;
	sh("rm -rf %s", dir);
	return 0;
}

#define WITH_EACH(test)                                                                            \
	{"distribution " #test, test, NULL, NULL, (void *)(uintptr_t)&toolchains[0]},              \
	{"newer " #test, test, NULL, NULL, (void *)(uintptr_t)&toolchains[1]}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		WITH_EACH(test_agrees_with_the_runtime),
		WITH_EACH(test_start_lines),
		WITH_EACH(test_outside_is_a_hole),
		WITH_EACH(test_table_alone),
		WITH_EACH(test_agrees_with_dwarf),
		WITH_EACH(test_truncations),
		WITH_EACH(test_flips),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
