/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors.
 *
 * A function that can fail takes `struct err *e` last and returns 0, a documented positive outcome
 * that its immediate caller must handle (NOT_FOUND, EXISTS, …), or -1 with *e filled. Outputs are
 * written only on success. `struct err` lives on the caller's stack and filling it never allocates,
 * so running out of memory can be reported. `e` may be NULL where the caller only wants to know that
 * it failed.
 *
 * One table (ERR_KINDS) maps a kind to its stable code (problem+json `code`, metric label, logs), its
 * HTTP status, the tools' exit code, and whether trying again makes sense. Codes are an interface:
 * never rename one.
 *
 * Library code never logs; the request, job or command that owns the error does, once.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"

enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_REFUSED = 4,
	EXIT_UNAVAILABLE = 5,
	EXIT_PARTLY = 6,
};

/* X(kind, stable code, HTTP status, exit code, worth retrying) */
#define ERR_KINDS(X)                                                                               \
	X(ERR_NONE, "ok", 200, EXIT_OK, false)                                                     \
	X(ERR_INTERNAL, "internal", 500, EXIT_FAILED, false)                                       \
	X(ERR_NOMEM, "out_of_memory", 503, EXIT_UNAVAILABLE, true)                                 \
	X(ERR_IO, "io", 500, EXIT_FAILED, false)                                                   \
	X(ERR_NO_SPACE, "no_space", 507, EXIT_REFUSED, true)                                       \
	X(ERR_QUOTA, "quota_exceeded", 507, EXIT_REFUSED, false)                                   \
	X(ERR_DB, "database", 500, EXIT_FAILED, false)                                             \
	X(ERR_CORRUPT, "corrupt_store", 500, EXIT_FAILED, false)                                   \
	X(ERR_USAGE, "usage", 400, EXIT_USAGE, false)                                              \
	X(ERR_CONFIG, "bad_config", 500, EXIT_USAGE, false)                                        \
	X(ERR_BAD_REQUEST, "bad_request", 400, EXIT_FAILED, false)                                 \
	X(ERR_BAD_BUILD_ID, "bad_build_id", 400, EXIT_USAGE, false)                                \
	X(ERR_BAD_ADDRESS, "bad_address", 400, EXIT_USAGE, false)                                  \
	X(ERR_BAD_JSON, "bad_json", 400, EXIT_FAILED, false)                                       \
	X(ERR_BAD_PPROF, "bad_pprof", 400, EXIT_FAILED, false)                                     \
	X(ERR_BAD_PROTOBUF, "bad_protobuf", 400, EXIT_FAILED, false)                               \
	X(ERR_BAD_ENCODING, "bad_encoding", 400, EXIT_FAILED, false)                               \
	X(ERR_BAD_PATH, "bad_path", 400, EXIT_FAILED, false)                                       \
	X(ERR_NOT_ELF, "not_elf", 415, EXIT_FAILED, false)                                         \
	X(ERR_BAD_ELF, "malformed_elf", 415, EXIT_FAILED, false)                                   \
	X(ERR_BAD_GSYM, "malformed_gsym", 415, EXIT_FAILED, false)                                 \
	X(ERR_ID_MISMATCH, "build_id_mismatch", 415, EXIT_FAILED, false)                           \
	X(ERR_NO_BUILD_ID, "no_build_id", 415, EXIT_FAILED, false)                                 \
	X(ERR_UNSUPPORTED, "unsupported_type", 415, EXIT_FAILED, false)                            \
	X(ERR_CONFLICT, "conflict", 409, EXIT_REFUSED, false)                                      \
	X(ERR_TOO_LARGE, "too_large", 413, EXIT_FAILED, false)                                     \
	X(ERR_TOO_DEEP, "too_deep", 413, EXIT_FAILED, false)                                       \
	X(ERR_LENGTH_REQUIRED, "length_required", 411, EXIT_FAILED, false)                         \
	X(ERR_NOT_FOUND, "not_found", 404, EXIT_NOT_FOUND, false)                                  \
	X(ERR_METHOD, "method_not_allowed", 405, EXIT_FAILED, false)                               \
	X(ERR_NOT_IMPLEMENTED, "not_implemented", 501, EXIT_FAILED, false)                         \
	X(ERR_UNAUTHORIZED, "unauthorized", 401, EXIT_REFUSED, false)                              \
	X(ERR_FORBIDDEN, "forbidden", 403, EXIT_REFUSED, false)                                    \
	X(ERR_OVERLOADED, "overloaded", 503, EXIT_UNAVAILABLE, true)                               \
	X(ERR_SHUTTING_DOWN, "shutting_down", 503, EXIT_UNAVAILABLE, true)                         \
	X(ERR_RATE_LIMITED, "rate_limited", 429, EXIT_UNAVAILABLE, true)                           \
	X(ERR_TIMEOUT, "timeout", 504, EXIT_UNAVAILABLE, true)                                     \
	X(ERR_UNAVAILABLE, "unavailable", 503, EXIT_UNAVAILABLE, true)                             \
	X(ERR_UPSTREAM, "upstream_failed", 502, EXIT_UNAVAILABLE, true)                            \
	X(ERR_INDEXER_CRASHED, "indexer_crashed", 500, EXIT_FAILED, false)                         \
	X(ERR_INDEXER_TIMEOUT, "indexer_timeout", 500, EXIT_FAILED, false)                         \
	X(ERR_INDEXER_KILLED, "indexer_killed", 503, EXIT_UNAVAILABLE, true)                       \
	X(ERR_INDEXER_MEMORY, "indexer_out_of_memory", 500, EXIT_FAILED, false)                    \
	X(ERR_BAD_INDEX, "bad_index", 500, EXIT_FAILED, false)                                     \
	X(ERR_NO_CAPABILITY, "missing_capability", 500, EXIT_REFUSED, false)                       \
	X(ERR_NO_KERNEL_SUPPORT, "missing_kernel_support", 500, EXIT_FAILED, false)

