/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent and its child that reads ELF files (elf_child.h) say to each other over a
 * SOCK_SEQPACKET pair: one request with its descriptors, one answer. Both are of the same build.
 */
#ifndef AGENT_ELF_CHILD_WIRE_H
#define AGENT_ELF_CHILD_WIRE_H

#include "agent-lite/elf/elf_code_sections.h"
#include "agent-lite/elf/elf_ident.h"
#include "agent-lite/elf/elf_symbols.h"
#include "agent-lite/elf/unwind_table.h"

#include <sys/socket.h>

enum {
	ELF_CHILD_FD = 3, /* the child's end */
	ELF_CHILD_FDS_MAX = 2,
	ELF_CHILD_SLOTS_BYTES = UNWIND_SLOTS_MAX * sizeof(uint64_t),
};

enum elf_request_kind {
	ELF_REQUEST_IDENT, // descriptor: the file
	ELF_REQUEST_TABLE, // descriptors: the file, memory for the slots
	ELF_REQUEST_SYMBOLS, // descriptor: the file
	ELF_REQUEST_CODE, // descriptor: the file
};

struct elf_request {
	uint32_t sequence;
	uint32_t kind; /* enum elf_request_kind */
};

struct elf_answer {
	uint32_t sequence;
	uint32_t kind; /* enum err_kind; ERR_NONE: what was asked for is valid */
	union {
		struct elf_ident ident;
		struct unwind_table table;
		struct symbols_plan symbols;
		struct code_sections code;
	};
	char msg[256];
};

union elf_fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(ELF_CHILD_FDS_MAX * sizeof(int))];
};

#endif
