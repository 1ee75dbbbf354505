/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unprivileged process that reads ELF files for the privileged agent. The agent opens a file,
 * sends the descriptor over a socketpair (SCM_RIGHTS), and gets back one struct elf_ident, or an
 * unwind table in memory that it sent along, or an error. The child is this same program started
 * afresh (`--elf-child`), with no other descriptor, no environment, uid nobody where the agent is
 * root, and base/sandbox.h around it. A child that crashes, loops or answers nonsense is killed and
 * replaced; the file at fault is reported as unreadable.
 *
 * One owner thread.
 */
#ifndef AGENT_ELF_CHILD_H
#define AGENT_ELF_CHILD_H

#include "agent-lite/elf/elf_code_sections.h"
#include "agent-lite/elf/elf_ident.h"
#include "agent-lite/elf/elf_symbols.h"
#include "agent-lite/elf/unwind_table.h"

/* argv[1] of the child; its socket is descriptor 3. */
#define ELF_CHILD_ARG "--elf-child"

struct elf_child;

/* program: the executable to start, NULL for the running one. The child is started on first use. */
int elf_child_new(const char *program, struct elf_child **ret, struct err *e) MUST_CHECK;
/*
 * Identity of the regular file fd, which stays the caller's. Errors of elf_ident_read(), and
 * ERR_TIMEOUT, ERR_INTERNAL when the child hung or died over it.
 */
int elf_child_ident(struct elf_child *c, int fd, struct elf_ident *ret, struct err *e) MUST_CHECK;
/*
 * The unwind table of the regular file fd: slots as bpf/unwind.h says, borrowed until the next call
 * with this child. That counts and pages fit each other has been checked; a child that was taken over
 * may change the slots while they are read. Errors of unwind_table_build(), ERR_TIMEOUT, ERR_INTERNAL.
 */
int elf_child_table(struct elf_child *c, int fd, struct unwind_table *ret,
		    const uint64_t **ret_slots, struct err *e) MUST_CHECK;
/* Gives the memory of the last table back before the next call does. */
void elf_child_table_release(struct elf_child *c);
/* What of the regular file fd may be given away. As elf_symbols_plan(); ERR_TIMEOUT, ERR_INTERNAL. */
int elf_child_symbols(struct elf_child *c, int fd, struct symbols_plan *ret, struct err *e) MUST_CHECK;
/* Where the code of the kernel module in fd lies. As elf_code_sections(); ERR_TIMEOUT, ERR_INTERNAL. */
int elf_child_code(struct elf_child *c, int fd, struct code_sections *ret, struct err *e) MUST_CHECK;
/* Children started so far: more than one means that some died. */
unsigned elf_child_starts(const struct elf_child *c);
void elf_child_free(struct elf_child *c);

/* What main() runs when started with ELF_CHILD_ARG. Returns the exit code. */
int elf_child_main(void);

#endif
