/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/uhx_reader.h"

#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "symbolizer/uhx_view.h"
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <errno.h>

struct uhx {
	atomic_uint refs;
	struct uhx_view view;
	struct uhx_info info;
	struct build_id ids[UHX_IDS_MAX];
};

static int bad(struct err *e, const char *why)
{
	return err_set(e, ERR_BAD_INDEX, "not a sound index: %s; rebuild it", why);
}

static int check_header(const struct uhx_view *v, struct err *e)
{
	struct uhx_header h;

	if (v->size < sizeof(h))
		return bad(e, "shorter than its header");
	memcpy(&h, v->bytes, sizeof(h));
	if (memcmp(h.magic, UHX_MAGIC, sizeof(h.magic)) != 0)
		return bad(e, "it does not start as a .uhx file does");
	if (h.version != UHX_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "index version %u, this program reads %d; rebuild it",
			       h.version, UHX_VERSION);
	if (h.features & ~UHX_FEATURES_KNOWN)
		return err_set(e, ERR_UNSUPPORTED,
			       "index features %#jx are not known to this program; rebuild it",
			       (uintmax_t)(h.features & ~UHX_FEATURES_KNOWN));
	if (h.file_size != v->size)
		return bad(e, "its size is not what its header says (cut short?)");
	if (h.section_count > UHX_SECTIONS_MAX ||
	    !range_fits(sizeof(h), h.section_count * sizeof(struct uhx_section), v->size))
		return bad(e, "too many sections");
	return 0;
}

static int check_head_sum(const struct uhx_view *v, struct err *e)
{
	char head[sizeof(struct uhx_header) + UHX_SECTIONS_MAX * sizeof(struct uhx_section)];
	size_t n = sizeof(struct uhx_header) + v->header->section_count * sizeof(struct uhx_section);

	memcpy(head, v->bytes, n);
	memset(head + offsetof(struct uhx_header, checksum), 0, sizeof(v->header->checksum));
	if (xxh3(head, n) != v->header->checksum)
		return bad(e, "the checksum of its header is wrong");
	return 0;
}

// What each section that this version knows must hold at least.
static const struct {
	uint32_t entry_size;
	uint32_t min_count;
} shapes[UHX_SECTION_KINDS] = {
	[UHX_IDS] = {sizeof(struct uhx_build_id), 0},
	[UHX_PROGRAM_HEADERS] = {sizeof(struct program_header), 0},
	[UHX_SEGMENTS] = {sizeof(struct uhx_segment), 0},
	[UHX_KEYS] = {sizeof(uint32_t), 0},
	[UHX_BLOCK_OFFSETS] = {sizeof(uint32_t), 0},
	[UHX_BLOCKS] = {1, 0},
	[UHX_SCOPES] = {sizeof(struct uhx_scope_entry), 1},
	[UHX_FUNCTIONS] = {sizeof(struct uhx_function_entry), 1},
	[UHX_FILES] = {sizeof(uint32_t), 1},
	[UHX_STRINGS] = {1, 1},
};

static int check_section(struct uhx_view *v, const struct uhx_section *s, struct err *e)
{
	uint64_t bytes;

	if (mul_overflows(s->count, (uint64_t)s->entry_size, &bytes) ||
	    !range_fits(s->offset, bytes, v->size) || s->offset % UHX_ALIGN)
		return bad(e, "a section lies outside the file");
	if (s->kind == 0 || s->kind >= UHX_SECTION_KINDS)
		return 0;
	if (v->part[s->kind].p)
		return bad(e, "a section is there twice");
	if (s->entry_size != shapes[s->kind].entry_size || s->count < shapes[s->kind].min_count)
		return bad(e, "a section has the wrong shape");
	v->part[s->kind] = (struct uhx_part){v->bytes + s->offset, s->count};
	return 0;
}

