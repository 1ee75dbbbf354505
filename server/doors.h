/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doors of the server, one per call of the HTTP interface, and the table that leads to them.
 * Each runs as its route says (server/router.h); app_of(rq) has the parts.
 */
#ifndef SERVER_DOORS_H
#define SERVER_DOORS_H

#include "server/router.h"

extern const struct route app_routes[];

/* door_symbolize.c */
door_fn door_symbolize; /* POST /v1/symbolize */

/* door_push.c */
door_fn door_push_precheck;
door_fn door_push; /* POST /push.v1.PusherService/Push */

/* door_upload.c: PUT /v1/debuginfo/ID */
door_fn door_upload_precheck;
sink_fn door_upload_sink;
door_fn door_upload;

/* door_buildid.c: GET /buildid/… */
door_fn door_buildid;

/* door_catalog.c */
door_fn door_binary;	    /* GET /v1/debuginfo/ID */
door_fn door_binary_delete; /* DELETE /v1/debuginfo/ID */
door_fn door_binaries;	    /* GET /v1/debuginfo */
door_fn door_missing;	    /* GET /v1/missing */

/* door_query.c */
door_fn door_query; /* GET /v1/query */

/* door_wanted.c */
enum { WANTED_BODY_MAX = 512 * 1024 };
door_fn door_wanted; /* POST /v1/debuginfo/wanted */

/* door_later.c: not built yet */
door_fn door_uploads;  /* POST /v1/uploads */
door_fn door_metadata; /* GET /metadata */

/* door_ops.c */
door_fn door_healthz;
door_fn door_readyz;
door_fn door_metrics;
door_fn door_home;

#endif
