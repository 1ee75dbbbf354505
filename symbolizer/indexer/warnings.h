/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went less than well while indexing, in sentences for the report. A bounded number is kept; what
 * comes after is counted. Owned by one thread.
 */
#ifndef SYMBOLIZER_INDEXER_WARNINGS_H
#define SYMBOLIZER_INDEXER_WARNINGS_H

#include "base/base.h"
#include "base/json.h"

enum { WARNINGS_MAX = 16, WARNING_TEXT_MAX = 256 };

struct warnings {
	size_t n;
	uint64_t dropped;
	char text[WARNINGS_MAX][WARNING_TEXT_MAX];
};

/* The same sentence twice is kept once. */
void warn(struct warnings *w, const char *fmt, ...) PRINTF(2, 3);
void warnings_write(const struct warnings *w, struct json_out *j); /* a JSON array */

#endif
