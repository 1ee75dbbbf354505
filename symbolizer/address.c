/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/address.h"

enum { FLAG_EXECUTE = 1 };

// Page sizes of the kernels that run profiled programs: 4 KiB, and 16 or 64 KiB on some arm64. A
// segment can be mapped in pages of a size only where its p_align allows it.
static const uint64_t page_sizes[] = {4096, 16384, 65536};

const char *address_reason(enum address_rule rule)
{
	switch (rule) {
	case ADDRESS_NO_PROGRAM_HEADERS:
		return "no_program_headers";
	case ADDRESS_OUTSIDE:
		return "address_outside";
	case ADDRESS_IS_VIRTUAL:
	case ADDRESS_IN_SEGMENT:
	case ADDRESS_BY_FILE_OFFSET:
	case ADDRESS_BY_SEGMENT_SIZE:
		break;
	}
	return NULL;
}

static bool is_executable(const struct program_header *h)
{
	return h->flags & FLAG_EXECUTE;
}

static bool maps_in(const struct program_header *h, uint64_t page)
{
	return page == page_sizes[0] || (h->align && h->align % page == 0);
}

static uint64_t page_floor(uint64_t v, uint64_t page)
{
	return v & ~(page - 1);
}

// Bytes of address space that a segment takes up in pages of this size; 0 for a nonsensical one.
static uint64_t mapped_size(const struct program_header *h, uint64_t page)
{
	uint64_t end;

	if (add_overflows(h->vaddr, h->memsz, &end) || add_overflows(end, page - 1, &end))
		return 0;
	return page_floor(end, page) - page_floor(h->vaddr, page);
}

static bool is_inside(const struct address_mapping *m, uint64_t address)
{
	return address >= m->start && (m->limit == 0 || address < m->limit);
}

static bool starts_a_segment(const struct program_headers *headers, uint64_t start)
{
	for (size_t i = 0; i < headers->n; i++) {
		const struct program_header *h = &headers->p[i];

		for (size_t k = 0; is_executable(h) && k < countof(page_sizes); k++) {
			if (maps_in(h, page_sizes[k]) &&
			    page_floor(h->vaddr, page_sizes[k]) == start)
				return true;
		}
	}
	return false;
}

static bool have_file_content(const struct program_headers *headers)
{
	if (!headers->trusted)
		return false;
	for (size_t i = 0; i < headers->n; i++) {
		if (headers->p[i].filesz)
			return true;
	}
	return false;
}

// Neighbouring segments may share file bytes; code is then meant by the executable one.
static const struct program_header *segment_at_offset(const struct program_headers *headers,
						      uint64_t offset)
{
	const struct program_header *found = NULL;

	for (size_t i = 0; i < headers->n; i++) {
		const struct program_header *h = &headers->p[i];

		if (offset < h->offset || offset - h->offset >= h->filesz)
			continue;
		if (is_executable(h))
			return h;
		if (!found)
			found = h;
	}
	return found;
}

enum address_rule address_from_offset(const struct program_headers *headers, uint64_t offset,
				      uint64_t *ret_va)
{
	const struct program_header *h;
	uint64_t va;

	if (!have_file_content(headers))
		return ADDRESS_NO_PROGRAM_HEADERS;
	h = segment_at_offset(headers, offset);
	if (!h || add_overflows(offset - h->offset, h->vaddr, &va))
		return ADDRESS_OUTSIDE;
	*ret_va = va;
	return ADDRESS_BY_FILE_OFFSET;
}

// Exactly one executable segment that takes up `size` bytes in pages of this size, or NULL.
static const struct program_header *segment_of_size(const struct program_headers *headers,
						    uint64_t size, uint64_t page)
{
	const struct program_header *found = NULL;

	for (size_t i = 0; i < headers->n; i++) {
		const struct program_header *h = &headers->p[i];

		if (!is_executable(h) || !maps_in(h, page) || mapped_size(h, page) != size)
			continue;
		if (found)
			return NULL;
		found = h;
	}
	return found;
}

static const struct program_header *only_executable(const struct program_headers *headers)
{
	const struct program_header *found = NULL;

	for (size_t i = 0; i < headers->n; i++) {
		if (!is_executable(&headers->p[i]))
			continue;
		if (found)
			return NULL;
		found = &headers->p[i];
	}
	return found;
}

// The segment behind a mapping whose file offset says nothing, and the page size it was mapped in.
static const struct program_header *segment_of_mapping(const struct program_headers *headers,
						       const struct address_mapping *m,
						       uint64_t *ret_page)
{
	const struct program_header *h;

	for (size_t k = 0; m->limit > m->start && k < countof(page_sizes); k++) {
		h = segment_of_size(headers, m->limit - m->start, page_sizes[k]);
		if (!h)
			continue;
		*ret_page = page_sizes[k];
		return h;
	}
	*ret_page = page_sizes[0];
	return only_executable(headers);
}

static enum address_rule by_segment_size(const struct address_mapping *m,
					 const struct program_headers *headers, uint64_t address,
					 uint64_t *ret_va)
{
	const struct program_header *h;
	uint64_t page;
	uint64_t into = address - m->start;

	h = segment_of_mapping(headers, m, &page);
	if (!h)
		return ADDRESS_NO_PROGRAM_HEADERS;
	if (into >= mapped_size(h, page))
		return ADDRESS_OUTSIDE;
	*ret_va = page_floor(h->vaddr, page) + into;
	return ADDRESS_BY_SEGMENT_SIZE;
}

enum address_rule address_to_va(const struct address_mapping *mapping,
				const struct program_headers *headers, uint64_t address,
				uint64_t *ret_va)
{
	uint64_t offset;

	if (!mapping->start && !mapping->limit && !mapping->file_offset) {
		*ret_va = address;
		return ADDRESS_IS_VIRTUAL;
	}
	if (!headers->n)
		return ADDRESS_NO_PROGRAM_HEADERS;
	if (!is_inside(mapping, address))
		return ADDRESS_OUTSIDE;
	if (starts_a_segment(headers, mapping->start)) {
		*ret_va = address;
		return ADDRESS_IN_SEGMENT;
	}
	if (!have_file_content(headers))
		return by_segment_size(mapping, headers, address, ret_va);
	if (add_overflows(address - mapping->start, mapping->file_offset, &offset))
		return ADDRESS_OUTSIDE;
	return address_from_offset(headers, offset, ret_va);
}
