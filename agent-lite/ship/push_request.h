/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch as the body of POST /push.v1.PusherService/Push (Pyroscope, api/push/v1/push.proto): one
 * RawProfileSeries for each series, with a random ID that stays the same when the body is sent
 * again. Profiles are plain inside, and the body is compressed as a whole: series of one host share
 * their build-IDs, names and times, and a batch is half as large as with each profile compressed by
 * itself. No state; thread-safe.
 */
#ifndef AGENT_PUSH_REQUEST_H
#define AGENT_PUSH_REQUEST_H

#include "agent-lite/ship/batch.h"
#include "base/buf.h"

#define PUSH_PATH "/push.v1.PusherService/Push"
#define PUSH_CONTENT_TYPE "application/proto"
#define PUSH_CONTENT_ENCODING "gzip"

/* Series without samples are left out. ERR_TOO_LARGE, ERR_NOMEM. */
int push_request_encode(const struct batch *b, unsigned hz, struct buf *out, struct err *e)
	MUST_CHECK;

enum { UUID_TEXT = 37 };
/* RFC 9562 version 4. */
int uuid_random(char out[static UUID_TEXT], struct err *e) MUST_CHECK;

#endif
