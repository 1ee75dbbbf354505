/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/kernel_loaded.h"

#include "agent-lite/process/kallsyms.h"
#include "agent-lite/process/kernel_module_file.h"
#include "agent-lite/process/regular_file.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MODULES_TEXT_MAX = 1 << 20,
	MODULE_NAME_MAX = 56, // MODULE_NAME_LEN less NUL
	BPF_PROGRAM_MAX = 1 << 20, // bytes; the kernel does not say how long one is
};

void kernel_loaded_init(struct kernel_loaded *k, const struct kernel_paths *paths,
			const char *elf_program)
{
	*k = (struct kernel_loaded){
		.paths = paths,
		.elf_program = elf_program,
		.pause_ms = KERNEL_LOADED_PAUSE_MS,
	};
}

static void free_region(struct kernel_region *r)
{
	module_unref(r->module);
	free(r->function);
	free(r->file);
}

void kernel_loaded_deinit(struct kernel_loaded *k)
{
	for (size_t i = 0; i < k->n; i++)
		free_region(&k->regions[i]);
	free(k->regions);
	k->regions = NULL;
	k->n = k->cap = 0;
}

// ---- looking up ---------------------------------------------------------------------------------

bool kernel_loaded_frame(struct kernel_loaded *k, uint64_t ip, struct frame *ret)
{
	size_t low = 0, high = k->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (k->regions[mid].end <= ip)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == k->n || ip < k->regions[low].start) {
		k->missed = true;
		return false;
	}
	*ret = (struct frame){
		.module = k->regions[low].module,
		.address = ip - k->regions[low].start + k->regions[low].link,
		.function = k->regions[low].function,
	};
	return true;
}

int kernel_loaded_open(const struct kernel_loaded *k, const char *build_id)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct kernel_region *r = &k->regions[i];

		if (r->file && strcmp(r->module->build_id, build_id) == 0)
			return regular_file_open(r->file);
	}
	return -1;
}

// ---- looking ------------------------------------------------------------------------------------

struct look {
	struct kernel_loaded found;
	struct elf_child *reader;
	struct module *bpf;
	struct err *err;
	bool failed;
};

/* Takes what the region holds. */
static int add(struct look *l, struct kernel_region *r, struct err *e)
{
	struct kernel_loaded *to = &l->found;

	if (r->end > r->start && to->n < KERNEL_REGIONS_MAX) {
		if (mem_grow(&to->regions, &to->cap, to->n + 1, sizeof(*to->regions),
			     KERNEL_REGIONS_MAX) == 0) {
			to->regions[to->n++] = *r;
			return 0;
		}
		free_region(r);
		return err_nomem(e);
	}
	free_region(r);
	return 0;
}

/* All of the module, as offsets in .text, by nobody's ID. */
static int add_unread(struct look *l, const char *name, uint64_t base, uint64_t size, uint64_t text,
		      struct err *e)
{
	char shown[MODULE_NAME_MAX + 3];
	struct kernel_region r = {.start = base, .end = base + size, .link = base - text};

	snprintf(shown, sizeof(shown), "[%s]", name);
	r.module = module_new(shown, NULL);
	return r.module ? add(l, &r, e) : err_nomem(e);
}

static int add_sections(struct look *l, const char *name, const struct kernel_module_file *f,
			struct err *e)
{
	char shown[MODULE_NAME_MAX + 3];
	struct module *m;
	int rc = 0;

	snprintf(shown, sizeof(shown), "[%s]", name);
	m = module_new(shown, NULL);
	if (!m)
		return err_nomem(e);
	build_id_text(&f->id, m->build_id);
	for (size_t i = 0; i < f->code.n && rc == 0; i++) {
		struct kernel_region r = {
			.start = f->loaded[i],
			.end = f->loaded[i] + f->code.items[i].size,
			.link = f->code.items[i].address,
		};

		if (!r.start || r.end < r.start)
			continue;
		r.module = module_ref(m);
		r.file = mem_strdup(f->path);
		rc = add(l, &r, e);
	}
	module_unref(m);
	return rc;
}

