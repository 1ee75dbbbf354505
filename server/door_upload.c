/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PUT /v1/debuginfo/ID: the body goes piece by piece to a staging file, then through the indexer's
 * probe into the store. With ?wait= the answer comes when it is indexed.
 */
#include "server/doors.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compress.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "server/app.h"
#include "server/waiting.h"
#include "symbolizer/quality.h"
#include <inttypes.h>
#include <stdio.h>

enum {
	ALIASES_MAX = 16,
	NAME_MAX_BYTES = 255,
	ANSWER_MAX = 64 * 1024,
	KALLSYMS_MAX = 32 << 20,
};

struct upload {
	/* from the target */
	struct build_id claimed[2];
	size_t claimed_count;
	struct build_id aliases[ALIASES_MAX];
	size_t alias_count;
	enum file_type type; /* 0: by the probe */
	char name[NAME_MAX_BYTES + 1];
	enum trust trust;
	bool force;
	uint64_t wait_ms;
	/* the body */
	int fd; /* staging; -1 before the first piece */
	bool is_zstd;
	struct zstd_in *zstd;
	uint64_t size;
	/* after binaries_put() */
	bool stored;
	enum binaries_put outcome;
	struct binaries_put_result result;
	uint64_t deadline_ms;
	struct leases *leases; /* where the upload's lease is held; NULL: it is not leased */
	bool refused;	       /* for good: it need not come again */
};

static void upload_free(void *state)
{
	struct upload *u = state;

	if (u->leases)
		leases_upload_ends(u->leases, &u->claimed[0], u->refused);
	zstd_in_free(u->zstd);
	if (u->fd >= 0)
		close(u->fd);
	free(u->result.probe_json);
	free(u);
}

// ---- what is asked for ------------------------------------------------------------------------

static int parse_type(const struct request *rq, enum file_type *ret, struct err *e)
{
	struct str text;

	*ret = (enum file_type)0;
	if (!request_arg(rq, "type", &text))
		return 0;
	if (!file_type_parse(text, ret))
		return err_set(e, ERR_BAD_REQUEST,
			       "type='" STR_FMT "' is not debuginfo, executable, "
			       "sources or kallsyms",
			       STR_ARG(text));
	if (*ret == FILE_SOURCES)
		return err_set(e, ERR_NOT_IMPLEMENTED,
			       "uploads of type " STR_FMT " are not built yet", STR_ARG(text));
	return 0;
}

/*
 * Who sends it decides, and an agent says so of itself where nobody has given it a token of its own. By
 * force nothing is replaced at that trust.
 */
static int parse_trust(const struct request *rq, struct upload *u, struct err *e)
{
	bool may_more = (rq->principal.scopes & (SCOPE_UPLOAD | SCOPE_ADMIN)) != 0;
	struct str text;

	u->trust = may_more ? TRUST_UPLOAD : TRUST_AGENT;
	if (request_arg(rq, "trust", &text)) {
		if (!str_is(text, trust_name(TRUST_AGENT)))
			return err_set(e, ERR_BAD_REQUEST, "trust='" STR_FMT "': only 'agent' can be asked for",
				       STR_ARG(text));
		u->trust = TRUST_AGENT;
	}
	u->force = request_flag(rq, "force");
	if (u->force && u->trust == TRUST_AGENT)
		return err_set(e, ERR_FORBIDDEN, "an agent's upload only fills gaps: force is not for it");
	return 0;
}

static int parse_aliases(const struct request *rq, struct upload *u, struct err *e)
{
	for (size_t i = 0; i < rq->target.arg_count; i++) {
		const struct target_arg *a = &rq->target.args[i];
		struct build_id ids[2];
		int n;

		if (!str_is(a->name, "alias"))
			continue;
		if (u->trust == TRUST_AGENT)
			return err_set(e, ERR_FORBIDDEN,
				       "an agent's upload is known by the IDs in it: alias is not for it");
		if (u->alias_count == ALIASES_MAX)
			return err_set(e, ERR_BAD_REQUEST, "more than %d aliases", ALIASES_MAX);
		n = build_id_parse(a->value, ids, e);
		if (n < 0)
			return err_wrap(e, "alias");
		u->aliases[u->alias_count++] = ids[0];
	}
	return 0;
}

