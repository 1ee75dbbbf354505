/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/dwarf_split.h"

#include "base/mem.h"
#include <dwarf.h>

enum { COLUMNS_MAX = 16 };

// Columns of .debug_cu_index. In version 2 DW_SECT_RNGLISTS is a .debug_macro, of no interest.
enum { COLUMN_INFO = 1, COLUMN_ABBREV = 3, COLUMN_STR_OFFSETS = 6, COLUMN_RNGLISTS = 8 };

// ---- the index of a package ---------------------------------------------------------------------------

struct package_index {
	struct byte_reader ids;
	struct byte_reader rows;    // of the slots
	struct byte_reader offsets; // rows times columns
	unsigned version;
	uint32_t columns;
	uint32_t units;
	uint32_t slots;
	uint32_t section[COLUMNS_MAX];
};

static struct byte_reader part(struct byte_reader *r, uint64_t count, uint64_t size)
{
	return byte_reader(read_bytes(r, count * size), r->big_endian);
}

// False: nothing that can be used.
static bool read_index(struct str bytes, bool big_endian, struct package_index *x)
{
	struct byte_reader r = byte_reader(bytes, big_endian);

	x->version = (unsigned)read_uint(&r, 4);
	if (big_endian && x->version >> 16 == 5) // in version 5 two bytes, and two of padding
		x->version >>= 16;
	x->columns = (uint32_t)read_uint(&r, 4);
	x->units = (uint32_t)read_uint(&r, 4);
	x->slots = (uint32_t)read_uint(&r, 4);
	if ((x->version != 2 && x->version != 5) || x->columns > COLUMNS_MAX)
		return false;
	x->ids = part(&r, x->slots, 8);
	x->rows = part(&r, x->slots, 4);
	for (uint32_t i = 0; i < x->columns; i++)
		x->section[i] = (uint32_t)read_uint(&r, 4);
	x->offsets = part(&r, (uint64_t)x->units * x->columns, 4);
	return !r.failed;
}

// Tells a unit where its tables are.
static struct dwarf_unit *place_unit(struct dwarf_file *f, const struct package_index *x, uint32_t row)
{
	uint64_t offset[COLUMN_RNGLISTS + 1] = {0};
	struct byte_reader r = x->offsets;
	struct dwarf_unit *u;

	skip_bytes(&r, ((uint64_t)row - 1) * x->columns * 4);
	for (uint32_t i = 0; i < x->columns; i++) {
		uint64_t value = read_uint(&r, 4);

		if (x->section[i] < countof(offset))
			offset[x->section[i]] = value;
	}
	u = dwarf_file_unit(f, offset[COLUMN_INFO]);
	if (r.failed || !u || u->offset != offset[COLUMN_INFO] || u->in_package)
		return NULL;
	u->in_package = true;
	u->abbrev_offset += offset[COLUMN_ABBREV];
	u->str_offsets_start = offset[COLUMN_STR_OFFSETS];
	u->rnglists_start = x->version == 5 ? offset[COLUMN_RNGLISTS] : 0;
	return u;
}

static int note_unit(struct dwarf_split *s, size_t file, const struct dwarf_unit *u, uint64_t id, struct err *e)
{
	uint64_t known;

	if (map64_get(&s->by_id, id, &known))
		return 0; // the first file given counts
	return map64_set(&s->by_id, id, (uint64_t)file << 32 | (uint64_t)(u - s->files[file].units))
		       ? err_nomem(e)
		       : 0;
}

static int note_package(struct dwarf_split *s, size_t file, struct str index, struct warnings *w, struct err *e)
{
	struct dwarf_file *f = &s->files[file];
	struct package_index x;

	if (!read_index(index, f->big_endian, &x)) {
		warn(w, "%s: its .debug_cu_index is of an unknown version or damaged", f->image->name);
		return 0;
	}
	for (uint32_t i = 0; i < x.slots; i++) {
		uint64_t id = read_uint(&x.ids, 8);
		uint32_t row = (uint32_t)read_uint(&x.rows, 4);
		struct dwarf_unit *u = row && row <= x.units ? place_unit(f, &x, row) : NULL;

		if (u && note_unit(s, file, u, id, e))
			return -1;
	}
	return 0;
}

// ---- loose files --------------------------------------------------------------------------------------

// Before DWARF 5 the number is an attribute.
static int note_units(struct dwarf_split *s, size_t file, struct err *e)
{
	struct dwarf_file *f = &s->files[file];

	for (size_t i = 0; i < f->unit_count; i++) {
		struct dwarf_unit *u = &f->units[i];

		if (u->type != DW_UT_split_compile && u->version >= 5)
			continue;
		if ((u->version >= 5 || dwarf_unit_ready(u)) && note_unit(s, file, u, u->dwo_id, e))
			return -1;
	}
	return 0;
}

static int open_one(struct dwarf_split *s, struct elf_image *img, uint64_t number, struct warnings *w,
		    struct err *e)
{
	struct dwarf_file *f = &s->files[s->n++];
	struct err problem = ERR_INIT;
	struct str index = STR_EMPTY;
	bool cut = false;

	if (dwarf_file_open(f, img, DWARF_DWO_SECTIONS, &cut, &problem) ||
	    dwarf_file_section(img, "cu_index", "", &index, &problem)) {
		warn(w, "%s: %s", img->name, problem.msg);
		return problem.kind == ERR_NOMEM ? err_nomem(e) : 0;
	}
	if (cut)
		warn(w, "%s: .debug_info.dwo ends early: %s", img->name, problem.msg);
	f->number = number;
	return index.n ? note_package(s, s->n - 1, index, w, e) : note_units(s, s->n - 1, e);
}

int dwarf_split_open(struct dwarf_split *s, struct elf_image *const *images, size_t n, uint64_t number,
		     struct warnings *w, struct err *e)
{
	if (n > DWARF_SPLIT_FILES_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d .dwo files", DWARF_SPLIT_FILES_MAX);
	if (!n)
		return 0;
	s->files = mem_calloc(n, sizeof(*s->files));
	s->used = mem_calloc(n, sizeof(*s->used));
	if (!s->files || !s->used)
		return err_nomem(e);
	for (size_t i = 0; i < n; i++)
		if (open_one(s, images[i], number + i, w, e))
			return -1;
	return 0;
}

void dwarf_split_close(struct dwarf_split *s)
{
	for (size_t i = 0; i < s->n; i++)
		dwarf_file_close(&s->files[i]);
	free(s->files);
	free(s->used);
	map64_deinit(&s->by_id);
	*s = DWARF_SPLIT_INIT;
}

// ---- joining ------------------------------------------------------------------------------------------

struct dwarf_unit *dwarf_split_join(struct dwarf_split *s, const struct dwarf_unit *skeleton)
{
	struct dwarf_unit *u;
	uint64_t place;

	if (!map64_get(&s->by_id, skeleton->dwo_id, &place))
		return NULL;
	u = &s->files[place >> 32].units[(uint32_t)place];
	s->used[place >> 32] = true;
	if (u->joined || !dwarf_unit_ready(u))
		return NULL;
	u->joined = true;
	u->addresses = skeleton->file;
	u->addr_base = skeleton->addr_base;
	u->ranges_base = skeleton->ranges_base;
	u->low_pc = skeleton->low_pc;
	return u;
}

void dwarf_split_tell(const struct dwarf_split *s, const char *binary, struct warnings *w)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->used[i])
			warn(w, "%s: no unit of %s is in it", s->files[i].image->name, binary);
}
