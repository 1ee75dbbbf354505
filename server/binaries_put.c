/* SPDX-License-Identifier: Apache-2.0 */
/* Taking in a file, uploaded or fetched: probe, check what it claims to be, store, register. */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/binaries_internal.h"
#include <inttypes.h>
#include <stdio.h>

enum { IDS_MAX = PROBE_IDS_MAX + 2 + 6 }; // the file's, the claimed ones, aliases: what a binary may have

struct intake {
	struct binaries *b;
	const struct binaries_upload *u;
	struct probe_report probe;
	char *probe_json;
	struct build_id ids[IDS_MAX];
	size_t id_count;
	enum file_type type; /* what it is, whatever it was called */
	struct blob_info blob;
	int added;         /* what the catalog said of it */
	bool other_failed; /* for this reason */
	struct err why;
	struct binary binary;
	int64_t before[IDS_MAX]; /* rows that had these IDs; they may become one */
	size_t before_count;
};

// ---- is it what it claims to be? -----------------------------------------------------------------------

static void add_id(struct intake *in, const struct build_id *id)
{
	for (size_t i = 0; i < in->id_count; i++) {
		if (build_id_eq(&in->ids[i], id))
			return;
	}
	if (in->id_count < IDS_MAX)
		in->ids[in->id_count++] = *id;
}

static int mismatch(const struct intake *in, struct err *e)
{
	char claimed[BUILD_ID_TEXT];
	char own[BUILD_ID_TEXT];

	build_id_text(&in->u->claimed[0], claimed);
	build_id_text(&in->probe.ids[0], own);
	return err_set(e, ERR_ID_MISMATCH, "the file's build-ID is %s, not %s", own, claimed);
}

static const struct build_id *own_of_kind(const struct intake *in, enum build_id_kind kind)
{
	for (size_t i = 0; i < in->probe.id_count; i++) {
		if (in->probe.ids[i].kind == kind)
			return &in->probe.ids[i];
	}
	return NULL;
}

static int foreign_alias(const struct intake *in, const struct build_id *alias, struct err *e)
{
	const struct build_id *own = own_of_kind(in, alias->kind);
	char claimed[BUILD_ID_TEXT];
	char text[BUILD_ID_TEXT] = "none";

	build_id_text(alias, claimed);
	if (own)
		build_id_text(own, text);
	return err_set(e, ERR_ID_MISMATCH,
		       "%s is the %s build-ID of another binary: this file's is %s, so it was not made from"
		       " the same build",
		       claimed, alias->kind == BUILD_ID_GO ? "Go" : "GNU", text);
}

/*
 * A build-ID in a note is the file's or it is not. Where it has none of that kind, the sender's word is
 * taken, but nothing that is known by that ID already is taken over.
 */
static int check_build_id_alias(struct intake *in, const struct build_id *alias, struct err *e)
{
	int rc;

	if (probe_report_has(&in->probe, alias))
		return 0;
	if (own_of_kind(in, alias->kind))
		return foreign_alias(in, alias, e);
	rc = catalog_find(in->b->cfg.catalog, alias, 1, &in->binary, e);
	return rc == CATALOG_NOT_FOUND ? 0 : rc < 0 ? -1 : foreign_alias(in, alias, e);
}

// A file hash that no file sent here can prove: whose it is already must not be another binary.
static int check_hash_alias(struct intake *in, const struct build_id *alias, struct err *e)
{
	struct build_id ids[PROBE_IDS_MAX + 1] = {*alias};

	memcpy(ids + 1, in->probe.ids, in->probe.id_count * sizeof(ids[0]));
	return catalog_home(in->b->cfg.catalog, ids, in->probe.id_count + 1, &in->binary, e) < 0 ? -1 : 0;
}

static int add_aliases(struct intake *in, struct err *e)
{
	for (size_t i = 0; i < in->u->alias_count; i++) {
		const struct build_id *alias = &in->u->aliases[i];

		if (alias->kind == BUILD_ID_HTL ? check_hash_alias(in, alias, e)
						: check_build_id_alias(in, alias, e))
			return err_wrap(e, "alias");
		add_id(in, alias);
	}
	return 0;
}

// The ID that was claimed comes first: it says whose file this is.
static int collect_ids(struct intake *in, struct err *e)
{
	for (size_t i = 0; i < in->u->claimed_count; i++) {
		if (probe_report_has(&in->probe, &in->u->claimed[i]))
			add_id(in, &in->u->claimed[i]);
	}
	if (!in->id_count)
		return mismatch(in, e);
	for (size_t i = 0; i < in->probe.id_count; i++)
		add_id(in, &in->probe.ids[i]);
	return add_aliases(in, e);
}

