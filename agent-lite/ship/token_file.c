/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/token_file.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <stdio.h>

enum { TOKEN_MAX = 4096 };

int token_file_use(const char *path, struct http_client *http, struct err *e)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(TOKEN_MAX);
	char token[TOKEN_MAX + 1];
	struct str trimmed;

	if (!path)
		return 0;
	if (io_read_file(path, &b, e) < 0)
		return err_wrap(e, "--token-file");
	trimmed = str_trim(buf_str(&b));
	if (trimmed.n == 0)
		return err_set(e, ERR_CONFIG, "--token-file %s is empty", path);
	snprintf(token, sizeof(token), STR_FMT, STR_ARG(trimmed));
	return http_client_token(http, token, e);
}
