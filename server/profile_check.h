/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a push can be kept: every profile in it decompresses and decodes within the limits. What passes
 * here will be taken in, also when it is replayed after a crash. Pure; any thread.
 */
#ifndef SERVER_PROFILE_CHECK_H
#define SERVER_PROFILE_CHECK_H

#include "base/err.h"
#include "symbolizer/push_request.h"

/*
 * max_bytes: of all profiles together, decompressed. ERR_BAD_PPROF, ERR_BAD_ENCODING, ERR_TOO_LARGE,
 * ERR_NOMEM, with the positions of series and profile.
 */
int profile_check(const struct push_request *rq, size_t max_bytes, struct err *e) MUST_CHECK;

#endif
