/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include <stdatomic.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 32 * 1024, VALUE_MAX_BYTES = 2 * 1024 };

static atomic_int max_level = LOG_INFO;
static atomic_int line_format = LOG_LOGFMT;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_setup(enum log_level level, enum log_format format)
{
	atomic_store(&max_level, (int)level);
	atomic_store(&line_format, (int)format);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

bool log_level_parse(struct str s, enum log_level *ret)
{
	for (unsigned i = 0; i < countof(level_names); i++) {
		if (str_eq_nocase(s, str_from(level_names[i]))) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

// Bare where no reader can mistake it, else a JSON string.
static bool is_bare(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '=' ||
		    s.p[i] == '\\')
			return false;
	}
	return s.n > 0;
}

static void put_str(struct json_out *j, struct str s, enum log_format format)
{
	s.n = MIN(s.n, (size_t)VALUE_MAX_BYTES);
	if (format == LOG_LOGFMT && is_bare(s))
		buf_append_str(j->b, s);
	else
		json_str_(j, s);
}

static void put_value(struct json_out *j, const struct log_value *v, enum log_format format)
{
	switch (v->kind) {
	case LOG_KIND_STR:
		put_str(j, v->s, format);
		break;
	case LOG_KIND_U64:
		json_u64(j, v->u);
		break;
	case LOG_KIND_I64:
		json_i64(j, v->i);
		break;
	case LOG_KIND_F64:
		json_f64(j, v->f);
		break;
	}
}

static void put_pair(struct json_out *j, const char *key, struct log_value v, enum log_format format)
{
	if (format == LOG_JSON) {
		json_key(j, key);
	} else {
		if (j->b->n)
			buf_append_c(j->b, ' ');
		buf_puts(j->b, key);
		buf_append_c(j->b, '=');
		j->comma = false;
	}
	put_value(j, &v, format);
}

static void put_pairs(struct json_out *j, const struct log_field *fields, enum log_format format)
{
	for (; fields && fields->key; fields++)
		put_pair(j, fields->key, fields->value, format);
}

// Several lists make up one line, written in one call so that lines of threads do not mix.
static void write_line(enum log_level level, const char *event, const struct log_field *fields,
		       const struct log_field *more)
{
	enum log_format format = (enum log_format)atomic_load(&line_format);
	struct buf line = BUF_INIT(LINE_MAX_BYTES);
	struct json_out j = JSON_OUT(&line);
	char now[32];

	clock_rfc3339(clock_unix_ns(), now);
	if (format == LOG_JSON)
		json_obj(&j);
	put_pair(&j, "ts", LOG_S(now), format);
	put_pair(&j, "level", LOG_S(level_names[level]), format);
	put_pair(&j, "event", LOG_S(event), format);
	put_pairs(&j, fields, format);
	put_pairs(&j, more, format);
	if (format == LOG_JSON)
		json_end_obj(&j);
	buf_append_c(&line, '\n');
	if (!line.failed)
		(void)!write(STDERR_FILENO, line.p, line.n);
	else
		(void)!write(STDERR_FILENO, "event=log_line_lost level=error\n", 32);
	buf_deinit(&line);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	if (log_enabled(level))
		write_line(level, event, fields, NULL);
}

void log_err(enum log_level level, const char *event, const struct err *e,
	     const struct log_field *fields)
{
	const struct log_field cause[] = {
		{"code", LOG_S(err_code(e->kind))},
		{"err", LOG_S(e->msg)},
		{NULL, {0}},
	};

	if (log_enabled(level))
		write_line(level, event, fields, cause);
}
