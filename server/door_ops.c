/* SPDX-License-Identifier: Apache-2.0 */
#include "server/doors.h"

#include "base/metrics.h"
#include "server/app.h"
#include "web/index_page.h"
#include <sys/statvfs.h>

enum { METRICS_MAX = 4 << 20 };
// Below, nothing new can be taken in safely; on a small file system, a twentieth of it.
static const uint64_t DISK_LOW = MIB(64), DISK_LOW_PART = 20;

// Alive means: this thread answers. Nothing else is asked.
int door_healthz(struct request *rq, UNUSED struct err *e)
{
	respond_bytes(rq, 200, "text/plain; charset=utf-8", STR("ok\n"));
	return DOOR_DONE;
}

static bool disk_has_room(const char *path)
{
	struct statvfs fs;
	uint64_t size;

	if (statvfs(path, &fs))
		return false;
	size = (uint64_t)fs.f_blocks * fs.f_frsize;
	return (uint64_t)fs.f_bavail * fs.f_frsize >= MIN(DISK_LOW, size / DISK_LOW_PART);
}

int door_readyz(struct request *rq, struct err *e)
{
	struct app *a = app_of(rq);
	bool any;

	if (exchanges_draining(http_exchanges(a->http)))
		return err_set(e, ERR_SHUTTING_DOWN, "the server is stopping");
	if (!disk_has_room(a->config->data_dir))
		return err_set(e, ERR_UNAVAILABLE, "the disk is all but full below %s",
			       a->config->data_dir);
	if (token_any(a->catalog, &any, e))
		return err_wrap(e, "the catalog cannot be read");
	respond_bytes(rq, 200, "text/plain; charset=utf-8", STR("ready\n"));
	return DOOR_DONE;
}

int door_metrics(struct request *rq, struct err *e)
{
	struct buf out = BUF_INIT(METRICS_MAX);

	exchanges_measure(http_exchanges(app_of(rq)->http));
	metrics_write(&out, UNHEX_VERSION);
	if (buf_check(&out, "the metrics", e)) {
		buf_deinit(&out);
		return -1;
	}
	respond_buf(rq, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
	return DOOR_DONE;
}

int door_home(struct request *rq, UNUSED struct err *e)
{
	respond_bytes(rq, 200, "text/html; charset=utf-8", STR(INDEX_PAGE));
	respond_header(rq, "Content-Security-Policy",
		       "default-src 'none'; style-src 'unsafe-inline'");
	return DOOR_DONE;
}
