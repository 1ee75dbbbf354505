/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/index.h"

#include "symbolizer/indexer/debugdata.h"
#include "symbolizer/indexer/dwarf_scan.h"
#include "symbolizer/indexer/eh_frame_scan.h"
#include "symbolizer/indexer/go_scan.h"
#include "symbolizer/indexer/index_report.h"
#include "symbolizer/indexer/plt_scan.h"
#include "symbolizer/indexer/probe.h"

enum { FILES_MAX = 2, IDS_MAX = 2 * ELF_IDS_MAX };

struct run {
	const struct index_input *in;
	struct symbols symbols;
	struct debugdata inner[FILES_MAX]; // their names are borrowed
	struct uhx_builder *builder;
	enum quality quality;
	struct build_id ids[IDS_MAX];
	size_t id_count;
};

static int check_identity(const struct index_input *in, struct err *e)
{
	const struct elf_image *a = in->files[0];
	const struct elf_image *b = in->files[1];

	if (!b || !elf_image_other_build(a, b))
		return 0;
	return err_set(e, ERR_ID_MISMATCH,
		       "%s and %s share no build ID: they do not come from the same build", a->name,
		       b->name);
}

static int check_alternate(const struct index_input *in, struct err *e)
{
	struct build_id wanted;
	struct str path;

	for (size_t i = 0; in->alternate && i < FILES_MAX && in->files[i]; i++) {
		if (!elf_image_altlink(in->files[i], &path, &wanted))
			continue;
		for (size_t k = 0; k < in->alternate->id_count; k++)
			if (build_id_eq(&in->alternate->ids[k], &wanted))
				return 0;
		return err_set(e, ERR_ID_MISMATCH, "%s is not the file that %s refers to (" STR_FMT ")",
			       in->alternate->name, in->files[i]->name, STR_ARG(path));
	}
	return 0;
}

// What one source cannot be read for must not cost the names that the others have.
static int forgive(struct run *r, const char *what, const struct err *problem, struct err *e)
{
	if (problem->kind != ERR_UNSUPPORTED && problem->kind != ERR_BAD_ELF) {
		*e = *problem;
		return -1;
	}
	warn(r->in->warnings, "%s: %s", what, problem->msg);
	return 0;
}

static int read_debugdata(struct run *r, size_t i, struct err *e)
{
	struct err problem = ERR_INIT;
	int rc = debugdata_open(&r->inner[i], r->in->files[i], &problem);

	if (rc == 0)
		rc = symbols_read(&r->symbols, &r->inner[i].image, &problem);
	return rc < 0 ? forgive(r, "MiniDebugInfo", &problem, e) : 0;
}

static int read_symbols(struct run *r, struct err *e)
{
	for (size_t i = 0; i < FILES_MAX && r->in->files[i]; i++)
		if (symbols_read(&r->symbols, r->in->files[i], e) || read_debugdata(r, i, e))
			return -1;
	return symbols_finish(&r->symbols, e);
}

static int read_dwarf(struct run *r, struct elf_image *img, struct err *e)
{
	struct dwarf_scan_input in = {img, r->in->alternate, &r->symbols, r->in->split, r->in->split_count};
	struct dwarf_counts counts;
	struct build_id id;
	struct str path;

	if (!elf_image_has(img, ".debug_info"))
		return 0;
	if (!r->in->alternate && elf_image_altlink(img, &path, &id)) {
		char text[BUILD_ID_TEXT];

		build_id_text(&id, text);
		warn(r->in->warnings, "%s: some names are in " STR_FMT " (build ID %s), which was not given",
		     img->name, STR_ARG(path), text);
	}
	return dwarf_scan(&in, r->builder, r->in->warnings, &counts, e);
}

static int read_go(struct run *r, struct elf_image *img, struct err *e)
{
	struct gopclntab_counts counts;
	struct err problem = ERR_INIT;

	return go_scan(img, r->builder, &counts, &problem) ? forgive(r, "Go function table", &problem, e) : 0;
}

static int read_stubs(struct run *r, struct elf_image *img, struct err *e)
{
	struct err problem = ERR_INIT;

	return plt_scan(img, &r->symbols, r->builder, &problem) ? forgive(r, "PLT", &problem, e) : 0;
}

static int read_frames(struct run *r, struct elf_image *img, struct err *e)
{
	struct err problem = ERR_INIT;

	return eh_frame_scan(img, &r->symbols, r->builder, &problem)
		       ? forgive(r, "call frame information", &problem, e)
		       : 0;
}

