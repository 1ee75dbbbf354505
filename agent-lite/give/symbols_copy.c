/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/give/symbols_copy.h"

#include "base/io.h"

#include <string.h>

enum { CHUNK = 64 << 10 };

/* The byte of section header i's sh_type at `at`, if it is to be changed: SHT_NOBITS, little-endian. */
static void mark(const struct symbols_plan *plan, uint64_t at, char *bytes, size_t n)
{
	static const unsigned char type[] = {SHT_NOBITS, 0, 0, 0};

	for (size_t i = 0; i < ELF_SHDRS_MAX; i++) {
		uint64_t field = plan->sections + i * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_type);

		if (!(plan->nobits[i / 64] >> (i % 64) & 1))
			continue;
		for (size_t k = 0; k < sizeof(type); k++) {
			if (field + k >= at && field + k - at < n)
				bytes[field + k - at] = (char)type[k];
		}
	}
}

static int copy_range(int fd, const struct symbols_plan *plan, const struct symbols_range *r,
		      struct zstd_out *to, struct err *e)
{
	char chunk[CHUNK];

	for (uint64_t at = r->start; at < r->end;) {
		size_t n = MIN(r->end - at, (uint64_t)sizeof(chunk));

		if (io_pread_all(fd, chunk, n, at, e) < 0)
			return -1;
		mark(plan, at, chunk, n);
		if (zstd_out_write(to, (struct str){chunk, n}, e) < 0)
			return -1;
		at += n;
	}
	return 0;
}

int symbols_copy(int fd, const struct symbols_plan *plan, struct zstd_out *to, struct err *e)
{
	uint64_t at = 0;

	for (size_t i = 0; i < plan->range_count; i++) {
		const struct symbols_range *r = &plan->ranges[i];

		if (zstd_out_zeros(to, r->start - at, e) < 0 || copy_range(fd, plan, r, to, e) < 0)
			return -1;
		at = r->end;
	}
	return zstd_out_zeros(to, plan->size - at, e);
}