/* "ext4 1105920 1 - Live 0xffffffffc0a00000": name, size, uses, by whom, state, address. */
static int take_module(struct look *l, struct str line, struct err *e)
{
	struct str name_text, size_text, skipped, address;
	struct kernel_module_file f;
	char name[MODULE_NAME_MAX + 1];
	uint64_t base, size, text;

	if (!str_next(&line, ' ', &name_text) || !name_text.n || name_text.n > MODULE_NAME_MAX ||
	    memchr(name_text.p, '/', name_text.n) || !str_next(&line, ' ', &size_text) ||
	    !str_to_u64(size_text, UINT32_MAX, &size))
		return 0;
	for (int i = 0; i < 3; i++)
		str_next(&line, ' ', &skipped);
	if (!str_next(&line, ' ', &address) || !str_has_prefix(address, STR("0x")) ||
	    !str_hex_to_u64(str_skip(address, 2), &base) || !base || base + size < base)
		return 0;
	snprintf(name, sizeof(name), STR_FMT, STR_ARG(name_text));
	if (kernel_module_file_find(l->found.paths, name, l->reader, &f) == 0)
		return add_sections(l, name, &f, e);
	text = kernel_module_section(l->found.paths, name, ".text");
	return add_unread(l, name, base, size, text ? text : base, e);
}

static int take_modules(struct look *l, struct err *e)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(MODULES_TEXT_MAX);
	struct str rest, line;
	struct err none;

	// A kernel without modules has no such file.
	if (io_read_file(l->found.paths->modules, &text, &none) < 0)
		return 0;
	rest = buf_str(&text);
	for (size_t i = 0; i < KERNEL_MODULES_MAX && rest.n && str_next(&rest, '\n', &line); i++) {
		if (take_module(l, line, e) < 0)
			return -1;
	}
	return 0;
}

static bool take_bpf(void *ctx, const struct kallsym *s)
{
	struct look *l = ctx;
	struct kernel_region r = {.start = s->address, .end = s->address + BPF_PROGRAM_MAX};

	if (!str_is(s->module, "bpf") || !s->address || r.end < r.start)
		return true;
	r.link = s->address;
	r.function = mem_strndup(s->name.p, s->name.n);
	if (r.function)
		r.module = module_ref(l->bpf);
	l->failed = !r.function || add(l, &r, l->err) < 0;
	return !l->failed;
}

static int by_start(const void *a, const void *b)
{
	const struct kernel_region *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* A region ends where the next one starts, at the latest. */
static void put_in_order(struct kernel_loaded *k)
{
	if (k->n > 1)
		qsort(k->regions, k->n, sizeof(*k->regions), by_start);
	for (size_t i = 1; i < k->n; i++)
		k->regions[i - 1].end = MIN(k->regions[i - 1].end, k->regions[i].start);
}

static int look(struct look *l, struct err *e)
{
	l->err = e;
	l->bpf = module_new("[bpf]", NULL);
	if (!l->bpf)
		return err_nomem(e);
	if (elf_child_new(l->found.elf_program, &l->reader, e) < 0 || take_modules(l, e) < 0 ||
	    kallsyms_walk(l->found.paths->kallsyms, take_bpf, l, e) < 0)
		return -1;
	if (l->failed)
		return err_nomem(e);
	put_in_order(&l->found);
	return 0;
}

int kernel_loaded_refresh(struct kernel_loaded *k, struct err *e)
{
	uint64_t now = clock_mono_ms();
	struct look l = {.reader = NULL};
	bool news;
	int rc;

	if (!k->missed || now < k->next_look_ms)
		return 0;
	kernel_loaded_init(&l.found, k->paths, k->elf_program);
	rc = look(&l, e);
	elf_child_free(l.reader);
	module_unref(l.bpf);
	k->missed = false;
	k->looks++;
	news = rc == 0 && l.found.n != k->n;
	k->pause_ms = news ? KERNEL_LOADED_PAUSE_MS
			   : MIN(2 * k->pause_ms, (uint64_t)KERNEL_LOADED_PAUSE_MAX_MS);
	k->next_look_ms = now + k->pause_ms;
	if (rc < 0) {
		kernel_loaded_deinit(&l.found);
		return -1;
	}
	kernel_loaded_deinit(k);
	k->regions = l.found.regions;
	k->n = l.found.n;
	k->cap = l.found.cap;
	return 0;
}
