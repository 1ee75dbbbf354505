/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/kernel_image.h"

#include "agent-lite/elf/elf_ident.h"
#include "agent-lite/process/kallsyms.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	NOTES_MAX = 64 << 10,
	CORE_HEADERS_MAX = 1024,
};

const struct kernel_paths kernel_paths = {
	.notes = "/sys/kernel/notes",
	.kallsyms = "/proc/kallsyms",
	.kcore = "/proc/kcore",
	.modules = "/proc/modules",
	.sys_module = "/sys/module",
	.roots = {"", "/proc/1/root"},
};

#define UNNAMED "kernel frames stay unnamed"

// ---- where it runs ------------------------------------------------------------------------------

#if defined(__x86_64__)
/*
 * Of this kernel's symbols _text is one of the first and _etext one of the last, so that alone is
 * not read. What is loaded later starts 512 MiB behind the link address or, where KASLR may move the
 * kernel, at 0xffffffffc0000000 (Documentation/arch/x86/x86_64/mm.rst, "module mapping space"), and no
 * kernel has 256 MiB of code.
 */
#define ENDS_AT(text) MIN((text) + MIB(256), UINT64_C(0xffffffffc0000000))
#else
#define ENDS_AT(text) UINT64_C(0)
#endif

static bool take_symbol(void *ctx, const struct kallsym *s)
{
	struct kernel_image *k = ctx;

	if (str_is(s->name, "_text")) {
		k->start = s->address;
		k->end = ENDS_AT(s->address);
	} else if (str_is(s->name, "_etext")) {
		k->end = s->address;
	}
	return !(k->start && k->end);
}

static int find_text(const struct kernel_paths *paths, struct kernel_image *k, struct err *e)
{
	if (kallsyms_walk(paths->kallsyms, take_symbol, k, e) < 0)
		return err_wrap(e, UNNAMED);
	if (k->start && k->end > k->start)
		return 0;
	return err_set(e, ERR_NO_CAPABILITY,
		       UNNAMED ": /proc/kallsyms hides addresses; give CAP_SYSLOG or set "
			       "kernel.kptr_restrict to 0 or 1");
}

// ---- how far it was moved -----------------------------------------------------------------------

/* "KERNELOFFSET=1d400000", hexadecimal, in a note of lines (kernel/vmcore_info.c). */
static bool offset_in_notes(struct str notes, uint64_t *ret)
{
	static const char key[] = "\nKERNELOFFSET=";
	const char *at = notes.n ? memmem(notes.p, notes.n, key, sizeof(key) - 1) : NULL;
	struct str rest, line;

	if (!at)
		return false;
	rest = str_skip(notes, (size_t)(at - notes.p) + sizeof(key) - 1);
	return memchr(rest.p, '\n', rest.n) && str_next(&rest, '\n', &line) &&
	       str_hex_to_u64(line, ret);
}

/* The kernel's own file: no foreign ELF. Still, nothing is believed that it says of sizes. */
static int read_core_notes(int fd, struct buf *ret, struct err *e)
{
	Elf64_Ehdr head;

	if (io_pread_all(fd, &head, sizeof(head), 0, e) < 0)
		return -1;
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64)
		return err_set(e, ERR_NO_KERNEL_SUPPORT, "not a 64-bit ELF core");
	for (size_t i = 0; i < MIN((size_t)head.e_phnum, (size_t)CORE_HEADERS_MAX); i++) {
		Elf64_Phdr p;
		char *room;

		if (io_pread_all(fd, &p, sizeof(p), head.e_phoff + i * sizeof(p), e) < 0)
			return -1;
		if (p.p_type != PT_NOTE)
			continue;
		p.p_filesz = MIN(p.p_filesz, (uint64_t)NOTES_MAX);
		room = buf_reserve(ret, p.p_filesz);
		if (!room)
			return err_nomem(e);
		if (io_pread_all(fd, room, p.p_filesz, p.p_offset, e) < 0)
			return -1;
		buf_commit(ret, p.p_filesz);
		return 0;
	}
	return err_set(e, ERR_NO_KERNEL_SUPPORT, "no notes");
}

int kernel_image_kcore_offset(const char *kcore, uint64_t *ret, struct err *e)
{
	_cleanup_(buf_deinit) struct buf notes = BUF_INIT(NOTES_MAX);
	_cleanup_close_ int fd = open(kcore, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno == ENOENT ? ERR_NO_KERNEL_SUPPORT : ERR_NO_CAPABILITY,
			       UNNAMED ": how far the kernel was moved is in %s, which cannot be "
				       "opened (%s; it takes CAP_SYS_RAWIO)",
			       kcore, strerror(errno));
	if (read_core_notes(fd, &notes, e) < 0)
		return err_wrap(e, UNNAMED ": %s", kcore);
	if (!offset_in_notes(buf_str(&notes), ret))
		return err_set(e, ERR_NO_KERNEL_SUPPORT,
			       UNNAMED ": %s has no KERNELOFFSET in its VMCOREINFO", kcore);
	return 0;
}

#if defined(__x86_64__)
// __START_KERNEL = __START_KERNEL_map + CONFIG_PHYSICAL_START, 16 MiB in every distribution
// (arch/x86/include/asm/page_types.h).
#define LINK_TEXT UINT64_C(0xffffffff81000000)

static int find_bias(UNUSED const struct kernel_paths *paths, struct kernel_image *k, struct err *e)
{
	if (k->start < LINK_TEXT)
		return err_set(e, ERR_NO_KERNEL_SUPPORT,
			       UNNAMED ": _text at %#llx is below the link address",
			       (unsigned long long)k->start);
	k->bias = k->start - LINK_TEXT;
	return 0;
}
#else
static int find_bias(const struct kernel_paths *paths, struct kernel_image *k, struct err *e)
{
	return kernel_image_kcore_offset(paths->kcore, &k->bias, e);
}
#endif

// ---- all of it ----------------------------------------------------------------------------------

static int read_id(const struct kernel_paths *paths, struct kernel_image *k, struct err *e)
{
	_cleanup_(buf_deinit) struct buf notes = BUF_INIT(NOTES_MAX);

	if (io_read_file(paths->notes, &notes, e) < 0)
		return err_wrap(e, UNNAMED);
	if (elf_notes_find_id(notes.p, notes.n, 4, &k->id) && k->id.kind == BUILD_ID_GNU)
		return 0;
	return err_set(e, ERR_NO_KERNEL_SUPPORT, UNNAMED ": /sys/kernel/notes has no GNU build-ID");
}

int kernel_image_read(const struct kernel_paths *paths, struct kernel_image *ret, struct err *e)
{
	struct kernel_image k = {.known = false};

	*ret = k;
	if (read_id(paths, &k, e) < 0 || find_text(paths, &k, e) < 0 || find_bias(paths, &k, e) < 0)
		return -1;
	k.known = true;
	*ret = k;
	return 0;
}
