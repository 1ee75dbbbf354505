/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ELF file opened through libelf from a descriptor, checked before anything else looks at it: the
 * tables it announces lie inside the file, their number is bounded, and its identities, its loadable
 * program headers and what kind of file it is are known. Formats: System V gABI, chapters "Object
 * Files" and "Program Loading"; GNU build-ID note as written by ld; Go build-ID note as written by
 * cmd/link (owner "Go", type 4).
 *
 * The image borrows the descriptor and the name (for messages), owns everything else, and belongs to one
 * thread. Data pointers from it live until elf_image_close().
 */
#ifndef SYMBOLIZER_INDEXER_ELF_IMAGE_H
#define SYMBOLIZER_INDEXER_ELF_IMAGE_H

#include "base/build_id.h"
#include "base/err.h"
#include "base/str.h"
#include "symbolizer/program_header.h"
#include <gelf.h>

enum {
	ELF_SECTIONS_MAX = 1 << 20, /* objects built with one section per function have many */
	ELF_SEGMENTS_MAX = 1 << 16,
	ELF_IDS_MAX = 3,
};

enum elf_kind {
	ELF_KIND_EXECUTABLE, /* loadable content, no debug sections */
	ELF_KIND_DEBUGINFO,  /* debug sections; what would be loaded is not in the file */
	ELF_KIND_BOTH,       /* loadable content and debug sections */
};

struct elf_section {
	Elf_Scn *scn;
	GElf_Shdr header;
	const char *name;     /* never NULL */
	uint32_t relocations; /* ET_REL: number of the section with relocations for this one, or its next */
	bool inflated;
	bool relocated;
};

/* [start, end) of virtual addresses. */
struct addr_range {
	uint64_t start;
	uint64_t end;
};

struct elf_image {
	const char *name;
	int fd;
	struct str memory; /* the file's bytes, where there is no descriptor */
	Elf *elf;
	uint64_t size;
	GElf_Ehdr header;
	enum elf_kind kind;
	struct elf_section *sections; /* without the null section */
	size_t section_count;
	size_t extended; /* number of the SHT_SYMTAB_SHNDX section, or 0 */
	struct program_header *headers; /* PT_LOAD, at most PROGRAM_HEADERS_MAX */
	size_t header_count;
	bool headers_trusted;
	struct build_id ids[ELF_IDS_MAX]; /* GNU, Go as present; the file hash last, if of a file */
	size_t id_count;
	struct addr_range *code; /* where instructions lie: sorted, merged */
	size_t code_count;
	void **replaced; /* contents of sections, inflated or relocated by us */
	size_t replaced_count;
	size_t replaced_cap;
};

#define ELF_IMAGE_INIT ((struct elf_image){.fd = -1})

/*
 * ERR_NOT_ELF for anything else, ERR_BAD_ELF (with what lies where) for a damaged or cut file,
 * ERR_TOO_LARGE beyond the counts above, ERR_NOMEM, ERR_IO.
 */
int elf_image_open(struct elf_image *img, int fd, const char *name, struct err *e) MUST_CHECK;
/* The same for a file in memory, which must outlive the image; it has no file hash. ERR_* as above. */
int elf_image_open_bytes(struct elf_image *img, struct str bytes, const char *name,
			 struct err *e) MUST_CHECK;
void elf_image_close(struct elf_image *img);
/* Ends its sections and all data pointers from it, and gives their memory back; headers and identities stay. */
void elf_image_drop_contents(struct elf_image *img);

const char *elf_image_machine(const struct elf_image *img, char spare[static 32]); /* "x86_64" */
struct program_headers elf_image_headers(const struct elf_image *img);

/* The first section of that name, or NULL: also its older compressed twin .zdebug_X for .debug_X. */
const struct elf_section *elf_image_section(const struct elf_image *img, const char *name);
/* Is there one of that name with content in this file? Also true for its .zdebug_ twin. */
bool elf_image_has(const struct elf_image *img, const char *name);
/* Contents, inflated where compressed, relocated in relocatable objects. Empty for NOBITS. ERR_BAD_ELF. */
int elf_image_data(struct elf_image *img, const struct elf_section *s, struct str *ret,
		   struct err *e) MUST_CHECK;
/* From here on the section's data are these bytes, from malloc(), for libdw too; owned by the image. */
int elf_image_replace(struct elf_image *img, const struct elf_section *s, void *bytes, size_t n,
		      struct err *e) MUST_CHECK;
/* The sections that entries of a symbol table refer to by SHN_XINDEX, being too many for 16 bits; or NULL. */
Elf_Data *elf_image_extended(const struct elf_image *img, Elf_Scn *symbols);
/* What the file holds for `address` and behind it in the same segment; empty where it holds nothing. */
struct str elf_image_at(const struct elf_image *img, uint64_t address);
/* The same for the start of the first program header of this type (PT_*). */
struct str elf_image_segment(const struct elf_image *img, uint32_t type, uint64_t *ret_vaddr);
/* Where the code that `address` lies in ends; 0 where it lies in none. */
uint64_t elf_image_code_end(const struct elf_image *img, uint64_t address);
/*
 * What .gnu_debuglink, and .gnu_debugaltlink or .debug_sup, name; false where absent or damaged. The CRC is of
 * the file named.
 */
bool elf_image_debuglink(struct elf_image *img, struct str *ret_name, uint32_t *ret_crc);
bool elf_image_altlink(struct elf_image *img, struct str *ret_path, struct build_id *ret_id);

/* Do both files carry GNU or Go build IDs, and share none? Where one has no such ID, who pairs them knows why. */
bool elf_image_other_build(const struct elf_image *a, const struct elf_image *b);

#endif
