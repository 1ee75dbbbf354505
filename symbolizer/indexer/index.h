/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the files of one build to its index: the sources of names are read in turn, best first, into a
 * builder, which is written. With two files (the stripped executable and its debug file, in either
 * order) names, lines and inline chains come from both, addresses from the executable; a debug file laid out for
 * other addresses is left out with a warning.
 */
#ifndef SYMBOLIZER_INDEXER_INDEX_H
#define SYMBOLIZER_INDEXER_INDEX_H

#include "base/json.h"
#include "base/sandbox.h"
#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/indexer/warnings.h"

struct index_input {
	struct elf_image *files[2]; /* the second may be NULL */
	struct elf_image *alternate; /* what dwz shared between binaries, or NULL */
	struct elf_image *const *split; /* .dwp and .dwo files, as many as split_count */
	size_t split_count;
	int out_fd;
	struct sandbox_state sandbox;
	struct warnings *warnings;
};

/*
 * Writes the index to out_fd and the report ("unhex-index/1") to `report`. ERR_ID_MISMATCH where both
 * files carry build IDs and share none; ERR_UNSUPPORTED for core files; else as the readers and
 * uhx_builder_write().
 */
int index_run(const struct index_input *in, struct json_out *report, struct err *e) MUST_CHECK;

#endif
