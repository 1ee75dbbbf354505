/* SPDX-License-Identifier: Apache-2.0 */
/* For unit tests that damage compiled files on purpose, the same way each time. Header-only. */
#ifndef TESTS_UNIT_DAMAGE_H
#define TESTS_UNIT_DAMAGE_H

#include "tests/unit/toolbox.h"

/* Xorshift: the same numbers each time. */
UNUSED static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* Where a section's bytes are in a file of the toolbox's folder; size 0 where it has none. */
UNUSED static size_t section_place(const char *file, const char *name, size_t *ret_size)
{
	unsigned long offset = 0;
	unsigned long size = 0;
	char *text;

	assert_int_equal(toolbox_run("readelf -SW %s | sed 's/^.*] //' | awk '$1 == \"%s\" { print \"0x\" $4, "
				     "\"0x\" $5 }' >place.txt", file, name), 0);
	text = toolbox_read("place.txt", NULL);
	if (text[0])
		assert_int_equal(sscanf(text, "%lx %lx", &offset, &size), 2);
	free(text);
	*ret_size = size;
	return offset;
}

#endif
