/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a GSYM file (symbolizer/gsym_format.h), version 1 or 2, in either byte order,
 * checked to lie inside it. What an offset in them leads to is checked where it is followed.
 * Borrows the bytes; immutable.
 */
#ifndef SYMBOLIZER_INDEXER_GSYM_IMAGE_H
#define SYMBOLIZER_INDEXER_GSYM_IMAGE_H

#include "base/byte_reader.h"
#include "base/err.h"

struct gsym_image {
	const char *name; /* for messages */
	bool big_endian;
	unsigned version;
	unsigned address_size; /* bytes of an address offset */
	unsigned offset_size;  /* bytes of an info offset */
	unsigned string_size;  /* bytes of the offset of a string */
	uint64_t base;
	uint32_t count; /* functions */
	uint32_t file_count;
	struct str addresses;
	struct str info_offsets;
	struct str files;
	struct str strings;
	struct str infos; /* what info offsets count from, and all of them lie in */
	struct str uuid;
};

/* Does the file start as one? */
bool gsym_image_is(int fd);
/* ERR_BAD_GSYM; ERR_UNSUPPORTED: another version. */
int gsym_image_open(struct gsym_image *g, struct str bytes, const char *name,
		    struct err *e) MUST_CHECK;

static inline struct byte_reader gsym_reader(const struct gsym_image *g, struct str bytes)
{
	return byte_reader(bytes, g->big_endian);
}

/* i < count. False: beyond 64 bits. */
bool gsym_image_address(const struct gsym_image *g, uint32_t i, uint64_t *ret);
/* From where the info of function i starts to the end of the table; empty: nowhere. */
struct str gsym_image_info(const struct gsym_image *g, uint32_t i);
/* As cstr_at(). */
struct str gsym_image_string(const struct gsym_image *g, uint64_t offset);
/* i < file_count. */
void gsym_image_file(const struct gsym_image *g, uint32_t i, struct str *ret_folder,
		     struct str *ret_name);

#endif
