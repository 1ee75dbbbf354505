/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/kernel_image.h"

#include "agent-lite/elf_ident.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

enum {
	NOTES_MAX = 64 << 10,
	KALLSYMS_MAX = 64 << 20,
};

// Where vmlinux is linked: __START_KERNEL = __START_KERNEL_map + CONFIG_PHYSICAL_START, 16 MiB in
// every distribution kernel (arch/x86/include/asm/page_types.h). Others have no such constant.
#if defined(__x86_64__)
#define LINK_TEXT UINT64_C(0xffffffff81000000)
#else
#define LINK_TEXT UINT64_C(0)
#endif

/* "ffffffff81000000 T _text" */
static void take_symbol(struct str line, struct kernel_image *k)
{
	struct str address, type;
	uint64_t value;

	if (!str_next(&line, ' ', &address) || !str_next(&line, ' ', &type) ||
	    !str_hex_to_u64(address, &value))
		return;
	if (str_is(line, "_text"))
		k->start = value;
	else if (str_is(line, "_etext"))
		k->end = value;
}

static void find_text(struct str kallsyms, struct kernel_image *k)
{
	struct str line;

	while (!(k->start && k->end) && str_next(&kallsyms, '\n', &line))
		take_symbol(line, k);
}

int kernel_image_parse(struct str notes, struct str kallsyms, struct kernel_image *ret,
		       struct err *e)
{
	struct kernel_image k = {.known = false};

	if (LINK_TEXT == 0)
		return err_set(
			e, ERR_NO_KERNEL_SUPPORT,
			"kernel frames stay unnamed: the link address of this architecture's "
			"kernel is not known");
	if (!elf_notes_find_id(notes.p, notes.n, 4, &k.id) || k.id.kind != BUILD_ID_GNU)
		return err_set(e, ERR_NO_KERNEL_SUPPORT,
			       "kernel frames stay unnamed: /sys/kernel/notes has no GNU build-ID");
	find_text(kallsyms, &k);
	if (k.start == 0 || k.end <= k.start)
		return err_set(e, ERR_NO_CAPABILITY,
			       "kernel frames stay unnamed: /proc/kallsyms hides addresses; give "
			       "CAP_SYSLOG or set kernel.kptr_restrict to 0 or 1");
	if (k.start < LINK_TEXT)
		return err_set(
			e, ERR_NO_KERNEL_SUPPORT,
			"kernel frames stay unnamed: _text at %#llx is below the link address",
			(unsigned long long)k.start);
	k.bias = k.start - LINK_TEXT;
	k.known = true;
	*ret = k;
	return 0;
}

int kernel_image_read(struct kernel_image *ret, struct err *e)
{
	_cleanup_(buf_deinit) struct buf notes = BUF_INIT(NOTES_MAX);
	_cleanup_(buf_deinit) struct buf kallsyms = BUF_INIT(KALLSYMS_MAX);

	*ret = (struct kernel_image){.known = false};
	if (io_read_file("/sys/kernel/notes", &notes, e) < 0 ||
	    io_read_file("/proc/kallsyms", &kallsyms, e) < 0)
		return err_wrap(e, "kernel frames stay unnamed");
	return kernel_image_parse(buf_str(&notes), buf_str(&kallsyms), ret, e);
}
