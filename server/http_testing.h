/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of one socket for tests of the HTTP core: sends what it is told, byte by byte if need
 * be, and sees how a connection ends.
 */
#ifndef SERVER_HTTP_TESTING_H
#define SERVER_HTTP_TESTING_H

#include "base/testing.h"
#include "server/http.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20 };

static inline int connect_to(const struct http *server)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_port = htons(http_port(server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval patience = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static inline void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static inline size_t length_said(const char *head)
{
	const char *at = strcasestr(head, "\ncontent-length:");

	return at ? strtoul(at + strlen("\ncontent-length:"), NULL, 10) : 0;
}

// One answer: head, and as much body as it says. Returns 0, or the errno that ended it; 1000: a FIN
// first.
static inline int read_answer(int fd, char out[static ANSWER_MAX], bool has_body)
{
	size_t n = 0;
	size_t want = SIZE_MAX;

	out[0] = '\0';
	while (n < want && n + 1 < ANSWER_MAX) {
		ssize_t got = recv(fd, out + n, MIN(want - n, 1), 0);
		const char *end;

		if (got <= 0)
			return got ? errno : 1000;
		n += (size_t)got;
		out[n] = '\0';
		end = strstr(out, "\r\n\r\n");
		if (end && want == SIZE_MAX)
			want = (size_t)(end + 4 - out) + (has_body ? length_said(out) : 0);
	}
	return 0;
}

#endif
