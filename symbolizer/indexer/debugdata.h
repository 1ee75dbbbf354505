/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MiniDebugInfo (GDB manual, "Debugging information in a special section"; Fedora ships it): .gnu_debugdata
 * holds an ELF file, compressed by xz, whose .symtab has the functions that .dynsym has not. It is
 * decompressed into memory and read as an image of its own.
 *
 * Owned by one thread; names borrowed from the image live until debugdata_close().
 */
#ifndef SYMBOLIZER_INDEXER_DEBUGDATA_H
#define SYMBOLIZER_INDEXER_DEBUGDATA_H

#include "base/buf.h"
#include "symbolizer/indexer/elf_image.h"

/* The largest inner file, and the memory that decompressing may take (xz -9 takes 65 MiB). */
#define DEBUGDATA_MAX MIB(256)
#define DEBUGDATA_MEMORY_MAX MIB(128)

struct debugdata {
	struct elf_image image;
	struct buf bytes;
};

#define DEBUGDATA_INIT ((struct debugdata){.image = ELF_IMAGE_INIT, .bytes = BUF_INIT(DEBUGDATA_MAX)})

enum { DEBUGDATA_NONE = 1 };

/*
 * `d` is DEBUGDATA_INIT. 0: d->image is open; DEBUGDATA_NONE: `outer` has no such section. ERR_BAD_ELF for what
 * is not xz or not a file of outer's kind, ERR_NOMEM.
 */
int debugdata_open(struct debugdata *d, struct elf_image *outer, struct err *e) MUST_CHECK;
void debugdata_close(struct debugdata *d);

#endif
