/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the address in a profile to the ELF virtual address in the index. Producers differ; the rules,
 * in this order, and who follows each, are in docs/ADDRESSES.md. Pure functions: no state, no
 * allocation, safe from any thread.
 *
 * An address is taken as it is: pointing into the call instruction is the producer's duty
 * (proto/profile.proto, Location.address), so nothing here subtracts 1.
 */
#ifndef SYMBOLIZER_ADDRESS_H
#define SYMBOLIZER_ADDRESS_H

#include "base/base.h"
#include "symbolizer/program_header.h"

/* As in pprof's Mapping; a limit of 0 beside a start means that the end is unknown. */
struct address_mapping {
	uint64_t start;
	uint64_t limit;
	uint64_t file_offset;
};

enum address_rule {
	ADDRESS_IS_VIRTUAL,        /* 1: start = limit = offset = 0, or the producer's contract says so */
	ADDRESS_IN_SEGMENT,        /* 2: mapping start is the page floor of an executable p_vaddr */
	ADDRESS_BY_FILE_OFFSET,    /* 3: trusted program headers: file offset arithmetic */
	ADDRESS_BY_SEGMENT_SIZE,   /* 4: bias from the executable segment of that size, or the only one */
	ADDRESS_NO_PROGRAM_HEADERS, /* 5: cannot say; the executable is needed */
	ADDRESS_OUTSIDE,           /* the address is not in the mapping, or no segment holds it */
};

/* Is the virtual address known under this rule (1–4)? */
static inline bool address_is_known(enum address_rule rule)
{
	return rule <= ADDRESS_BY_SEGMENT_SIZE;
}

/* Stable text: "no_program_headers", "address_outside"; NULL for rules 1–4. */
const char *address_reason(enum address_rule rule);

/* *ret_va is written for rules 1–4 only. */
enum address_rule address_to_va(const struct address_mapping *mapping,
				const struct program_headers *headers, uint64_t address,
				uint64_t *ret_va);
/*
 * A file offset ("address_kind":"file_offset") to a virtual address: ADDRESS_BY_FILE_OFFSET with
 * *ret_va written, ADDRESS_NO_PROGRAM_HEADERS without trusted headers, or ADDRESS_OUTSIDE.
 */
enum address_rule address_from_offset(const struct program_headers *headers, uint64_t offset,
				      uint64_t *ret_va);

#endif
