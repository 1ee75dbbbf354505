/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a profiler must know of an ELF file, and no more: its identity and its PT_LOAD segments.
 * Reads the ELF header, the program headers and the notes (System V gABI, "ELF Header", "Program
 * Header", "Note Section"), everything through bounded pread. Where no segment has a GNU build-ID
 * the note sections are looked at too: Go 1.26's own linker puts .note.go.buildid into PT_NOTE, but
 * not .note.gnu.build-id.
 *
 * The file is hostile. This runs in the sandboxed child of elf_child.h, never in the privileged
 * agent. No state; thread-safe.
 */
#ifndef AGENT_ELF_IDENT_H
#define AGENT_ELF_IDENT_H

#include "base/base.h"
#include "base/build_id.h"
#include "base/err.h"

enum {
	ELF_IDENT_LOADS_MAX = 16,
	ELF_IDENT_NOTES_MAX = 64 * 1024, /* bytes of one note segment that are looked at */
};

struct elf_load {
	uint64_t offset;
	uint64_t vaddr;
	uint64_t filesz;
	uint64_t memsz;
	uint32_t flags; /* PF_X, PF_W, PF_R */
	uint32_t reserved;
};

struct elf_ident {
	struct build_id id; /* GNU where there is one, else Go, else the file hash */
	uint32_t load_count;
	uint16_t machine; /* EM_… */
	uint16_t type;	  /* ET_… */
	struct elf_load loads[ELF_IDENT_LOADS_MAX];
};

/*
 * ERR_NOT_ELF for any other file, ERR_BAD_ELF where the headers contradict themselves or the file
 * is too short for them, ERR_UNSUPPORTED for big-endian and 32-bit files.
 */
int elf_ident_read(int fd, struct elf_ident *ret, struct err *e) MUST_CHECK;

/*
 * Finds the GNU build-ID, else the Go one, in a block of notes with 4-byte alignment (align 8 for
 * segments that say so). False where neither is in it; damaged notes end the search.
 */
bool elf_notes_find_id(const void *notes, size_t n, uint64_t align, struct build_id *ret);

/*
 * The ELF virtual address that a byte of the file is loaded at: of the executable segment that
 * holds the offset, or, since mappings are made of whole pages, whose pages do; where there is
 * none, of any segment. False when no segment has it.
 */
bool elf_offset_to_vaddr(const struct elf_ident *ident, uint64_t offset, uint64_t *ret);

#endif
