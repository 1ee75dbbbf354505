/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/gsym_index.h"

#include "base/io.h"
#include "symbolizer/indexer/gsym_scan.h"
#include "symbolizer/indexer/index_report.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

// What says which ELF file this is; a GSYM file has no other ID.
static void read_id(const struct gsym_index_input *in, const struct gsym_image *g,
		   struct build_id *ret, struct uhx_meta *meta)
{
	struct err e = ERR_INIT;

	if (g->uuid.n && build_id_set(ret, BUILD_ID_GNU, g->uuid.p, g->uuid.n, &e) == 0)
		meta->id_count = 1;
	else
		warn(in->warnings, "%s: it has no UUID that is a build ID", in->name);
}

static int build(const struct gsym_index_input *in, struct str bytes, struct json_out *report,
		 struct err *e)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	struct build_id id;
	struct uhx_meta meta = {.ids = &id, .machine = STR("unknown")};
	struct gsym_counts gsym;
	struct uhx_counts counts;
	struct gsym_image g;

	if (gsym_image_open(&g, bytes, in->name, e) || uhx_builder_new(&b, e) ||
	    gsym_scan(&g, b, &gsym, e))
		return -1;
	read_id(in, &g, &id, &meta);
	// Types, columns and where functions start are not in the format: no more than -g1 has.
	meta.quality = gsym.with_lines	? QUALITY_G1
		       : gsym.functions ? QUALITY_SYMTAB
					: QUALITY_NONE;
	warn(in->warnings,
	     "%s: GSYM has no program headers: only addresses of the ELF file can be looked up",
	     in->name);
	if (uhx_builder_write(b, &meta, in->out_fd, &counts, e))
		return -1;
	index_report_write(
		&(struct index_report){&meta, &counts, in->warnings, in->sandbox}, report);
	return 0;
}

int gsym_index_run(const struct gsym_index_input *in, struct json_out *report, struct err *e)
{
	uint64_t size;
	void *p;
	int result;

	if (io_file_size(in->fd, &size, e))
		return err_wrap(e, "%s", in->name);
	p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, in->fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, errno, "mapping %s", in->name);
	result = build(in, (struct str){p, size}, report, e);
	munmap(p, size);
	return result;
}
