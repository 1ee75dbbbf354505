/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CIEs of a section with the states their programs leave, kept while FDEs that use them are
 * read: a file has a handful, and thousands of FDEs. A fixed number of them, and what is read of
 * them again and again is bounded, too; one owner.
 */
#ifndef AGENT_CFI_CIES_H
#define AGENT_CFI_CIES_H

#include "agent-lite/elf/cfi_program.h"

enum {
	CFI_CIES_KEPT = 64,
	CFI_CIES_BYTES_MAX = 32 << 20, /* of the CIEs read, each time counted; a million usual ones */
};

struct cfi_cie {
	uint64_t at;
	bool is_kept;
	bool is_usable;
	struct eh_cie cie;
	struct cfi_state initial;
};

struct cfi_cies {
	const struct eh_frame *frame; /* borrowed */
	struct cfi_registers registers;
	uint64_t bytes; /* read so far */
	struct cfi_cie kept[CFI_CIES_KEPT];
};

/* The CIE of an FDE, valid until the next call; NULL where it is damaged or not understood. */
const struct cfi_cie *cfi_cies_of(struct cfi_cies *cies, const struct eh_record *fde);

#endif