static void parse_name(const struct request *rq, struct upload *u)
{
	struct str name;

	if (!request_arg(rq, "name", &name))
		return;
	name = str_basename(name);
	if (name.n <= NAME_MAX_BYTES && str_is_utf8(name))
		snprintf(u->name, sizeof(u->name), STR_FMT, STR_ARG(name));
}

static int parse_coding(const struct request *rq, bool *ret_zstd, struct err *e)
{
	struct str coding = request_header(rq, "Content-Encoding");

	*ret_zstd = str_eq_nocase(coding, STR("zstd"));
	if (!coding.n || *ret_zstd || str_eq_nocase(coding, STR("identity")))
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
		       "Content-Encoding '" STR_FMT
		       "' is not supported for uploads; use zstd or none",
		       STR_ARG(coding));
}

static int parse_target(struct request *rq, struct upload *u, struct err *e)
{
	int n = request_build_ids(rq, rq->param[0], u->claimed, e);

	if (n < 0)
		return -1;
	u->claimed_count = (size_t)n;
	parse_name(rq, u);
	if (parse_type(rq, &u->type, e) || parse_trust(rq, u, e) || parse_aliases(rq, u, e) ||
	    parse_coding(rq, &u->is_zstd, e))
		return -1;
	return request_wait_ms(rq, 0, &u->wait_ms, e);
}

// ---- the body ---------------------------------------------------------------------------------

// A symbol list that is longer is one to no indexer.
static uint64_t size_max(const struct request *rq, const struct upload *u)
{
	uint64_t max = app_of(rq)->config->max_upload;

	return u->type == FILE_KALLSYMS ? MIN(max, (uint64_t)KALLSYMS_MAX) : max;
}

static int check_size(const struct request *rq, const struct upload *u, uint64_t n, struct err *e)
{
	uint64_t max = size_max(rq, u);

	if (n <= max)
		return 0;
	return err_set(e, ERR_TOO_LARGE, "the upload is larger than %" PRIu64 " bytes", max);
}

static int check_length(const struct request *rq, const struct upload *u, struct err *e)
{
	uint64_t n;

	return str_to_u64(request_header(rq, "Content-Length"), UINT64_MAX, &n)
		       ? check_size(rq, u, n, e)
		       : 0;
}

// Everything that can be refused without the body is, before it has been sent.
int door_upload_precheck(struct request *rq, struct err *e)
{
	struct upload *u = mem_zalloc(sizeof(*u));

	if (!u)
		return err_nomem(e);
	u->fd = -1;
	rq->state = u;
	rq->state_free = upload_free;
	if (parse_target(rq, u, e) || check_length(rq, u, e))
		return -1;
	if (leases_upload_begins(app_of(rq)->leases, &u->claimed[0]))
		u->leases = app_of(rq)->leases;
	return 0;
}

static int open_staging(struct request *rq, struct upload *u, struct err *e)
{
	u->fd = blob_staging(app_of(rq)->blobs, e);
	if (u->fd < 0)
		return -1;
	return u->is_zstd ? zstd_in_new(u->fd, size_max(rq, u), &u->zstd, e) : 0;
}

static int write_identity(const struct request *rq, struct upload *u, struct str piece,
			  struct err *e)
{
	u->size += piece.n;
	if (check_size(rq, u, u->size, e))
		return -1;
	return io_write_all(u->fd, piece.p, piece.n, e);
}

int door_upload_sink(struct request *rq, struct str piece, bool last, struct err *e)
{
	struct upload *u = rq->state;

	if (u->fd < 0 && open_staging(rq, u, e))
		return -1;
	if (!u->zstd)
		return write_identity(rq, u, piece, e);
	if (check_size(rq, u, rq->body_bytes, e) || zstd_in_feed(u->zstd, piece, e))
		return -1;
	return last ? zstd_in_finish(u->zstd, &u->size, e) : 0;
}

// ---- storing ----------------------------------------------------------------------------------

