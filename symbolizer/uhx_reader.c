/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/uhx_reader.h"

#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/uhx_view.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

struct uhx {
	atomic_uint refs;
	struct uhx_view view;
	struct uhx_info info;
	struct build_id ids[UHX_IDS_MAX];
};

static int read_ids(struct uhx *u, struct err *e)
{
	const struct uhx_part *part = &u->view.part[UHX_IDS];

	for (uint64_t i = 0; i < part->count; i++) {
		struct uhx_build_id entry;
		struct err why = ERR_INIT;

		memcpy(&entry, part->p + i * sizeof(entry), sizeof(entry));
		if (entry.kind > BUILD_ID_HTL || entry.size > sizeof(entry.bytes) ||
		    build_id_set(&u->ids[i], entry.kind, entry.bytes, entry.size, &why))
			return uhx_view_bad(e, "a build-ID is malformed");
	}
	return 0;
}

static uint64_t cold_size(const struct uhx_view *v)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < v->header->section_count; i++)
		if (v->sections[i].kind >= UHX_COLD)
			sum += v->sections[i].count * v->sections[i].entry_size;
	return sum;
}

static void fill_info(struct uhx *u)
{
	const struct uhx_view *v = &u->view;
	const struct uhx_part *headers = &v->part[UHX_PROGRAM_HEADERS];
	const struct uhx_header *h = v->header;

	u->info = (struct uhx_info){
		.id_count = v->part[UHX_IDS].count,
		.ids = u->ids,
		.quality = h->quality <= QUALITY_DWARF ? (enum quality)h->quality : QUALITY_NONE,
		.headers = {(const void *)headers->p, headers->count,
			    h->flags & UHX_HEADERS_TRUSTED},
		.rows = h->rows,
		.functions = v->part[UHX_FUNCTIONS].count - 1,
		.file_size = v->size,
		.cold_size = cold_size(v),
		.machine = {h->machine, strnlen(h->machine, sizeof(h->machine))},
	};
}

static int map_file(int fd, struct uhx_view *v, struct err *e)
{
	uint64_t size;
	void *p;

	if (io_file_size(fd, &size, e))
		return -1;
	if (size < sizeof(struct uhx_header))
		return uhx_view_bad(e, "shorter than its header");
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, errno, "mapping an index of %ju bytes", (uintmax_t)size);
	v->bytes = p;
	v->size = size;
	return 0;
}

int uhx_open_fd(int fd, struct uhx **ret, struct err *e)
{
	_cleanup_(uhx_unrefp) struct uhx *u = mem_zalloc(sizeof(*u));

	if (!u)
		return err_nomem(e);
	atomic_init(&u->refs, 1);
	if (map_file(fd, &u->view, e) || uhx_view_open(&u->view, e) || read_ids(u, e))
		return -1;
	fill_info(u);
	*ret = steal_ptr(u);
	return 0;
}

int uhx_open(const char *path, struct uhx **ret, struct err *e)
{
	_cleanup_close_ int fd = io_open_read(path, e);

	if (fd < 0)
		return -1;
	return uhx_open_fd(fd, ret, e) ? err_wrap(e, "%s", path) : 0;
}

struct uhx *uhx_ref(struct uhx *u)
{
	atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
	return u;
}

void uhx_unref(struct uhx *u)
{
	if (!u || atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (u->view.bytes)
		munmap((void *)(uintptr_t)u->view.bytes, u->view.size);
	free(u);
}

const struct uhx_info *uhx_info(const struct uhx *u)
{
	return &u->info;
}

const struct uhx_view *uhx_view(const struct uhx *u)
{
	return &u->view;
}

int uhx_verify(const struct uhx *u, struct err *e)
{
	return uhx_view_verify(&u->view, e);
}

void uhx_lookup(const struct uhx *u, uint64_t va, struct frames *ret)
{
	UNINITIALIZED struct uhx_hit hit;

	ret->source = SOURCE_NONE;
	ret->n = 0;
	if (uhx_view_find(&u->view, va, &hit))
		uhx_view_chain(&u->view, &hit, ret);
}

void uhx_chain(const struct uhx *u, uint64_t va, bool columns, struct uhx_chain *ret)
{
	UNINITIALIZED struct uhx_hit hit;

	ret->source = SOURCE_NONE;
	ret->n = 0;
	if (uhx_view_find(&u->view, va, &hit))
		uhx_view_places(&u->view, &hit, columns, ret);
}

bool uhx_spell(const struct uhx *u, uint32_t function, struct frame *ret)
{
	return function < u->view.part[UHX_FUNCTIONS].count &&
	       uhx_view_names(&u->view, function, ret);
}
