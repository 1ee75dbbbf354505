/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's image by made files: what KASLR did, what is hidden, what is not there. */
#include "agent-lite/process/kernel_image.h"

#include "agent-lite/process/kallsyms.h"
#include "agent-lite/elf/testing.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <elf.h>

static const struct {
	Elf64_Nhdr head;
	char name[4];
	uint8_t desc[4];
} note = {{4, 4, NT_GNU_BUILD_ID}, "GNU", {1, 2, 3, 4}};

static char dir[64];
static char notes_path[96], kallsyms_path[96], kcore_path[96];
static const struct kernel_paths paths = {
	.notes = notes_path, .kallsyms = kallsyms_path, .kcore = kcore_path};

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	test_dir_make(dir);
	snprintf(notes_path, sizeof(notes_path), "%s/notes", dir);
	snprintf(kallsyms_path, sizeof(kallsyms_path), "%s/kallsyms", dir);
	snprintf(kcore_path, sizeof(kcore_path), "%s/kcore", dir);
	return io_write_file(notes_path, &note, sizeof(note), 0600, &e);
}

static int teardown(void **state)
{
	(void)state;
	test_dir_remove(dir);
	return 0;
}

static int read_image(const char *kallsyms, struct kernel_image *ret, struct err *e)
{
	write_text(kallsyms_path, kallsyms);
	*e = ERR_INIT;
	return kernel_image_read(&paths, ret, e);
}

/* As /proc/kcore: a note of lines in a PT_NOTE segment. */
static void write_core(const char *lines)
{
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr load, notes;
		char text[256];
	} core = {
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64},
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_phnum = 2},
		.load = {.p_type = PT_LOAD},
		.notes = {.p_type = PT_NOTE, .p_filesz = sizeof(core.text)},
	};
	struct err e = ERR_INIT;

	core.notes.p_offset = offsetof(typeof(core), text);
	snprintf(core.text, sizeof(core.text), "%s", lines);
	assert_ok(io_write_file(kcore_path, &core, sizeof(core), 0600, &e));
}

#if defined(__x86_64__)
static void kaslr_is_taken_off(void **state)
{
	struct kernel_image k;
	struct err e;

	(void)state;
	assert_ok(read_image("0000000000000000 A fixed_percpu_data\n"
			     "ffffffff9a000000 T _stext\n"
			     "ffffffff9a000000 T _text\n"
			     "ffffffff9a001000 t something_text\n",
			     &k, &e));
	assert_true(k.known);
	assert_int_equal(k.start, 0xffffffff9a000000);
	assert_int_equal(k.end, 0xffffffffaa000000);
	assert_int_equal(k.bias, 0x19000000);
	assert_int_equal(k.id.size, 4);
	// As far up as it can be: modules are not part of it.
	assert_ok(read_image("ffffffffbd000000 T _text\n", &k, &e));
	assert_int_equal(k.end, 0xffffffffc0000000);
}

static void nonsense_addresses_are_refused(void **state)
{
	struct kernel_image k;
	struct err e;

	(void)state;
	assert_int_equal(read_image("1000 T _text\n2000 T _etext\n", &k, &e), -1);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "below the link address");
	assert_false(k.known);
	assert_int_equal(read_image("fffffffff0000000 T _text\n", &k, &e), -1);
	assert_err(&e, ERR_NO_CAPABILITY, "kallsyms");
}
#else
static void the_core_tells_of_kaslr(void **state)
{
	struct kernel_image k;
	struct err e;

	(void)state;
	write_core("VMCOREINFO\nOSRELEASE=6.1\nKERNELOFFSET=2a0000000\n");
	assert_ok(read_image("ffff8002a8000000 T _text\nffff8002a9000000 T _etext\n", &k, &e));
	assert_int_equal(k.bias, 0x2a0000000);
	assert_int_equal(k.end, 0xffff8002a9000000);
}
#endif

static void hidden_addresses_are_said(void **state)
{
	struct kernel_image k;
	struct err e;

	(void)state;
	assert_int_equal(
		read_image("0000000000000000 T _text\n0000000000000000 T _etext\n", &k, &e), -1);
	assert_err(&e, ERR_NO_CAPABILITY, "CAP_SYSLOG");
	assert_int_equal(read_image("", &k, &e), -1);
	assert_err(&e, ERR_NO_CAPABILITY, "kallsyms");
}

