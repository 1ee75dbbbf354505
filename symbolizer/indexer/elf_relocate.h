/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relocations of relocatable objects, applied to sections that are read: debug information and call
 * frames of a .o or .ko hold offsets and addresses only after that. Of each machine the absolute and
 * PC-relative types of 8 to 64 bits that compilers put into such sections, and RISC-V's and LoongArch's
 * pairs of differences; other types are left alone, as are places outside the section. Formats: gABI
 * "Relocation", the machines' psABIs.
 *
 * Never for executables and libraries: what they still carry (vmlinux is linked with --emit-relocs) has
 * been applied by the linker.
 */
#ifndef SYMBOLIZER_INDEXER_ELF_RELOCATE_H
#define SYMBOLIZER_INDEXER_ELF_RELOCATE_H

#include "symbolizer/indexer/elf_image.h"

/*
 * Once for each section of an ET_REL image, after inflation: the section's data is replaced by a relocated
 * copy that libdw sees, too. Nothing for other images. ERR_BAD_ELF, ERR_NOMEM.
 */
int elf_relocate_section(struct elf_image *img, const struct elf_section *s, struct err *e) MUST_CHECK;

#endif
