/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe report: who a file is and what it is good for, in milliseconds, without reading its debug
 * information. Format "unhex-probe/1", described in docs/FORMATS.md.
 */
#ifndef SYMBOLIZER_INDEXER_PROBE_H
#define SYMBOLIZER_INDEXER_PROBE_H

#include "base/json.h"
#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/quality.h"

enum { PROBE_SECTIONS_MAX = 4096 };

/* What of a file can name addresses. */
struct probe_facts {
	bool dwarf;
	bool lines;
	bool split;
	bool symtab;
	bool dynsym;
	bool gopclntab;
	bool eh_frame;
	bool debugdata;
	bool text;
	enum quality quality; /* the best source of names in this file alone */
};

struct probe_facts probe_facts(struct elf_image *img);
/* One JSON object. */
void probe_write(struct elf_image *img, struct json_out *j);
/* "ids":[…], as in the index report. */
void probe_write_ids(const struct build_id *ids, size_t n, struct json_out *j);

#endif
