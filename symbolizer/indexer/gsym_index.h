/* SPDX-License-Identifier: Apache-2.0 */
/* From a GSYM file to an index: LLVM's symbol format instead of an ELF file. */
#ifndef SYMBOLIZER_INDEXER_GSYM_INDEX_H
#define SYMBOLIZER_INDEXER_GSYM_INDEX_H

#include "base/json.h"
#include "base/sandbox.h"
#include "symbolizer/indexer/warnings.h"

struct gsym_index_input {
	const char *name;
	int fd;
	int out_fd;
	struct sandbox_state sandbox;
	struct warnings *warnings;
};

/*
 * Writes the index to out_fd and the report ("unhex-index/1") to `report`. As gsym_image_open(),
 * gsym_scan() and uhx_builder_write(); ERR_IO.
 */
int gsym_index_run(const struct gsym_index_input *in, struct json_out *report,
		   struct err *e) MUST_CHECK;

#endif