static int read_sources(struct run *r, struct err *e)
{
	if (read_symbols(r, e))
		return -1;
	for (size_t i = 0; i < FILES_MAX && r->in->files[i]; i++) {
		struct probe_facts facts = probe_facts(r->in->files[i]);

		r->quality = MAX(r->quality, facts.quality);
		if (read_dwarf(r, r->in->files[i], e) || read_go(r, r->in->files[i], e) ||
		    read_stubs(r, r->in->files[i], e) || read_frames(r, r->in->files[i], e))
			return -1;
	}
	symbols_add_rows(&r->symbols, r->builder);
	return 0;
}

// The file that has what is executed; its headers and its hash are those of the binary.
static struct elf_image *executable(const struct index_input *in)
{
	struct elf_image *second = in->files[1];

	return second && !in->files[0]->headers_trusted && second->headers_trusted ? second
										   : in->files[0];
}

static void add_id(struct run *r, const struct build_id *id)
{
	for (size_t i = 0; i < r->id_count; i++)
		if (build_id_eq(&r->ids[i], id))
			return;
	r->ids[r->id_count++] = *id;
}

static void collect_ids(struct run *r)
{
	const struct elf_image *exe = executable(r->in);
	const struct build_id *hash = exe->id_count ? &exe->ids[exe->id_count - 1] : NULL;

	for (size_t i = 0; i < FILES_MAX && r->in->files[i]; i++)
		for (size_t k = 0; k < r->in->files[i]->id_count; k++)
			if (r->in->files[i]->ids[k].kind != BUILD_ID_HTL)
				add_id(r, &r->in->files[i]->ids[k]);
	if (hash)
		add_id(r, hash);
}

// The builder has copies: a large file's mapping would take the room that merging the rows needs.
static void drop_contents(struct run *r)
{
	for (size_t i = 0; i < FILES_MAX && r->in->files[i]; i++)
		elf_image_drop_contents(r->in->files[i]);
	for (size_t i = 0; i < r->in->split_count; i++)
		elf_image_drop_contents(r->in->split[i]);
	if (r->in->alternate)
		elf_image_drop_contents(r->in->alternate);
	symbols_deinit(&r->symbols);
}

static int build(struct run *r, struct json_out *report, struct err *e)
{
	const struct elf_image *exe = executable(r->in);
	struct uhx_meta meta = {.headers = elf_image_headers(exe)};
	struct uhx_counts counts;
	char spare[32];

	if (uhx_builder_new(&r->builder, e) || read_sources(r, e))
		return -1;
	collect_ids(r);
	meta.ids = r->ids;
	meta.id_count = r->id_count;
	meta.quality = r->quality;
	meta.machine = str_from(elf_image_machine(exe, spare));
	drop_contents(r);
	if (uhx_builder_write(r->builder, &meta, r->in->out_fd, &counts, e))
		return -1;
	index_report_write(
		&(struct index_report){&meta, &counts, r->in->warnings, r->in->sandbox}, report);
	return 0;
}

// Was one of the files moved to other addresses after they parted (by prelink)?
static bool is_moved(const struct elf_image *a, const struct elf_image *b)
{
	for (size_t i = 0; i < a->section_count; i++) {
		const struct elf_section *x = &a->sections[i];
		const struct elf_section *y =
			x->header.sh_flags & SHF_EXECINSTR ? elf_image_section(b, x->name) : NULL;

		if (y)
			return x->header.sh_addr != y->header.sh_addr;
	}
	return false;
}

// Names at wrong addresses are worse than none: then what is executed has to do.
static struct index_input choose_files(const struct index_input *in)
{
	struct index_input chosen = *in;
	const struct elf_image *other;

	if (!in->files[1] || !is_moved(in->files[0], in->files[1]))
		return chosen;
	chosen.files[0] = executable(in);
	chosen.files[1] = NULL;
	other = in->files[chosen.files[0] == in->files[0]];
	warn(in->warnings, "%s is laid out for other addresses than %s, and not used", other->name,
	     chosen.files[0]->name);
	return chosen;
}

int index_run(const struct index_input *in, struct json_out *report, struct err *e)
{
	struct index_input chosen;
	struct run r = {.in = &chosen,
			.symbols = SYMBOLS_INIT,
			.inner = {DEBUGDATA_INIT, DEBUGDATA_INIT}};
	int result;

	if (check_identity(in, e) || check_alternate(in, e))
		return -1;
	chosen = choose_files(in);
	result = build(&r, report, e);
	uhx_builder_free(r.builder);
	symbols_deinit(&r.symbols);
	for (size_t i = 0; i < FILES_MAX; i++)
		debugdata_close(&r.inner[i]);
	return result;
}
