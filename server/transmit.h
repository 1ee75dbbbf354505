/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a response on the wire: through libmicrohttpd as a rule, and past it in the two cases it
 * does not know: an answer while the body is still coming, and a TCP reset.
 */
#ifndef SERVER_TRANSMIT_H
#define SERVER_TRANSMIT_H

#include "server/request.h"
#include <microhttpd.h>

/*
 * Queues rq->response, whose body or fd is used up. Call on the I/O thread, in the access handler.
 * MHD_NO: the connection is to be closed (a reset, or out of memory).
 */
enum MHD_Result transmit(struct request *rq, struct MHD_Connection *c);

/*
 * libmicrohttpd 0.9.75 can queue a response before or after the body, not while it comes. So this
 * writes the answer to the socket at once, with Connection: close; the caller must go on reading
 * for a while, lest unread bytes turn the close into a reset that destroys the answer. Any thread,
 * while the connection is suspended or in its access handler. A socket that does not take it loses
 * it.
 */
void transmit_early(struct request *rq, struct MHD_Connection *c);

/*
 * Makes the socket send RST: connect() to AF_UNSPEC dissolves the association (SO_LINGER 0 would
 * do, were it not for the shutdown() that libmicrohttpd does first). Return MHD_NO from the handler
 * after.
 */
void transmit_reset(struct MHD_Connection *c);

#endif
