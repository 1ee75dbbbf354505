/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that decode a profile share (pprof_decode.c tells the order; pprof_read.c reads one
 * message by its schema; pprof_read_tables.c and pprof_read_samples.c read the messages of a kind).
 * Private to them. All of them return -1 with the decoder's error set.
 */
#ifndef SYMBOLIZER_PPROF_DECODER_H
#define SYMBOLIZER_PPROF_DECODER_H

#include "base/pb.h"
#include "symbolizer/pprof.h"
#include "symbolizer/pprof_ids.h"
#include "symbolizer/pprof_schema.h"

/* Messages of one kind: PROFILE_SAMPLE_TYPE … PROFILE_STRING; 0 are the profile's own fields. */
enum { PPROF_OWN_FIELDS = 0, PPROF_KINDS = PROFILE_STRING + 1 };

struct pprof_messages {
	struct str *at; /* what is in them; of samples and own fields, the fields themselves */
	size_t n;
};

struct pprof_decoder {
	const struct pprof_limits *limits;
	struct arena *arena;
	struct pprof *p;
	struct pprof_messages kinds[PPROF_KINDS];
	struct pprof_ids mappings;
	struct pprof_ids locations;
	struct pprof_ids functions;
	uint64_t id;     /* of the message read last; 0 where it had none */
	size_t repeated; /* its fields that are not scalar */
	char *numbers;   /* room for values and locations of the next samples */
	size_t numbers_left;
	struct err *e;
};

/* Unknown fields of one message, one after the other: see pprof_keep_unknown(). */
struct pprof_unknown {
	struct str s;
	char *own;
	size_t max;
};

#define pprof_bad(d, ...) err_set((d)->e, ERR_BAD_PPROF, __VA_ARGS__)

/* Says which message it was; damage found by the wire reader becomes ours. */
int pprof_bad_at(struct pprof_decoder *d, const char *what, size_t i);
/* Uninitialised memory from the arena: ERR_TOO_LARGE at its cap, ERR_NOMEM. */
void *pprof_take_room(struct pprof_decoder *d, size_t count, size_t size) MUST_CHECK;
int pprof_check_limit(struct pprof_decoder *d, size_t n, size_t max, const char *what) MUST_CHECK;
int pprof_want_wire(struct pprof_decoder *d, const struct pb_field *f, enum pb_wire wire)
	MUST_CHECK;
/* A repeated number: packed or one by one. */
int pprof_want_numbers(struct pprof_decoder *d, const struct pb_field *f) MUST_CHECK;
size_t pprof_count_numbers(const struct pb_field *f);

/* Borrowed while the fields lie side by side, else copied into a block of u->max bytes. */
int pprof_keep_unknown(struct pprof_decoder *d, struct pprof_unknown *u, struct str raw) MUST_CHECK;
int pprof_take_string(struct pprof_decoder *d, uint64_t index, struct str *ret) MUST_CHECK;
int pprof_take_reference(struct pprof_decoder *d, const struct pprof_ids *ids, uint64_t id,
			 const char *what, uint32_t *ret) MUST_CHECK;
int pprof_take_scalar(struct pprof_decoder *d, const struct pprof_field *field,
		      const struct pb_field *f, void *record) MUST_CHECK;
/* Everything but the repeated fields: these are counted in d->repeated. */
int pprof_take_message(struct pprof_decoder *d, const struct pprof_message *m, struct str bytes,
		       void *record) MUST_CHECK;

int pprof_read_sample_types(struct pprof_decoder *d) MUST_CHECK;
int pprof_read_mappings(struct pprof_decoder *d) MUST_CHECK;
int pprof_read_functions(struct pprof_decoder *d) MUST_CHECK;
int pprof_read_locations(struct pprof_decoder *d) MUST_CHECK;
int pprof_read_samples(struct pprof_decoder *d) MUST_CHECK;

#endif
