/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 64 << 20, DEPTH_MAX = 64 };

static void begin_value(struct json_out *j)
{
	if (j->comma)
		buf_append_c(j->b, ',');
	j->comma = true;
}

static void open_container(struct json_out *j, char c)
{
	begin_value(j);
	buf_append_c(j->b, c);
	j->comma = false;
}

static void close_container(struct json_out *j, char c)
{
	buf_append_c(j->b, c);
	j->comma = true;
}

void json_obj(struct json_out *j)
{
	open_container(j, '{');
}

void json_end_obj(struct json_out *j)
{
	close_container(j, '}');
}

void json_arr(struct json_out *j)
{
	open_container(j, '[');
}

void json_end_arr(struct json_out *j)
{
	close_container(j, ']');
}

void json_key(struct json_out *j, const char *key)
{
	begin_value(j);
	buf_append_c(j->b, '"');
	buf_puts(j->b, key);
	buf_puts(j->b, "\":");
	j->comma = false;
}

// The length of the leading part of s that needs no escape: the common case, appended in one go.
static size_t plain_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] >= ' ' && s.p[n] <= '~' && s.p[n] != '"' && s.p[n] != '\\')
		n++;
	return n;
}

static void put_escape(struct buf *b, unsigned char c)
{
	static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; i + 1 < sizeof(names); i += 2) {
		if ((unsigned char)names[i] == c) {
			buf_append_c(b, '\\');
			buf_append_c(b, names[i + 1]);
			return;
		}
	}
	buf_printf(b, "\\u%04x", c);
}

// One character that is not plain; returns how many bytes of s it took.
static size_t put_special(struct buf *b, struct str s)
{
	size_t n = str_utf8_len(s);
	unsigned char c = (unsigned char)s.p[0];

	if (n == 0) {
		buf_puts(b, "\xef\xbf\xbd");
		return 1;
	}
	if (n == 1)
		put_escape(b, c);
	else if (n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0)
		put_escape(b, (unsigned char)s.p[1]); // C1 controls steer terminals
	else
		buf_append(b, s.p, n);
	return n;
}

void json_str_(struct json_out *j, struct str s)
{
	begin_value(j);
	buf_append_c(j->b, '"');
	while (s.n && !j->b->failed) {
		size_t n = plain_length(s);

		if (n)
			buf_append(j->b, s.p, n);
		else
			n = put_special(j->b, s);
		s = str_skip(s, n);
	}
	buf_append_c(j->b, '"');
}

// Answers are mostly numbers: printf would be most of the time they take.
static void put_digits(struct buf *b, uint64_t v, unsigned base)
{
	char text[20]; // 2^64 - 1 in decimal
	size_t at = sizeof(text);

	do {
		text[--at] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	buf_append(b, text + at, sizeof(text) - at);
}

void json_u64(struct json_out *j, uint64_t v)
{
	begin_value(j);
	put_digits(j->b, v, 10);
}

void json_i64(struct json_out *j, int64_t v)
{
	begin_value(j);
	if (v < 0)
		buf_append_c(j->b, '-');
	put_digits(j->b, v < 0 ? -(uint64_t)v : (uint64_t)v, 10);
}

// The shorter spelling where it means the same number; JSON has no infinities.
void json_f64(struct json_out *j, double v)
{
	char text[40];

	if (!isfinite(v)) {
		json_null_(j);
		return;
	}
	snprintf(text, sizeof(text), "%.15g", v);
	if (strtod(text, NULL) < v || strtod(text, NULL) > v)
		snprintf(text, sizeof(text), "%.17g", v);
	begin_value(j);
	buf_puts(j->b, text);
}

void json_bool(struct json_out *j, bool v)
{
	begin_value(j);
	buf_puts(j->b, v ? "true" : "false");
}

void json_null_(struct json_out *j)
{
	begin_value(j);
	buf_puts(j->b, "null");
}

void json_hex(struct json_out *j, uint64_t v)
{
	begin_value(j);
	buf_append(j->b, "\"0x", 3);
	put_digits(j->b, v, 16);
	buf_append_c(j->b, '"');
}

void json_kv_str(struct json_out *j, const char *key, struct str s)
{
	json_key(j, key);
	json_str_(j, s);
}

void json_kv_cstr(struct json_out *j, const char *key, const char *s)
{
	json_kv_str(j, key, str_from(s));
}

void json_kv_u64(struct json_out *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_u64(j, v);
}

void json_kv_i64(struct json_out *j, const char *key, int64_t v)
{
	json_key(j, key);
	json_i64(j, v);
}

void json_kv_bool(struct json_out *j, const char *key, bool v)
{
	json_key(j, key);
	json_bool(j, v);
}

void json_kv_address(struct json_out *j, const char *key, uint64_t v)
{
	json_key(j, key);
	if (v <= INT64_MAX)
		json_u64(j, v);
	else
		json_hex(j, v);
}

// The position after the string that starts at i, or the end of a text cut off inside it.
static size_t skip_string(struct str text, size_t i)
{
	for (i++; i < text.n && text.p[i] != '"'; i++)
		i += text.p[i] == '\\';
	return i;
}

// jansson recurses up to 2048 levels; no document of ours is that deep.
static bool too_deep(struct str text)
{
	size_t depth = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '"')
			i = skip_string(text, i);
		else if ((c == '[' || c == '{') && ++depth > DEPTH_MAX)
			return true;
		else if ((c == ']' || c == '}') && depth)
			depth--;
	}
	return false;
}

int json_parse(struct str text, json_t **ret, struct err *e)
{
	json_error_t why;
	json_t *root;

	if (text.n > TEXT_MAX)
		return err_set(e, ERR_TOO_LARGE, "JSON of %zu bytes is larger than the limit of %d",
			       text.n, TEXT_MAX);
	if (too_deep(text))
		return err_set(e, ERR_TOO_DEEP, "JSON is nested more than %d levels deep", DEPTH_MAX);
	root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
	if (!root && json_error_code(&why) == json_error_out_of_memory)
		return err_nomem(e);
	if (!root)
		return err_set(e, ERR_BAD_JSON, "JSON line %d, column %d: %s", why.line, why.column,
			       why.text);
	*ret = root;
	return 0;
}

struct str json_get_str(const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)}
				 : STR_EMPTY;
}

uint64_t json_get_u64(const json_t *obj, const char *key, uint64_t fallback)
{
	const json_t *v = json_object_get(obj, key);
	struct str text = json_get_str(obj, key);
	uint64_t address;

	if (json_is_integer(v) && json_integer_value(v) >= 0)
		return (uint64_t)json_integer_value(v);
	if (str_has_prefix(text, STR("0x")) && str_hex_to_u64(str_skip(text, 2), &address))
		return address;
	return fallback;
}

bool json_get_bool(const json_t *obj, const char *key, bool fallback)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_boolean(v) ? json_is_true(v) : fallback;
}
