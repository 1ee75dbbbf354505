/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug-only copy of a binary, like `objcopy --only-keep-debug`: what would be loaded becomes NOBITS,
 * addresses and program headers stay, symbols and debug sections are kept as they are (compressed ones
 * too). Notes are kept for the build ID, Go's function table and build info for Go's names.
 */
#ifndef SYMBOLIZER_INDEXER_EXTRACT_H
#define SYMBOLIZER_INDEXER_EXTRACT_H

#include "base/json.h"
#include "symbolizer/indexer/elf_image.h"

/*
 * Writes to out_fd (empty, a regular file) and a report ("unhex-extract/1": ids, bytes, quality).
 * ERR_NOT_FOUND where there is nothing worth keeping; ERR_UNSUPPORTED for cores, and for relocatable objects without a build ID;
 * ERR_BAD_ELF, ERR_IO, ERR_NO_SPACE.
 */
int extract_run(struct elf_image *img, int out_fd, struct json_out *report, struct err *e) MUST_CHECK;

#endif
