/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/debugdata.h"

#include "base/mem.h"
#include <lzma.h>

enum { CHUNK_BYTES = 256 * 1024 };

static int bad(const struct elf_image *outer, const char *why, struct err *e)
{
	return err_set(e, ERR_BAD_ELF, "%s: section .gnu_debugdata: %s", outer->name, why);
}

static const char *reason_of(lzma_ret rc)
{
	switch (rc) {
	case LZMA_FORMAT_ERROR:
		return "not xz";
	case LZMA_MEMLIMIT_ERROR:
		return "takes too much memory to decompress";
	case LZMA_BUF_ERROR:
		return "cut off";
	default:
		return "damaged xz data";
	}
}

// LZMA_STREAM_END when all is in `out`.
static lzma_ret run(lzma_stream *s, struct buf *out)
{
	lzma_ret rc;

	do {
		char *room = buf_reserve(out, CHUNK_BYTES);

		if (!room)
			return LZMA_MEM_ERROR;
		s->next_out = (uint8_t *)room;
		s->avail_out = CHUNK_BYTES;
		rc = lzma_code(s, LZMA_FINISH);
		buf_commit(out, CHUNK_BYTES - s->avail_out);
	} while (rc == LZMA_OK);
	return rc;
}

static int decompress(const struct elf_image *outer, struct str in, struct buf *out, struct err *e)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret rc = lzma_stream_decoder(&s, DEBUGDATA_MEMORY_MAX, LZMA_CONCATENATED);

	s.next_in = (const uint8_t *)in.p;
	s.avail_in = in.n;
	if (rc == LZMA_OK)
		rc = run(&s, out);
	lzma_end(&s);
	if (out->failed && !out->nomem)
		return bad(outer, "larger than what is read of it", e);
	if (rc == LZMA_MEM_ERROR)
		return err_nomem(e);
	return rc == LZMA_STREAM_END ? 0 : bad(outer, reason_of(rc), e);
}

// Its addresses are outer's only if it is of outer's kind.
static bool belongs_to(const struct elf_image *inner, const struct elf_image *outer)
{
	return inner->header.e_machine == outer->header.e_machine &&
	       inner->header.e_type == outer->header.e_type &&
	       memcmp(inner->header.e_ident, outer->header.e_ident, EI_VERSION) == 0 &&
	       !elf_image_other_build(inner, outer);
}

int debugdata_open(struct debugdata *d, struct elf_image *outer, struct err *e)
{
	const struct elf_section *s = elf_image_section(outer, ".gnu_debugdata");
	struct err why = ERR_INIT;
	struct str in;

	if (!s || s->header.sh_type == SHT_NOBITS || !s->header.sh_size)
		return DEBUGDATA_NONE;
	if (elf_image_data(outer, s, &in, e) || decompress(outer, in, &d->bytes, e))
		return -1;
	if (elf_image_open_bytes(&d->image, buf_str(&d->bytes), "file in it", &why))
		return why.kind == ERR_NOMEM ? err_nomem(e) : bad(outer, why.msg, e);
	return belongs_to(&d->image, outer) ? 0 : bad(outer, "belongs to another file", e);
}

void debugdata_close(struct debugdata *d)
{
	elf_image_close(&d->image);
	buf_deinit(&d->bytes);
}
