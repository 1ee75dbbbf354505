/* SPDX-License-Identifier: Apache-2.0 */
#include "server/target.h"

#include <string.h>

// Appends the decoded form of `in` at out; returns the end, or NULL on a bad escape or a NUL.
static char *decode(struct str in, bool plus_is_space, char *out)
{
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '%') {
			uint8_t byte;

			if (!str_percent_byte(str_skip(in, i), &byte))
				return NULL;
			c = (char)byte;
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0')
			return NULL;
		*out++ = c;
	}
	return out;
}

// "http://host/path" → "/path"; proxies may send it, and a server must take it.
static struct str without_authority(struct str raw)
{
	struct str rest;
	const char *slash;

	if (!str_has_prefix(raw, STR("http://")))
		return raw;
	rest = str_skip(raw, strlen("http://"));
	slash = memchr(rest.p, '/', rest.n);
	return slash ? str_skip(rest, (size_t)(slash - rest.p)) : STR("/");
}

static int parse_path(struct arena *a, struct str path, struct target *t, struct err *e)
{
	char *out = arena_alloc(a, path.n + 1);
	char *start = out;
	struct str rest = str_skip(path, 1);
	struct str part;

	t->segments = arena_array(a, TARGET_SEGMENTS_MAX, struct str);
	if (!out || !t->segments)
		return err_nomem(e);
	while (str_next(&rest, '/', &part)) {
		char *end;

		if (t->segment_count == TARGET_SEGMENTS_MAX)
			return err_set(e, ERR_BAD_PATH, "the path has more than %d segments",
				       TARGET_SEGMENTS_MAX);
		*out++ = '/';
		end = decode(part, false, out);
		if (!end)
			return err_set(e, ERR_BAD_PATH,
				       "segment %zu of the path has a malformed escape or a NUL",
				       t->segment_count + 1);
		t->segments[t->segment_count++] = (struct str){out, (size_t)(end - out)};
		out = end;
	}
	t->path = (struct str){start, (size_t)(out - start)};
	return 0;
}

static int parse_arg(struct arena *a, struct str text, struct target_arg *ret, struct err *e)
{
	struct str value = text;
	struct str name;
	char *out = arena_alloc(a, text.n + 1);
	char *middle;
	char *end;

	if (!out)
		return err_nomem(e);
	if (!str_next(&value, '=', &name))
		return err_set(e, ERR_INTERNAL, "an empty query argument was not skipped");
	if (!value.p)
		value = STR_EMPTY;
	middle = decode(name, true, out);
	end = middle ? decode(value, true, middle) : NULL;
	if (!end)
		return err_set(e, ERR_BAD_REQUEST,
			       "query argument '" STR_FMT "' has a malformed escape or a NUL",
			       STR_ARG(((struct str){name.p, MIN(name.n, (size_t)40)})));
	ret->name = (struct str){out, (size_t)(middle - out)};
	ret->value = (struct str){middle, (size_t)(end - middle)};
	return 0;
}

static int parse_query(struct arena *a, struct str query, struct target *t, struct err *e)
{
	struct str part;

	if (!query.n)
		return 0;
	t->args = arena_array(a, TARGET_ARGS_MAX, struct target_arg);
	if (!t->args)
		return err_nomem(e);
	while (str_next(&query, '&', &part)) {
		if (!part.n)
			continue;
		if (t->arg_count == TARGET_ARGS_MAX)
			return err_set(e, ERR_BAD_REQUEST, "more than %d query arguments",
				       TARGET_ARGS_MAX);
		if (parse_arg(a, part, &t->args[t->arg_count], e))
			return -1;
		t->arg_count++;
	}
	return 0;
}

int target_parse(struct arena *a, struct str raw, struct target *ret, struct err *e)
{
	struct target t = {.path = STR("/")};
	struct str path;
	struct str query = STR_EMPTY;
	const char *mark;

	if (raw.n > TARGET_MAX)
		return err_set(e, ERR_BAD_PATH, "the request target is longer than %d bytes",
			       TARGET_MAX);
	t.raw = arena_str(a, raw);
	if (!t.raw.p)
		return err_nomem(e);
	path = without_authority(t.raw);
	mark = memchr(path.p, '?', path.n);
	if (mark) {
		query = str_skip(path, (size_t)(mark - path.p) + 1);
		path.n = (size_t)(mark - path.p);
	}
	if (!path.n || path.p[0] != '/')
		return err_set(e, ERR_BAD_PATH, "the path must start with a slash");
	if (parse_path(a, path, &t, e) || parse_query(a, query, &t, e))
		return -1;
	*ret = t;
	return 0;
}

bool target_arg(const struct target *t, const char *name, struct str *ret)
{
	for (size_t i = 0; i < t->arg_count; i++) {
		if (str_is(t->args[i].name, name)) {
			*ret = t->args[i].value;
			return true;
		}
	}
	return false;
}

struct str target_tail(const struct target *t, size_t first)
{
	if (first >= t->segment_count)
		return STR_EMPTY;
	return str_skip(t->path, (size_t)(t->segments[first].p - t->path.p));
}

bool target_has_dots(const struct target *t, size_t end)
{
	for (size_t i = 0; i < MIN(end, t->segment_count); i++) {
		if (str_is(t->segments[i], ".") || str_is(t->segments[i], ".."))
			return true;
	}
	return false;
}
