/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/frame.h"

#include "base/pb.h"

enum {
	ENCODING_VERSION = 1,
	FLAG_INLINED = 1,
	FLAG_SYSTEM_NAME = 2, // differs from the function and follows it
	FLAGS_KNOWN = 3,
};

static const char *const source_names[SOURCE_COUNT] = {
	[SOURCE_NONE] = "none",     [SOURCE_EH_FRAME] = "eh_frame",
	[SOURCE_PLT] = "plt",       [SOURCE_DYNSYM] = "dynsym",
	[SOURCE_SYMTAB] = "symtab", [SOURCE_GOPCLNTAB] = "gopclntab",
	[SOURCE_DWARF] = "dwarf",
};

const char *frame_source_name(enum frame_source s)
{
	return (size_t)s < countof(source_names) ? source_names[s] : "none";
}

static void put_str(struct buf *out, struct str s)
{
	pb_put_varint(out, s.n);
	buf_append_str(out, s);
}

static void put_frame(struct buf *out, const struct frame *f)
{
	bool same = str_eq(f->function, f->system_name);

	pb_put_varint(out, (f->inlined ? FLAG_INLINED : 0U) | (same ? 0U : FLAG_SYSTEM_NAME));
	put_str(out, f->function);
	if (!same)
		put_str(out, f->system_name);
	put_str(out, f->file);
	pb_put_varint(out, f->line);
	pb_put_varint(out, f->start_line);
	pb_put_varint(out, f->column);
}

void frames_encode(const struct frames *f, struct buf *out)
{
	buf_append_c(out, ENCODING_VERSION);
	buf_append_c(out, (char)f->source);
	pb_put_varint(out, f->n);
	for (size_t i = 0; i < f->n; i++)
		put_frame(out, &f->frame[i]);
}

// The first thing that does not fit latches `bad`; everything after it reads as zero.
struct decoder {
	struct pb_packed varints;
	bool bad;
};

static uint64_t take(struct decoder *d, uint64_t max)
{
	uint64_t v;

	if (d->bad || pb_packed_next(&d->varints, &v, NULL) != 1 || v > max) {
		d->bad = true;
		return 0;
	}
	return v;
}

static struct str take_str(struct decoder *d)
{
	struct pb_reader *r = &d->varints.r;
	size_t n = (size_t)take(d, SIZE_MAX);
	struct str s;

	if (n > (size_t)(r->end - r->p)) {
		d->bad = true;
		return STR_EMPTY;
	}
	s = (struct str){(const char *)r->p, n};
	r->p += n;
	return s;
}

static void take_frame(struct decoder *d, struct frame *f)
{
	uint64_t flags = take(d, FLAGS_KNOWN);

	f->inlined = flags & FLAG_INLINED;
	f->function = take_str(d);
	f->system_name = flags & FLAG_SYSTEM_NAME ? take_str(d) : f->function;
	f->file = take_str(d);
	f->line = (uint32_t)take(d, UINT32_MAX);
	f->start_line = (uint32_t)take(d, UINT32_MAX);
	f->column = (uint32_t)take(d, UINT32_MAX);
}

int frames_decode(struct str bytes, struct frames *ret, struct err *e)
{
	struct decoder d = {.varints = {.r = pb_reader(bytes)}};
	uint64_t version = take(&d, UINT32_MAX);
	enum frame_source source = (enum frame_source)take(&d, SOURCE_COUNT - 1);
	size_t n;

	if (!d.bad && version != ENCODING_VERSION)
		return err_set(e, ERR_CORRUPT,
			       "cached frames: version %ju, this program reads %d",
			       (uintmax_t)version, ENCODING_VERSION);
	n = (size_t)take(&d, FRAMES_MAX);
	for (size_t i = 0; i < n && !d.bad; i++)
		take_frame(&d, &ret->frame[i]);
	if (d.bad || d.varints.r.p != d.varints.r.end)
		return err_set(e, ERR_CORRUPT, "cached frames: malformed near byte %zu of %zu",
			       (size_t)(d.varints.r.p - d.varints.r.start), bytes.n);
	ret->source = source;
	ret->n = n;
	return 0;
}
