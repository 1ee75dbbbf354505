/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out the plan of elf_symbols.h: the kept pieces of a file, zeros between them, and section
 * headers marked as NOBITS. It reads at the places it is told and knows no ELF but the size of a
 * section header, so it may run where the file must not be parsed. No state; thread-safe.
 */
#ifndef AGENT_SYMBOLS_COPY_H
#define AGENT_SYMBOLS_COPY_H

#include "agent-lite/elf/elf_symbols.h"
#include "agent-lite/process/zstd_out.h"

/* The plan must be sane for the file. ERR_CORRUPT: the file has become shorter; as zstd_out_write(). */
int symbols_copy(int fd, const struct symbols_plan *plan, struct zstd_out *to, struct err *e) MUST_CHECK;

#endif
