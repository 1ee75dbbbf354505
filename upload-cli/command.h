/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands of `unhex`, and what they share: parsing with help and usage errors, the way a failure
 * is told, and the server to talk to. One command runs per process; stdout is data, stderr is talk.
 */
#ifndef UPLOAD_CLI_COMMAND_H
#define UPLOAD_CLI_COMMAND_H

#include "base/err.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/opt.h"

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
};

int command_upload(int argc, char **argv);
int command_extract(int argc, char **argv);
int command_build_id(int argc, char **argv);
int command_find(int argc, char **argv);
int command_addr2line(int argc, char **argv);
int command_symbolize(int argc, char **argv);
int command_top(int argc, char **argv);
int command_index(int argc, char **argv);
int command_status(int argc, char **argv);
int command_missing(int argc, char **argv);

/* Operands of a command, after parsing. */
struct operands {
	char **p;
	size_t n;
};

/*
 * Parses options and operands. True: go on. False: *ret_exit is the exit code (help or version was
 * printed, or a usage error told).
 */
bool command_parse(struct opt_table *t, int argc, char **argv, struct operands *ret, int *ret_exit);

/* Says "unhex: message" and what may help; returns the exit code of the error. */
int command_fail(const struct err *e);
/* A usage mistake found after parsing; returns EXIT_USAGE. */
int command_usage(const char *fmt, ...) PRINTF(1, 2);

/* An unlinked file in TMPDIR (else /tmp); fd or -1. */
int command_tmpfile(struct err *e) MUST_CHECK;

/* Options every command that talks to a server has; put SERVER_OPTS(&server) into the table. */
struct server_options {
	char *url;
	char *token_file;
};

#define SERVER_OPTS(s)                                                                             \
	{.name = "server", .type = OPT_STRING, .target = &(s)->url, .arg = "URL",                  \
	 .help = "the Unhex server, as http://host:8002", .group = "Server"},                      \
	{.name = "token-file", .type = OPT_STRING, .target = &(s)->token_file, .arg = "FILE",      \
	 .help = "file that holds the bearer token"}

struct remote {
	struct http_client *http;
	char *url; /* without a trailing slash */
};

#define REMOTE_INIT ((struct remote){NULL, NULL})

/* ERR_USAGE when no server was named. */
int remote_open(const struct server_options *o, struct remote *ret, struct err *e) MUST_CHECK;
void remote_close(struct remote *r);
/* GET path; 0 with a 2xx answer in *ret, else -1 (ERR_NOT_FOUND, ERR_FORBIDDEN, …). */
int remote_get(struct remote *r, const char *path, struct http_response *ret, struct err *e) MUST_CHECK;
/* The same, parsed; the result is the caller's. */
int remote_get_json(struct remote *r, const char *path, json_t **ret, struct err *e) MUST_CHECK;
/* Any request; 0 whenever a status arrived, whatever it is. */
int remote_do(struct remote *r, struct http_request *rq, const char *path, struct http_response *ret,
	      struct err *e) MUST_CHECK;

#endif
