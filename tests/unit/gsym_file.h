/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For unit tests: GSYM files (symbolizer/gsym_format.h) of both versions and byte orders, sound or
 * not, from parts that the test gives. Header-only.
 */
#ifndef TESTS_UNIT_GSYM_FILE_H
#define TESTS_UNIT_GSYM_FILE_H

#include "base/buf.h"
#include "symbolizer/gsym_format.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above. */
#include <cmocka.h>

enum { GSYM_FILE_BYTES = 1 << 20, GSYM_FILE_FUNCTIONS = 16 };

struct gsym_file_parts {
	unsigned version;
	bool big;
	unsigned address_size;
	struct buf strings;
	struct buf files;
	uint32_t file_count;
	struct buf infos;
	uint64_t starts[GSYM_FILE_FUNCTIONS];
	uint64_t offsets[GSYM_FILE_FUNCTIONS];
	uint32_t count;
	uint64_t base;
	struct buf bytes;
};

UNUSED static void gsym_file_put(const struct gsym_file_parts *f, struct buf *b, uint64_t v,
				 unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		buf_append_c(b, (char)(v >> 8 * (f->big ? size - 1 - i : i)));
}

UNUSED static unsigned gsym_file_string_size(const struct gsym_file_parts *f)
{
	return f->version == 1 ? 4 : 8;
}

UNUSED static uint64_t gsym_file_string(struct gsym_file_parts *f, const char *s)
{
	uint64_t at = f->strings.n;

	buf_append(&f->strings, s, strlen(s) + 1);
	return at;
}

UNUSED static void gsym_file_entry(struct gsym_file_parts *f, const char *folder, const char *name)
{
	gsym_file_put(f, &f->files, gsym_file_string(f, folder), gsym_file_string_size(f));
	gsym_file_put(f, &f->files, gsym_file_string(f, name), gsym_file_string_size(f));
	f->file_count++;
}

/* Files 1 and 2 are /src/main.c and inc/h.h; the base is 0x1000, the UUID abcd03. */
UNUSED static struct gsym_file_parts gsym_file_new(unsigned version, bool big)
{
	struct gsym_file_parts f = {.version = version, .big = big};

	f.address_size = 2;
	f.base = 0x1000;
	f.strings = f.files = f.infos = f.bytes = BUF_INIT(GSYM_FILE_BYTES);
	buf_append_c(&f.strings, '\0');
	gsym_file_put(&f, &f.files, 0, gsym_file_string_size(&f));
	gsym_file_put(&f, &f.files, 0, gsym_file_string_size(&f));
	f.file_count = 1;
	gsym_file_entry(&f, "/src", "main.c");
	gsym_file_entry(&f, "inc", "h.h");
	return f;
}

UNUSED static void gsym_file_deinit(struct gsym_file_parts *f)
{
	buf_deinit(&f->strings);
	buf_deinit(&f->files);
	buf_deinit(&f->infos);
	buf_deinit(&f->bytes);
}

/* Begins the info of the function at base + offset; GSYM_INFO_END ends it. */
UNUSED static void gsym_file_function(struct gsym_file_parts *f, uint64_t offset, uint32_t size,
				      const char *name)
{
	while (f->infos.n % 4)
		buf_append_c(&f->infos, 0);
	f->starts[f->count] = offset;
	f->offsets[f->count++] = f->infos.n;
	gsym_file_put(f, &f->infos, size, 4);
	gsym_file_put(f, &f->infos, gsym_file_string(f, name), gsym_file_string_size(f));
}

/* bytes may be NULL. */
UNUSED static void gsym_file_info(struct gsym_file_parts *f, uint32_t kind, const struct buf *bytes)
{
	gsym_file_put(f, &f->infos, kind, 4);
	gsym_file_put(f, &f->infos, bytes ? bytes->n : 0, 4);
	if (bytes)
		buf_append_str(&f->infos, buf_str(bytes));
}

UNUSED static void gsym_file_align(struct buf *b)
{
	while (b->n % 4)
		buf_append_c(b, 0);
}

UNUSED static void gsym_file_put_addresses(struct gsym_file_parts *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		gsym_file_put(f, &f->bytes, f->starts[i], f->address_size);
}

