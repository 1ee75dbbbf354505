/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/warnings.h"

#include <stdarg.h>
#include <stdio.h>

void warn(struct warnings *w, const char *fmt, ...)
{
	char text[WARNING_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->text[i], text) == 0)
			return;
	if (w->n == WARNINGS_MAX) {
		w->dropped++;
		return;
	}
	memcpy(w->text[w->n++], text, sizeof(text));
}

void warnings_write(const struct warnings *w, struct json_out *j)
{
	json_arr(j);
	for (size_t i = 0; i < w->n; i++)
		json_str_(j, str_from(w->text[i]));
	if (w->dropped) {
		char more[64];

		snprintf(more, sizeof(more), "and %llu more", (unsigned long long)w->dropped);
		json_str_(j, str_from(more));
	}
	json_end_arr(j);
}
