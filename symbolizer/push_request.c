/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/push_request.h"

#include "base/pb.h"
#include <stdlib.h>

enum {
	REQUEST_SERIES = 1,
	SERIES_LABEL = 1,
	SERIES_SAMPLE = 2,
	SAMPLE_RAW = 1,
	SAMPLE_ID = 2,
	LABEL_NAME = 1,
	LABEL_VALUE = 2,
};

// ---- reading -------------------------------------------------------------------------------------

static int want_bytes(const struct pb_field *f, const char *what, struct err *e)
{
	if (f->wire == PB_BYTES)
		return 0;
	return err_set(e, ERR_BAD_PROTOBUF, "push: field %u of %s has wire type %u, not 2", f->number,
		       what, f->wire);
}

// Both messages that are two strings: LabelPair and RawSample.
static int take_pair(struct str bytes, const char *what, struct str ret[static 2], struct err *e)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;
	int more;

	ret[0] = STR_EMPTY;
	ret[1] = STR_EMPTY;
	while ((more = pb_next(&r, &f, e)) > 0) {
		if (f.number != 1 && f.number != 2)
			continue;
		if (want_bytes(&f, what, e))
			return -1;
		ret[f.number - 1] = f.bytes;
	}
	return more;
}

static int count_fields(struct str bytes, const char *what, size_t ret[static 3], struct err *e)
{
	struct pb_reader r = pb_reader(bytes);
	struct pb_field f;
	int more;

	while ((more = pb_next(&r, &f, e)) > 0) {
		if (f.number > 2)
			continue;
		if (want_bytes(&f, what, e))
			return -1;
		ret[f.number]++;
	}
	return more;
}

static int take_series_field(struct push_series *s, const struct pb_field *f, struct err *e)
{
	struct str pair[2];

	if (f->number == SERIES_LABEL) {
		if (take_pair(f->bytes, "a label", pair, e))
			return err_wrap(e, "label %zu", s->label_count);
		s->labels[s->label_count++] =
			(struct push_label){pair[LABEL_NAME - 1], pair[LABEL_VALUE - 1]};
	} else if (f->number == SERIES_SAMPLE) {
		if (take_pair(f->bytes, "a sample", pair, e))
			return err_wrap(e, "profile %zu", s->profile_count);
		s->profiles[s->profile_count++] =
			(struct push_profile){pair[SAMPLE_RAW - 1], pair[SAMPLE_ID - 1]};
	}
	return 0;
}

