/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transmit.h"

#include <stdlib.h>
#include <sys/socket.h>

static int socket_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

void transmit_reset(struct MHD_Connection *c)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int fd = socket_of(c);

	if (fd >= 0)
		(void)connect(fd, &nobody, sizeof(nobody));
}

// The library closes the fd and frees the bytes when it is done with the response.
static struct MHD_Response *make(struct response *r)
{
	struct MHD_Response *m;
	size_t n;
	char *bytes;

	if (r->fd >= 0 && r->size) {
		m = MHD_create_response_from_fd_at_offset64(r->size, r->fd, r->offset);
		if (m)
			r->fd = -1;
		return m;
	}
	bytes = r->body.n ? buf_steal(&r->body, &n) : NULL;
	if (!bytes)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	m = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
	if (!m)
		free(bytes);
	return m;
}

static bool add_headers(const struct request *rq, struct MHD_Response *m)
{
	const struct response *r = &rq->response;
	bool ok = MHD_add_response_header(m, "X-Request-Id", rq->id) == MHD_YES;

	if (r->content_type)
		ok = ok && MHD_add_response_header(m, "Content-Type", r->content_type) == MHD_YES;
	if (r->close)
		ok = ok && MHD_add_response_header(m, "Connection", "close") == MHD_YES;
	for (size_t i = 0; i < r->header_count; i++)
		ok = ok &&
		     MHD_add_response_header(m, r->headers[i].name, r->headers[i].value) == MHD_YES;
	return ok;
}

enum MHD_Result transmit(struct request *rq, struct MHD_Connection *c)
{
	struct MHD_Response *m;
	enum MHD_Result queued = MHD_NO;

	if (rq->response.reset) {
		transmit_reset(c);
		return MHD_NO;
	}
	m = make(&rq->response);
	if (!m)
		return MHD_NO;
	if (add_headers(rq, m))
		queued = MHD_queue_response(c, (unsigned)rq->response.status, m);
	MHD_destroy_response(m);
	return queued;
}

void transmit_early(struct request *rq, struct MHD_Connection *c)
{
	const struct response *r = &rq->response;
	struct buf text = BUF_INIT(RESPONSE_ERROR_MAX + 16 * 1024);
	int fd = socket_of(c);

	if (r->reset) {
		transmit_reset(c);
		return;
	}
	buf_printf(&text, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
		   r->status, http_reason(r->status), r->body.n);
	buf_printf(&text, "X-Request-Id: %s\r\n", rq->id);
	if (r->content_type)
		buf_printf(&text, "Content-Type: %s\r\n", r->content_type);
	for (size_t i = 0; i < r->header_count; i++)
		buf_printf(&text, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
	buf_puts(&text, "\r\n");
	buf_append_str(&text, buf_str(&r->body));
	if (fd >= 0 && !text.failed)
		(void)!send(fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_deinit(&text);
}
