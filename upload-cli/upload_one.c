/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/upload_one.h"

#include "base/cleanup.h"
#include "base/compress.h"
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "upload-cli/indexer.h"
#include "upload-cli/progress.h"
#include "upload-cli/table.h"
#include <inttypes.h>

enum { ZSTD_LEVEL = 3, PATH_BYTES = 4096 };

/* What is known of the file before it is sent. */
struct subject {
	const char *path;
	int fd;
	uint64_t size;
	char sha256[SHA256_HEX];
	char id[BUILD_ID_TEXT];
	char aliases[1024]; /* "&alias=…" of the deployed file */
	bool object;
};

const char *upload_outcome_name(enum upload_outcome o)
{
	static const char *const names[] = {
		[UPLOAD_SENT] = "uploaded",
		[UPLOAD_ALREADY] = "already there",
		[UPLOAD_WOULD] = "would upload",
		[UPLOAD_NOT_BETTER] = "no better than what is there",
		[UPLOAD_LEFT_OUT] = "left out",
	};

	return names[o];
}

static void copy_text(char *to, size_t size, struct str from)
{
	snprintf(to, size, STR_FMT, STR_ARG(from));
}

/* Debug-only files, and those that have both, are most useful as debug info. */
static const char *type_of(const json_t *probe)
{
	struct str kind = json_get_str(probe, "kind");

	return str_is(kind, "debuginfo") || str_is(kind, "both") ? "debuginfo" : "executable";
}

/* The IDs of the file as deployed go along, so that profiles of it find this one. */
static int add_aliases(struct subject *s, const char *deployed, struct err *e)
{
	_cleanup_free_ struct build_id *ids = NULL;
	char text[BUILD_ID_TEXT];
	size_t n = 0, at = 0;
	json_t *probe;
	int r;

	if (indexer_probe(deployed, &probe, e) < 0)
		return -1;
	r = indexer_report_ids(probe, &ids, &n, e);
	json_decref(probe);
	if (r < 0)
		return -1;
	for (size_t i = 0; i < n && at + BUILD_ID_TEXT + 8 < sizeof(s->aliases); i++) {
		build_id_text(&ids[i], text);
		at += (size_t)snprintf(s->aliases + at, sizeof(s->aliases) - at, "&alias=%s", text);
	}
	return 0;
}

static int first_id(const json_t *probe, char ret[static BUILD_ID_TEXT], struct err *e)
{
	_cleanup_free_ struct build_id *ids = NULL;
	size_t n = 0;

	if (indexer_report_ids(probe, &ids, &n, e) < 0)
		return -1;
	if (n == 0)
		return err_set(e, ERR_NO_BUILD_ID, "has no ID");
	build_id_text(&ids[0], ret);
	return 0;
}

/* .o, .dwo and .dwp files; a kernel module has a build-ID. */
static bool is_object(const json_t *probe)
{
	const json_t *id = json_array_get(json_object_get(probe, "ids"), 0);

	return str_is(json_get_str(probe, "type"), "REL") && !str_is(json_get_str(id, "kind"), "gnu");
}

static int examine(const char *path, const struct upload_options *o, struct subject *s,
		   struct upload_result *ret, struct err *e)
{
	json_t *probe;
	int r;

	s->path = path;
	s->fd = io_open_read(path, e);
	if (s->fd < 0 || io_file_size(s->fd, &s->size, e) < 0 || sha256_fd_hex(s->fd, s->sha256, e) < 0 ||
	    indexer_probe(path, &probe, e) < 0)
		return -1;
	r = first_id(probe, s->id, e);
	s->object = is_object(probe);
	copy_text(ret->type, sizeof(ret->type), str_from(o->type ? o->type : type_of(probe)));
	copy_text(ret->quality, sizeof(ret->quality), json_get_str(probe, "quality"));
	json_decref(probe);
	if (r == 0 && o->deployed)
		r = add_aliases(s, o->deployed, e);
	snprintf(ret->build_id, sizeof(ret->build_id), "%s", s->id);
	ret->size = s->size;
	return r;
}

