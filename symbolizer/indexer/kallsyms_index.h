/* SPDX-License-Identifier: Apache-2.0 */
/* From a kernel's symbol list (symbolizer/indexer/kallsyms_list.h) to a probe report or an index. */
#ifndef SYMBOLIZER_INDEXER_KALLSYMS_INDEX_H
#define SYMBOLIZER_INDEXER_KALLSYMS_INDEX_H

#include "base/json.h"
#include "base/sandbox.h"
#include "symbolizer/indexer/uhx_builder.h"
#include "symbolizer/indexer/warnings.h"

struct kallsyms_index_input {
	const char *name;
	int fd;
	int out_fd; /* -1: the list is checked, and "unhex-probe/1" written */
	struct sandbox_state sandbox;
	struct warnings *warnings;
};

/*
 * Writes the index to out_fd and a report to `report`. As kallsyms_list_head(), kallsyms_list_read()
 * and uhx_builder_write(); ERR_IO.
 */
int kallsyms_index_run(const struct kallsyms_index_input *in, struct json_out *report,
		       struct err *e) MUST_CHECK;

#endif
