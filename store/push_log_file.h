/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the push log: DIR/POSITION.log, named by the first position it may hold, in 16 hex digits.
 *
 *	header:  "UNHEXLG1", u64 first position
 *	records: u32 length, u32 check, u64 position, u64 xxh3 of the bytes, the bytes; nothing between
 *
 * all little-endian; check is the low half of the xxh3 of the other 20 header bytes, so that a length
 * that lies is told from a record that was cut off. Positions grow by at least one. Only push_log.c
 * includes this. Functions on different files may run at once.
 */
#ifndef STORE_PUSH_LOG_FILE_H
#define STORE_PUSH_LOG_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { LOG_RECORD_HEADER = 24, LOG_RECORD_MAX = 256 << 20 };

struct log_file {
	uint64_t first;
	uint64_t last; /* position of the last record; first - 1 when there is none */
	uint64_t size; /* bytes of header and whole records */
};

/* fd or -1 (then no file is left). */
int log_file_create(const char *dir, struct log_file *f, struct err *e) MUST_CHECK;
int log_file_open(const char *dir, const struct log_file *f, struct err *e) MUST_CHECK;
/* False when it is still there. */
bool log_file_remove(const char *dir, const struct log_file *f);
/* The files in dir, ascending, only `first` set; *ret: free(). */
int log_file_list(const char *dir, struct log_file **ret, size_t *ret_n, struct err *e) MUST_CHECK;

/* A record's header for these bytes. */
void log_record_header(struct str record, uint64_t position, uint8_t out[static LOG_RECORD_HEADER]);

/* Calls fn (may be NULL) with each whole record; sets last and size. A file that has gone has none. */
typedef int log_record_fn(void *ctx, uint64_t position, struct str record, struct err *e);
int log_file_read(const char *dir, struct log_file *f, log_record_fn *fn, void *ctx,
		  struct err *e) MUST_CHECK;

struct log_damage {
	uint64_t torn_bytes;    /* of records cut off by a crash, never acknowledged: dropped */
	uint64_t damaged_bytes; /* of what should not happen: kept aside as FILE.damaged */
	char file[256];         /* the last FILE.damaged */
};

/* Reads the file and cuts off what follows the last whole record. LOG_FILE_GONE: nothing was left. */
enum { LOG_FILE_GONE = 1 };
int log_file_mend(const char *dir, struct log_file *f, struct log_damage *d, struct err *e) MUST_CHECK;

#endif
