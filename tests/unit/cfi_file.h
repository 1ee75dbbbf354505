/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small ELF files around call frame information that a test writes record by record. One segment
 * holds everything and is executable. Header-only.
 */
#ifndef TESTS_UNIT_CFI_FILE_H
#define TESTS_UNIT_CFI_FILE_H

#include "base/base.h"
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	CFI_FILE_BASE = 0x400000,
	CFI_FILE_CODE = CFI_FILE_BASE + 0x10000, /* where FDEs may be about */
	CFI_FILE_END = CFI_FILE_BASE + 0x20000,
	CFI_FILE_FRAME_AT = 0x200, /* .eh_frame, in the file and from the base */
};

struct cfi_file {
	uint8_t frame[16384];
	size_t n;
	uint16_t machine;
};

/* Not cmocka's: fuzz targets use this, too. */
UNUSED static void cfi_file_must(bool holds)
{
	if (!holds)
		abort();
}

#define CFI_BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

UNUSED static void cfi_put(struct cfi_file *f, uint64_t value, unsigned size)
{
	cfi_file_must(f->n + size <= sizeof(f->frame));
	memcpy(f->frame + f->n, &value, size);
	f->n += size;
}

UNUSED static void cfi_put_bytes(struct cfi_file *f, const void *p, size_t n)
{
	cfi_file_must(f->n + n <= sizeof(f->frame));
	memcpy(f->frame + f->n, p, n);
	f->n += n;
}

/*
 * A CIE of version 1 with absolute addresses, factors 1 and -8. augmentation: "zR" and what may
 * stand behind it without data. Returns where it is.
 */
UNUSED static size_t cfi_put_cie(struct cfi_file *f, const char *augmentation, const uint8_t *program,
				 size_t n)
{
	size_t at = f->n;
	size_t name = strlen(augmentation) + 1;

	cfi_put(f, 4 + 1 + name + 3 + 2 + n, 4);
	cfi_put(f, 0, 4);
	cfi_put(f, 1, 1);
	cfi_put_bytes(f, augmentation, name);
	cfi_put(f, 1, 1);
	cfi_put(f, 0x78, 1);
	cfi_put(f, f->machine == EM_AARCH64 ? 30 : 16, 1);
	cfi_put(f, 0x0001, 2); /* one byte of augmentation data: absolute */
	cfi_put_bytes(f, program, n);
	return at;
}

/* The CIE that compilers write for x86-64 and aarch64. */
UNUSED static size_t cfi_put_usual_cie(struct cfi_file *f)
{
	if (f->machine == EM_AARCH64)
		return cfi_put_cie(f, "zR", CFI_BYTES(0x0c, 31, 0));
	return cfi_put_cie(f, "zR", CFI_BYTES(0x0c, 7, 8, 0x90, 1));
}

UNUSED static void cfi_put_fde(struct cfi_file *f, size_t cie, uint64_t start, uint64_t size,
			       const uint8_t *program, size_t n)
{
	cfi_put(f, 4 + 16 + 1 + n, 4);
	cfi_put(f, f->n - cie, 4);
	cfi_put(f, start, 8);
	cfi_put(f, size, 8);
	cfi_put(f, 0, 1);
	cfi_put_bytes(f, program, n);
}

/*
 * A descriptor of the file. Without section headers .eh_frame is found by its header, at the
 * segment's end.
 */
UNUSED static int cfi_file_open(const struct cfi_file *f, bool with_sections)
{
	static const char names[] = "\0.eh_frame\0.shstrtab";
	const uint64_t names_at = CFI_FILE_FRAME_AT + f->n + 16;
	const uint64_t sections_at = names_at + 32;
	const int32_t to_frame = -(int32_t)(0x180 + 4) + CFI_FILE_FRAME_AT;
	const uint8_t hdr[] = {1, 0x1b, 0xff, 0xff};
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph[2];
	} head = {
		.eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		       .e_type = ET_DYN,
		       .e_machine = f->machine,
		       .e_version = EV_CURRENT,
		       .e_phoff = sizeof(Elf64_Ehdr),
		       .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 2,
		       .e_shentsize = sizeof(Elf64_Shdr),
		       .e_shoff = with_sections ? sections_at : 0,
		       .e_shnum = with_sections ? 3 : 0,
		       .e_shstrndx = with_sections ? 2 : 0},
		.ph = {{.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_vaddr = CFI_FILE_BASE,
			.p_filesz = CFI_FILE_FRAME_AT + f->n,
			.p_memsz = CFI_FILE_END - CFI_FILE_BASE,
			.p_align = 4096},
		       {.p_type = PT_GNU_EH_FRAME,
			.p_offset = 0x180,
			.p_vaddr = CFI_FILE_BASE + 0x180,
			.p_filesz = 8,
			.p_memsz = 8}},
	};
	const Elf64_Shdr sections[3] = {
		{.sh_type = SHT_NULL},
		{.sh_name = 1,
		 .sh_type = SHT_PROGBITS,
		 .sh_flags = SHF_ALLOC,
		 .sh_addr = CFI_FILE_BASE + CFI_FILE_FRAME_AT,
		 .sh_offset = CFI_FILE_FRAME_AT,
		 .sh_size = f->n},
		{.sh_name = 11, .sh_type = SHT_STRTAB, .sh_offset = names_at, .sh_size = sizeof(names)},
	};
	int fd = memfd_create("cfi", MFD_CLOEXEC);

	cfi_file_must(fd >= 0);
	cfi_file_must(pwrite(fd, &head, sizeof(head), 0) == sizeof(head));
	cfi_file_must(pwrite(fd, hdr, sizeof(hdr), 0x180) == sizeof(hdr));
	cfi_file_must(pwrite(fd, &to_frame, 4, 0x180 + 4) == 4);
	cfi_file_must(pwrite(fd, f->frame, f->n, CFI_FILE_FRAME_AT) == (ssize_t)f->n);
	cfi_file_must(pwrite(fd, names, sizeof(names), (off_t)names_at) == sizeof(names));
	if (with_sections)
		cfi_file_must(pwrite(fd, sections, sizeof(sections), (off_t)sections_at) ==
			      sizeof(sections));
	return fd;
}

#endif
