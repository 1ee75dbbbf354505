/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/module_cache.h"

#include "agent-lite/elf/elf_child.h"
#include "agent-lite/process/regular_file.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { NO_ROOM_MS = 10 * 1000 };

#define FIRST_64BIT_ADDRESS (UINT64_C(1) << 32)

struct module_cache {
	struct map by_file; /* struct file_key -> struct module *, one reference each */
	struct map by_event; /* struct event_key -> the same */
	struct module *special[MODULE_SPECIAL_COUNT];
	struct elf_child *reader;
	module_table_fn *take_table; /* NULL: nobody wants any */
	void *take_table_ctx;
	uint64_t no_room_until_ms; /* all tables were in use: they will be for a while */
	struct module_cache_stats stats;
};

struct file_key {
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	int64_t ctime_s;
	int64_t ctime_ns;
};

/* What an event tells of a mapped file. Where it is the build-ID, the rest is 0. */
struct event_key {
	uint64_t device;
	uint64_t inode;
	uint64_t generation;
	uint8_t build_id_size;
	uint8_t build_id[MAPPING_ID_MAX];
	uint8_t padding[3];
};

_Static_assert(sizeof(struct event_key) == 48, "keys are compared whole");

static const char *const special_names[MODULE_SPECIAL_COUNT] = {
	[MODULE_UNKNOWN] = "[unknown]", [MODULE_ANON] = "[anon]",
	[MODULE_VDSO] = "[vdso]",	[MODULE_VSYSCALL] = "[vsyscall]",
	[MODULE_KERNEL] = "[kernel]",	[MODULE_KERNEL_OTHER] = "[kernel module]",
};

/*
 * The kernel maps the same image into every 64-bit process, so ours stands for all. It has no file:
 * the reader gets a copy of its pages.
 */
