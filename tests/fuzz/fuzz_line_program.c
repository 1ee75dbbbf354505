/* SPDX-License-Identifier: Apache-2.0 */
/* A line table on any bytes, which serve as its strings too. The first byte picks the byte order. */
#include "symbolizer/indexer/line_program.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int touch(void *ctx, const struct line_row *rows, size_t n)
{
	uint64_t *sum = ctx;

	for (size_t i = 0; i < n; i++)
		*sum += rows[i].address + rows[i].file + rows[i].line + rows[i].column;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_skip((struct str){(const char *)data, size}, 1);
	struct line_sections sections = {bytes, bytes, bytes, size && data[0] & 1, 8};
	struct line_program p = LINE_PROGRAM_INIT;
	struct err e = ERR_INIT;
	uint64_t sum = 0;

	if (line_program_parse(&p, &sections, 0, &e) == 0) {
		for (size_t i = 0; i < p.file_count; i++)
			sum += p.files[i].dir.n + p.files[i].name.n;
		if (line_program_run(&p, touch, &sum))
			abort();
	} else if (e.kind != ERR_BAD_ELF && e.kind != ERR_UNSUPPORTED && e.kind != ERR_TOO_LARGE) {
		abort();
	}
	line_program_deinit(&p);
	return 0;
}
