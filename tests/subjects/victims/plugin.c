/* SPDX-License-Identifier: Apache-2.0 */
/* The library of dlopen.c. */
#include "victim.h"

NOIPA uint64_t plugin_inner(uint64_t x)
{
	return victim_burn(x);
}

NOIPA uint64_t plugin_outer(uint64_t x)
{
	x = plugin_inner(x);
	KEEP(x);
	return x;
}