UNUSED static void gsym_file_put_v1(struct gsym_file_parts *f)
{
	static const char uuid[GSYM_UUID_MAX] = {'\xab', '\xcd', 3};
	uint64_t tables = GSYM_HEADER_SIZE + (uint64_t)f->count * f->address_size;
	uint64_t strings;
	uint64_t infos;

	tables = (tables + 3) / 4 * 4;
	strings = tables + 4 * f->count + 4 + f->files.n;
	infos = (strings + f->strings.n + 3) / 4 * 4;
	gsym_file_put(f, &f->bytes, f->address_size, 1);
	gsym_file_put(f, &f->bytes, 3, 1);
	gsym_file_put(f, &f->bytes, f->base, 8);
	gsym_file_put(f, &f->bytes, f->count, 4);
	gsym_file_put(f, &f->bytes, strings, 4);
	gsym_file_put(f, &f->bytes, f->strings.n, 4);
	buf_append(&f->bytes, uuid, sizeof(uuid));
	gsym_file_put_addresses(f);
	gsym_file_align(&f->bytes);
	for (uint32_t i = 0; i < f->count; i++)
		gsym_file_put(f, &f->bytes, infos + f->offsets[i], 4);
	gsym_file_put(f, &f->bytes, f->file_count, 4);
	buf_append_str(&f->bytes, buf_str(&f->files));
	assert_int_equal(f->bytes.n, strings);
	buf_append_str(&f->bytes, buf_str(&f->strings));
	gsym_file_align(&f->bytes);
	assert_int_equal(f->bytes.n, infos);
	buf_append_str(&f->bytes, buf_str(&f->infos));
}

UNUSED static void gsym_file_put_table(struct gsym_file_parts *f, uint32_t kind, uint64_t *at,
				       uint64_t size)
{
	gsym_file_put(f, &f->bytes, kind, 4);
	gsym_file_put(f, &f->bytes, *at, 8);
	gsym_file_put(f, &f->bytes, size, 8);
	*at += size;
}

UNUSED static void gsym_file_put_v2(struct gsym_file_parts *f)
{
	static const char uuid[] = {'\xab', '\xcd', 3};
	uint64_t at = GSYM_HEADER_V2_SIZE + 8 * GSYM_TABLE_SIZE;

	gsym_file_put(f, &f->bytes, f->address_size, 1);
	gsym_file_put(f, &f->bytes, 0, 1);
	gsym_file_put(f, &f->bytes, f->base, 8);
	gsym_file_put(f, &f->bytes, f->count, 4);
	gsym_file_put_table(f, GSYM_TABLE_UUID, &at, sizeof(uuid));
	gsym_file_put_table(f, 77, &at, 0); // to come
	gsym_file_put_table(f, GSYM_TABLE_INFOS, &at, f->infos.n);
	gsym_file_put_table(f, GSYM_TABLE_ADDRESSES, &at, (uint64_t)f->count * f->address_size);
	gsym_file_put_table(f, GSYM_TABLE_INFO_OFFSETS, &at, 8 * f->count);
	gsym_file_put_table(f, GSYM_TABLE_STRINGS, &at, f->strings.n);
	gsym_file_put_table(f, GSYM_TABLE_FILES, &at, 4 + f->files.n);
	gsym_file_put_table(f, GSYM_TABLE_END, &(uint64_t){0}, 0);
	buf_append(&f->bytes, uuid, sizeof(uuid));
	buf_append_str(&f->bytes, buf_str(&f->infos));
	gsym_file_put_addresses(f);
	for (uint32_t i = 0; i < f->count; i++)
		gsym_file_put(f, &f->bytes, f->offsets[i], 8);
	buf_append_str(&f->bytes, buf_str(&f->strings));
	gsym_file_put(f, &f->bytes, f->file_count, 4);
	buf_append_str(&f->bytes, buf_str(&f->files));
}

/* The whole; lives until the parts go. */
UNUSED static struct str gsym_file_finish(struct gsym_file_parts *f)
{
	buf_clear(&f->bytes);
	gsym_file_put(f, &f->bytes, GSYM_MAGIC, 4);
	gsym_file_put(f, &f->bytes, f->version, 2);
	if (f->version == 1)
		gsym_file_put_v1(f);
	else
		gsym_file_put_v2(f);
	return buf_str(&f->bytes);
}

UNUSED static void gsym_file_raw_info(struct gsym_file_parts *f, uint32_t kind, const char *p,
				      size_t n)
{
	struct buf b = BUF_INIT(GSYM_FILE_BYTES);

	buf_append(&b, p, n);
	gsym_file_info(f, kind, &b);
	buf_deinit(&b);
}

#define GSYM_FILE_INFO(f, kind, literal)                                                           \
	gsym_file_raw_info((f), (kind), (literal), sizeof(literal) - 1)

/* A node of inlined code; `ranges` are its bytes. */
UNUSED static void gsym_file_node(const struct gsym_file_parts *f, struct buf *b,
				  const char *ranges, size_t n, bool children, uint64_t name,
				  uint8_t file, uint8_t line)
{
	buf_append(b, ranges, n);
	buf_append_c(b, children);
	gsym_file_put(f, b, name, gsym_file_string_size(f));
	buf_append_c(b, (char)file);
	buf_append_c(b, (char)line);
}

#endif
