/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes behind a 64-bit ELF magic number: an identity within its bounds, or an error of ours.
 */
#include "agent-lite/elf/elf_ident.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_of(const uint8_t *data, size_t size)
{
	static const uint8_t magic[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
	int fd = memfd_create("elf", MFD_CLOEXEC);

	if (fd < 0 || write(fd, magic, sizeof(magic)) != (ssize_t)sizeof(magic) ||
	    write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

static void check_ident(const struct elf_ident *ident)
{
	uint64_t vaddr;

	if (ident->load_count > ELF_IDENT_LOADS_MAX || ident->id.size == 0 ||
	    ident->id.size > BUILD_ID_MAX)
		abort();
	for (uint64_t shift = 0; shift < 64; shift++)
		elf_offset_to_vaddr(ident, (UINT64_C(1) << shift) - 1, &vaddr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = file_of(data, size);
	struct elf_ident ident;
	struct build_id id;
	struct err e = ERR_INIT;

	if (elf_ident_read(fd, &ident, &e) == 0)
		check_ident(&ident);
	else if (e.kind == ERR_NONE || e.msg[0] == 0)
		abort();
	close(fd);
	elf_notes_find_id(data, size, 4, &id);
	elf_notes_find_id(data, size, 8, &id);
	return 0;
}
