/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames as addr2line prints them: a function line (with -f) and a `file:line:column` line for the
 * innermost frame, and for each function it is inlined into (with -i); `??` and `??:0` where nothing is
 * known, no column where there is none. As eu-addr2line prints places and llvm-symbolizer chains.
 */
#ifndef UPLOAD_CLI_FRAMES_TEXT_H
#define UPLOAD_CLI_FRAMES_TEXT_H

#include "base/buf.h"
#include "symbolizer/frame.h"

struct frames_style {
	bool functions; /* -f */
	bool inlines;   /* -i */
	bool demangle;  /* -C */
};

void frames_text(const struct frames *f, const struct frames_style *style, struct buf *out);

#endif
