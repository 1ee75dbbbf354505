/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct kind_facts {
	const char *code;
	int http_status;
	int exit_code;
	bool retry;
};

static const struct kind_facts kinds[ERR_KIND_COUNT] = {
#define X(kind, code, http, exit_code, retry) [kind] = {code, http, exit_code, retry},
	ERR_KINDS(X)
#undef X
};

static const struct kind_facts *facts(enum err_kind kind)
{
	return &kinds[(unsigned)kind < ERR_KIND_COUNT ? kind : ERR_INTERNAL];
}

// Through a scratch buffer, since an argument may be the message that is being replaced.
static void format_msg(struct err *e, const char *fmt, va_list ap)
{
	char text[sizeof(e->msg)];

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	memcpy(e->msg, text, sizeof(text));
}

static void append_msg(struct err *e, const char *text)
{
	size_t n = strlen(e->msg);
	size_t room = sizeof(e->msg) - 1 - n;
	size_t take = MIN(strlen(text), room);

	memcpy(e->msg + n, text, take);
	e->msg[n + take] = '\0';
}

int (err_set)(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	format_msg(e, fmt, ap);
	va_end(ap);
	e->kind = kind;
	e->sys = 0;
	return -1;
}

static enum err_kind kind_of_errno(int errnum)
{
	switch (errnum) {
	case ENOMEM:
		return ERR_NOMEM;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	default:
		return ERR_IO;
	}
}

int (err_sys)(struct err *e, int errnum, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	format_msg(e, fmt, ap);
	va_end(ap);
	append_msg(e, ": ");
	append_msg(e, strerror_r(errnum, text, sizeof(text)));
	e->kind = kind_of_errno(errnum);
	e->sys = errnum;
	return -1;
}

int (err_nomem)(struct err *e)
{
	if (e)
		*e = (struct err){ERR_NOMEM, ENOMEM, "out of memory"};
	return -1;
}

int (err_wrap)(struct err *e, const char *fmt, ...)
{
	struct err old;
	va_list ap;

	if (!e)
		return -1;
	old = *e;
	va_start(ap, fmt);
	format_msg(e, fmt, ap);
	va_end(ap);
	append_msg(e, ": ");
	append_msg(e, old.msg);
	return -1;
}

const char *err_code(enum err_kind kind)
{
	return facts(kind)->code;
}

int err_http_status(enum err_kind kind)
{
	return facts(kind)->http_status;
}

int err_exit_code(enum err_kind kind)
{
	return facts(kind)->exit_code;
}

bool err_retryable(enum err_kind kind)
{
	return facts(kind)->retry;
}

enum err_kind err_kind_from_code(const char *code)
{
	for (unsigned i = 0; code && i < ERR_KIND_COUNT; i++) {
		if (strcmp(kinds[i].code, code) == 0)
			return (enum err_kind)i;
	}
	return ERR_INTERNAL;
}
