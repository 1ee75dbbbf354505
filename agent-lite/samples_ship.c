/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/samples_ship.h"

#include "agent-lite/ship/batch.h"
#include "agent-lite/process/module_cache.h"
#include "agent-lite/ship/samples_file.h"
#include "agent-lite/ship/sink.h"
#include "base/io.h"
#include "base/log.h"

struct shipment {
	struct module_cache *modules;
	struct batch batch;
	struct sink sink;
	uint64_t hz; /* of all dumps; 0: none read yet */
	uint64_t lost;
	uint64_t dropped;
};

static void shipment_deinit(struct shipment *s)
{
	batch_deinit(&s->batch);
	sink_deinit(&s->sink);
	module_cache_free(s->modules);
}

static int set_modules(struct shipment *s, struct mappings *m, struct err *e)
{
	for (size_t i = 0; i < m->n; i++) {
		struct mapping *at = &m->items[i];
		_cleanup_close_ int fd = -1;

		if (at->kind == MAPPING_FILE && !at->deleted)
			fd = module_open_mapped(at->path, at, false);
		if (module_cache_of_mapping(s->modules, at, fd, &at->module, e) < 0)
			return -1;
	}
	return 0;
}

static int add_stack(struct shipment *s, const struct samples_file *f, const struct mappings *m,
		     uint64_t *ips, size_t n, struct err *e)
{
	_cleanup_(buf_deinit) struct buf labels = BUF_INIT(LABELS_PACKED_MAX);
	struct frame frames[SAMPLES_DEPTH];
	struct stack_sample sample = {
		.comm = f->comm,
		.thread = f->comm,
		.pid = f->pid,
		.frames = frames,
		.count = 1,
	};
	int r;

	for (size_t i = 0; i < n; i++)
		ips[i] = address_into_call(ips[i], i);
	sample.frame_count = module_frames(m, module_cache_special(s->modules, MODULE_UNKNOWN), ips,
					   n, true, frames);
	if (labels_of_service(f->comm, "", &labels, e) < 0)
		return -1;
	r = batch_add(&s->batch, buf_str(&labels), &sample, e);
	if (r == BATCH_FULL) {
		s->dropped++;
		return 0;
	}
	return r;
}

static int add_stacks(struct shipment *s, const struct samples_file *f, struct err *e)
{
	_cleanup_(module_release_mappings) struct mappings m = MAPPINGS_INIT;
	uint64_t ips[SAMPLES_DEPTH];
	struct str rest = f->stacks;
	size_t n;
	int r;

	if (mappings_parse(&m, f->maps, e) < 0 || set_modules(s, &m, e) < 0)
		return -1;
	while ((r = samples_file_next(&rest, ips, &n, e)) > 0) {
		if (add_stack(s, f, &m, ips, n, e) < 0)
			return -1;
	}
	return r;
}

static int widen_window(struct shipment *s, const struct samples_file *f, struct err *e)
{
	int64_t start = (int64_t)f->start_unix_ns;

	if (s->hz && s->hz != f->hz)
		return err_set(e, ERR_BAD_REQUEST, "sampled at %llu Hz, the files before at %llu",
			       (unsigned long long)f->hz, (unsigned long long)s->hz);
	s->batch.time_ns = s->hz ? MIN(s->batch.time_ns, start) : start;
	s->batch.duration_ns = MAX(s->batch.duration_ns, (int64_t)f->duration_ns);
	s->hz = f->hz;
	return 0;
}

static int add_file(struct shipment *s, const char *path, struct err *e)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(SAMPLES_FILE_MAX);
	struct samples_file f;

	if (io_read_file(path, &text, e) < 0)
		return -1;
	if (samples_file_parse(buf_str(&text), &f, e) < 0 || widen_window(s, &f, e) < 0 ||
	    add_stacks(s, &f, e) < 0)
		return err_wrap(e, "%s", path);
	s->lost += f.lost;
	return 0;
}

static int ship(struct shipment *s, struct err *e)
{
	struct pusher_stats push;
	int r;

	if (s->batch.samples == 0)
		return err_set(e, ERR_NOT_FOUND, "the files hold no samples");
	s->sink.config.hz = (unsigned)s->hz;
	if (sink_ship(&s->sink, &s->batch, e) < 0)
		return -1;
	r = sink_finish(&s->sink, &push, e);
	LOG(LOG_INFO, "stats", {"samples", LOG_U(s->batch.samples)},
	    {"stacks", LOG_U(batch_stacks(&s->batch))}, {"lost", LOG_U(s->lost)},
	    {"dropped", LOG_U(s->dropped)}, {"pushes", LOG_U(push.pushes)},
	    {"push_dropped", LOG_U(push.dropped)}, {"push_bytes", LOG_U(push.bytes)});
	return r;
}

int samples_ship(const struct options *o, struct err *e)
{
	_cleanup_(shipment_deinit) struct shipment s = {.sink = SINK_INIT};
	struct sink_config config;

	options_sink(o, &config);
	if (module_cache_new(NULL, &s.modules, e) < 0 || sink_open(&s.sink, &config, e) < 0)
		return -1;
	batch_init(&s.batch, sink_is_file(&s.sink));
	for (size_t i = 0; i < o->file_count; i++) {
		if (add_file(&s, o->files[i], e) < 0)
			return -1;
	}
	return ship(&s, e);
}
