/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split DWARF (DWARF 5, section 7.3; before it GNU's "DebugFission"): what a skeleton unit of the binary
 * leaves to a .dwo file, or to a package of them, a .dwp. The two halves are joined by the number that
 * both carry, never by file name. Functions and names are in the split half; line table, addresses and,
 * before DWARF 5, range lists are those of the binary.
 *
 * Where each unit of a package has its tables says .debug_cu_index: version 5 of section 7.3.5.3, and
 * version 2 of GNU's proposal for DWARF 4. Owned by one thread; images are borrowed and outlive it.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_SPLIT_H
#define SYMBOLIZER_INDEXER_DWARF_SPLIT_H

#include "symbolizer/indexer/dwarf_file.h"
#include "symbolizer/indexer/warnings.h"

/* Files of one binary; what is more is refused. */
enum { DWARF_SPLIT_FILES_MAX = 1 << 16 };

struct dwarf_split {
	struct dwarf_file *files;
	bool *used; /* by file: some unit of the binary is in it */
	size_t n;
	struct map64 by_id; /* dwo_id -> file << 32 | unit */
};

#define DWARF_SPLIT_INIT ((struct dwarf_split){.by_id = MAP64_INIT})

/*
 * Files are numbered from `number` on. What cannot be read is told by a warning, and left out. ERR_NOMEM.
 */
int dwarf_split_open(struct dwarf_split *s, struct elf_image *const *images, size_t n, uint64_t number,
		     struct warnings *w, struct err *e) MUST_CHECK;
void dwarf_split_close(struct dwarf_split *s);

/* The other half of a skeleton unit that was read, joined to it and read; NULL where it is in no file. */
struct dwarf_unit *dwarf_split_join(struct dwarf_split *s, const struct dwarf_unit *skeleton);
/* After all units: warns of files that none of them was in. */
void dwarf_split_tell(const struct dwarf_split *s, const char *binary, struct warnings *w);

#endif
