/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as the head of a request to the agent's /metrics: one whole answer, whatever they are. */
#include "agent-lite/metrics_server.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(4 << 20);
	struct str head, line, body;

	metrics_answer((struct str){(const char *)data, size}, &out);
	if (out.failed || !str_has_prefix(buf_str(&out), STR("HTTP/1.1 ")))
		abort();
	head = buf_str(&out);
	body = head;
	body.p = memmem(head.p, head.n, "\r\n\r\n", 4);
	if (!body.p)
		abort();
	body = str_skip(head, (size_t)(body.p - head.p) + 4);
	while (str_next(&head, '\n', &line) && !str_has_prefix(line, STR("Content-Length: ")))
		;
	line = str_trim(str_skip(line, sizeof("Content-Length: ") - 1));
	// HEAD tells of a body that does not come.
	if (body.n > 0 && strtoul(line.p, NULL, 10) != body.n)
		abort();
	buf_deinit(&out);
	return 0;
}
