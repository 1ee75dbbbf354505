/* SPDX-License-Identifier: Apache-2.0 */
/* For fuzz targets that fill a builder: what it has been given must make an index that opens. */
#ifndef TESTS_FUZZ_WRITE_INDEX_H
#define TESTS_FUZZ_WRITE_INDEX_H

#include "symbolizer/indexer/uhx_builder.h"
#include "symbolizer/uhx_reader.h"

#include <stdlib.h>
#include <sys/mman.h>

static inline void write_index(struct uhx_builder *b, enum quality quality)
{
	struct uhx_meta meta = {.quality = quality, .machine = STR("any")};
	struct uhx_counts counts;
	struct err e = ERR_INIT;
	struct uhx *u = NULL;
	int fd = memfd_create("uhx", MFD_CLOEXEC);

	if (fd < 0 || uhx_builder_write(b, &meta, fd, &counts, &e) || uhx_open_fd(fd, &u, &e) ||
	    uhx_verify(u, &e))
		abort();
	uhx_unref(u);
	close(fd);
}

#endif
