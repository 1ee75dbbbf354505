/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/elf_ident.h"

#include "agent-lite/elf/testing.h"
#include "base/io.h"
#include <elf.h>
#include <sys/mman.h>

static const char program_text[] =
	"int answer(void) { return 42; }\nint main(void) { return answer(); }\n";

static char dir[64];
static char source[128];

static void path_in(char out[static 128], const char *name)
{
	snprintf(out, 128, "%s/%s", dir, name);
}

static int setup(void **state)
{
	(void)state;
	test_dir_make(dir);
	path_in(source, "p.c");
	write_text(source, program_text);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(dir);
	return 0;
}

static int read_path(const char *path, struct elf_ident *ret, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	assert_true(fd >= 0);
	r = elf_ident_read(fd, ret, e);
	close(fd);
	return r;
}

static int read_bytes(const void *bytes, size_t n, struct elf_ident *ret, struct err *e)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	r = elf_ident_read(fd, ret, e);
	close(fd);
	return r;
}

static struct buf build_and_load(const char *compiler, const char *flags)
{
	struct buf b = BUF_INIT(16 << 20);
	struct err e = ERR_INIT;
	char out[128];

	path_in(out, "out");
	compile(compiler, flags, source, out);
	assert_ok(io_read_file(out, &b, &e));
	return b;
}

static void the_gnu_id_is_read(void **state)
{
	struct err e = ERR_INIT;
	struct elf_ident id;
	char out[128], text[BUILD_ID_TEXT];

	(void)state;
	path_in(out, "gnu");
	compile("gcc", "-Wl,--build-id=0x0123456789abcdef", source, out);
	assert_ok(read_path(out, &id, &e));
	build_id_text(&id.id, text);
	assert_string_equal(text, "0123456789abcdef");
	assert_int_equal(id.machine, EM_X86_64);
	assert_int_equal(id.type, ET_DYN);
	assert_true(id.load_count >= 2);
}

static void a_file_without_notes_gets_its_hash(void **state)
{
	struct err e = ERR_INIT;
	struct elf_ident id;
	struct build_id hash;
	char out[128];
	int fd;

	(void)state;
	path_in(out, "plain");
	compile("gcc", "-Wl,--build-id=none", source, out);
	assert_ok(read_path(out, &id, &e));
	assert_int_equal(id.id.kind, BUILD_ID_HTL);
	fd = open(out, O_RDONLY | O_CLOEXEC);
	assert_ok(build_id_htl(fd, &hash, &e));
	close(fd);
	assert_true(build_id_eq(&hash, &id.id));
}

static void go_programs_have_an_id(void **state)
{
	struct err e = ERR_INIT;
	struct elf_ident id;
	char command[512], out[128];

	(void)state;
	path_in(out, "g");
	// With the user's build cache, if there is one: an empty one costs half a minute.
	snprintf(command, sizeof(command),
		 "cd %s && printf 'package main\\nfunc main() {}\\n' >g.go && "
		 "HOME=${HOME:-/tmp} GO111MODULE=off PATH=$PATH:/usr/local/go/bin "
		 "go build -o g g.go 2>/dev/null",
		 dir);
	if (system(command) != 0) {
		print_message("skip: no Go compiler\n");
		skip();
	}
	assert_ok(read_path(out, &id, &e));
	assert_true(id.id.kind == BUILD_ID_GO || id.id.kind == BUILD_ID_GNU);
	assert_int_equal(id.type, ET_EXEC);
}

/*
 * Both notes in one block: the GNU one wins whatever the order; a Xen note of the same type does
 * not.
 */
static void notes_are_told_apart_by_owner(void **state)
{
	struct {
		Elf64_Nhdr xen;
		char xen_name[4];
		uint8_t xen_desc[4];
		Elf64_Nhdr go;
		char go_name[4];
		char go_desc[8];
		Elf64_Nhdr gnu;
		char gnu_name[4];
		uint8_t gnu_desc[4];
	} n = {
		{4, 4, NT_GNU_BUILD_ID},
		"Xen",
		{9, 9, 9, 9},
		{4, 7, 4},
		"Go",
		"abc/def",
		{4, 4, NT_GNU_BUILD_ID},
		"GNU",
		{0xde, 0xad, 0xbe, 0xef},
	};
	struct build_id id;

	(void)state;
	assert_true(elf_notes_find_id(&n, sizeof(n), 4, &id));
	assert_int_equal(id.kind, BUILD_ID_GNU);
	assert_memory_equal(id.bytes, n.gnu_desc, 4);
	assert_true(elf_notes_find_id(&n, offsetof(__typeof__(n), gnu), 4, &id));
	assert_int_equal(id.kind, BUILD_ID_GO);
	assert_memory_equal(id.bytes, "abc/def", 7);
	assert_false(elf_notes_find_id(&n, offsetof(__typeof__(n), go), 4, &id));
	for (size_t cut = 0; cut < sizeof(n); cut++)
		elf_notes_find_id(&n, cut, 4, &id); // must stay inside
	n.xen.n_namesz = UINT32_MAX;
	assert_false(elf_notes_find_id(&n, sizeof(n), 4, &id));
	n.xen.n_namesz = 4;
	n.xen.n_descsz = UINT32_MAX - 2;
	assert_false(elf_notes_find_id(&n, sizeof(n), 4, &id));
}

