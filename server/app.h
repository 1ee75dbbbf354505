/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server as a whole: every part, built in order and torn down in reverse. Doors reach the parts
 * through it (app_of()). Start and stop on one thread; in between the struct is read-only.
 *
 *   DATA/lock         held while a server runs on the folder
 *   DATA/catalog.db   DATA/results.db
 *   DATA/blobs/       DATA/index/   DATA/staging/   DATA/push-log/   DATA/profiles/
 */
#ifndef SERVER_APP_H
#define SERVER_APP_H

#include "base/err.h"
#include "server/auth.h"
#include "server/binaries.h"
#include "server/config.h"
#include "server/http.h"
#include "server/leases.h"
#include "server/profiles.h"
#include "server/request.h"
#include "store/blob.h"
#include "store/catalog.h"
#include "store/profile_dir.h"
#include "store/push_log.h"
#include "store/results.h"

struct app {
	const struct config *config;
	int lock_fd;
	struct catalog *catalog;
	struct blob_store *blobs;
	struct results *results;
	struct upstream *upstream;
	struct binaries *binaries;
	struct leases *leases;
	struct push_log *push_log;
	struct profile_dir *profile_dir;
	struct profiles *profiles;
	struct auth auth;
	struct http *http;
};

/* Everything up to and including the listener. Read-only config; it outlives the app. */
int app_start(const struct config *c, struct app **ret, struct err *e) MUST_CHECK;
/* Ends the listener (draining), then everything else, writing what is held. Accepts NULL. */
void app_stop(struct app *a);

static inline struct app *app_of(const struct request *rq)
{
	return rq->app;
}

#endif