static int vdso_fd(void)
{
	const Elf64_Ehdr *image = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	struct err err;
	size_t size;
	int fd;

	if (!image)
		return -1;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	// Its section headers are its last bytes.
	size = image->e_shoff + (size_t)image->e_shnum * image->e_shentsize;
	if (fd >= 0 && io_write_all(fd, image, size, &err) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Also the proof that the reader works at all: a profile in which no binary has an ID is worth
 * nothing. 1: *ret is set; 0: there is none here.
 */
static int read_vdso(struct module_cache *c, struct elf_ident *ret, struct err *e)
{
	_cleanup_close_ int fd = vdso_fd();

	if (fd < 0)
		return 0;
	if (elf_child_ident(c->reader, fd, ret, e) == 0)
		return ret->id.kind == BUILD_ID_GNU;
	switch (e->kind) {
	case ERR_NOT_ELF:
	case ERR_BAD_ELF:
	case ERR_UNSUPPORTED:
		return 0;
	default:
		return err_wrap(e, "the sandboxed ELF reader does not work here");
	}
}

static int make_special(struct module_cache *c, struct err *e)
{
	struct elf_ident vdso;
	int known = read_vdso(c, &vdso, e);

	if (known < 0)
		return -1;
	for (int i = 0; i < MODULE_SPECIAL_COUNT; i++) {
		bool has_id = i == MODULE_VDSO && known;

		c->special[i] = module_new(special_names[i], has_id ? &vdso : NULL);
		if (!c->special[i])
			return err_nomem(e);
	}
	return 0;
}

int module_cache_new(const char *elf_program, struct module_cache **ret, struct err *e)
{
	struct module_cache *c = mem_zalloc(sizeof(*c));

	if (!c)
		return err_nomem(e);
	c->by_file = MAP_INIT;
	c->by_event = MAP_INIT;
	if (elf_child_new(elf_program, &c->reader, e) < 0 || make_special(c, e) < 0) {
		module_cache_free(c);
		return -1;
	}
	*ret = c;
	return 0;
}

static void clear_map(struct map *map)
{
	size_t pos = 0;
	struct str key;
	void *m;

	while (map_next(map, &pos, &key, &m))
		module_unref(m);
	map_deinit(map);
	*map = MAP_INIT;
}

void module_cache_free(struct module_cache *c)
{
	if (!c)
		return;
	clear_map(&c->by_file);
	clear_map(&c->by_event);
	for (int i = 0; i < MODULE_SPECIAL_COUNT; i++)
		module_unref(c->special[i]);
	elf_child_free(c->reader);
	free(c);
}

static void evict_unused(struct module_cache *c)
{
	size_t pos = 0;
	struct str key;
	void *value;

	c->stats.evictions++;
	clear_map(&c->by_event); // comes again as it is needed
	while (map_next(&c->by_file, &pos, &key, &value)) {
		struct module *m = value;

		if (m->refs > 1)
			continue;
		map_del(&c->by_file, key);
		module_unref(m);
		c->stats.evicted++;
	}
}

/* Where there is no room, tables of files that no process maps any more make some. */
static void give_table(struct module_cache *c, struct module *m, const struct unwind_table *t,
		       const uint64_t *slots)
{
	uint64_t now = clock_mono_ms();

	if (c->take_table(c->take_table_ctx, m, t, slots))
		return;
	if (now >= c->no_room_until_ms) {
		evict_unused(c);
		if (c->take_table(c->take_table_ctx, m, t, slots))
			return;
		c->no_room_until_ms = now + NO_ROOM_MS;
	}
	c->stats.tables_refused++;
}

/* Without one its frames are left by frame pointer. */
static void read_table(struct module_cache *c, struct module *m, int fd)
{
	struct unwind_table t;
	const uint64_t *slots;
	struct err err;

	if (!c->take_table)
		return;
	if (elf_child_table(c->reader, fd, &t, &slots, &err) < 0)
		c->stats.tables_failed++;
	else
		give_table(c, m, &t, slots);
	elf_child_table_release(c->reader);
}

void module_cache_set_tables(struct module_cache *c, module_table_fn *fn, void *ctx)
{
	_cleanup_close_ int fd = vdso_fd();

	c->take_table = fn;
	c->take_table_ctx = ctx;
	if (fd >= 0)
		read_table(c, c->special[MODULE_VDSO], fd);
}

static int read_module(struct module_cache *c, int fd, const char *filename, struct module **ret,
		       struct err *e)
{
	struct elf_ident ident;
	struct err reason;
	bool known = elf_child_ident(c->reader, fd, &ident, &reason) == 0;

	c->stats.files_read++;
	if (!known)
		c->stats.files_failed++;
	*ret = module_new(filename, known ? &ident : NULL);
	if (!*ret)
		return err_nomem(e);
	if (known)
		read_table(c, *ret, fd);
	return 0;
}

int module_cache_get(struct module_cache *c, int fd, const char *filename, struct module **ret,
		     struct err *e)
{
	_cleanup_(module_unrefp) struct module *m = NULL;
	struct file_key key = {0};
	struct stat st;
	struct str bytes = {(const char *)&key, sizeof(key)};
	struct module *known;

	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "fstat of %s", filename);
	key.device = st.st_dev;
	key.inode = st.st_ino;
	key.size = (uint64_t)st.st_size;
	key.ctime_s = st.st_ctim.tv_sec;
	key.ctime_ns = st.st_ctim.tv_nsec;
	known = map_get(&c->by_file, bytes);
	if (known) {
		*ret = module_ref(known);
		return 0;
	}
	if (read_module(c, fd, filename, &m, e) < 0)
		return -1;
	if (c->by_file.n >= MODULE_CACHE_MAX)
		evict_unused(c);
	if (c->by_file.n < MODULE_CACHE_MAX) {
		if (map_set(&c->by_file, bytes, m, NULL) < 0)
			return err_nomem(e);
		module_ref(m);
	}
	*ret = steal_ptr(m);
	return 0;
}

/* The file is not to be had any more, but an event may have told its build-ID. */
static int make_unread(const struct mapping *m, struct module **ret, struct err *e)
{
	struct module *module = module_new(m->path, NULL);
	struct build_id id;

	if (!module)
		return err_nomem(e);
	if (build_id_set(&id, BUILD_ID_GNU, m->build_id, m->build_id_size, NULL) == 0) {
		build_id_text(&id, module->build_id);
		module->by_offset = true;
	}
	*ret = module;
	return 0;
}

int module_cache_of_mapping(struct module_cache *c, const struct mapping *m, int fd,
			    struct module **ret, struct err *e)
{
	enum module_special which = MODULE_ANON;

	if (m->kind == MAPPING_FILE && fd >= 0)
		return module_cache_get(c, fd, m->path, ret, e);
	if (m->kind == MAPPING_FILE)
		return make_unread(m, ret, e);
	// A 32-bit process has another vdso.
	if (m->kind == MAPPING_VDSO && m->start >= FIRST_64BIT_ADDRESS)
		which = MODULE_VDSO;
	else if (m->kind == MAPPING_VSYSCALL)
		which = MODULE_VSYSCALL;
	*ret = module_ref(c->special[which]);
	return 0;
}

/* ---- by event -------------------------------------------------------------------------------- */

static struct event_key event_key(const struct mapping *m)
{
	struct event_key key = {.build_id_size = m->build_id_size};

	memcpy(key.build_id, m->build_id, m->build_id_size);
	if (m->build_id_size == 0) {
		key.device = m->device;
		key.inode = m->inode;
		key.generation = m->generation;
	}
	return key;
}

/*
 * Could the loader have mapped that range of that file as code? Tools that change a binary's layout
 * (patchelf) leave its build-ID alone.
 */
static bool layout_fits(const struct module *module, const struct mapping *m)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!module->has_ident)
		return false;
	for (uint32_t i = 0; i < module->ident.load_count; i++) {
		const struct elf_load *load = &module->ident.loads[i];
		uint64_t first = load->offset & ~(page - 1);

		if ((load->flags & PF_X) && m->offset >= first &&
		    m->offset - first < load->filesz + page)
			return true;
	}
	return false;
}

