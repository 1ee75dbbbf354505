/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void table_print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
}

void table_url_path(char *out, size_t size, const char *prefix, const char *segment)
{
	size_t n = (size_t)snprintf(out, size, "%s", prefix);

	for (; *segment && n + 4 <= size; segment++) {
		if (isalnum((unsigned char)*segment) || strchr("-._~", *segment))
			out[n++] = *segment;
		else
			n += (size_t)snprintf(out + n, size - n, "%%%02X", (unsigned char)*segment);
	}
	out[n < size ? n : size - 1] = '\0';
}
