/* SPDX-License-Identifier: Apache-2.0 */
#include "base/eh_frame.h"

#include "base/byte_reader.h"
#include <inttypes.h>

enum {
	PE_ABSPTR = 0x00,
	PE_ULEB128 = 0x01,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SLEB128 = 0x09,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	PE_FORMAT = 0x0f,
	PE_PCREL = 0x10,
	PE_TEXTREL = 0x20,
	PE_DATAREL = 0x30,
	PE_ALIGNED = 0x50,
	PE_RELATION = 0x70,
	PE_INDIRECT = 0x80,
	PE_OMIT = 0xff,
};

enum {
	AUGMENTATION_MAX = 32, // "zPLRSBG" is the longest known
	CIE_BYTES_MAX = 512,   // a long one, read again for each FDE, would take for ever
};

static int bad(const struct eh_frame *f, size_t at, const char *what, struct err *e)
{
	return err_set(e, ERR_BAD_ELF, "%s at 0x%zx of %s", what, at,
		       f->is_debug_frame ? ".debug_frame" : ".eh_frame");
}

static size_t position(const struct eh_frame *f, const struct byte_reader *r)
{
	return (size_t)(r->p - (const uint8_t *)f->bytes.p);
}

// ---- pointers ----------------------------------------------------------------------------------

static uint64_t sign_extend(uint64_t value, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;

	return (uint64_t)((int64_t)(value << shift) >> shift);
}

// The number itself, without what it is relative to.
static bool read_format(const struct eh_frame *f, struct byte_reader *r, uint8_t encoding, uint64_t *ret)
{
	switch (encoding & PE_FORMAT) {
	case PE_ABSPTR:
		*ret = read_uint(r, f->address_size);
		break;
	case PE_ULEB128:
		*ret = read_uleb(r);
		break;
	case PE_UDATA2:
		*ret = read_uint(r, 2);
		break;
	case PE_UDATA4:
		*ret = read_uint(r, 4);
		break;
	case PE_UDATA8:
	case PE_SDATA8:
		*ret = read_uint(r, 8);
		break;
	case PE_SLEB128:
		*ret = (uint64_t)read_sleb(r);
		break;
	case PE_SDATA2:
		*ret = sign_extend(read_uint(r, 2), 2);
		break;
	case PE_SDATA4:
		*ret = sign_extend(read_uint(r, 4), 4);
		break;
	default:
		return false;
	}
	return !r->failed;
}

static uint64_t clip_address(const struct eh_frame *f, uint64_t address)
{
	return f->address_size == 4 ? (uint32_t)address : address;
}

static void align(const struct eh_frame *f, struct byte_reader *r)
{
	uint64_t at = f->vaddr + position(f, r);

	skip_bytes(r, -at & (f->address_size - 1));
}

// False for what cannot be said without running the program, too.
static bool read_pointer(const struct eh_frame *f, struct byte_reader *r, uint8_t encoding, uint64_t *ret)
{
	uint64_t here;
	uint64_t base = 0;

	if (encoding == PE_OMIT)
		return false;
	if ((encoding & PE_RELATION) == PE_ALIGNED)
		align(f, r);
	here = f->vaddr + position(f, r);
	if ((encoding & PE_RELATION) == PE_PCREL)
		base = here;
	else if ((encoding & PE_RELATION) == PE_TEXTREL)
		base = f->text_base;
	else if ((encoding & PE_RELATION) == PE_DATAREL)
		base = f->data_base;
	else if (encoding & PE_RELATION && (encoding & PE_RELATION) != PE_ALIGNED)
		return false;
	if (!read_format(f, r, encoding, ret) || encoding & PE_INDIRECT)
		return false;
	*ret = clip_address(f, base + *ret);
	return true;
}

// ---- records -----------------------------------------------------------------------------------

