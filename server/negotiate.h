/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What request headers ask for: codings (RFC 9110 12.5.3), one byte range (14.1.2).
 * Pure functions over header values; what does not parse counts as not said.
 */
#ifndef SERVER_NEGOTIATE_H
#define SERVER_NEGOTIATE_H

#include "base/base.h"
#include "base/str.h"

/* The weight of a coding in Accept-Encoding, 0 (refused or not named) to 1000. */
unsigned accept_weight(struct str header, const char *coding);

enum range_outcome {
	RANGE_NONE,	     /* no range, several, or not understood: the whole */
	RANGE_ONE,	     /* *ret_off, *ret_len lie inside the size */
	RANGE_UNSATISFIABLE, /* 416 */
};
enum range_outcome range_parse(struct str header, uint64_t size, uint64_t *ret_off,
			       uint64_t *ret_len);

#endif
