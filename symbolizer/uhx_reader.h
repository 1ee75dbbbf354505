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

/*
 * The same by ids, for those who look up many and spell each function once. A function's id stands
 * for its names, its file and where it starts; it is below uhx_info()->functions + 1, and means the
 * same as long as this index is open. Columns cost a look into the cold part; without them they are 0.
 */
struct uhx_place {
	uint32_t function;
	uint32_t line;
	uint32_t column;
};
struct uhx_chain {
	enum frame_source source;
	size_t n; /* 0: nothing is known there; innermost first, all but the last are inlined */
	struct uhx_place place[FRAMES_MAX];
};
void uhx_chain(const struct uhx *u, uint64_t va, bool columns, struct uhx_chain *ret);
/* Sets function, system_name, file, start_line; leaves the rest. False: no such id, or damage. */
bool uhx_spell(const struct uhx *u, uint32_t function, struct frame *ret);

/*
 * uhx_chain() for many addresses, in their order: several times faster than one by one where the
 * index is larger than the processor's caches, since the memory that the next ones need is on its
 * way while one is answered. `chain` is valid during the call.
 */
typedef void uhx_chain_sink(void *ctx, size_t i, const struct uhx_chain *chain);
void uhx_chain_many(const struct uhx *u, const uint64_t *va, size_t n, bool columns,
		    uhx_chain_sink *sink, void *ctx);

struct uhx_info {
	size_t id_count;
	const struct build_id *ids;
	enum quality quality;
	struct program_headers headers;
	uint64_t rows;
	uint64_t functions;
	uint64_t file_size;
	uint64_t cold_size; /* of it, what only columns, demangled names and aliases need */
	struct str machine; /* "x86_64" */
};
/* Borrowed from u. */
const struct uhx_info *uhx_info(const struct uhx *u);

/* A text listing for people: header, sections, then each row with its chain. */
int uhx_dump(const struct uhx *u, FILE *out, struct err *e) MUST_CHECK;

#endif
