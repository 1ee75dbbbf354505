/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's .eh_frame in memory: found by its section header, or, where a file has none, by the
 * program header PT_GNU_EH_FRAME (LSB Core 5.0, 10.6.2). Read by pread, not mapped: a file that
 * shrinks meanwhile must not end the process.
 *
 * The file is hostile: for the sandboxed child of elf_child.h. No state; thread-safe.
 */
#ifndef AGENT_CFI_SECTION_H
#define AGENT_CFI_SECTION_H

#include "agent-lite/elf/elf_headers.h"
#include "base/eh_frame.h"

/* Tables of UNWIND_SLOTS_MAX slots come of 10 to 16 MiB of it. */
#define CFI_SECTION_MAX MIB(24)

struct cfi_section {
	struct eh_frame frame; /* .bytes are empty where the file has no call frame information */
	void *memory;
};

/* ERR_BAD_ELF, ERR_TOO_LARGE. */
int cfi_section_load(int fd, const struct elf_headers *h, struct cfi_section *ret,
		     struct err *e) MUST_CHECK;
void cfi_section_deinit(struct cfi_section *s);

#endif
