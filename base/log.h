/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs to stderr, one event a line: logfmt or JSON. The event name first, then key=value pairs; keys
 * are stable, values are escaped, so that nothing from outside can forge a line. Thread-safe.
 *
 *   LOG(LOG_INFO, "upload", {"build_id", LOG_S(id)}, {"bytes", LOG_U(n)}, {"dur_s", LOG_F(s)});
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

enum log_value_kind { LOG_KIND_STR, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_F64 };

struct log_value {
	enum log_value_kind kind;
	union {
		struct str s;
		uint64_t u;
		int64_t i;
		double f;
	};
};

struct log_field {
	const char *key;
	struct log_value value;
};

#define LOG_S(cstr) ((struct log_value){LOG_KIND_STR, {.s = str_from(cstr)}})
#define LOG_STR(view) ((struct log_value){LOG_KIND_STR, {.s = (view)}})
#define LOG_U(n) ((struct log_value){LOG_KIND_U64, {.u = (uint64_t)(n)}})
#define LOG_I(n) ((struct log_value){LOG_KIND_I64, {.i = (int64_t)(n)}})
#define LOG_F(x) ((struct log_value){LOG_KIND_F64, {.f = (double)(x)}})

/* LOG(LOG_INFO, "event", {"key", LOG_S(v)}, {"n", LOG_U(3)}); */
#define LOG(level, event, ...)                                                                     \
	log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(,) {NULL, {0}}})

void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
/* fields end with a NULL key. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);
/* The event with `code` and `err` from *e after the fields given. */
void log_err(enum log_level level, const char *event, const struct err *e,
	     const struct log_field *fields /* may be NULL */);
bool log_level_parse(struct str s, enum log_level *ret);

#endif
