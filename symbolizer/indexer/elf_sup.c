/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/elf_sup.h"

#include "base/byte_reader.h"

enum { SUP_VERSION = 5 };

bool elf_sup_read(struct elf_image *img, struct elf_sup *ret)
{
	const struct elf_section *s = elf_image_section(img, ".debug_sup");
	struct elf_sup sup;
	struct byte_reader r;
	struct str bytes;
	struct str id;
	const char *nul;

	if (!s || s->header.sh_type == SHT_NOBITS || elf_image_data(img, s, &bytes, NULL))
		return false;
	r = byte_reader(bytes, img->header.e_ident[EI_DATA] == ELFDATA2MSB);
	if (read_uint(&r, 2) != SUP_VERSION)
		return false;
	sup.is_supplementary = read_u8(&r);
	nul = memchr(r.p, '\0', byte_reader_left(&r));
	if (!nul)
		return false;
	sup.path = read_bytes(&r, (uint64_t)(nul - (const char *)r.p));
	skip_bytes(&r, 1);
	id = read_bytes(&r, read_uleb(&r));
	if (r.failed || build_id_set(&sup.id, BUILD_ID_GNU, id.p, id.n, NULL))
		return false;
	*ret = sup;
	return true;
}