/* Does the server hold these very bytes as that type? An ID it does not know means: send. */
static int already_there(struct remote *remote, const struct subject *s, const char *type, bool *ret,
			 struct err *e)
{
	json_t *story = NULL;
	const json_t *f;
	char path[PATH_BYTES];
	bool found = false;
	size_t i;

	table_url_path(path, sizeof(path), "/v1/debuginfo/", s->id);
	*ret = false;
	if (remote_get_json(remote, path, &story, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	json_array_foreach(json_object_get(story, "files"), i, f)
		found |= str_is(json_get_str(f, "sha256"), s->sha256) && str_is(json_get_str(f, "type"), type);
	json_decref(story);
	*ret = found;
	return 0;
}

static int read_answer(const struct http_response *answer, const char *url, struct upload_result *ret,
		       struct err *e)
{
	json_t *body;

	if (answer->status == 409) {
		ret->outcome = UPLOAD_NOT_BETTER;
		return 0;
	}
	if (http_status_err(answer, url, e) < 0)
		return -1;
	ret->outcome = answer->status == 200 ? UPLOAD_ALREADY : UPLOAD_SENT;
	if (json_parse(buf_str(&answer->body), &body, e) < 0)
		return -1;
	copy_text(ret->status, sizeof(ret->status), json_get_str(body, "status"));
	json_decref(body);
	return 0;
}

static int send_file(struct remote *remote, const struct subject *s, int body_fd,
		     const struct upload_options *o, struct upload_result *ret, struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/octet-stream", "Content-Encoding: zstd",
					      NULL};
	struct progress progress = {.what = str_basename(str_from(s->path)).p};
	struct http_request rq = HTTP_REQUEST_INIT;
	struct http_response answer = {0};
	char path[PATH_BYTES], name[PATH_BYTES / 2];
	int r;

	table_url_path(name, sizeof(name), "&name=", str_basename(str_from(s->path)).p);
	snprintf(path, sizeof(path), "/v1/debuginfo/%s?type=%s%s%.1000s", s->id, ret->type, s->aliases, name);
	if (o->force)
		strncat(path, "&force=1", sizeof(path) - strlen(path) - 1);
	if (o->wait_s)
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "&wait=%" PRIu64, o->wait_s);
	rq.method = "PUT";
	rq.headers = headers;
	rq.body_fd = body_fd;
	rq.body_size = ret->sent;
	rq.progress = progress_update;
	rq.progress_ctx = &progress;
	r = remote_do(remote, &rq, path, &answer, e);
	progress_end(&progress);
	if (r == 0)
		r = read_answer(&answer, remote->url, ret, e);
	http_response_deinit(&answer);
	return r;
}

static int compress_and_send(struct remote *remote, const struct subject *s, const struct upload_options *o,
			     struct upload_result *ret, struct err *e)
{
	_cleanup_close_ int packed = command_tmpfile(e);

	if (packed < 0)
		return -1;
	if (zseek_compress(s->fd, s->size, packed, ZSTD_LEVEL, &ret->sent, e) < 0)
		return -1;
	return send_file(remote, s, packed, o, ret, e);
}

int upload_one(struct remote *remote, const char *path, const struct upload_options *o,
	       struct upload_result *ret, struct err *e)
{
	struct subject s = {.fd = -1};
	struct upload_result result = {0};
	bool there = false, leave;
	int r = examine(path, o, &s, &result, e);

	leave = s.object && o->from_folder;
	if (r == 0 && !leave && !o->dry_run && !o->force && !o->deployed)
		r = already_there(remote, &s, result.type, &there, e);
	if (r == 0 && leave)
		result.outcome = UPLOAD_LEFT_OUT;
	else if (r == 0 && o->dry_run)
		result.outcome = UPLOAD_WOULD;
	else if (r == 0 && there)
		result.outcome = UPLOAD_ALREADY;
	else if (r == 0)
		r = compress_and_send(remote, &s, o, &result, e);
	if (s.fd >= 0)
		close(s.fd);
	if (r == 0)
		*ret = result;
	return r;
}
