/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an ELF file that is indexed: headers, notes, inflating, relocating, symbols, stubs, call frames,
 * MiniDebugInfo and whatever else a section of the right name leads to.
 */
#include "symbolizer/indexer/index.h"
#include "symbolizer/uhx_reader.h"

#include <stdlib.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_expected(enum err_kind kind)
{
	return kind == ERR_NOT_ELF || kind == ERR_BAD_ELF || kind == ERR_TOO_LARGE || kind == ERR_UNSUPPORTED ||
	       kind == ERR_NOMEM;
}

static void index_image(struct elf_image *img)
{
	struct warnings warnings = {0};
	struct buf report = BUF_INIT(MIB(16));
	struct json_out j = JSON_OUT(&report);
	struct index_input in = {.files = {img}, .out_fd = memfd_create("uhx", MFD_CLOEXEC), .warnings = &warnings};
	struct err e = ERR_INIT;
	struct uhx *u = NULL;

	if (in.out_fd < 0)
		abort();
	if (index_run(&in, &j, &e) == 0) {
		if (uhx_open_fd(in.out_fd, &u, &e) || uhx_verify(u, &e))
			abort();
		uhx_unref(u);
	} else if (!is_expected(e.kind)) {
		abort();
	}
	buf_deinit(&report);
	close(in.out_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_image img;
	struct err e = ERR_INIT;

	if (elf_image_open_bytes(&img, (struct str){(const char *)data, size}, "input", &e)) {
		if (!is_expected(e.kind))
			abort();
		return 0;
	}
	index_image(&img);
	elf_image_close(&img);
	return 0;
}