int eh_frame_next(const struct eh_frame *f, struct byte_reader *r, struct eh_record *ret, struct err *e)
{
	bool wide = false;
	uint64_t length;

	if (byte_reader_done(r))
		return 1;
	ret->start = position(f, r);
	length = read_uint(r, 4);
	if (length == UINT32_MAX) {
		length = read_uint(r, 8);
		wide = true;
	}
	if (!length && !r->failed)
		return f->is_debug_frame ? bad(f, ret->start, "empty record", e) : 1;
	ret->id_at = position(f, r);
	ret->body = byte_reader(read_bytes(r, length), f->big_endian);
	if (r->failed)
		return bad(f, ret->start, "record that does not fit", e);
	// In .eh_frame the field stays at four bytes; in .debug_frame it is an offset of the format.
	wide &= f->is_debug_frame;
	ret->id = read_uint(&ret->body, wide ? 8 : 4);
	if (ret->body.failed)
		return bad(f, ret->start, "record without an id", e);
	ret->is_cie = ret->id == (f->is_debug_frame ? wide ? UINT64_MAX : UINT32_MAX : 0);
	return 0;
}

// The letters after 'z'. What comes behind one that is not known cannot be told.
static bool read_augmentation(const struct eh_frame *f, struct byte_reader *r, struct str letters,
			      struct eh_cie *cie)
{
	uint64_t skipped;

	for (size_t i = 1; i < letters.n && !r->failed; i++) {
		switch (letters.p[i]) {
		case 'R':
			cie->encoding = read_u8(r);
			break;
		case 'L':
			read_u8(r);
			break;
		case 'P':
			// an indirect pointer has been read all the same
			(void)read_pointer(f, r, read_u8(r), &skipped);
			break;
		case 'S':
			cie->is_signal = true;
			break;
		case 'B': // AArch64: return address signed with key B
		case 'G': // AArch64: tagged stack
			break;
		default:
			return false;
		}
	}
	return !r->failed;
}

// The factors, the return address's column, the augmentation and the program.
static bool read_cie_body(const struct eh_frame *f, struct byte_reader *r, struct str letters,
			  struct eh_cie *cie)
{
	struct byte_reader augmentation;

	if (str_is(letters, "eh")) // gcc 2: a pointer to the exception table
		read_uint(r, f->address_size);
	cie->code_factor = read_uleb(r);
	cie->data_factor = read_sleb(r);
	cie->ra_column = cie->version == 1 ? read_u8(r) : read_uleb(r);
	cie->is_augmented = letters.n && letters.p[0] == 'z';
	if (cie->is_augmented) {
		augmentation = byte_reader(read_bytes(r, read_uleb(r)), f->big_endian);
		if (r->failed || !read_augmentation(f, &augmentation, letters, cie))
			return false;
	}
	cie->program = (struct str){(const char *)r->p, byte_reader_left(r)};
	return !r->failed;
}

static bool read_cie(const struct eh_frame *f, struct eh_record *record, struct eh_cie *ret)
{
	struct byte_reader *r = &record->body;
	struct eh_cie cie = {.start = record->start, .known = true, .address_size = f->address_size};
	struct str letters;

	if (byte_reader_left(r) > CIE_BYTES_MAX)
		return false;
	cie.version = read_u8(r);
	letters = read_cstr(r);
	if (r->failed || letters.n > AUGMENTATION_MAX || cie.version < 1 || cie.version > 4)
		return false;
	if (cie.version == 4) {
		cie.address_size = read_u8(r);
		cie.segment_size = read_u8(r);
		if ((cie.address_size != 4 && cie.address_size != 8) || cie.segment_size > 8)
			return false;
	}
	if (!read_cie_body(f, r, letters, &cie))
		return false;
	*ret = cie;
	return true;
}

bool eh_frame_cie_of(const struct eh_frame *f, const struct eh_record *fde, uint64_t *ret)
{
	if (f->is_debug_frame) {
		*ret = fde->id;
		return true;
	}
	*ret = fde->id_at - fde->id;
	return fde->id <= fde->id_at;
}

bool eh_frame_cie(const struct eh_frame *f, uint64_t at, struct eh_cie *ret)
{
	struct byte_reader r = byte_reader_at(f->bytes, at, f->big_endian);
	struct eh_record record;

	return !r.failed && eh_frame_next(f, &r, &record, NULL) == 0 && record.is_cie &&
	       read_cie(f, &record, ret);
}

