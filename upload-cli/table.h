/* SPDX-License-Identifier: Apache-2.0 */
/* Small output helpers of the commands. No state. */
#ifndef UPLOAD_CLI_TABLE_H
#define UPLOAD_CLI_TABLE_H

#include "base/base.h"
#include "base/json.h"

/* Indented, in the server's order, with a newline. */
void table_print_json(const json_t *value);
/* prefix + segment, percent-encoded (RFC 3986 unreserved characters stay); cut at size - 1. */
void table_url_path(char *out, size_t size, const char *prefix, const char *segment);

#endif
