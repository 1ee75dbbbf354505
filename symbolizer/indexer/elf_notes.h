/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities out of the notes of an ELF file. A note's type means nothing without its owner: in kernel
 * images a Xen note has the type of the GNU build ID.
 */
#ifndef SYMBOLIZER_INDEXER_ELF_NOTES_H
#define SYMBOLIZER_INDEXER_ELF_NOTES_H

#include "symbolizer/indexer/elf_image.h"

/* Fills img->ids: GNU, Go where present, and the file hash. ERR_IO. */
int elf_notes_ids(struct elf_image *img, struct err *e) MUST_CHECK;

#endif
