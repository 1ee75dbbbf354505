/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/profile.h"

#include "base/cleanup.h"
#include "base/compress.h"
#include "base/pb.h"

enum {
	PROFILE_MAX = 64 << 20, // before compression
	GZIP_LEVEL = 1,		// 1 ms rather than 19 for 6 % more bytes
};

#define NS_PER_S 1000000000u

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING_TABLE = 6,
	PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
	VALUE_TYPE_TYPE = 1,
	VALUE_TYPE_UNIT = 2,
	SAMPLE_LOCATION_ID = 1,
	SAMPLE_VALUE = 2,
	SAMPLE_LABEL = 3,
	LABEL_KEY = 1,
	LABEL_STR = 2,
	LABEL_NUM = 3,
	MAPPING_ID = 1,
	MAPPING_MEMORY_LIMIT = 3,
	MAPPING_FILENAME = 5,
	MAPPING_BUILD_ID = 6,
	LOCATION_ID = 1,
	LOCATION_MAPPING_ID = 2,
	LOCATION_ADDRESS = 3,
	LOCATION_LINE = 4,
	LINE_FUNCTION_ID = 1,
	FUNCTION_ID = 1,
	FUNCTION_NAME = 2,
};

/*
 * The string table: these, the last three only where they are needed, then the stacks' names and
 * functions, then two for each module.
 */
enum {
	S_EMPTY,
	S_CPU,
	S_NANOSECONDS,
	S_COMM,
	S_THREAD,
	S_PID,
	S_OFF_CPU,
	S_CONTENTIONS,
	S_COUNT,
	S_FIXED_COUNT,
};

static const char *const fixed_strings[S_FIXED_COUNT] = {
	[S_EMPTY] = "",
	[S_CPU] = "cpu",
	[S_NANOSECONDS] = "nanoseconds",
	[S_COMM] = "comm",
	[S_THREAD] = "thread",
	[S_PID] = "pid",
	[S_OFF_CPU] = "off_cpu",
	[S_CONTENTIONS] = "contentions",
	[S_COUNT] = "count",
};

static uint64_t fixed_count(const struct stacks *s)
{
	return s->types >> STACK_OFF_CPU & 1 ? S_FIXED_COUNT : S_OFF_CPU;
}

static uint64_t name_string(const struct stacks *s, uint32_t name)
{
	return fixed_count(s) + name;
}

static uint64_t function_string(const struct stacks *s, size_t function)
{
	return fixed_count(s) + s->name_count + function;
}

static uint64_t filename_string(const struct stacks *s, size_t module)
{
	return function_string(s, s->function_count) + 2 * module;
}

static void put_strings(struct buf *b, const struct stacks *s)
{
	for (size_t i = 0; i < fixed_count(s); i++)
		pb_put_bytes_always(b, PROFILE_STRING_TABLE, str_from(fixed_strings[i]));
	for (size_t i = 0; i < s->name_count; i++)
		pb_put_bytes_always(b, PROFILE_STRING_TABLE, str_from(s->names[i]));
	for (size_t i = 0; i < s->function_count; i++)
		pb_put_bytes_always(b, PROFILE_STRING_TABLE, str_from(s->functions[i]));
	for (size_t i = 0; i < s->module_count; i++) {
		pb_put_bytes_always(b, PROFILE_STRING_TABLE, str_from(s->modules[i]->filename));
		pb_put_bytes_always(b, PROFILE_STRING_TABLE, str_from(s->modules[i]->build_id));
	}
}

/* ---- what is counted ------------------------------------------------------------------------- */

enum column { COLUMN_CPU, COLUMN_OFF_CPU, COLUMN_CONTENTIONS, COLUMN_COUNT };

static const struct {
	enum stack_type of;
	unsigned type;
	unsigned unit;
} columns[COLUMN_COUNT] = {
	[COLUMN_CPU] = {STACK_CPU, S_CPU, S_NANOSECONDS},
	[COLUMN_OFF_CPU] = {STACK_OFF_CPU, S_OFF_CPU, S_NANOSECONDS},
	[COLUMN_CONTENTIONS] = {STACK_OFF_CPU, S_CONTENTIONS, S_COUNT},
};

static bool has_column(const struct stacks *s, enum column c)
{
	return s->types >> columns[c].of & 1;
}

/* The one that leads: a profile's period and default belong to it. */
static enum column first_column(const struct stacks *s)
{
	return has_column(s, COLUMN_CPU) || !s->types ? COLUMN_CPU : COLUMN_OFF_CPU;
}

static void put_value_type(struct buf *b, uint32_t field, enum column c)
{
	size_t m = pb_open(b, field);

	pb_put_u64(b, VALUE_TYPE_TYPE, columns[c].type);
	pb_put_u64(b, VALUE_TYPE_UNIT, columns[c].unit);
	pb_close(b, m);
}

static void put_sample_types(struct buf *b, const struct stacks *s)
{
	for (enum column c = 0; c < COLUMN_COUNT; c++) {
		if (has_column(s, c))
			put_value_type(b, PROFILE_SAMPLE_TYPE, c);
	}
}

