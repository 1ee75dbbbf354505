/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of call frame information, which unwinding needs and strip leaves alone: one FDE per function,
 * or per piece of one, and CIEs with what FDEs have in common. Their programs are not run here. Formats: Linux
 * Standard Base Core 5.0, "Exception Frames" (10.6); DWARF 5, 6.4.1, for .debug_frame; pointer encodings as
 * in GCC's unwind-pe.h.
 *
 * Pure functions over borrowed bytes; nothing in them is trusted.
 */
#ifndef BASE_EH_FRAME_H
#define BASE_EH_FRAME_H

#include "base/byte_reader.h"
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

struct eh_record {
	size_t start;
	size_t id_at; /* where the id field is: an FDE of .eh_frame counts back from there */
	uint64_t id;
	bool is_cie;
	struct byte_reader body;
};

/* What FDEs take from their CIE. */
struct eh_cie {
	size_t start;
	bool known;
	bool is_augmented; /* FDEs have augmentation data, behind its length */
	bool is_signal;	   /* of a signal's frame: the address is that of the instruction, not behind a call */
	uint8_t version;
	uint8_t encoding; /* of the addresses in FDEs and their programs */
	unsigned address_size;
	unsigned segment_size;
	uint64_t code_factor;
	int64_t data_factor;
	uint64_t ra_column; /* the "register" that stands for the return address */
	struct str program; /* sets up what each FDE's program starts with */
};

struct eh_fde {
	uint64_t start;
	uint64_t end;
	struct byte_reader rest; /* augmentation data and program */
};

/* The next record of r. 1: the terminator, or nothing is left. ERR_BAD_ELF where the chain breaks. */
int eh_frame_next(const struct eh_frame *f, struct byte_reader *r, struct eh_record *ret,
		  struct err *e) MUST_CHECK;
/* Offset of the record that is an FDE's CIE, if the FDE is right. */
bool eh_frame_cie_of(const struct eh_frame *f, const struct eh_record *fde, uint64_t *ret);
/* The CIE at that offset; false where there is none, or one that is not understood. */
bool eh_frame_cie(const struct eh_frame *f, uint64_t at, struct eh_cie *ret);
/* False for an FDE that says nothing usable: an indirect pointer, an empty range. */
bool eh_frame_fde(const struct eh_frame *f, const struct eh_record *record, const struct eh_cie *cie,
		  struct eh_fde *ret);
/* The instructions of an FDE. */
bool eh_frame_program(const struct eh_cie *cie, const struct eh_fde *fde, struct byte_reader *ret);
/* An address inside of them, encoded as the CIE says. */
bool eh_frame_address(const struct eh_frame *f, struct byte_reader *r, const struct eh_cie *cie,
		      uint64_t *ret);

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