bool eh_frame_fde(const struct eh_frame *f, const struct eh_record *record, const struct eh_cie *cie,
		  struct eh_fde *ret)
{
	struct eh_frame as = *f;
	struct eh_fde fde = {.rest = record->body};
	uint64_t size;

	as.address_size = cie->address_size;
	skip_bytes(&fde.rest, cie->segment_size);
	if (!read_pointer(&as, &fde.rest, cie->encoding, &fde.start) ||
	    !read_format(&as, &fde.rest, cie->encoding & PE_FORMAT, &size))
		return false;
	if (!size || add_overflows(fde.start, size, &fde.end))
		return false;
	*ret = fde;
	return true;
}

bool eh_frame_program(const struct eh_cie *cie, const struct eh_fde *fde, struct byte_reader *ret)
{
	struct byte_reader r = fde->rest;

	if (cie->is_augmented)
		skip_bytes(&r, read_uleb(&r));
	*ret = r;
	return !r.failed;
}

int eh_frame_read(const struct eh_frame *f, eh_frame_sink *sink, void *ctx, struct err *e)
{
	struct byte_reader r = byte_reader(f->bytes, f->big_endian);
	struct eh_cie cie = {.known = false};
	struct eh_record record;
	int rc;

	while ((rc = eh_frame_next(f, &r, &record, e)) == 0) {
		struct eh_fde fde;
		uint64_t at;

		if (record.is_cie || !eh_frame_cie_of(f, &record, &at))
			continue;
		if (!(cie.known && cie.start == at) && !eh_frame_cie(f, at, &cie))
			continue;
		if (!eh_frame_fde(f, &record, &cie, &fde))
			continue;
		rc = sink(ctx, fde.start, fde.end);
		if (rc)
			return rc;
	}
	return rc < 0 ? -1 : 0;
}

bool eh_frame_address(const struct eh_frame *f, struct byte_reader *r, const struct eh_cie *cie,
		      uint64_t *ret)
{
	return read_pointer(f, r, cie->encoding, ret);
}

// ---- .eh_frame_hdr -----------------------------------------------------------------------------

int eh_frame_hdr_read(const struct eh_frame *f, struct eh_frame_hdr *ret, struct err *e)
{
	struct byte_reader r = byte_reader(f->bytes, f->big_endian);
	struct eh_frame_hdr h = {.table = STR_EMPTY};
	uint8_t version = read_u8(&r);
	uint8_t frame_encoding = read_u8(&r);
	uint8_t count_encoding = read_u8(&r);

	h.encoding = read_u8(&r);
	if (r.failed || version != 1)
		return err_set(e, ERR_BAD_ELF, ".eh_frame_hdr: version %u is not known", version);
	if (frame_encoding != PE_OMIT && !read_pointer(f, &r, frame_encoding, &h.frame_vaddr))
		h.frame_vaddr = 0;
	if (count_encoding != PE_OMIT && !read_pointer(f, &r, count_encoding, &h.count))
		h.count = 0;
	if (r.failed)
		return err_set(e, ERR_BAD_ELF, ".eh_frame_hdr: cut short");
	h.table = (struct str){(const char *)r.p, byte_reader_left(&r)};
	*ret = h;
	return 0;
}

int eh_frame_hdr_starts(const struct eh_frame *f, const struct eh_frame_hdr *h, eh_frame_sink *sink,
			void *ctx)
{
	struct byte_reader r = byte_reader(h->table, f->big_endian);
	uint64_t start = 0;
	uint64_t i;

	for (i = 0; i < h->count; i++) {
		uint64_t next;
		uint64_t fde;
		int rc;

		if (!read_pointer(f, &r, h->encoding, &next) || !read_pointer(f, &r, h->encoding, &fde))
			break;
		rc = i ? sink(ctx, start, next) : 0;
		if (rc)
			return rc;
		start = next;
	}
	return i ? sink(ctx, start, start) : 0;
}
