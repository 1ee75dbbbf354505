/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/gsym_image.h"

#include "symbolizer/gsym_format.h"

#include <unistd.h>

enum { MAGIC_SIZE = 4, TABLE_ALIGN = 4 };

static int bad(const struct gsym_image *g, const char *what, struct err *e)
{
	return err_set(e, ERR_BAD_GSYM, "%s: malformed GSYM file: %s", g->name, what);
}

// The byte order of a file that starts with these bytes; false where it is no GSYM file.
static bool read_magic(struct str bytes, bool *ret_big_endian)
{
	struct byte_reader little = byte_reader(bytes, false);
	struct byte_reader big = byte_reader(bytes, true);

	*ret_big_endian = read_uint(&big, MAGIC_SIZE) == GSYM_MAGIC;
	return *ret_big_endian || read_uint(&little, MAGIC_SIZE) == GSYM_MAGIC;
}

bool gsym_image_is(int fd)
{
	char magic[MAGIC_SIZE];
	bool big_endian;

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       read_magic((struct str){magic, sizeof(magic)}, &big_endian);
}

static bool cut(struct str bytes, uint64_t at, uint64_t n, struct str *ret)
{
	if (!range_fits(at, n, bytes.n))
		return false;
	*ret = (struct str){bytes.p + at, n};
	return true;
}

static uint64_t read_at(const struct gsym_image *g, struct str table, uint64_t at, unsigned size)
{
	struct byte_reader r = gsym_reader(g, str_skip(table, at));

	return read_uint(&r, size);
}

static uint64_t align(uint64_t n)
{
	return (n + TABLE_ALIGN - 1) / TABLE_ALIGN * TABLE_ALIGN;
}

static int check_widths(const struct gsym_image *g, struct err *e)
{
	unsigned n = g->address_size;

	if (n != 1 && n != 2 && n != 4 && n != 8)
		return bad(g, "its address offsets are not 1, 2, 4 or 8 bytes wide", e);
	return 0;
}

// Takes the file table out of the bytes from where it starts.
static int take_files(struct gsym_image *g, struct str from, struct err *e)
{
	uint64_t size;

	if (from.n < sizeof(uint32_t))
		return bad(g, "its file table lies outside", e);
	g->file_count = (uint32_t)read_at(g, from, 0, sizeof(uint32_t));
	size = (uint64_t)g->file_count * 2 * g->string_size;
	if (!cut(from, sizeof(uint32_t), size, &g->files))
		return bad(g, "its file table lies outside", e);
	return 0;
}

// Header.h: tables follow each other, only the strings may lie anywhere.
static int open_v1(struct gsym_image *g, struct str bytes, struct err *e)
{
	struct byte_reader r = gsym_reader(g, str_skip(bytes, MAGIC_SIZE + sizeof(uint16_t)));
	uint64_t strings_at;
	uint64_t strings_size;
	uint64_t offsets_at;
	uint64_t offsets_size;
	unsigned uuid_size;

	g->address_size = read_u8(&r);
	uuid_size = read_u8(&r);
	g->base = read_uint(&r, sizeof(g->base));
	g->count = (uint32_t)read_uint(&r, sizeof(g->count));
	strings_at = read_uint(&r, sizeof(uint32_t));
	strings_size = read_uint(&r, sizeof(uint32_t));
	if (bytes.n < GSYM_HEADER_SIZE || uuid_size > GSYM_UUID_MAX)
		return bad(g, "its header is cut short, or its UUID too long", e);
	if (check_widths(g, e))
		return -1;
	g->offset_size = g->string_size = sizeof(uint32_t);
	g->uuid = read_bytes(&r, uuid_size);
	g->infos = bytes;
	offsets_at = align(GSYM_HEADER_SIZE + (uint64_t)g->count * g->address_size);
	offsets_size = (uint64_t)g->count * g->offset_size;
	if (!cut(bytes, GSYM_HEADER_SIZE, (uint64_t)g->count * g->address_size, &g->addresses) ||
	    !cut(bytes, offsets_at, offsets_size, &g->info_offsets) ||
	    !cut(bytes, strings_at, strings_size, &g->strings))
		return bad(g, "a table lies outside", e);
	return take_files(g, str_skip(bytes, offsets_at + offsets_size), e);
}

