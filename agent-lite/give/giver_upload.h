/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One upload of the giver: made into a temporary file without a name, compressed, then sent by PUT
 * /v1/debuginfo/ID with an agent's trust. No state; one owner thread per client and child.
 */
#ifndef AGENT_GIVER_UPLOAD_H
#define AGENT_GIVER_UPLOAD_H

#include "agent-lite/elf/elf_child.h"
#include "agent-lite/give/giver.h"
#include "base/http_client.h"

struct upload {
	const struct giver_config *config;
	struct http_client *http;
	struct elf_child *reader;
	const atomic_bool *stop;
	const char *id;
};

enum upload_outcome {
	UPLOAD_SENT,	   /* or the server has it, or better, by now */
	UPLOAD_UNREADABLE, /* nothing can be made of it here */
	UPLOAD_REFUSED,	   /* the server will never take it */
	UPLOAD_LATER,
};

/* *ret_bytes: sent; *e: why not. fd, of the file, stays the caller's. */
enum upload_outcome upload_file(const struct upload *u, int fd, uint64_t *ret_bytes, struct err *e);
enum upload_outcome upload_list(const struct upload *u, uint64_t *ret_bytes, struct err *e);

#endif
