/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/elf/cfi_cies.h"

_Static_assert(CFI_CIES_KEPT == 1 << (32 - 26), "as many as slot_of() tells apart");

enum { HEADER = 24 }; // bytes of a CIE before its program, more or less

static void read_cie(struct cfi_cies *cies, uint64_t at, struct cfi_cie *c)
{
	c->at = at;
	c->is_kept = true;
	c->is_usable = cies->bytes < CFI_CIES_BYTES_MAX && eh_frame_cie(cies->frame, at, &c->cie);
	if (!c->is_usable)
		return;
	cies->bytes += HEADER + c->cie.program.n;
	c->is_usable = cfi_initial_state(cies->frame, &c->cie, cies->registers, &c->initial);
}

static size_t slot_of(uint64_t at)
{
	return (uint32_t)at * UINT32_C(2654435761) >> 26; // 2^32 divided by the golden ratio
}

const struct cfi_cie *cfi_cies_of(struct cfi_cies *cies, const struct eh_record *fde)
{
	struct cfi_cie *c;
	uint64_t at;

	if (!eh_frame_cie_of(cies->frame, fde, &at))
		return NULL;
	c = &cies->kept[slot_of(at)];
	if (!c->is_kept || c->at != at)
		read_cie(cies, at, c);
	return c->is_usable ? c : NULL;
}
