/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for relocatable objects (.o, .ko), whose sections have none: those that would be loaded
 * (SHF_ALLOC) are laid out one behind the other in the order of their headers, each aligned, from 0, as
 * elfutils' libdwfl does for a file named alone (__libdwfl_elf_address_range()). So `eu-addr2line -e x.ko`
 * and our index mean the same by an address. docs/ADDRESSES.md says it for people.
 */
#ifndef SYMBOLIZER_INDEXER_ELF_LAYOUT_H
#define SYMBOLIZER_INDEXER_ELF_LAYOUT_H

#include "symbolizer/indexer/elf_image.h"

/*
 * Sets sh_addr of the sections of an ET_REL image, in elf_section.header and in libelf's own headers, and
 * notes which relocations belong to which section. Nothing for other types. ERR_BAD_ELF where the sizes do
 * not fit into an address space.
 */
int elf_layout_assign(struct elf_image *img, struct err *e) MUST_CHECK;

#endif
