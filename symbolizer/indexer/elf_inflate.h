/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed sections (gABI "Section Compression"), by zlib or zstd: inflated here and put in place of the
 * section's data, so that libdw, which reads the same Elf handle afterwards, never notices. libelf 0.188
 * knows no zstd, and takes twice as long for zlib. The older .zdebug_ sections are left to it.
 */
#ifndef SYMBOLIZER_INDEXER_ELF_INFLATE_H
#define SYMBOLIZER_INDEXER_ELF_INFLATE_H

#include "symbolizer/indexer/elf_image.h"

/* The largest section after inflation. */
#define ELF_INFLATE_MAX GIB(4)

/* Does nothing for a section that is not compressed. ERR_BAD_ELF, ERR_TOO_LARGE, ERR_NOMEM. */
int elf_inflate_section(struct elf_image *img, const struct elf_section *s, struct err *e) MUST_CHECK;
/* All debug sections, relocated too where they must be, before libdw looks at the file. */
int elf_inflate_debug(struct elf_image *img, struct err *e) MUST_CHECK;

#endif
