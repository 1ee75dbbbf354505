/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server wants of this host (docs/GIVING.md, POST /v1/debuginfo/wanted): the question and the
 * answer as JSON. The answer is checked: only what was asked about is believed to be wanted. No
 * state; thread-safe.
 */
#ifndef AGENT_WANTED_H
#define AGENT_WANTED_H

#include "base/buf.h"
#include "base/build_id.h"
#include "base/err.h"

enum {
	WANTED_ASKED_MAX = 1000, /* the server's bound */
	WANTED_GIVEN_MAX = 64,
	WANTED_FULL = 16, /* so many in an answer: the server wants more than it leases at once */
};

/* A build-ID as text, and whether we have a kernel's list rather than a file for it. */
struct wanted_id {
	char text[BUILD_ID_TEXT];
	bool is_list;
};

void wanted_write(const struct wanted_id *ids, size_t n, struct buf *out);
/* Positions in ids, in the server's order. ERR_BAD_JSON, ERR_BAD_REQUEST. */
int wanted_read(struct str answer, const struct wanted_id *ids, size_t n,
		size_t ret[static WANTED_GIVEN_MAX], size_t *ret_n, struct err *e) MUST_CHECK;

#endif
