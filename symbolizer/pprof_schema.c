/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_schema.h"

#include "symbolizer/pprof.h"

#define AT(record, member) offsetof(struct pprof##record, member)
#define MESSAGE(record, text)                                                                      \
	{                                                                                          \
		text, record##_fields, countof(record##_fields),                                   \
			offsetof(struct pprof_##record, unknown)                                   \
	}

static const struct pprof_field profile_fields[] = {
	[PROFILE_SAMPLE_TYPE] = {PPROF_REPEATED, 0},
	[PROFILE_SAMPLE] = {PPROF_REPEATED, 0},
	[PROFILE_MAPPING] = {PPROF_REPEATED, 0},
	[PROFILE_LOCATION] = {PPROF_REPEATED, 0},
	[PROFILE_FUNCTION] = {PPROF_REPEATED, 0},
	[PROFILE_STRING] = {PPROF_REPEATED, 0},
	[7] = {PPROF_STRING, AT(, drop_frames)},
	[8] = {PPROF_STRING, AT(, keep_frames)},
	[9] = {PPROF_U64, AT(, time_nanos)},
	[10] = {PPROF_U64, AT(, duration_nanos)},
	[PROFILE_PERIOD_TYPE] = {PPROF_REPEATED, 0},
	[12] = {PPROF_U64, AT(, period)},
	[PROFILE_COMMENT] = {PPROF_REPEATED, 0},
	[14] = {PPROF_STRING, AT(, default_sample_type)},
	[15] = {PPROF_STRING, AT(, doc_url)},
};

static const struct pprof_field value_type_fields[] = {
	[1] = {PPROF_STRING, AT(_value_type, type)},
	[2] = {PPROF_STRING, AT(_value_type, unit)},
};

static const struct pprof_field sample_fields[] = {
	[SAMPLE_LOCATION_ID] = {PPROF_REPEATED, 0},
	[SAMPLE_VALUE] = {PPROF_REPEATED, 0},
	[SAMPLE_LABEL] = {PPROF_REPEATED, 0},
};

static const struct pprof_field label_fields[] = {
	[1] = {PPROF_STRING, AT(_label, key)},
	[2] = {PPROF_STRING, AT(_label, str)},
	[3] = {PPROF_U64, AT(_label, num)},
	[4] = {PPROF_STRING, AT(_label, num_unit)},
};

static const struct pprof_field mapping_fields[] = {
	[1] = {PPROF_ID, 0},
	[2] = {PPROF_U64, AT(_mapping, start)},
	[3] = {PPROF_U64, AT(_mapping, limit)},
	[4] = {PPROF_U64, AT(_mapping, file_offset)},
	[5] = {PPROF_STRING, AT(_mapping, filename)},
	[6] = {PPROF_STRING, AT(_mapping, build_id)},
	[7] = {PPROF_BOOL, AT(_mapping, has_functions)},
	[8] = {PPROF_BOOL, AT(_mapping, has_filenames)},
	[9] = {PPROF_BOOL, AT(_mapping, has_line_numbers)},
	[10] = {PPROF_BOOL, AT(_mapping, has_inline_frames)},
};

static const struct pprof_field location_fields[] = {
	[1] = {PPROF_ID, 0},
	[2] = {PPROF_MAPPING, AT(_location, mapping)},
	[3] = {PPROF_U64, AT(_location, address)},
	[LOCATION_LINE] = {PPROF_REPEATED, 0},
	[5] = {PPROF_BOOL, AT(_location, is_folded)},
};

static const struct pprof_field line_fields[] = {
	[1] = {PPROF_FUNCTION, AT(_line, function)},
	[2] = {PPROF_U64, AT(_line, line)},
	[3] = {PPROF_U64, AT(_line, column)},
};

static const struct pprof_field function_fields[] = {
	[1] = {PPROF_ID, 0},
	[2] = {PPROF_STRING, AT(_function, name)},
	[3] = {PPROF_STRING, AT(_function, system_name)},
	[4] = {PPROF_STRING, AT(_function, filename)},
	[5] = {PPROF_U64, AT(_function, start_line)},
};

const struct pprof_message pprof_message_profile = {
	"profile", profile_fields, countof(profile_fields), AT(, unknown)};
const struct pprof_message pprof_message_value_type = MESSAGE(value_type, "sample type");
const struct pprof_message pprof_message_sample = MESSAGE(sample, "sample");
const struct pprof_message pprof_message_label = MESSAGE(label, "label");
const struct pprof_message pprof_message_mapping = MESSAGE(mapping, "mapping");
const struct pprof_message pprof_message_location = MESSAGE(location, "location");
const struct pprof_message pprof_message_line = MESSAGE(line, "line");
const struct pprof_message pprof_message_function = MESSAGE(function, "function");
