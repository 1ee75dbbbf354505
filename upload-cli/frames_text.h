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

/* The parts of one frame: its name and a line end (with -f), its file, `:line:column` and a line end. */
void frames_text_function(const struct frame *f, const struct frames_style *style, struct buf *out);
void frames_text_file(const struct frame *f, struct buf *out);
void frames_text_line(uint32_t line, uint32_t column, struct buf *out);

#endif
