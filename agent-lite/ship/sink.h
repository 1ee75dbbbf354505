/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where finished batches go: to a server, or as one profile into a file or to stdout. One owner
 * thread.
 */
#ifndef AGENT_SINK_H
#define AGENT_SINK_H

#include "agent-lite/ship/batch.h"
#include "agent-lite/ship/pusher.h"
#include "base/output.h"

struct sink_config {
	const char *server; /* NULL: none; then one of the next two */
	const char *token_file;
	const char *spool_dir; /* NULL: none */
	uint64_t spool_bytes;
	const char *output; /* path, NULL: none */
	bool to_stdout;
	unsigned hz;
};

struct sink {
	struct sink_config config; /* strings borrowed */
	struct pusher *pusher;
	struct output output; /* without a server */
};

#define SINK_INIT ((struct sink){.output = OUTPUT_INIT})

/* Opens a file right away: that it cannot be written must not come out after an hour of sampling. */
int sink_open(struct sink *s, const struct sink_config *config, struct err *e) MUST_CHECK;
/* True when batches should be merged into one series, and shipped once. */
bool sink_is_file(const struct sink *s);
void sink_stats(const struct sink *s, struct pusher_stats *ret); /* zeros without a server */
/* Of type collector_ship_fn. */
int sink_ship(void *sink, struct batch *b, struct err *e) MUST_CHECK;
/*
 * Waits for what is on its way. -1 with the newest failure when something was not delivered.
 * *ret may be NULL.
 */
int sink_finish(struct sink *s, struct pusher_stats *ret, struct err *e) MUST_CHECK;
void sink_deinit(struct sink *s);

#endif
