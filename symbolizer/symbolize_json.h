/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON form of POST /v1/symbolize: request bytes in, response bytes out. Also what
 * `unhex addr2line --json` prints, one address object a line.
 *
 *   {"modules":[{"build_id":"…","address_kind":"virtual"|"file_offset","addresses":["0x1139",4409]}]}
 *
 * Addresses are text, hexadecimal with or without 0x, or JSON integers. Members that are not known are
 * ignored. Modules and addresses are answered in the order asked. One thread at a time per resolver.
 */
#ifndef SYMBOLIZER_SYMBOLIZE_JSON_H
#define SYMBOLIZER_SYMBOLIZE_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "symbolizer/frame.h"
#include "symbolizer/resolver.h"

struct symbolize_json_limits {
	size_t modules;   /* 4,096 */
	size_t addresses; /* 1,000,000 in all */
};
extern const struct symbolize_json_limits symbolize_json_limits_default;

/*
 * *ret_pending: modules whose status is "pending" in this answer. ERR_BAD_JSON, ERR_BAD_REQUEST (shape),
 * ERR_BAD_ADDRESS, ERR_TOO_LARGE (limits, out->max), ERR_NOMEM, the resolver's; text that is no build-ID is
 * no error but the status "invalid". What was appended to out before an error is to be thrown away.
 */
int symbolize_json(struct str request, const struct resolver *r,
		   const struct symbolize_json_limits *limits, struct buf *out,
		   size_t *ret_pending, struct err *e) MUST_CHECK;

/*
 * {"address":"0x1139","source":"dwarf","frames":[…]} or, where f has no frames or is NULL, with
 * "source":"none","frames":[] and "reason": a stable code. "detail" says it in words; detail may be NULL.
 * A frame's "column" is left out where unknown.
 *
 * Reasons: no_symbol (no source covers the address), address_outside, no_program_headers, pending,
 * not_found (nobody has the binary), upstream_failed (whether somebody has it is not known), bad_build_id;
 * where indexing failed, what it failed with (malformed_elf, indexer_crashed, …; base/err.h).
 */
struct symbolize_json_reason {
	const char *code;
	const char *detail;
};
void symbolize_json_address(struct json_out *j, uint64_t address, const struct frames *f,
			    struct symbolize_json_reason why);

#endif
