/* SPDX-License-Identifier: Apache-2.0 */
/* What of any bytes would leave the host: an error, or a plan that fits the file. */
#include "agent-lite/elf/elf_symbols.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct symbols_plan plan;
	struct err e = ERR_INIT;
	int fd = memfd_create("file", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (elf_symbols_plan(fd, &plan, &e) == 0 && !symbols_plan_is_sane(&plan, size))
		abort();
	close(fd);
	return 0;
}