static void other_files_are_refused(void **state)
{
	struct elf_ident id;
	struct err e = ERR_INIT;
	unsigned char head[sizeof(Elf64_Ehdr)] = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB};

	(void)state;
	assert_int_equal(read_bytes("", 0, &id, &e), -1);
	assert_err(&e, ERR_NOT_ELF, "0 bytes long");
	assert_int_equal(read_bytes("#!/bin/sh\nexit 0\n", 17, &id, &e), -1);
	assert_err(&e, ERR_NOT_ELF, "magic");
	assert_int_equal(read_bytes(head, sizeof(head), &id, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "64-bit");
	head[EI_CLASS] = ELFCLASS64;
	head[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(read_bytes(head, sizeof(head), &id, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "little-endian");
}

/* A file cut off anywhere is refused, or read as far as what is asked of it was still there. */
static void every_truncation_is_survived(void **state)
{
	struct buf b = build_and_load("gcc", "-Wl,--build-id=0xfeedface");
	struct elf_ident id;
	struct err e;
	size_t step;

	(void)state;
	for (size_t n = 0; n < b.n; n += step) {
		e = ERR_INIT;
		step = n < 2048 ? 1 : 97;
		if (read_bytes(b.p, n, &id, &e) == 0)
			assert_true(id.load_count <= ELF_IDENT_LOADS_MAX);
		else
			assert_true(e.kind == ERR_NOT_ELF || e.kind == ERR_BAD_ELF);
		if (n < sizeof(Elf64_Ehdr) && n >= EI_NIDENT)
			assert_err(&e, ERR_BAD_ELF, "cut off");
	}
	buf_deinit(&b);
}

/* Each byte of the headers and of the notes set to 0xff and to 0. */
static void every_corruption_is_survived(void **state)
{
	struct buf b = build_and_load("gcc", "-Wl,--build-id=0xfeedface");
	size_t end = MIN(b.n, (size_t)1024);
	struct elf_ident id;
	struct err e;

	(void)state;
	for (size_t i = 0; i < end; i++) {
		char was = b.p[i];

		for (int v = 0; v < 2; v++) {
			b.p[i] = (char)(v ? 0xff : 0);
			e = ERR_INIT;
			if (read_bytes(b.p, b.n, &id, &e) == 0)
				assert_in_range(id.id.size, 1, BUILD_ID_MAX);
			else
				assert_true(e.msg[0] != 0);
		}
		b.p[i] = was;
	}
	buf_deinit(&b);
}

static void absurd_headers_are_refused(void **state)
{
	struct buf b = build_and_load("gcc", "");
	Elf64_Ehdr eh, was;
	struct elf_ident id;
	struct err e = ERR_INIT;

	(void)state;
	memcpy(&was, b.p, sizeof(was));
	eh = was;
	eh.e_phnum = 1000;
	memcpy(b.p, &eh, sizeof(eh));
	assert_int_equal(read_bytes(b.p, b.n, &id, &e), -1);
	assert_err(&e, ERR_BAD_ELF, "1000 program headers");
	eh = was;
	eh.e_phoff = UINT64_MAX - 8;
	memcpy(b.p, &eh, sizeof(eh));
	assert_int_equal(read_bytes(b.p, b.n, &id, &e), -1);
	assert_err(&e, ERR_BAD_ELF, "beyond the end");
	eh = was;
	eh.e_phentsize = 32;
	memcpy(b.p, &eh, sizeof(eh));
	assert_int_equal(read_bytes(b.p, b.n, &id, &e), -1);
	assert_err(&e, ERR_BAD_ELF, "entries of 32 bytes");
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_gnu_id_is_read),
		cmocka_unit_test(a_file_without_notes_gets_its_hash),
		cmocka_unit_test(go_programs_have_an_id),
		cmocka_unit_test(notes_are_told_apart_by_owner),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(every_truncation_is_survived),
		cmocka_unit_test(every_corruption_is_survived),
		cmocka_unit_test(absurd_headers_are_refused),
	};

	return cmocka_run_group_tests_name("elf_ident", tests, setup, teardown);
}
