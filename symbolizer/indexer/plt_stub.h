/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stubs through which a program calls functions of other libraries, told by their instructions: each
 * jumps through a slot of the global offset table. Linkers and options differ in how long a stub is and
 * what else is in it (lazy or not, IBT's endbr64, BTI's bti, PAC's autia1716, retpolines), so nothing is
 * counted, everything is decoded. Sources: "Procedure Linkage Table" in the x86-64, i386 and AArch64
 * psABIs; what GNU ld, lld and mold write.
 *
 * Pure functions over borrowed bytes.
 */
#ifndef SYMBOLIZER_INDEXER_PLT_STUB_H
#define SYMBOLIZER_INDEXER_PLT_STUB_H

#include "base/base.h"
#include "base/str.h"

struct plt_code {
	unsigned machine; /* EM_* */
	struct str bytes;
	uint64_t vaddr;
	uint64_t got; /* what %ebx holds in position-independent i386 code */
};

struct plt_stub {
	uint64_t start;
	uint64_t end; /* of what was decoded; padding may follow */
	uint64_t slot;
	bool is_index; /* slot is the number of a relocation in .rela.plt instead */
};

bool plt_stub_machine(unsigned machine); /* can its stubs be decoded? */

/* The first stub at or behind *at, which is moved behind it; false where there is none any more. */
bool plt_stub_next(const struct plt_code *code, size_t *at, struct plt_stub *ret);

#endif