struct module *module_cache_find(struct module_cache *c, struct mapping *m)
{
	const struct event_key key = event_key(m);
	struct module *known;

	if (m->kind != MAPPING_FILE) {
		struct module *special = NULL;
		struct err ignored;

		return module_cache_of_mapping(c, m, -1, &special, &ignored) == 0 ? special : NULL;
	}
	known = map_get(&c->by_event, (struct str){(const char *)&key, sizeof(key)});
	if (!known || (known->has_ident && !layout_fits(known, m)))
		return NULL;
	m->guessed = m->build_id_size == 0;
	return module_ref(known);
}

/*
 * What could not be read may be anything that lies where the file was. It must not stand for a
 * build-ID that other processes map, too.
 */
static bool same_build_id(const struct module *module, const struct mapping *m)
{
	const struct build_id *id = &module->ident.id;

	if (m->build_id_size == 0)
		return true;
	return module->has_ident && id->kind == BUILD_ID_GNU && id->size == m->build_id_size &&
	       memcmp(id->bytes, m->build_id, id->size) == 0;
}

static int remember_event(struct module_cache *c, const struct mapping *m, struct module *module,
			  struct err *e)
{
	const struct event_key key = event_key(m);
	void *old = NULL;

	if (c->by_event.n >= MODULE_CACHE_MAX)
		clear_map(&c->by_event);
	if (map_set(&c->by_event, (struct str){(const char *)&key, sizeof(key)}, module, &old) < 0)
		return err_nomem(e);
	module_ref(module);
	module_unref(old);
	return 0;
}

int module_cache_match(struct module_cache *c, const struct mapping *m, int fd, struct module **ret,
		       struct err *e)
{
	_cleanup_(module_unrefp) struct module *module = NULL;

	if (module_cache_get(c, fd, m->path, &module, e) < 0)
		return -1;
	if (!same_build_id(module, m)) {
		c->stats.files_other++;
		return 0;
	}
	if (m->evented && remember_event(c, m, module, e) < 0)
		return -1;
	*ret = steal_ptr(module);
	return 1;
}

/* ---- files ----------------------------------------------------------------------------------- */

bool module_is_mapped(int fd, const struct mapping *m, bool own_path)
{
	struct stat st;

	// An event with a build-ID tells no inode: the build-ID is compared, later.
	if (m->inode == 0)
		return true;
	return fstat(fd, &st) == 0 && st.st_ino == m->inode &&
	       (!own_path || st.st_dev == m->device);
}

int module_open_mapped(const char *path, const struct mapping *m, bool own_path)
{
	int fd = regular_file_open(path);

	if (fd >= 0 && !module_is_mapped(fd, m, own_path)) {
		close(fd);
		return -1;
	}
	return fd;
}

struct module *module_cache_special(struct module_cache *c, enum module_special which)
{
	return c->special[which];
}

void module_cache_set_kernel(struct module_cache *c, const struct build_id *id)
{
	build_id_text(id, c->special[MODULE_KERNEL]->build_id);
}

void module_cache_stats(const struct module_cache *c, struct module_cache_stats *ret)
{
	*ret = c->stats;
	ret->reader_starts = elf_child_starts(c->reader);
}
