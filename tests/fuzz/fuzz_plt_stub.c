/* SPDX-License-Identifier: Apache-2.0 */
/* Stubs out of any bytes: they lie inside them, one behind the other, and the walk ends. */
#include "symbolizer/indexer/plt_stub.h"

#include <elf.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned machines[] = {EM_X86_64, EM_386, EM_AARCH64, EM_S390};
	const uint64_t vaddr = 0x401000;

	for (size_t i = 0; i < countof(machines); i++) {
		struct plt_code code = {machines[i], {(const char *)data, size}, vaddr, 0x500000};
		struct plt_stub stub;
		uint64_t end = vaddr;
		size_t at = 0;

		while (plt_stub_next(&code, &at, &stub)) {
			if (stub.start < end || stub.end <= stub.start || stub.end > vaddr + size)
				abort();
			end = stub.end;
		}
	}
	return 0;
}
