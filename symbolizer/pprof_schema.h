/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where each field of proto/profile.proto lives in the structs of pprof.h. One table per message, used in
 * both directions, so that reading and writing cannot disagree. Constant data.
 */
#ifndef SYMBOLIZER_PPROF_SCHEMA_H
#define SYMBOLIZER_PPROF_SCHEMA_H

#include "base/base.h"

enum pprof_type {
	PPROF_UNKNOWN, /* not in this schema: kept as bytes */
	PPROF_U64,     /* uint64_t or int64_t */
	PPROF_BOOL,
	PPROF_STRING,   /* struct str; an index into string_table on the wire */
	PPROF_ID,       /* position + 1 when written; any unique number when read */
	PPROF_MAPPING,  /* uint32_t position; an id, or 0 for none, on the wire */
	PPROF_FUNCTION, /* the same, never none */
	PPROF_REPEATED, /* the message's own code reads and writes it */
};

struct pprof_field {
	enum pprof_type type;
	size_t offset;
};

struct pprof_message {
	const char *name;
	const struct pprof_field *fields; /* by field number */
	uint32_t field_count;
	size_t unknown; /* offset of struct str unknown */
};

extern const struct pprof_message pprof_message_profile;
extern const struct pprof_message pprof_message_value_type;
extern const struct pprof_message pprof_message_sample;
extern const struct pprof_message pprof_message_label;
extern const struct pprof_message pprof_message_mapping;
extern const struct pprof_message pprof_message_location;
extern const struct pprof_message pprof_message_line;
extern const struct pprof_message pprof_message_function;

/* The numbers of the repeated and nested fields. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_COMMENT = 13,
	SAMPLE_LOCATION_ID = 1,
	SAMPLE_VALUE = 2,
	SAMPLE_LABEL = 3,
	LOCATION_LINE = 4,
};

static inline enum pprof_type pprof_field_type(const struct pprof_message *m, uint32_t number)
{
	return number < m->field_count ? m->fields[number].type : PPROF_UNKNOWN;
}

#endif
