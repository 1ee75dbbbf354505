/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable file primitives: whole reads and writes (EINTR, short counts), and publication by
 * temp → fsync → rename → fsync of the folder. Everything opens O_CLOEXEC. Errors name the path.
 * io_fault_at() makes the nth write/fsync/rename fail with a chosen errno, for tests.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

/* Exactly n bytes or an error (ERR_CORRUPT at an early end). */
int io_pread_all(int fd, void *p, size_t n, uint64_t off, struct err *e) MUST_CHECK;
int io_write_all(int fd, const void *p, size_t n, struct err *e) MUST_CHECK;
int io_pwrite_all(int fd, const void *p, size_t n, uint64_t off, struct err *e) MUST_CHECK;
int io_fsync(int fd, struct err *e) MUST_CHECK;

/* The rest of fd; ERR_TOO_LARGE beyond b->max. */
int io_read_fd(int fd, struct buf *b, struct err *e) MUST_CHECK;
int io_read_file(const char *path, struct buf *b, struct err *e) MUST_CHECK;
int io_open_read(const char *path, struct err *e) MUST_CHECK; /* regular files only; fd or -1 */
int io_file_size(int fd, uint64_t *ret, struct err *e) MUST_CHECK;
/* An unlinked temporary file in dir (O_TMPFILE, else mkostemp + unlink). fd or -1. */
int io_tmpfile(const char *dir, struct err *e) MUST_CHECK;
int io_mkdirs(const char *path, mode_t mode, struct err *e) MUST_CHECK;
int io_copy(int from_fd, int to_fd, uint64_t n, struct err *e) MUST_CHECK;

/*
 * A file on its way to being published: written under a temporary name in the folder it will live
 * in, visible only after io_publish(). Deinit of an unpublished one removes it.
 */
struct io_pending {
	int fd;
	char tmp[4096];
};
#define IO_PENDING_INIT ((struct io_pending){-1, ""})

int io_pending_open(struct io_pending *f, const char *dir, struct err *e) MUST_CHECK;
/* fsync, rename onto path, fsync the folder; closes the fd. */
int io_publish(struct io_pending *f, const char *path, struct err *e) MUST_CHECK;
void io_pending_deinit(struct io_pending *f);
/* Write a whole small file durably. */
int io_write_file(const char *path, const void *p, size_t n, mode_t mode, struct err *e) MUST_CHECK;

void io_fault_at(unsigned long nth, int errnum);
bool io_fault_off(void);

#endif
