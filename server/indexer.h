/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running unhex-indexer: spawn, hand over descriptors, wait, judge. The caller's thread waits meanwhile
 * (callers are pools). A crash, a deadline, a lack of memory are errors of their own kind; nothing else in
 * the server notices. Thread-safe.
 */
#ifndef SERVER_INDEXER_H
#define SERVER_INDEXER_H

#include "base/err.h"
#include "server/indexer_report.h"

struct indexer;

/* deadline_ms: of one run, wall clock; max_memory: bytes of address space. */
int indexer_new(const char *path, uint64_t deadline_ms, uint64_t max_memory, struct indexer **ret,
		struct err *e) MUST_CHECK;
/* Ends those that run (ERR_SHUTTING_DOWN), and each one to come. */
void indexer_stop(struct indexer *x);
void indexer_free(struct indexer *x); /* nobody may be inside; accepts NULL */

/*
 * fd stays the caller's. *ret_json (the report as it came; free()) may be NULL. ERR_NOT_ELF, ERR_BAD_ELF,
 * ERR_UNSUPPORTED, ERR_TOO_LARGE, ERR_INDEXER_*, ERR_SHUTTING_DOWN, ERR_IO.
 */
int indexer_probe(struct indexer *x, int fd, struct probe_report *ret, char **ret_json, struct err *e)
	MUST_CHECK;

struct indexer_files {
	int elf;
	int debug; /* a second file of the same build-ID; -1: none */
	int out;   /* the index is written here */
};
/* Descriptors stay the caller's. *ret_json: free(). Errors as above. */
int indexer_index(struct indexer *x, const struct indexer_files *files, char **ret_json,
		  struct err *e) MUST_CHECK;

/* Would another run with the same files fail just so? False for a full disk, a stop. */
bool indexer_failure_is_final(const struct err *e);
/* Not final at once, for the machine may have been busy or out of memory: only where it comes again. */
bool indexer_failure_may_pass(const struct err *e);

#endif
