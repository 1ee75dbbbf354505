/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .uhx index of one binary, mapped read-only: a sorted row space in which every source of
 * names is already merged, so that a lookup is one search. Opening parses nothing; every offset is
 * checked where it is followed, for the file is not trusted: damage gives ERR_BAD_INDEX or an
 * unresolved address, never a crash. A file that is cut short while it is mapped raises SIGBUS, as
 * with any mapping: whoever publishes indexes replaces them by rename and never writes into one.
 *
 * A struct uhx is immutable and reference-counted: any number of threads may look up at once;
 * strings of the frames live until the last reference goes.
 */
#ifndef SYMBOLIZER_UHX_READER_H
#define SYMBOLIZER_UHX_READER_H

#include "base/build_id.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "symbolizer/frame.h"
#include "symbolizer/program_header.h"
#include "symbolizer/quality.h"

struct uhx;

/*
 * fd stays the caller's (the mapping survives its close). ERR_BAD_INDEX, ERR_UNSUPPORTED
 * (version).
 */
int uhx_open_fd(int fd, struct uhx **ret, struct err *e) MUST_CHECK;
int uhx_open(const char *path, struct uhx **ret, struct err *e) MUST_CHECK;
struct uhx *uhx_ref(struct uhx *u);
void uhx_unref(struct uhx *u); /* accepts NULL */
DEFINE_CLEANUP(struct uhx *, uhx_unref)

/* Verifies the checksum over the whole file (reads it all); after copying or for `index --dump`. */
int uhx_verify(const struct uhx *u, struct err *e) MUST_CHECK;

/* Fills *ret with the chain at ELF virtual address `va`; ret->n == 0 where nothing is known. */
void uhx_lookup(const struct uhx *u, uint64_t va, struct frames *ret);

struct uhx_info {
	size_t id_count;
	const struct build_id *ids;
	enum quality quality;
	struct program_headers headers;
	uint64_t rows;
	uint64_t functions;
	uint64_t file_size;
	struct str machine; /* "x86_64" */
};
/* Borrowed from u. */
const struct uhx_info *uhx_info(const struct uhx *u);

/* A text listing for people: header, sections, then each row with its chain. */
int uhx_dump(const struct uhx *u, FILE *out, struct err *e) MUST_CHECK;

#endif