enum err_kind {
#define X(kind, code, http, exit_code, retry) kind,
	ERR_KINDS(X)
#undef X
	ERR_KIND_COUNT
};

struct err {
	enum err_kind kind;
	int sys; /* errno where the cause was a system call, else 0 */
	char msg[512];
};

#define ERR_INIT ((struct err){ERR_NONE, 0, ""})

/* Fill *e and return -1, so that `return err_set(e, …);` reads as one step. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);

/*
 * From a failed system call: kind is ERR_NOMEM, ERR_NO_SPACE or ERR_NOT_FOUND where errno says so,
 * else ERR_IO; the message is `fmt: strerror`.
 */
int err_sys(struct err *e, int errnum, const char *fmt, ...) PRINTF(3, 4);

/* The allocation that failed; always -1. */
int err_nomem(struct err *e);

/* Put context before the message: "indexing 3f2a…: " + old message. Keeps the kind; returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/*
 * That the four above return -1 is said here once more, where compilers and analyzers can see it: they
 * then know that a function which failed has not gone on.
 */
static inline int err_minus_one(int r UNUSED)
{
	return -1;
}
#define err_set(...) err_minus_one(err_set(__VA_ARGS__))
#define err_sys(...) err_minus_one(err_sys(__VA_ARGS__))
#define err_nomem(e) err_minus_one(err_nomem(e))
#define err_wrap(...) err_minus_one(err_wrap(__VA_ARGS__))

const char *err_code(enum err_kind kind);
int err_http_status(enum err_kind kind);
int err_exit_code(enum err_kind kind);
bool err_retryable(enum err_kind kind);

/* The kind whose stable code is `code`; ERR_INTERNAL where none is. For reports of other processes. */
enum err_kind err_kind_from_code(const char *code);

#endif