static int store(struct request *rq, struct upload *u, struct err *e)
{
	const struct binaries_upload what = {
		.fd = u->fd,
		.claimed = u->claimed,
		.claimed_count = u->claimed_count,
		.aliases = u->aliases,
		.alias_count = u->alias_count,
		.type = u->type,
		.trust = u->trust,
		.origin = rq->principal.name,
		.name = u->name[0] ? u->name : NULL,
		.force = u->force,
	};
	int rc;

	if (!u->size)
		return err_set(e, ERR_NOT_ELF, "the body is empty");
	rc = binaries_put(app_of(rq)->binaries, &what, &u->result, e);
	if (rc < 0)
		return -1;
	close(steal_fd(&u->fd)); // a parked request need not hold the disk
	u->outcome = (enum binaries_put)rc;
	u->stored = true;
	u->deadline_ms = clock_mono_ms() + u->wait_ms;
	return 0;
}

// ---- the answer -------------------------------------------------------------------------------

// Where the binary stands now, which may be further than when it was put.
static const char *status_of(struct request *rq, struct upload *u)
{
	struct binary now;

	if (catalog_get(app_of(rq)->catalog, u->result.binary.id, &now, NULL) == 0)
		u->result.binary = now;
	if (u->result.binary.reason_code[0])
		return "failed";
	return u->result.binary.index_current && !u->result.binary.needs_index ? "indexed"
									       : "pending";
}

static void put_ids(struct request *rq, struct json_out *j, int64_t binary)
{
	_cleanup_free_ struct build_id *ids = NULL;
	size_t n = 0;

	json_key(j, "ids");
	json_arr(j);
	if (catalog_ids(app_of(rq)->catalog, binary, &ids, &n, NULL))
		n = 0;
	for (size_t i = 0; i < n; i++) {
		char text[BUILD_ID_TEXT];

		build_id_text(&ids[i], text);
		json_str_(j, str_from(text));
	}
	json_end_arr(j);
}

static int answer(struct request *rq, struct upload *u, struct err *e)
{
	struct buf out = BUF_INIT(ANSWER_MAX);
	struct json_out j = JSON_OUT(&out);
	const char *status = status_of(rq, u);

	json_obj(&j);
	json_kv_cstr(&j, "build_id", u->result.build_id);
	put_ids(rq, &j, u->result.binary.id);
	json_kv_cstr(&j, "type", file_type_name(u->result.type));
	json_kv_cstr(&j, "quality", quality_name((enum quality)u->result.quality));
	json_kv_u64(&j, "size", u->result.blob.size);
	json_kv_u64(&j, "stored_size", u->result.blob.stored_size);
	json_kv_cstr(&j, "sha256", u->result.blob.sha256);
	json_kv_cstr(&j, "status", status);
	if (u->result.binary.reason_code[0]) {
		json_kv_cstr(&j, "reason", u->result.binary.reason_code);
		json_kv_cstr(&j, "detail", u->result.binary.reason);
	}
	json_end_obj(&j);
	buf_append_c(&out, '\n');
	if (buf_check(&out, "the answer", e))
		return -1;
	respond_buf(rq, u->outcome == BINARIES_STORED ? 201 : 200, "application/json", &out);
	respond_header(rq, "Location", "/v1/debuginfo/%s", u->result.build_id);
	if (str_is(str_from(status), "pending"))
		respond_header(rq, "Retry-After", "2");
	return DOOR_DONE;
}

int door_upload(struct request *rq, struct err *e)
{
	struct upload *u = rq->state;
	int rc;

	if (!u->stored && store(rq, u, e)) {
		u->refused = e->kind != ERR_SHUTTING_DOWN && !err_retryable(e->kind);
		return -1;
	}
	if (u->outcome == BINARIES_WORSE)
		return err_set(e, ERR_CONFLICT,
			       "%s is here already with other bytes, and these are no "
			       "better (trust, then quality: now %s); force=1 replaces it",
			       u->result.build_id,
			       quality_name((enum quality)u->result.binary.quality));
	rc = wait_for_binary(rq, app_of(rq)->binaries,
			     &(struct wait_binary){.ids = u->claimed,
						   .n = u->claimed_count,
						   .until = UNTIL_INDEXED,
						   .deadline_ms = u->deadline_ms},
			     e);
	return rc == DOOR_DONE ? answer(rq, u, e) : rc;
}
