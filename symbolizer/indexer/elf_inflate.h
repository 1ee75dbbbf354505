/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed sections, inflated here and put in place of the section's data: by zlib or zstd with a header
 * (gABI "Section Compression"), or as before that, called .zdebug_*, with "ZLIB" and the size in front.
 * libelf 0.188 knows no zstd, and takes twice as long for zlib.
 */
#ifndef SYMBOLIZER_INDEXER_ELF_INFLATE_H
#define SYMBOLIZER_INDEXER_ELF_INFLATE_H

#include "symbolizer/indexer/elf_image.h"

/* The largest section after inflation. */
#define ELF_INFLATE_MAX GIB(4)

/* Does nothing for a section that is not compressed, or not any more. ERR_BAD_ELF, ERR_TOO_LARGE, ERR_NOMEM. */
int elf_inflate_section(struct elf_image *img, const struct elf_section *s, struct err *e) MUST_CHECK;

#endif
