/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of an index as addr2line prints them: what frames_text() makes of the same address, but each
 * function is spelled and made printable once and then copied. Addresses of one binary meet the same
 * functions again and again. Keeps a bounded amount of text: when that is full, it starts anew.
 *
 * Belongs to one thread; borrows the index.
 */
#ifndef UPLOAD_CLI_CHAIN_TEXT_H
#define UPLOAD_CLI_CHAIN_TEXT_H

#include "symbolizer/uhx_reader.h"
#include "upload-cli/frames_text.h"

struct chain_text;

enum { CHAIN_TEXT_KEPT = 16 << 20 }; /* bytes, for most uses */

int chain_text_new(const struct uhx *u, const struct frames_style *style, size_t kept_max, struct chain_text **ret,
		   struct err *e) MUST_CHECK;
/* When memory is out, `out` has failed afterwards. */
void chain_text_append(struct chain_text *t, const struct uhx_chain *chain, struct buf *out);
void chain_text_free(struct chain_text *t); /* accepts NULL */

#endif
