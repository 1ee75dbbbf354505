/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zstd stream into a file as it is made, of bounded size: what is given away never lies in memory
 * as a whole. The descriptor stays the caller's. One owner thread.
 */
#ifndef AGENT_ZSTD_OUT_H
#define AGENT_ZSTD_OUT_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct zstd_out;

/* max: compressed bytes. */
int zstd_out_new(int fd, uint64_t max, struct zstd_out **ret, struct err *e) MUST_CHECK;
/* ERR_TOO_LARGE, ERR_IO, ERR_NO_SPACE, ERR_NOMEM. */
int zstd_out_write(struct zstd_out *z, struct str bytes, struct err *e) MUST_CHECK;
int zstd_out_zeros(struct zstd_out *z, uint64_t n, struct err *e) MUST_CHECK;
/* Ends the stream. *ret_size: bytes of it. */
int zstd_out_finish(struct zstd_out *z, uint64_t *ret_size, struct err *e) MUST_CHECK;
void zstd_out_free(struct zstd_out *z); /* accepts NULL */

#endif
