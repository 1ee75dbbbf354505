/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of debug information a file has, told without reading it: by its sections, and by the tags
 * and attributes that .debug_abbrev (DWARF 5, section 7.5.3) announces.
 */
#ifndef SYMBOLIZER_INDEXER_DWARF_PROBE_H
#define SYMBOLIZER_INDEXER_DWARF_PROBE_H

#include "symbolizer/indexer/elf_image.h"

struct dwarf_facts {
	bool info;  /* .debug_info has content */
	bool lines; /* .debug_line has content */
	bool types; /* parameters, variables or types are described: more than -g1 */
	bool split; /* some units have their functions in .dwo files */
};

/* A damaged .debug_abbrev tells less; it is not an error here. */
struct dwarf_facts dwarf_probe(struct elf_image *img);

#endif