static uint64_t value_of(const struct stack *stack, enum column c, uint64_t period)
{
	if (columns[c].of != stack->type)
		return 0;
	switch (c) {
	case COLUMN_CPU:
		return stack->count * period;
	case COLUMN_OFF_CPU:
		return stack->value_ns;
	default:
		return stack->count;
	}
}

static void put_values(struct buf *b, const struct stacks *s, const struct stack *stack,
		       uint64_t period)
{
	uint64_t values[COLUMN_COUNT];
	size_t n = 0;

	for (enum column c = 0; c < COLUMN_COUNT; c++) {
		if (has_column(s, c))
			values[n++] = value_of(stack, c, period);
	}
	pb_put_packed(b, SAMPLE_VALUE, values, n);
}

/* ---- samples --------------------------------------------------------------------------------- */

static void put_label_str(struct buf *b, uint64_t key, uint64_t str)
{
	size_t m = pb_open(b, SAMPLE_LABEL);

	pb_put_u64(b, LABEL_KEY, key);
	pb_put_u64(b, LABEL_STR, str);
	pb_close(b, m);
}

static void put_label_num(struct buf *b, uint64_t key, uint64_t num)
{
	size_t m = pb_open(b, SAMPLE_LABEL);

	pb_put_u64(b, LABEL_KEY, key);
	pb_put_u64(b, LABEL_NUM, num);
	pb_close(b, m);
}

static void put_sample(struct buf *b, const struct stacks *s, const struct stack *stack,
		       uint64_t period)
{
	uint64_t ids[STACK_DEPTH_MAX];
	size_t m = pb_open(b, PROFILE_SAMPLE);

	for (size_t i = 0; i < stack->location_count; i++)
		ids[i] = (uint64_t)stack->locations[i] + 1;
	pb_put_packed(b, SAMPLE_LOCATION_ID, ids, stack->location_count);
	put_values(b, s, stack, period);
	put_label_str(b, S_COMM, name_string(s, stack->comm));
	put_label_str(b, S_THREAD, name_string(s, stack->thread));
	put_label_num(b, S_PID, stack->pid);
	pb_close(b, m);
}

static void put_mappings(struct buf *b, const struct stacks *s)
{
	for (size_t i = 0; i < s->module_count; i++) {
		size_t m = pb_open(b, PROFILE_MAPPING);

		pb_put_u64(b, MAPPING_ID, i + 1);
		// From byte 0 of the file on, so that addresses are offsets in it.
		if (s->modules[i]->by_offset)
			pb_put_u64(b, MAPPING_MEMORY_LIMIT, INT64_MAX);
		pb_put_u64(b, MAPPING_FILENAME, filename_string(s, i));
		if (s->modules[i]->build_id[0])
			pb_put_u64(b, MAPPING_BUILD_ID, filename_string(s, i) + 1);
		pb_close(b, m);
	}
}

static void put_line(struct buf *b, uint64_t function_id)
{
	size_t m = pb_open(b, LOCATION_LINE);

	pb_put_u64(b, LINE_FUNCTION_ID, function_id);
	pb_close(b, m);
}

static void put_locations(struct buf *b, const struct stacks *s)
{
	for (size_t i = 0; i < s->location_count; i++) {
		size_t m = pb_open(b, PROFILE_LOCATION);

		pb_put_u64(b, LOCATION_ID, i + 1);
		pb_put_u64(b, LOCATION_MAPPING_ID, (uint64_t)s->locations[i].module + 1);
		pb_put_u64(b, LOCATION_ADDRESS, s->locations[i].address);
		if (s->locations[i].function)
			put_line(b, s->locations[i].function);
		pb_close(b, m);
	}
}

static void put_functions(struct buf *b, const struct stacks *s)
{
	for (size_t i = 0; i < s->function_count; i++) {
		size_t m = pb_open(b, PROFILE_FUNCTION);

		pb_put_u64(b, FUNCTION_ID, i + 1);
		pb_put_u64(b, FUNCTION_NAME, function_string(s, i));
		pb_close(b, m);
	}
}

void profile_put(const struct stacks *s, const struct profile_info *info, struct buf *out)
{
	uint64_t period = NS_PER_S / info->hz;
	enum column lead = first_column(s);

	put_sample_types(out, s);
	for (size_t i = 0; i < s->stack_count; i++)
		put_sample(out, s, &s->stacks[i], period);
	put_mappings(out, s);
	put_locations(out, s);
	put_functions(out, s);
	put_strings(out, s);
	pb_put_u64(out, PROFILE_TIME_NANOS, (uint64_t)info->time_ns);
	pb_put_u64(out, PROFILE_DURATION_NANOS, (uint64_t)info->duration_ns);
	put_value_type(out, PROFILE_PERIOD_TYPE, lead);
	// Waits are measured, not sampled at a rate: each nanosecond counts.
	pb_put_u64(out, PROFILE_PERIOD, lead == COLUMN_CPU ? period : 1);
	pb_put_u64(out, PROFILE_DEFAULT_SAMPLE_TYPE, columns[lead].type);
}

int profile_encode(const struct stacks *s, const struct profile_info *info, struct buf *out,
		   struct err *e)
{
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(PROFILE_MAX);

	profile_put(s, info, &b);
	if (buf_check(&b, "the profile", e) < 0)
		return -1;
	return gzip_compress(buf_str(&b), GZIP_LEVEL, out, e);
}
