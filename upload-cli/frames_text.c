/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/frames_text.h"

#include "base/printable.h"

static void print_frame(const struct frame *f, const struct frames_style *style, FILE *out)
{
	struct str name = style->demangle || f->system_name.n == 0 ? f->function : f->system_name;

	if (style->functions) {
		printable_put(name.n ? name : STR("??"), out);
		putc('\n', out);
	}
	printable_put(f->file.n ? f->file : STR("??"), out);
	fprintf(out, ":%u", f->line);
	if (f->column)
		fprintf(out, ":%u", f->column);
	putc('\n', out);
}

/* Without -i, what is told is where the address is: the innermost line, under the physical function. */
static struct frame without_inlines(const struct frames *f)
{
	struct frame merged = f->frame[0];

	merged.function = f->frame[f->n - 1].function;
	merged.system_name = f->frame[f->n - 1].system_name;
	return merged;
}

void frames_print(const struct frames *f, const struct frames_style *style, FILE *out)
{
	static const struct frame unknown;

	if (f->n == 0) {
		print_frame(&unknown, style, out);
	} else if (!style->inlines) {
		struct frame only = without_inlines(f);

		print_frame(&only, style, out);
	} else {
		for (size_t i = 0; i < f->n; i++)
			print_frame(&f->frame[i], style, out);
	}
}