static int check_counts(size_t labels, size_t profiles, struct err *e)
{
	if (labels > PUSH_LABELS_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu labels; at most %d", labels, PUSH_LABELS_MAX);
	if (profiles > PUSH_PROFILES_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu profiles; at most %d", profiles,
			       PUSH_PROFILES_MAX);
	return 0;
}

static int take_series(struct str bytes, struct arena *arena, struct push_series *s, struct err *e)
{
	struct pb_reader r = pb_reader(bytes);
	size_t counts[3] = {0};
	struct pb_field f;
	int more;

	if (count_fields(bytes, "a series", counts, e) ||
	    check_counts(counts[SERIES_LABEL], counts[SERIES_SAMPLE], e))
		return -1;
	s->labels = arena_array(arena, counts[SERIES_LABEL], struct push_label);
	s->profiles = arena_array(arena, counts[SERIES_SAMPLE], struct push_profile);
	if (!s->labels || !s->profiles)
		return err_nomem(e);
	while ((more = pb_next(&r, &f, e)) > 0) {
		if (take_series_field(s, &f, e))
			return -1;
	}
	return more;
}

static int take_request(struct str body, struct arena *arena, struct push_request *rq,
			struct err *e)
{
	struct pb_reader r = pb_reader(body);
	size_t counts[3] = {0};
	struct pb_field f;
	int more;

	if (count_fields(body, "the request", counts, e))
		return -1;
	if (counts[REQUEST_SERIES] > PUSH_SERIES_MAX)
		return err_set(e, ERR_TOO_LARGE, "push: %zu series in one request; at most %d",
			       counts[REQUEST_SERIES], PUSH_SERIES_MAX);
	rq->series = arena_array(arena, counts[REQUEST_SERIES], struct push_series);
	if (!rq->series)
		return err_nomem(e);
	while ((more = pb_next(&r, &f, e)) > 0) {
		if (f.number != REQUEST_SERIES)
			continue;
		if (take_series(f.bytes, arena, &rq->series[rq->series_count], e))
			return err_wrap(e, "push: series %zu", rq->series_count);
		rq->series_count++;
	}
	return more;
}

int push_request_decode(struct str body, struct arena *arena, struct push_request *ret,
			struct err *e)
{
	struct push_request rq = {0};

	if (take_request(body, arena, &rq, e) || push_request_check(&rq, e))
		return -1;
	*ret = rq;
	return 0;
}

// ---- rules ---------------------------------------------------------------------------------------

static int compare_names(const void *a, const void *b)
{
	return str_cmp(((const struct push_label *)a)->name, ((const struct push_label *)b)->name);
}

static int check_label(const struct push_label *l, struct err *e)
{
	if (!l->name.n)
		return err_set(e, ERR_BAD_REQUEST, "a label has no name");
	if (!str_is_utf8(l->name) || !str_is_utf8(l->value))
		return err_set(e, ERR_BAD_REQUEST, "a label is not UTF-8");
	if (memchr(l->name.p, 0, l->name.n) || (l->value.n && memchr(l->value.p, 0, l->value.n)))
		return err_set(e, ERR_BAD_REQUEST, "a label has a NUL byte");
	if (l->name.n > PUSH_LABEL_NAME_MAX)
		return err_set(e, ERR_TOO_LARGE, "a label name has %zu bytes; at most %d", l->name.n,
			       PUSH_LABEL_NAME_MAX);
	if (l->value.n > PUSH_LABEL_VALUE_MAX)
		return err_set(e, ERR_TOO_LARGE,
			       "the value of label '" STR_FMT "' has %zu bytes; at most %d",
			       STR_ARG(l->name), l->value.n, PUSH_LABEL_VALUE_MAX);
	return 0;
}

static int check_labels(struct push_series *s, struct err *e)
{
	if (check_counts(s->label_count, s->profile_count, e))
		return -1;
	if (s->label_count > 1)
		qsort(s->labels, s->label_count, sizeof(*s->labels), compare_names);
	for (size_t i = 0; i < s->label_count; i++) {
		if (check_label(&s->labels[i], e))
			return -1;
		if (i && str_eq(s->labels[i - 1].name, s->labels[i].name))
			return err_set(e, ERR_BAD_REQUEST, "label '" STR_FMT "' is there twice",
				       STR_ARG(s->labels[i].name));
	}
	return 0;
}

static int check_ids(const struct push_series *s, struct err *e)
{
	for (size_t i = 0; i < s->profile_count; i++) {
		const struct str id = s->profiles[i].id;

		if (id.n > PUSH_ID_MAX)
			return err_set(e, ERR_TOO_LARGE,
				       "the ID of profile %zu has %zu bytes; at most %d", i, id.n,
				       PUSH_ID_MAX);
		if (!str_is_utf8(id))
			return err_set(e, ERR_BAD_REQUEST, "the ID of profile %zu is not UTF-8", i);
	}
	return 0;
}

int push_request_check(struct push_request *rq, struct err *e)
{
	size_t profiles = 0;

	for (size_t i = 0; i < rq->series_count; i++) {
		if (check_labels(&rq->series[i], e) || check_ids(&rq->series[i], e))
			return err_wrap(e, "push: series %zu", i);
		profiles += rq->series[i].profile_count;
	}
	if (profiles > PUSH_PROFILES_MAX)
		return err_set(e, ERR_TOO_LARGE, "push: %zu profiles in one request; at most %d",
			       profiles, PUSH_PROFILES_MAX);
	return 0;
}

// ---- writing -------------------------------------------------------------------------------------

static void put_pair(struct buf *out, uint32_t number, struct str first, struct str second)
{
	size_t mark = pb_open(out, number);

	pb_put_bytes(out, 1, first);
	pb_put_bytes(out, 2, second);
	pb_close(out, mark);
}

void push_request_encode(const struct push_request *rq, struct buf *out)
{
	for (size_t i = 0; i < rq->series_count; i++) {
		const struct push_series *s = &rq->series[i];
		size_t mark = pb_open(out, REQUEST_SERIES);

		for (size_t k = 0; k < s->label_count; k++)
			put_pair(out, SERIES_LABEL, s->labels[k].name, s->labels[k].value);
		for (size_t k = 0; k < s->profile_count; k++)
			put_pair(out, SERIES_SAMPLE, s->profiles[k].raw, s->profiles[k].id);
		pb_close(out, mark);
	}
}
