/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof profiles (github.com/google/pprof, proto/profile.proto) decoded into arrays: read, validated,
 * merged, written. Everything decoded lives in the caller's arena and borrows the input bytes, which
 * must outlive it. Unknown fields of every message are kept and written back.
 *
 * Validity, checked on decode (ERR_BAD_PPROF says which message and which index): string_table[0] is
 * "", every string index is in range, ids are non-zero and unique, references exist, each sample has one
 * value per sample type, each line has a function. Text is passed through as it is: it need not be UTF-8.
 *
 * A struct pprof has one owner; nothing here is shared between threads.
 */
#ifndef SYMBOLIZER_PPROF_H
#define SYMBOLIZER_PPROF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct pprof_limits {
	size_t identity_bytes; /* after decompression */
	size_t samples;
	size_t locations;
	size_t functions;
	size_t strings;
	size_t stack_depth;
	size_t lines_per_location;
	size_t labels_per_sample;
};

/*
 * 256 MiB, 4 M samples, 4 M locations, 4 M functions, 8 M strings, 4096 deep, 256 lines, 1024 labels.
 * Mappings are capped with the locations. Memory is capped by the arena: ERR_TOO_LARGE at its cap.
 */
extern const struct pprof_limits pprof_limits_default;

/* Indices are 0-based positions in the arrays below; UINT32_MAX is none. */
enum { PPROF_NONE = 0xffffffffu };

struct pprof_value_type {
	struct str type;
	struct str unit;
	struct str unknown;
};

struct pprof_label {
	struct str key;
	struct str str; /* empty: numeric */
	int64_t num;
	struct str num_unit;
	struct str unknown;
};

struct pprof_sample {
	uint32_t *locations; /* leaf first */
	size_t location_count;
	int64_t *values; /* sample_type_count of them */
	struct pprof_label *labels;
	size_t label_count;
	struct str unknown;
	/*
	 * The message as it was read, where it names its locations by position + 1 and no strings: it is
	 * then written as it is. Empty: written anew. Who changes any of the above, or where locations
	 * lie, clears it.
	 */
	struct str raw;
};

struct pprof_mapping {
	uint64_t start, limit, file_offset;
	struct str filename;
	struct str build_id;
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
	struct str unknown;
};

struct pprof_line {
	uint32_t function;
	int64_t line;
	int64_t column;
	struct str unknown;
};

struct pprof_location {
	uint32_t mapping; /* PPROF_NONE: none */
	uint64_t address;
	struct pprof_line *lines; /* innermost first */
	size_t line_count;
	bool is_folded;
	struct str unknown;
};

struct pprof_function {
	struct str name;
	struct str system_name;
	struct str filename;
	int64_t start_line;
	struct str unknown;
};

struct pprof {
	struct arena *arena;
	struct pprof_value_type *sample_types;
	size_t sample_type_count;
	struct pprof_sample *samples;
	size_t sample_count;
	struct pprof_mapping *mappings;
	size_t mapping_count;
	struct pprof_location *locations;
	size_t location_count;
	struct pprof_function *functions;
	size_t function_count;
	struct str drop_frames, keep_frames;
	int64_t time_nanos, duration_nanos;
	struct pprof_value_type period_type;
	bool has_period_type;
	int64_t period;
	struct str *comments;
	size_t comment_count;
	struct str default_sample_type;
	struct str doc_url;
	struct str unknown;
};

/*
 * bytes: identity protobuf (see decompress_any() for gzip and zstd). ERR_BAD_PPROF, ERR_TOO_LARGE
 * (limits, or the arena's cap), ERR_NOMEM.
 */
int pprof_decode(struct str bytes, const struct pprof_limits *limits, struct arena *arena,
		 struct pprof *ret, struct err *e) MUST_CHECK;
/*
 * Appends identity protobuf to out: ids 1..N, strings numbered in the order of first use, so that the
 * same profile gives the same bytes. ERR_TOO_LARGE (out->max), ERR_NOMEM.
 */
int pprof_encode(const struct pprof *p, struct buf *out, struct err *e) MUST_CHECK;

/* Which of a sample's values counts where one is asked for: default_sample_type, else the last. */
size_t pprof_default_value(const struct pprof *p);

/*
 * Profiles of the same sample types into one; the rules, and the one-by-one form, are in pprof_merge.h.
 * ERR_BAD_PPROF where the types differ, ERR_BAD_REQUEST for none, ERR_NOMEM. The result borrows from the
 * inputs and lives in `arena`.
 */
int pprof_merge(const struct pprof *const *in, size_t n, struct arena *arena, struct pprof *ret,
		struct err *e) MUST_CHECK;

#endif
