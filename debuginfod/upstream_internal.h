/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What upstream.c (which fetch asks which server when) and upstream_attempt.c (one HTTP transfer) share.
 * Everything here belongs to the upstream thread, except what is marked.
 *
 * A fetch asks the servers in their order: the next one as soon as those before have said no, or when
 * they have not become brisk within first_byte_timeout_ms. The first whole body wins. An attempt that
 * finds its server busy (per_server transfers) waits in that server's line.
 */
#ifndef DEBUGINFOD_UPSTREAM_INTERNAL_H
#define DEBUGINFOD_UPSTREAM_INTERNAL_H

#include "base/str.h"
#include "base/thread.h"
#include "debuginfod/upstream.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
	UPSTREAM_SERVERS_MAX = 32,
	UPSTREAM_TOKEN = 16,
	UPSTREAM_SLOW_BYTES_S = 1024,       /* below this for stall_timeout_ms: given up */
	UPSTREAM_BRISK_BYTES_S = 64 * 1024, /* below this the next server is asked, too */
};

struct attempt;

struct server {
	char *url;  /* without a slash at the end */
	char *name; /* the URL without user:password@, for all that people get to see */
	unsigned active;
	struct attempt *line; /* waiting for their turn */
	struct attempt **line_tail;
	unsigned failures; /* transport failures in a row */
	uint64_t down_until_ms;
};

struct fetch {
	struct fetch *next;
	struct fetch *prev;
	struct build_id id;
	const char *artifact;
	char *forwarded; /* the header line */
	upstream_done *done;
	void *ctx;
	unsigned next_server;
	uint64_t ask_next_ms;
	unsigned attempt_count;
	struct attempt *attempts[UPSTREAM_SERVERS_MAX];
	struct err last_failure;
};

struct attempt {
	struct fetch *fetch;
	struct server *server;
	struct upstream *upstream;
	struct attempt *line_next; /* while waiting */
	bool waiting;
	CURL *easy;
	struct curl_slist *headers;
	int fd; /* -1 until the first byte */
	uint64_t bytes;
	uint64_t promised; /* X-DEBUGINFOD-SIZE; UINT64_MAX: not said */
	uint64_t began_ms; /* the transfer, not the waiting */
	long status;
	struct err failure; /* found in a callback */
	char curl_text[CURL_ERROR_SIZE];
};

struct upstream {
	struct upstream_config cfg;
	char *staging_dir;
	char *user_agent;
	char token[UPSTREAM_TOKEN];
	struct server servers[UPSTREAM_SERVERS_MAX];
	unsigned server_count;
	CURLM *multi;
	struct fetch *fetches;
	int64_t day; /* since 1970, UTC */
	uint64_t day_bytes;

	struct thread thread;
	atomic_bool stopping;  /* any thread; set under the lock */
	atomic_uint pending;   /* any thread */
	pthread_mutex_t lock;  /* guards the two below; innermost, held for a few instructions */
	struct fetch *asked;
	struct fetch **asked_tail;
};

bool upstream_server_is_down(const struct server *s, uint64_t now_ms);

/* NULL with *e filled when it could not even begin. */
struct attempt *upstream_attempt_new(struct upstream *u, struct fetch *f, struct server *s,
				     struct err *e);
/* Takes it off the wire or out of the line, and frees it. */
void upstream_attempt_end(struct upstream *u, struct attempt *a);
/* FAILED fills *failure. */
enum upstream_outcome upstream_attempt_outcome(struct attempt *a, CURLcode code,
					       struct err *failure);
/* Lets those in line begin, where servers have become free. */
void upstream_start_waiting(struct upstream *u);
/* Is any of its transfers getting on well? */
bool upstream_fetch_is_brisk(const struct fetch *f, uint64_t now_ms);

#endif