// A kernel's symbol list is that and nothing else, and nothing else is one.
static int choose_list(struct intake *in, struct err *e)
{
	if (in->probe.kind != PROBE_KALLSYMS)
		return err_set(e, ERR_UNSUPPORTED,
			       "this is an ELF file, not a kernel's symbol list; upload it as type=%s",
			       in->probe.kind == PROBE_EXECUTABLE ? "executable" : "debuginfo");
	if (in->u->type && in->u->type != FILE_KALLSYMS)
		return err_set(e, ERR_UNSUPPORTED,
			       "this is a kernel's symbol list, not an ELF file; upload it as type=kallsyms");
	in->type = FILE_KALLSYMS;
	return 0;
}

static int choose_type(struct intake *in, struct err *e)
{
	if (in->probe.kind == PROBE_KALLSYMS || in->u->type == FILE_KALLSYMS)
		return choose_list(in, e);
	if (in->probe.core)
		return err_set(e, ERR_UNSUPPORTED, "this is a core dump");
	// A kernel module is what runs; an object is linked into something else first.
	if (in->probe.relocatable && !own_of_kind(in, BUILD_ID_GNU))
		return err_set(e, ERR_UNSUPPORTED,
			       "this is a relocatable object without a build-ID: upload what it was linked"
			       " into (split DWARF, .dwo and .dwp, is not taken yet)");
	if (in->u->type == FILE_EXECUTABLE && in->probe.kind == PROBE_DEBUGINFO)
		return err_set(e, ERR_UNSUPPORTED,
			       "this file has debug information only; upload it as type=debuginfo");
	in->type = in->probe.kind == PROBE_EXECUTABLE ? FILE_EXECUTABLE
		   : in->u->type			      ? in->u->type
							      : FILE_DEBUGINFO;
	return 0;
}

static int check(struct intake *in, struct err *e)
{
	if (in->u->type == FILE_SOURCES)
		return err_set(e, ERR_UNSUPPORTED, "files of type %s are not taken yet",
			       file_type_name(in->u->type));
	if (indexer_probe(in->b->indexer, in->u->fd, &in->probe, &in->probe_json, e))
		return -1;
	return collect_ids(in, e) || choose_type(in, e) ? -1 : 0;
}

// ---- storing ----------------------------------------------------------------------------------------------

static bool is_better(const struct intake *in, const struct catalog_file *than)
{
	if (in->u->trust != than->trust)
		return in->u->trust > than->trust;
	return (int)in->probe.quality > than->quality;
}

static int note_rows(struct intake *in, struct err *e)
{
	for (size_t i = 0; i < in->id_count; i++) {
		int rc = catalog_find(in->b->cfg.catalog, &in->ids[i], 1, &in->binary, e);

		if (rc < 0)
			return -1;
		if (rc == 0)
			in->before[in->before_count++] = in->binary.id;
	}
	return 0;
}

// Rows in memory that are not so any more, joined ones too.
static void tell_cache(struct intake *in)
{
	for (size_t i = 0; i < in->before_count; i++) {
		if (!i || in->before[i] != in->before[i - 1])
			binary_cache_changed(in->b->rows, in->before[i]);
	}
	binary_cache_changed(in->b->rows, in->binary.id);
	binary_cache_pardon(in->b->rows, in->ids, in->id_count);
}

// A file that is not taken has told its IDs: profiles may come with its file hash.
static int register_ids(struct intake *in, struct err *e)
{
	const struct catalog_new_file f = {
		.ids = in->ids, .id_count = in->id_count, .file = {.trust = in->u->trust}};

	return catalog_add_ids(in->b->cfg.catalog, &f, &in->binary, e) < 0 ? -1 : 0;
}

/*
 * The catalog decides what wins; this spares storing what it will not take, and holds a file to what its
 * sender called it: a stripped executable does not replace debug information. BINARIES_STORED: go on.
 */
static int foresee(struct intake *in, struct err *e)
{
	enum file_type called = in->u->type ? in->u->type : in->type;
	struct catalog_file best;
	int rc;

	rc = catalog_home(in->b->cfg.catalog, in->ids, in->id_count, &in->binary, e);
	if (rc)
		return rc < 0 ? -1 : BINARIES_STORED;
	rc = catalog_best_file(in->b->cfg.catalog, in->binary.id, called, &best, e);
	if (rc || in->u->force || is_better(in, &best))
		return rc < 0 ? -1 : BINARIES_STORED;
	if (sha256_fd_hex(in->u->fd, in->blob.sha256, e))
		return -1;
	if (strcmp(in->blob.sha256, best.sha256) == 0)
		return BINARIES_STORED; // its IDs may be new, or its blob lost
	return register_ids(in, e) ? -1 : BINARIES_WORSE;
}

static int add_as(struct intake *in, enum file_type type, struct err *e)
{
	// They would stay when the file itself no longer counts.
	bool keep_headers = in->u->trust > TRUST_AGENT;
	struct catalog_new_file f = {
		.ids = in->ids,
		.id_count = in->id_count,
		.file = {.type = type, .trust = in->u->trust, .quality = (int)in->probe.quality,
			 .size = in->blob.size, .stored_size = in->blob.stored_size},
		.name = in->u->name,
		.machine = in->probe.machine,
		.headers = in->probe.headers,
		.headers_size = keep_headers ? in->probe.header_count * sizeof(in->probe.headers[0]) : 0,
		.headers_trusted = keep_headers && in->probe.headers_trusted,
		.probe_json = in->probe_json,
		.force = in->u->force && type == in->type,
	};

	memcpy(f.file.sha256, in->blob.sha256, sizeof(f.file.sha256));
	snprintf(f.file.origin, sizeof(f.file.origin), "%s", in->u->origin ? in->u->origin : "");
	return catalog_add_file(in->b->cfg.catalog, &f, &in->binary, e);
}