static int check_sections(struct uhx_view *v, struct err *e)
{
	const struct uhx_part *part = v->part;

	for (uint32_t i = 0; i < v->header->section_count; i++) {
		if (check_section(v, &v->sections[i], e))
			return -1;
	}
	for (size_t kind = UHX_IDS; kind < UHX_SECTION_KINDS; kind++) {
		if (!part[kind].p)
			return bad(e, "a section is missing");
	}
	if (part[UHX_KEYS].count != part[UHX_BLOCK_OFFSETS].count)
		return bad(e, "its block tables differ in length");
	if (part[UHX_PROGRAM_HEADERS].count > PROGRAM_HEADERS_MAX ||
	    part[UHX_IDS].count > UHX_IDS_MAX)
		return bad(e, "too many program headers or build-IDs");
	return 0;
}

static int read_ids(struct uhx *u, struct err *e)
{
	const struct uhx_part *part = &u->view.part[UHX_IDS];

	for (uint64_t i = 0; i < part->count; i++) {
		struct uhx_build_id entry;
		struct err why = ERR_INIT;

		memcpy(&entry, part->p + i * sizeof(entry), sizeof(entry));
		if (entry.kind > BUILD_ID_HTL || entry.size > sizeof(entry.bytes) ||
		    build_id_set(&u->ids[i], entry.kind, entry.bytes, entry.size, &why))
			return bad(e, "a build-ID is malformed");
	}
	return 0;
}

static void fill_info(struct uhx *u)
{
	const struct uhx_view *v = &u->view;
	const struct uhx_header *h = v->header;

	u->info = (struct uhx_info){
		.id_count = v->part[UHX_IDS].count,
		.ids = u->ids,
		.quality = h->quality <= QUALITY_DWARF ? (enum quality)h->quality : QUALITY_NONE,
		.headers = {
			.p = (const struct program_header *)(const void *)v->part[UHX_PROGRAM_HEADERS].p,
			.n = v->part[UHX_PROGRAM_HEADERS].count,
			.trusted = h->flags & UHX_HEADERS_TRUSTED,
		},
		.rows = h->rows,
		.functions = v->part[UHX_FUNCTIONS].count - 1,
		.file_size = v->size,
		.machine = {h->machine, strnlen(h->machine, sizeof(h->machine))},
	};
}

static int check(struct uhx *u, struct err *e)
{
	struct uhx_view *v = &u->view;

	if (check_header(v, e))
		return -1;
	v->header = (const struct uhx_header *)(const void *)v->bytes;
	v->sections = (const struct uhx_section *)(const void *)(v->bytes + sizeof(*v->header));
	if (check_head_sum(v, e) || check_sections(v, e) || read_ids(u, e))
		return -1;
	fill_info(u);
	return 0;
}

static int map_file(int fd, struct uhx_view *v, struct err *e)
{
	uint64_t size;
	void *p;

	if (io_file_size(fd, &size, e))
		return -1;
	if (size < sizeof(struct uhx_header))
		return bad(e, "shorter than its header");
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
	if (map_file(fd, &u->view, e) || check(u, e))
		return -1;
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

// The bytes between the sections carry no checksum: they must be zero.
static bool padding_is_zero(const struct uhx_view *v)
{
	uint64_t at = sizeof(*v->header) + v->header->section_count * sizeof(*v->sections);

	for (uint32_t i = 0; i < v->header->section_count; i++) {
		const struct uhx_section *s = &v->sections[i];

		for (; at < s->offset; at++) {
			if (v->bytes[at])
				return false;
		}
		at = s->offset + s->count * s->entry_size;
	}
	return at == v->size;
}

int uhx_verify(const struct uhx *u, struct err *e)
{
	const struct uhx_view *v = &u->view;

	for (uint32_t i = 0; i < v->header->section_count; i++) {
		const struct uhx_section *s = &v->sections[i];

		if (xxh3(v->bytes + s->offset, s->count * s->entry_size) != s->checksum)
			return err_set(e, ERR_BAD_INDEX,
				       "damaged index: the checksum of section %u is wrong; rebuild it",
				       s->kind);
	}
	if (!padding_is_zero(v))
		return bad(e, "bytes between its sections are not zero");
	return 0;
}

void uhx_lookup(const struct uhx *u, uint64_t va, struct frames *ret)
{
	struct uhx_position row;

	ret->source = SOURCE_NONE;
	ret->n = 0;
	if (uhx_view_find(&u->view, va, &row))
		uhx_view_chain(&u->view, &row, ret);
}
