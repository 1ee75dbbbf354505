/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/sink.h"

#include "agent-lite/ship/push_request.h"
#include "base/io.h"
#include "base/log.h"

#include <string.h>
#include <unistd.h>

enum {
	PUSH_MAX = 64 << 20,
	FILE_MAX = 64 << 20,
	FINISH_GRACE_MS = 10 * 1000,
};

static int open_output(struct sink *s, struct err *e)
{
	if (output_open(&s->output, s->config.to_stdout ? "-" : s->config.output, e) == 0)
		return 0;
	e->kind = ERR_IO; // nothing that was asked for is missing: the place to write to is
	return err_wrap(e, "--output %s", s->config.to_stdout ? "-" : s->config.output);
}

int sink_open(struct sink *s, const struct sink_config *config, struct err *e)
{
	const struct pusher_config pusher = {
		.server = config->server,
		.token_file = config->token_file,
		.spool_dir = config->spool_dir,
		.spool_bytes = config->spool_bytes,
	};

	*s = SINK_INIT;
	s->config = *config;
	return config->server ? pusher_new(&pusher, &s->pusher, e) : open_output(s, e);
}

bool sink_is_file(const struct sink *s)
{
	return s->pusher == NULL;
}

void sink_stats(const struct sink *s, struct pusher_stats *ret)
{
	*ret = (struct pusher_stats){0};
	if (s->pusher)
		pusher_stats(s->pusher, ret);
}

static int write_profile(struct sink *s, const struct batch *b, struct err *e)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(FILE_MAX);
	struct profile_info info = batch_info(b, s->config.hz);

	if (profile_encode(&b->series[0]->stacks, &info, &out, e) < 0 ||
	    io_write_all(s->output.fd, out.p, out.n, e) < 0)
		return -1;
	return output_publish(&s->output, e);
}

int sink_ship(void *sink, struct batch *b, struct err *e)
{
	struct sink *s = sink;
	_cleanup_(buf_deinit) struct buf body = BUF_INIT(PUSH_MAX);

	if (sink_is_file(s))
		return write_profile(s, b, e);
	if (push_request_encode(b, s->config.hz, &body, e) < 0)
		return -1;
	return pusher_add(s->pusher, &body, b->samples, e);
}

/* What was sampled and will not come to the server. */
static int report_lost(const struct pusher_stats *stats, struct err *e)
{
	uint64_t lost = stats->dropped + stats->spool.dropped_files;

	if (lost == 0)
		return 0;
	if (stats->last.kind == ERR_NONE)
		return err_set(e, ERR_UNAVAILABLE,
			       "%llu %s dropped: the server is too slow", (unsigned long long)lost,
			       lost == 1 ? "push was" : "pushes were");
	*e = stats->last;
	return err_wrap(e, "%llu %s not delivered", (unsigned long long)lost,
			lost == 1 ? "push was" : "pushes were");
}

int sink_finish(struct sink *s, struct pusher_stats *ret, struct err *e)
{
	struct pusher_stats stats = {0};

	if (s->pusher) {
		pusher_stop(s->pusher, FINISH_GRACE_MS);
		pusher_stats(s->pusher, &stats);
	}
	if (stats.spool.files > 0)
		log_err(LOG_WARN, "spooled_for_next_start", &stats.last,
			(const struct log_field[]){{"pushes", LOG_U(stats.spool.files)},
						   {"samples", LOG_U(stats.spool.samples)},
						   {NULL, {0}}});
	if (ret)
		*ret = stats;
	return report_lost(&stats, e);
}

void sink_deinit(struct sink *s)
{
	pusher_free(s->pusher);
	output_deinit(&s->output);
	*s = SINK_INIT;
}
