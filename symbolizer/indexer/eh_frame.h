/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where functions start and end, by the call frame information that unwinding needs and strip leaves alone:
 * one FDE per function, or per piece of one. Only the headers of CIEs and FDEs are read. Formats: Linux
 * Standard Base Core 5.0, "Exception Frames" (10.6); DWARF 5, 6.4.1, for .debug_frame; pointer encodings as
 * in GCC's unwind-pe.h.
 *
 * Pure functions over borrowed bytes; nothing in them is trusted.
 */
#ifndef SYMBOLIZER_INDEXER_EH_FRAME_H
#define SYMBOLIZER_INDEXER_EH_FRAME_H

#include "base/err.h"
#include "base/str.h"

struct eh_frame {
	struct str bytes;
	uint64_t vaddr; /* of their first byte */
	bool is_debug_frame;
	bool big_endian;
	unsigned address_size; /* 4 or 8 */
	uint64_t text_base;    /* what DW_EH_PE_textrel and _datarel count from */
	uint64_t data_base;
};

/* Called for each FDE in the order of the section. A nonzero result ends the walk. */
typedef int eh_frame_sink(void *ctx, uint64_t start, uint64_t end);

/*
 * FDEs that say nothing usable (indirect pointers, empty ranges) are left out. ERR_BAD_ELF where the chain of
 * records breaks; what came before has been told. Otherwise 0, or what the sink returned.
 */
int eh_frame_read(const struct eh_frame *f, eh_frame_sink *sink, void *ctx, struct err *e) MUST_CHECK;

/*
 * The header that the program header PT_GNU_EH_FRAME points to: where .eh_frame is, and a table of function
 * starts sorted by address.
 */
struct eh_frame_hdr {
	uint64_t frame_vaddr; /* 0: not said */
	uint64_t count;
	struct str table;
	uint8_t encoding; /* of the table's entries */
};

/* `f` is the header's bytes and address. ERR_BAD_ELF. */
int eh_frame_hdr_read(const struct eh_frame *f, struct eh_frame_hdr *ret, struct err *e) MUST_CHECK;
/* Calls the sink with start and end of each function, as far as the next one; the last ends at its start. */
int eh_frame_hdr_starts(const struct eh_frame *f, const struct eh_frame_hdr *h, eh_frame_sink *sink,
			void *ctx) MUST_CHECK;

#endif
