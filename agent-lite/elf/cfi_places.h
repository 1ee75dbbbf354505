/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FDEs of a section in the order of the code they are about: where each begins, and where it
 * stands. Of those that begin at the same place the first in the section comes first. One owner.
 */
#ifndef AGENT_CFI_PLACES_H
#define AGENT_CFI_PLACES_H

#include "agent-lite/elf/cfi_cies.h"

struct cfi_place {
	uint32_t pc; /* counts from the base given */
	uint32_t at; /* offset of the record */
};

struct cfi_places {
	struct cfi_place *place;
	size_t n;
	uint64_t end; /* of the code of all of them; counts from the base */
};

/* Code that FDEs may be about; what begins in none is left out, what leads out of one is cut. */
struct cfi_code {
	uint64_t start;
	uint64_t end;
};

struct cfi_reach {
	uint64_t base;
	const struct cfi_code *code;
	size_t n;
};

/*
 * Collects and sorts. ERR_BAD_ELF where the section makes no sense from its first record on; where
 * its chain of records breaks later, what came before is taken. ERR_TOO_LARGE beyond `max` FDEs.
 */
int cfi_places_find(struct cfi_cies *cies, const struct cfi_reach *reach, size_t max,
		    struct cfi_places *ret, struct err *e) MUST_CHECK;
void cfi_places_deinit(struct cfi_places *p);

/* The FDE at a place, cut to the code; false where there is none. */
bool cfi_place_read(struct cfi_cies *cies, const struct cfi_reach *reach, uint64_t at,
		    const struct cfi_cie **ret_cie, struct eh_fde *ret);

#endif
