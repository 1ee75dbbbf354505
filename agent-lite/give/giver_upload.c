/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/give/giver_upload.h"

#include "agent-lite/process/kernel_list.h"
#include "agent-lite/give/symbols_copy.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
	URL_BYTES = 1024,
	FILE_FACTOR = 4, // of GIVER_UPLOAD_MAX
	TIMEOUT_BASE_MS = 60 * 1000,
};

static int open_tmp(const struct giver_config *c, struct err *e)
{
	int fd = io_tmpfile(c->tmp_dir ? c->tmp_dir : "/var/tmp", e);

	return fd >= 0 || c->tmp_dir ? fd : io_tmpfile("/tmp", e);
}

// ---- what is sent -------------------------------------------------------------------------------

/* Is it the file that is wanted, and what of it is given? */
static int plan_file(const struct upload *u, int fd, struct symbols_plan *ret, struct err *e)
{
	struct elf_ident ident;
	char own[BUILD_ID_TEXT];
	uint64_t size;

	if (io_file_size(fd, &size, e) < 0 || elf_child_ident(u->reader, fd, &ident, e) < 0)
		return -1;
	build_id_text(&ident.id, own);
	if (strcmp(own, u->id) != 0)
		return err_set(e, ERR_ID_MISMATCH, "it was replaced by %s", own);
	if (size > (uint64_t)FILE_FACTOR * GIVER_UPLOAD_MAX)
		return err_set(e, ERR_TOO_LARGE, "%llu bytes", (unsigned long long)size);
	if (elf_child_symbols(u->reader, fd, ret, e) < 0)
		return -1;
	return symbols_plan_is_sane(ret, size)
		       ? 0
		       : err_set(e, ERR_INTERNAL, "the ELF reader's plan does not fit the file");
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* A plan is for the bytes that it was made of: of others it would give what must stay. */
static int write_file(const struct upload *u, int file, struct zstd_out *z, struct err *e)
{
	struct symbols_plan plan;
	struct stat before, after;

	if (fstat(file, &before) < 0)
		return err_sys(e, errno, "looking at the file");
	if (plan_file(u, file, &plan, e) < 0 || symbols_copy(file, &plan, z, e) < 0)
		return -1;
	if (fstat(file, &after) < 0)
		return err_sys(e, errno, "looking at the file");
	if (before.st_size == after.st_size && same_time(&before.st_mtim, &after.st_mtim) &&
	    same_time(&before.st_ctim, &after.st_ctim))
		return 0;
	return err_set(e, ERR_IO, "it was changed while it was read");
}

/* file -1: the kernel's list. */
static int write_content(const struct upload *u, int file, struct zstd_out *z, struct err *e)
{
	return file < 0 ? kernel_list_write(u->config->paths, u->config->kernel, z, e)
			: write_file(u, file, z, e);
}

static int make(const struct upload *u, int file, int out, uint64_t *ret_size, struct err *e)
{
	struct zstd_out *z;
	int r;

	if (zstd_out_new(out, GIVER_UPLOAD_MAX, &z, e) < 0)
		return -1;
	r = write_content(u, file, z, e);
	if (r == 0)
		r = zstd_out_finish(z, ret_size, e);
	zstd_out_free(z);
	return r;
}

// ---- sending it ---------------------------------------------------------------------------------

static enum upload_outcome judge(const struct http_response *rs, const char *url, struct err *e)
{
	// 409: other bytes are there that are as good or better.
	if ((rs->status >= 200 && rs->status < 300) || rs->status == 409)
		return UPLOAD_SENT;
	if (http_status_err(rs, url, e) == 0)
		err_set(e, ERR_UNAVAILABLE, "%s: HTTP %ld", url, rs->status);
	return rs->status == 400 || rs->status == 413 || rs->status == 415 ? UPLOAD_REFUSED
									   : UPLOAD_LATER;
}

static enum upload_outcome put(const struct upload *u, int fd, uint64_t size, const char *type,
			       struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/octet-stream",
					      "Content-Encoding: zstd", NULL};
	const struct giver_config *c = u->config;
	struct http_request rq = HTTP_REQUEST_INIT;
	enum upload_outcome outcome;
	struct http_response rs;
	char url[URL_BYTES];

	if ((size_t)snprintf(url, sizeof(url), "%s/v1/debuginfo/%s?type=%s&trust=agent", c->server, u->id,
			     type) >= sizeof(url)) {
		err_set(e, ERR_USAGE, "--server is too long");
		return UPLOAD_REFUSED;
	}
	rq.method = "PUT";
	rq.url = url;
	rq.headers = headers;
	rq.body_fd = fd;
	rq.body_size = size;
	rq.send_bytes_per_s = c->bytes_per_s;
	rq.timeout_ms = TIMEOUT_BASE_MS + 2 * 1000 * (size / c->bytes_per_s + 1);
	rq.stop = u->stop;
	if (http_do(u->http, &rq, &rs, e) < 0)
		return UPLOAD_LATER;
	outcome = judge(&rs, url, e);
	http_response_deinit(&rs);
	return outcome;
}

// ---- both ---------------------------------------------------------------------------------------

static bool is_about_the_file(enum err_kind kind)
{
	switch (kind) {
	case ERR_IO:
	case ERR_NO_SPACE:
	case ERR_NOMEM:
	case ERR_TIMEOUT: // the machine may be busy
		return false;
	default:
		return true;
	}
}

static enum upload_outcome upload(const struct upload *u, int file, const char *type,
				  uint64_t *ret_bytes, struct err *e)
{
	_cleanup_close_ int out = open_tmp(u->config, e);
	enum upload_outcome outcome;
	uint64_t size;

	if (out < 0)
		return UPLOAD_LATER;
	if (make(u, file, out, &size, e) < 0)
		return is_about_the_file(e->kind) ? UPLOAD_UNREADABLE : UPLOAD_LATER;
	outcome = put(u, out, size, type, e);
	*ret_bytes = outcome == UPLOAD_SENT ? size : 0;
	return outcome;
}

enum upload_outcome upload_file(const struct upload *u, int fd, uint64_t *ret_bytes, struct err *e)
{
	return upload(u, fd, "debuginfo", ret_bytes, e);
}

enum upload_outcome upload_list(const struct upload *u, uint64_t *ret_bytes, struct err *e)
{
	return upload(u, -1, "kallsyms", ret_bytes, e);
}
