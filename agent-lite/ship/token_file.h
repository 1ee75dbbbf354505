/* SPDX-License-Identifier: Apache-2.0 */
/* The bearer token in a file, read anew whenever it is used: who renews tokens writes the file. */
#ifndef AGENT_TOKEN_FILE_H
#define AGENT_TOKEN_FILE_H

#include "base/http_client.h"

/* path NULL: there is none, nothing is done. ERR_CONFIG: the file is empty; as io_read_file(). */
int token_file_use(const char *path, struct http_client *http, struct err *e) MUST_CHECK;

#endif
