/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push.v1.PushRequest, the agents' door (Pyroscope's protocol): series of labels with raw pprof profiles.
 * Protobuf and protojson in; protobuf out (the push log keeps that form). Decoded parts live in the arena
 * and borrow the body, which must outlive them.
 *
 *   PushRequest      1 repeated RawProfileSeries
 *   RawProfileSeries 1 repeated LabelPair, 2 repeated RawSample
 *   RawSample        1 bytes raw_profile (gzip, zstd or plain), 2 string ID
 *   LabelPair        1 name, 2 value
 */
#ifndef SYMBOLIZER_PUSH_REQUEST_H
#define SYMBOLIZER_PUSH_REQUEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
	PUSH_SERIES_MAX = 4096,
	PUSH_LABELS_MAX = 64,
	PUSH_LABEL_NAME_MAX = 1024,
	PUSH_LABEL_VALUE_MAX = 2048,
	PUSH_PROFILES_MAX = 16384, /* in all */
	PUSH_ID_MAX = 128,
};

struct push_label {
	struct str name;
	struct str value;
};

struct push_profile {
	struct str raw; /* as it came: gzip, zstd or plain pprof */
	struct str id;  /* empty: none */
};

struct push_series {
	struct push_label *labels; /* sorted by name, names unique */
	size_t label_count;
	struct push_profile *profiles;
	size_t profile_count;
};

struct push_request {
	struct push_series *series;
	size_t series_count;
};

/* ERR_BAD_PROTOBUF, ERR_BAD_REQUEST (labels), ERR_TOO_LARGE. */
int push_request_decode(struct str body, struct arena *arena, struct push_request *ret,
			struct err *e) MUST_CHECK;
int push_request_decode_json(struct str body, struct arena *arena, struct push_request *ret,
			     struct err *e) MUST_CHECK;
void push_request_encode(const struct push_request *rq, struct buf *out);

/* What both decoders end with: sorts labels, and holds the request to the rules above. */
int push_request_check(struct push_request *rq, struct err *e) MUST_CHECK;

#endif
