/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push bodies on disk, for the time that the server is away and across restarts of the agent: a
 * folder of its own, one file for each body, "SEQUENCE.push" with the sequence as 16 hexadecimal
 * digits, so that names sort by age. A file begins with a head that carries sizes and checksums
 * (spool.c); it is written under another name and renamed, so a reader meets whole files only, save
 * what a crash of the machine has torn: that is found by its checksum, counted and removed. Nothing
 * is synced: what survives is the agent's death, not for certain the machine's.
 *
 * Bounded in bytes on disk: to make room the oldest go first, and are counted. Files that are not
 * named as ours are never touched. One agent for each folder (a lock on its file "lock").
 *
 * Functions may be called from any thread; no lock is held while files are read or written.
 */
#ifndef AGENT_SPOOL_H
#define AGENT_SPOOL_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	SPOOL_FILES_MAX = 1 << 16,
	SPOOL_BODY_MAX = 64 << 20,
};

struct spool;

struct spool_stats {
	uint64_t files, bytes, samples; /* there now; bytes as on disk */
	/* since the start */
	uint64_t dropped_files, dropped_bytes, dropped_samples; /* to make room */
	uint64_t damaged_files;					/* torn or foreign: removed */
};

/*
 * Makes the folder if it is not there, takes its lock, and finds what a former run has left.
 * ERR_CONFLICT when another agent has it.
 */
int spool_open(const char *dir, uint64_t max_bytes, struct spool **ret, struct err *e) MUST_CHECK;
void spool_close(struct spool *s); /* accepts NULL; the files stay */

/* The sequence of the newest; 0: none. New bodies need larger ones. */
uint64_t spool_newest(struct spool *s);
/*
 * Keeps a body, making room. ERR_TOO_LARGE: larger than the spool; ERR_NO_SPACE, ERR_IO: the disk
 * does not take it, and nothing was dropped for it but what the bound asked for.
 */
int spool_put(struct spool *s, uint64_t sequence, struct str body, uint64_t samples, struct err *e)
	MUST_CHECK;
/* The sequence of the oldest; 0: none. */
uint64_t spool_oldest(struct spool *s);
/*
 * Reads a body; it is not dropped to make room until it is released. 0, -1 when it is no longer
 * there or damaged (removed and counted then), or cannot be read now.
 */
int spool_take(struct spool *s, uint64_t sequence, struct buf *body, uint64_t *ret_samples,
	       struct err *e) MUST_CHECK;
/* After spool_take(): done with it, or to be tried again. */
void spool_release(struct spool *s, uint64_t sequence, bool remove);
void spool_stats(struct spool *s, struct spool_stats *ret);

#endif