static void a_kernel_without_build_id_is_said(void **state)
{
	const struct kernel_paths none = {.notes = kallsyms_path, .kallsyms = kallsyms_path};
	struct kernel_image k;
	struct err e = ERR_INIT;

	(void)state;
	write_text(kallsyms_path, "ffffffff81000000 T _text\n");
	assert_int_equal(kernel_image_read(&none, &k, &e), -1);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "/sys/kernel/notes");
}

static int offset_of(const char *lines, uint64_t *ret, struct err *e)
{
	write_core(lines);
	*e = ERR_INIT;
	return kernel_image_kcore_offset(kcore_path, ret, e);
}

static void the_offset_is_found_in_a_core(void **state)
{
	uint64_t offset;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(offset_of("VMCOREINFO\nOSRELEASE=6.1\nKERNELOFFSET=1d400000\nX=1\n", &offset, &e));
	assert_int_equal(offset, 0x1d400000);
	assert_int_equal(offset_of("VMCOREINFO\nOSRELEASE=6.1\n", &offset, &e), -1);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "KERNELOFFSET");
	assert_int_equal(offset_of("X\nKERNELOFFSET=zz\n", &offset, &e), -1);
	assert_int_equal(offset_of("X\nKERNELOFFSET=12", &offset, &e), -1);
	write_text(kcore_path, "no ELF file, but long enough for the header of one, if it were one.....");
	assert_int_equal(kernel_image_kcore_offset(kcore_path, &offset, &e), -1);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "not a 64-bit ELF core");
	assert_int_equal(unlink(kcore_path), 0);
	assert_int_equal(kernel_image_kcore_offset(kcore_path, &offset, &e), -1);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "CAP_SYS_RAWIO");
}

// ---- lines --------------------------------------------------------------------------------------

struct seen {
	unsigned n, stop_after;
	char text[256];
};

static bool note_symbol(void *ctx, const struct kallsym *s)
{
	struct seen *seen = ctx;
	size_t n = strlen(seen->text);

	if (n < sizeof(seen->text))
		snprintf(seen->text + n, sizeof(seen->text) - n, "%llx %c " STR_FMT "/" STR_FMT ";",
			 (unsigned long long)s->address, s->type, STR_ARG(s->name), STR_ARG(s->module));
	return ++seen->n != seen->stop_after;
}

static void lines_are_read_as_they_are(void **state)
{
	struct seen seen = {0};
	struct err e = ERR_INIT;

	(void)state;
	write_text(kallsyms_path, "10 T f\n\nzz t bad\n12 tt bad\n20 t g\t[ext4]\n30 t bpf_prog_6deef7357e7b4530_f\t[bpf]\n"
				  "40 t cut off");
	assert_ok(kallsyms_walk(kallsyms_path, note_symbol, &seen, &e));
	assert_string_equal(seen.text, "10 T f/;20 t g/ext4;30 t bpf_prog_6deef7357e7b4530_f/bpf;");
	seen = (struct seen){.stop_after = 1};
	assert_ok(kallsyms_walk(kallsyms_path, note_symbol, &seen, &e));
	assert_int_equal(seen.n, 1);
	assert_int_equal(kallsyms_walk("/nonexistent/kallsyms", note_symbol, &seen, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "/nonexistent");
}

/* Of any length: lines that lie across the pieces that are read, and one longer than all of them. */
static void many_lines_and_long_ones(void **state)
{
	enum { LINES = 3000, LONG = 30000 };
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(1 << 20);
	struct seen seen = {0};
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < LINES; i++) {
		buf_printf(&text, "%x t f%.*s\n", i, (int)(i % 97), "0123456789012345678901234567890123456789"
			   "01234567890123456789012345678901234567890123456789012345678");
		if (i == LINES / 2) {
			buf_puts(&text, "1 t ");
			for (unsigned k = 0; k < LONG; k++)
				buf_append_c(&text, 'x');
			buf_append_c(&text, '\n');
		}
	}
	assert_false(text.failed);
	write_text(kallsyms_path, text.p);
	assert_ok(kallsyms_walk(kallsyms_path, note_symbol, &seen, &e));
	assert_int_equal(seen.n, LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
		cmocka_unit_test(kaslr_is_taken_off),
		cmocka_unit_test(nonsense_addresses_are_refused),
#else
		cmocka_unit_test(the_core_tells_of_kaslr),
#endif
		cmocka_unit_test(hidden_addresses_are_said),
		cmocka_unit_test(a_kernel_without_build_id_is_said),
		cmocka_unit_test(the_offset_is_found_in_a_core),
		cmocka_unit_test(lines_are_read_as_they_are),
		cmocka_unit_test(many_lines_and_long_ones),
	};

	return cmocka_run_group_tests_name("kernel_image", tests, setup, teardown);
}
