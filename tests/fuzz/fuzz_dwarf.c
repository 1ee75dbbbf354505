/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug information on any bytes, all the way from an ELF file to an index. The first two bytes say how
 * long .debug_abbrev is, which comes first; what follows it is .debug_info, and serves as all the other
 * sections too.
 */
#include "base/io.h"
#include "symbolizer/indexer/index.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEAD = 2, NAMES = 256, CODE = 0x10000 };

static const char *const names[] = {"",		    ".text",	    ".debug_abbrev", ".debug_info",
				    ".debug_str",   ".debug_line",  ".debug_ranges", ".debug_rnglists",
				    ".debug_addr",  ".debug_str_offsets", ".debug_line_str", ".shstrtab"};

enum { SECTIONS = countof(names), TEXT = 1, ABBREV = 2, STRTAB = SECTIONS - 1 };

struct elf_file {
	Elf64_Ehdr header;
	Elf64_Shdr sections[SECTIONS];
	char names[NAMES];
};

static void fill_sections(struct elf_file *f, size_t abbrev, size_t size)
{
	size_t name = 0;

	for (size_t i = 0; i < SECTIONS; i++) {
		Elf64_Shdr *s = &f->sections[i];

		s->sh_name = (Elf64_Word)name;
		name += (size_t)snprintf(f->names + name, NAMES - name, "%s", names[i]) + 1;
		s->sh_type = i == TEXT ? SHT_NOBITS : SHT_PROGBITS;
		s->sh_offset = sizeof(*f) + (i == ABBREV ? 0 : abbrev);
		s->sh_size = i == ABBREV ? abbrev : size - abbrev;
	}
	f->sections[0] = (Elf64_Shdr){0};
	f->sections[TEXT].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
	f->sections[TEXT].sh_addr = CODE;
	f->sections[TEXT].sh_size = CODE;
	f->sections[STRTAB].sh_type = SHT_STRTAB;
	f->sections[STRTAB].sh_offset = offsetof(struct elf_file, names);
	f->sections[STRTAB].sh_size = NAMES;
}

static int make_file(const uint8_t *data, size_t size)
{
	size_t abbrev = MIN((size_t)(data[0] | data[1] << 8), size - HEAD);
	struct elf_file f = {
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			   .e_type = ET_DYN,
			   .e_machine = EM_X86_64,
			   .e_version = EV_CURRENT,
			   .e_ehsize = sizeof(Elf64_Ehdr),
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shoff = offsetof(struct elf_file, sections),
			   .e_shnum = SECTIONS,
			   .e_shstrndx = STRTAB},
	};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fill_sections(&f, abbrev, size - HEAD);
	if (fd < 0 || write(fd, &f, sizeof(f)) != (ssize_t)sizeof(f) ||
	    write(fd, data + HEAD, size - HEAD) != (ssize_t)(size - HEAD))
		abort();
	return fd;
}

static void index_file(int fd)
{
	struct elf_image img = ELF_IMAGE_INIT;
	struct warnings warnings = {0};
	struct buf report = BUF_INIT(MIB(1));
	struct json_out j = JSON_OUT(&report);
	struct index_input in = {.files = {&img}, .warnings = &warnings};
	struct err e = ERR_INIT;

	in.out_fd = memfd_create("index", MFD_CLOEXEC);
	if (elf_image_open(&img, fd, "input", &e) == 0 && index_run(&in, &j, &e) && e.kind == ERR_INTERNAL)
		abort();
	close(in.out_fd);
	elf_image_close(&img);
	buf_deinit(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd;

	if (size <= HEAD)
		return 0;
	fd = make_file(data, size);
	index_file(fd);
	close(fd);
	return 0;
}
