/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/frames_text.h"

#include "base/printable.h"

enum { PLACE_END = 32 }; /* room for ":4294967295:4294967295\n" */

/* ":V" before text[at]; returns where it begins. */
static size_t number_before(char text[static PLACE_END], size_t at, uint32_t v)
{
	do
		text[--at] = (char)('0' + v % 10);
	while (v /= 10);
	text[--at] = ':';
	return at;
}

void frames_text_function(const struct frame *f, const struct frames_style *style, struct buf *out)
{
	struct str name = style->demangle || f->system_name.n == 0 ? f->function : f->system_name;

	if (!style->functions)
		return;
	printable_append(name.n ? name : STR("??"), out);
	buf_append_c(out, '\n');
}

void frames_text_file(const struct frame *f, struct buf *out)
{
	printable_append(f->file.n ? f->file : STR("??"), out);
}

void frames_text_line(uint32_t line, uint32_t column, struct buf *out)
{
	char text[PLACE_END];
	size_t at = PLACE_END - 1;

	text[at] = '\n';
	if (column)
		at = number_before(text, at, column);
	at = number_before(text, at, line);
	buf_append(out, text + at, PLACE_END - at);
}

static void append_frame(const struct frame *f, const struct frames_style *style, struct buf *out)
{
	frames_text_function(f, style, out);
	frames_text_file(f, out);
	frames_text_line(f->line, f->column, out);
}

/* Without -i, what is told is where the address is: the innermost line, under the physical function. */
static struct frame without_inlines(const struct frames *f)
{
	struct frame merged = f->frame[0];

	merged.function = f->frame[f->n - 1].function;
	merged.system_name = f->frame[f->n - 1].system_name;
	return merged;
}

void frames_text(const struct frames *f, const struct frames_style *style, struct buf *out)
{
	static const struct frame unknown;

	if (f->n == 0) {
		append_frame(&unknown, style, out);
	} else if (!style->inlines) {
		struct frame only = without_inlines(f);

		append_frame(&only, style, out);
	} else {
		for (size_t i = 0; i < f->n; i++)
			append_frame(&f->frame[i], style, out);
	}
}
