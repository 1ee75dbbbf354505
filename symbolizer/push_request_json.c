/* SPDX-License-Identifier: Apache-2.0 */
// The protojson form: lowerCamelCase names (the original ones are accepted too), bytes as base64.
#include "symbolizer/push_request.h"

#include "base/json.h"

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_BAD_REQUEST, "%s", what);
}

// Standard and URL alphabet, as protojson asks; -1 for any other byte.
static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

static struct str without_padding(struct str s)
{
	if (s.n % 4)
		return s;
	for (unsigned i = 0; i < 2 && str_has_suffix(s, STR("=")); i++)
		s.n--;
	return s;
}

static int take_base64(struct arena *arena, struct str text, struct str *ret, struct err *e)
{
	const struct str digits = without_padding(text);
	char *out = arena_alloc(arena, digits.n / 4 * 3 + 3);
	uint32_t bits = 0;
	size_t n = 0;

	if (!out)
		return err_nomem(e);
	if (digits.n % 4 == 1)
		return bad(e, "rawProfile is not base64: its length is impossible");
	for (size_t i = 0; i < digits.n; i++) {
		int digit = base64_digit(digits.p[i]);

		if (digit < 0)
			return err_set(e, ERR_BAD_REQUEST,
				       "rawProfile is not base64: byte %zu is 0x%02x", i,
				       (unsigned char)digits.p[i]);
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4)
			out[n++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	*ret = (struct str){out, n};
	return 0;
}

// An absent or null list is empty.
static int take_list(const json_t *object, const char *key, const json_t **ret, struct err *e)
{
	const json_t *list = json_object_get(object, key);

	*ret = list;
	if (!list || json_is_null(list) || json_is_array(list))
		return 0;
	return err_set(e, ERR_BAD_REQUEST, "'%s' is not a list", key);
}

static int take_text(struct arena *arena, const json_t *object, const char *key, struct str *ret,
		     struct err *e)
{
	const json_t *value = json_object_get(object, key);

	*ret = STR_EMPTY;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return err_set(e, ERR_BAD_REQUEST, "'%s' is not a string", key);
	*ret = arena_str(arena, (struct str){json_string_value(value), json_string_length(value)});
	return ret->p ? 0 : err_nomem(e);
}

static int take_labels(struct arena *arena, const json_t *object, struct push_series *s,
		       struct err *e)
{
	const json_t *list;

	if (take_list(object, "labels", &list, e))
		return -1;
	s->labels = arena_array(arena, json_array_size(list), struct push_label);
	if (!s->labels)
		return err_nomem(e);
	for (; s->label_count < json_array_size(list); s->label_count++) {
		const json_t *label = json_array_get(list, s->label_count);
		struct push_label *to = &s->labels[s->label_count];

		if (!json_is_object(label))
			return bad(e, "a label is not an object");
		if (take_text(arena, label, "name", &to->name, e) ||
		    take_text(arena, label, "value", &to->value, e))
			return -1;
	}
	return 0;
}

static int take_profile(struct arena *arena, const json_t *sample, struct push_profile *to,
			struct err *e)
{
	const char *key = json_object_get(sample, "rawProfile") ? "rawProfile" : "raw_profile";
	struct str text;

	if (!json_is_object(sample))
		return bad(e, "a sample is not an object");
	text = json_get_str(sample, key);
	if (!text.n)
		return bad(e, "a sample has no 'rawProfile' text");
	if (take_base64(arena, text, &to->raw, e))
		return -1;
	return take_text(arena, sample, "ID", &to->id, e);
}

static int take_profiles(struct arena *arena, const json_t *object, struct push_series *s,
			 struct err *e)
{
	const json_t *list;

	if (take_list(object, "samples", &list, e))
		return -1;
	s->profiles = arena_array(arena, json_array_size(list), struct push_profile);
	if (!s->profiles)
		return err_nomem(e);
	for (; s->profile_count < json_array_size(list); s->profile_count++) {
		if (take_profile(arena, json_array_get(list, s->profile_count),
				 &s->profiles[s->profile_count], e))
			return -1;
	}
	return 0;
}

static int take_series(struct arena *arena, const json_t *series, struct push_series *s,
		       struct err *e)
{
	if (!json_is_object(series))
		return bad(e, "a series is not an object");
	if (take_labels(arena, series, s, e))
		return -1;
	return take_profiles(arena, series, s, e);
}

static int take_request(struct arena *arena, const json_t *root, struct push_request *rq,
			struct err *e)
{
	const json_t *list;

	if (!json_is_object(root))
		return bad(e, "the request is not an object");
	if (take_list(root, "series", &list, e))
		return -1;
	if (json_array_size(list) > PUSH_SERIES_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu series in one request; at most %d",
			       json_array_size(list), PUSH_SERIES_MAX);
	rq->series = arena_array(arena, json_array_size(list), struct push_series);
	if (!rq->series)
		return err_nomem(e);
	for (; rq->series_count < json_array_size(list); rq->series_count++) {
		if (take_series(arena, json_array_get(list, rq->series_count),
				&rq->series[rq->series_count], e))
			return err_wrap(e, "series %zu", rq->series_count);
	}
	return 0;
}

int push_request_decode_json(struct str body, struct arena *arena, struct push_request *ret,
			     struct err *e)
{
	struct push_request rq = {0};
	json_t *root;
	int r;

	if (json_parse(body, &root, e))
		return -1;
	r = take_request(arena, root, &rq, e);
	json_decref(root);
	if (r)
		return err_wrap(e, "push");
	if (push_request_check(&rq, e))
		return -1;
	*ret = rq;
	return 0;
}
