/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives the server what it wants of this host (docs/GIVING.md): of the build-IDs that were sampled, now
 * and then asks which are wanted, and sends the kernel's symbol list and the symbol and debug sections
 * of files, one after the other, at a bounded rate, from a thread of lowest priority. Never .text,
 * .rodata or .data (elf_symbols.h). Failures are put off with growing pauses; sampling never waits.
 *
 * The files are opened by the owner, who knows where they are mapped: giver_needs() says which is
 * wanted next, giver_hand() gives it. Their headers are read in a sandboxed child of the giver's own.
 *
 * All functions belong to one owner thread; the giver has its own besides.
 */
#ifndef AGENT_GIVER_H
#define AGENT_GIVER_H

#include "agent-lite/ship/batch.h"
#include "agent-lite/process/kernel_image.h"

enum { GIVER_UPLOAD_MAX = 1 << 30 }; /* bytes, compressed; of a file four times that */

struct giver_config {
	const char *server;	/* copied */
	const char *token_file; /* NULL: none; copied */
	const char *tmp_dir;	/* NULL: /var/tmp or /tmp; copied */
	const char *elf_program;	   /* as elf_child_new(); copied */
	const struct kernel_paths *paths;  /* borrowed */
	const struct kernel_image *kernel; /* borrowed; may be one of which nothing is known */
	uint64_t interval_ms;		   /* between questions */
	uint64_t bytes_per_s;
};

struct giver_stats {
	uint64_t questions;	/* answered */
	uint64_t wanted;	/* by the server, of this host */
	uint64_t files;		/* sent */
	uint64_t lists;		/* kernels' symbol lists sent */
	uint64_t bytes;		/* of both, compressed */
	uint64_t unreadable;	/* wanted, but gone, stripped, or not what it was */
	uint64_t refused;	/* by the server */
	uint64_t failures;	/* to be tried again */
	struct err last;	/* the newest of the three above; ERR_NONE when there was none */
};

struct giver;

int giver_new(const struct giver_config *config, struct giver **ret, struct err *e) MUST_CHECK;
/* What this batch mentions was sampled. */
void giver_saw(struct giver *g, const struct batch *b);
/* True: hand a descriptor of the file of that build-ID. Cheap where nothing is needed. */
bool giver_needs(struct giver *g, char ret_id[static BUILD_ID_TEXT]);
/* Takes fd; -1: it cannot be opened. */
void giver_hand(struct giver *g, int fd);
void giver_stats(struct giver *g, struct giver_stats *ret);
/* Breaks off what is being sent. Accepts NULL. */
void giver_free(struct giver *g);

#endif
