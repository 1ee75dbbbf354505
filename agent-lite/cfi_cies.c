/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/cfi_cies.h"

static void read_cie(const struct cfi_cies *cies, uint64_t at, struct cfi_cie *c)
{
	c->at = at;
	c->is_kept = true;
	c->is_usable = eh_frame_cie(cies->frame, at, &c->cie) &&
		       cfi_initial_state(cies->frame, &c->cie, cies->registers, &c->initial);
}

const struct cfi_cie *cfi_cies_of(struct cfi_cies *cies, const struct eh_record *fde)
{
	struct cfi_cie *c;
	uint64_t at;

	if (!eh_frame_cie_of(cies->frame, fde, &at))
		return NULL;
	c = &cies->kept[(at >> 3) % CFI_CIES_KEPT]; // records are aligned to 4 or 8 bytes
	if (!c->is_kept || c->at != at)
		read_cie(cies, at, c);
	return c->is_usable ? c : NULL;
}