// An unstripped executable is both; in its second role it only fills a gap or replaces worse.
static int add_other_role(struct intake *in, struct err *e)
{
	enum file_type other = in->type == FILE_DEBUGINFO ? FILE_EXECUTABLE : FILE_DEBUGINFO;

	if (in->probe.kind != PROBE_BOTH)
		return 0;
	return add_as(in, other, e) < 0 ? -1 : 0;
}

// While the blob cannot be removed.
static int register_roles(void *ctx, const struct blob_info *blob, struct err *e)
{
	struct intake *in = ctx;

	in->blob = *blob;
	in->added = add_as(in, in->type, e);
	if (in->added < 0)
		return -1;
	if (in->added == CATALOG_WORSE) // overtaken
		return BLOB_UNUSED;
	in->other_failed = add_other_role(in, &in->why) < 0;
	return BLOB_USED;
}

static int store(struct intake *in, struct err *e)
{
	int existed = blob_put_used(in->b->cfg.blobs, in->u->fd, register_roles, in, &in->blob, e);

	if (existed < 0)
		return -1;
	if (in->added == CATALOG_WORSE)
		return BINARIES_WORSE;
	if (in->other_failed) {
		*e = in->why;
		return -1;
	}
	// The same bytes, but they had been lost: to whoever uploads them they are stored now.
	return in->added == CATALOG_EXISTS && existed == BLOB_EXISTS ? BINARIES_ALREADY
								     : BINARIES_STORED;
}

static int take_in(struct intake *in, struct err *e)
{
	int rc;

	if (note_rows(in, e))
		return -1;
	rc = foresee(in, e);
	if (!rc)
		rc = store(in, e);
	if (rc >= 0)
		tell_cache(in);
	return rc;
}

static void fill_result(struct intake *in, struct binaries_put_result *ret)
{
	ret->binary = in->binary;
	ret->blob = in->blob;
	ret->type = in->type;
	ret->quality = (int)in->probe.quality;
	build_id_text(&in->ids[0], ret->build_id);
	ret->probe_json = steal_ptr(in->probe_json);
}

static int put(struct binaries *b, const struct binaries_upload *u, struct intake *in,
	       struct binaries_put_result *ret, struct err *e)
{
	int rc;

	in->b = b;
	in->u = u;
	rc = check(in, e);
	if (!rc)
		rc = take_in(in, e);
	if (rc >= 0)
		fill_result(in, ret);
	free(in->probe_json);
	return rc;
}

int binaries_intake(struct binaries *b, const struct binaries_upload *u,
		    struct binaries_put_result *ret, struct err *e)
{
	_cleanup_free_ struct intake *in = mem_zalloc(sizeof(*in)); // large

	return in ? put(b, u, in, ret, e) : err_nomem(e);
}

// ---- the door -----------------------------------------------------------------------------------------------

// A flight that cannot be started now starts when somebody asks, or when the server does.
static void start_flight(struct binaries *b, const struct intake *in)
{
	struct flight_ask ask = {
		.ids = in->ids,
		.n = MIN(in->id_count, (size_t)FLIGHT_IDS_MAX),
		.binary = in->binary.id,
		// Poor and better names alike may have come before upstream was asked: it is now.
		.wants = FLIGHT_INDEX | (in->u->trust == TRUST_AGENT ? FLIGHT_NAMES : 0),
	};
	struct err why;

	if (flights_join(b->flights, &ask, &why))
		log_err(LOG_WARN, "flight_not_started", &why, NULL);
}

/*
 * What upstream servers said before is void: who uploads one file of a binary may know of more. Not an
 * agent, which was asked because of what they said.
 */
static void forget_answers(struct binaries *b, const struct intake *in)
{
	struct err why;

	if (catalog_upstream_forget(b->cfg.catalog, in->ids, in->id_count, &why))
		log_err(LOG_WARN, "upstream_answers_not_forgotten", &why, NULL);
}

int binaries_put(struct binaries *b, const struct binaries_upload *u, struct binaries_put_result *ret,
		 struct err *e)
{
	_cleanup_free_ struct intake *in = mem_zalloc(sizeof(*in));
	int rc;

	if (!in)
		return err_nomem(e);
	rc = put(b, u, in, ret, e);
	if (rc < 0)
		return -1;
	if (rc == BINARIES_STORED && u->trust > TRUST_AGENT)
		forget_answers(b, in);
	if (in->binary.needs_index)
		start_flight(b, in);
	return rc;
}