// GlobalData.h: where each table is; kinds that we do not know are skipped.
static int read_tables(struct gsym_image *g, struct str bytes, struct str tables[GSYM_TABLES],
		       struct err *e)
{
	struct byte_reader r = gsym_reader(g, str_skip(bytes, GSYM_HEADER_V2_SIZE));

	for (;;) {
		uint64_t kind = read_uint(&r, sizeof(uint32_t));
		uint64_t at = read_uint(&r, sizeof(uint64_t));
		uint64_t n = read_uint(&r, sizeof(uint64_t));

		if (r.failed)
			return bad(g, "its list of tables has no end", e);
		if (kind == GSYM_TABLE_END)
			return 0;
		if (kind < GSYM_TABLES && !cut(bytes, at, n, &tables[kind]))
			return bad(g, "a table lies outside", e);
	}
}

static int open_v2(struct gsym_image *g, struct str bytes, struct err *e)
{
	struct byte_reader r = gsym_reader(g, str_skip(bytes, MAGIC_SIZE + sizeof(uint16_t)));
	struct str tables[GSYM_TABLES] = {0};
	unsigned encoding;

	g->address_size = read_u8(&r);
	encoding = read_u8(&r);
	g->base = read_uint(&r, sizeof(g->base));
	g->count = (uint32_t)read_uint(&r, sizeof(g->count));
	if (r.failed)
		return bad(g, "its header is cut short", e);
	if (encoding)
		return err_set(e, ERR_UNSUPPORTED,
			       "%s: strings in encoding %u of GSYM are not read", g->name, encoding);
	g->offset_size = g->string_size = sizeof(uint64_t);
	if (check_widths(g, e) || read_tables(g, bytes, tables, e))
		return -1;
	g->addresses = tables[GSYM_TABLE_ADDRESSES];
	g->info_offsets = tables[GSYM_TABLE_INFO_OFFSETS];
	g->strings = tables[GSYM_TABLE_STRINGS];
	g->infos = tables[GSYM_TABLE_INFOS];
	g->uuid = tables[GSYM_TABLE_UUID];
	if (g->addresses.n != (uint64_t)g->count * g->address_size ||
	    g->info_offsets.n != (uint64_t)g->count * g->offset_size)
		return bad(g, "its address tables do not have the size of their count", e);
	return take_files(g, tables[GSYM_TABLE_FILES], e);
}

int gsym_image_open(struct gsym_image *g, struct str bytes, const char *name, struct err *e)
{
	*g = (struct gsym_image){.name = name};
	if (!read_magic(bytes, &g->big_endian))
		return bad(g, "it does not start as one", e);
	g->version = (unsigned)read_at(g, bytes, MAGIC_SIZE, sizeof(uint16_t));
	switch (g->version) {
	case 1:
		return open_v1(g, bytes, e);
	case 2:
		return open_v2(g, bytes, e);
	default:
		return err_set(e, ERR_UNSUPPORTED, "%s: GSYM version %u is not read, only 1 and 2",
			       name, g->version);
	}
}

bool gsym_image_address(const struct gsym_image *g, uint32_t i, uint64_t *ret)
{
	uint64_t offset = read_at(g, g->addresses, (uint64_t)i * g->address_size, g->address_size);

	return !add_overflows(g->base, offset, ret);
}

struct str gsym_image_info(const struct gsym_image *g, uint32_t i)
{
	uint64_t at = read_at(g, g->info_offsets, (uint64_t)i * g->offset_size, g->offset_size);

	return at < g->infos.n ? str_skip(g->infos, at) : STR_EMPTY;
}

struct str gsym_image_string(const struct gsym_image *g, uint64_t offset)
{
	return cstr_at(g->strings, offset);
}

void gsym_image_file(const struct gsym_image *g, uint32_t i, struct str *ret_folder,
		     struct str *ret_name)
{
	uint64_t at = (uint64_t)i * 2 * g->string_size;

	*ret_folder = gsym_image_string(g, read_at(g, g->files, at, g->string_size));
	*ret_name = gsym_image_string(g, read_at(g, g->files, at + g->string_size, g->string_size));
}
