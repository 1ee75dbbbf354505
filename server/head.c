/* SPDX-License-Identifier: Apache-2.0 */
#include "server/head.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

enum { KEY_MAX = 512 * 1024 };

struct head *head_new(void)
{
	struct head *h = mem_zalloc(sizeof(*h));

	if (h)
		h->series = MAP_INIT;
	return h;
}

static void series_free(struct head_series *s)
{
	while (s->first) {
		struct head_profile *next = s->first->next;

		free(s->first);
		s->first = next;
	}
	free((void *)s->labels.labels);
	free(s);
}

void head_free(struct head *h)
{
	struct str key;
	size_t pos = 0;
	void *series;

	if (!h)
		return;
	while (map_next(&h->series, &pos, &key, &series))
		series_free(series);
	map_deinit(&h->series);
	free(h);
}

static void key_part(struct buf *key, struct str part)
{
	buf_append_str(key, part);
	buf_append_c(key, '\0');
}

static void series_key(const struct push_series *series, const struct pprof *p, struct buf *key)
{
	for (size_t i = 0; i < series->label_count; i++) {
		key_part(key, series->labels[i].name);
		key_part(key, series->labels[i].value);
	}
	for (size_t i = 0; i < p->sample_type_count; i++) {
		key_part(key, p->sample_types[i].type);
		key_part(key, p->sample_types[i].unit);
	}
	key_part(key, p->period_type.type);
	key_part(key, p->period_type.unit);
}

/* The labels and their text in one block, to be freed with it. */
static struct profile_label *copy_labels(const struct push_series *series)
{
	size_t text = 0, n = series->label_count;
	struct profile_label *labels;
	char *at;

	for (size_t i = 0; i < n; i++)
		text += series->labels[i].name.n + series->labels[i].value.n;
	labels = mem_alloc(n * sizeof(*labels) + text + 1);
	if (!labels)
		return NULL;
	at = (char *)(labels + n);
	for (size_t i = 0; i < n; i++) {
		const struct push_label *from = &series->labels[i];

		memcpy(at, from->name.p, from->name.n);
		labels[i].name = (struct str){at, from->name.n};
		at += from->name.n;
		memcpy(at, from->value.p, from->value.n);
		labels[i].value = (struct str){at, from->value.n};
		at += from->value.n;
	}
	return labels;
}

static struct head_series *series_new(const struct push_series *from)
{
	struct head_series *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->labels.n = from->label_count;
	s->labels.labels = copy_labels(from);
	if (!s->labels.labels) {
		free(s);
		return NULL;
	}
	s->from_unix_ns = INT64_MAX;
	s->to_unix_ns = INT64_MIN;
	return s;
}

static struct head_series *find_series(struct head *h, const struct push_series *from,
				       const struct pprof *p)
{
	struct buf key = BUF_INIT(KEY_MAX);
	struct head_series *s = NULL;

	series_key(from, p, &key);
	if (!key.failed)
		s = map_get(&h->series, buf_str(&key));
	if (!key.failed && !s) {
		s = series_new(from);
		if (s && map_set(&h->series, buf_str(&key), s, NULL) < 0) {
			series_free(s);
			s = NULL;
		}
	}
	buf_deinit(&key);
	return s;
}

static void append(struct head_series *s, struct head_profile *p)
{
	if (s->last)
		s->last->next = p;
	else
		s->first = p;
	s->last = p;
	s->from_unix_ns = MIN(s->from_unix_ns, p->from_unix_ns);
	s->to_unix_ns = MAX(s->to_unix_ns, p->to_unix_ns);
}

/* A duration from outside must not overflow the sum, nor reach back in time. */
static int64_t end_of(int64_t from, int64_t duration)
{
	int64_t to;

	return duration < 0 || add_overflows(from, duration, &to) ? from : to;
}

int head_add(struct head *h, const struct push_series *series, const struct pprof *decoded,
	     struct str identity, int64_t received_unix_ns, struct err *e)
{
	struct head_series *s = find_series(h, series, decoded);
	struct head_profile *p = s ? mem_zalloc(sizeof(*p) + identity.n) : NULL;

	if (!p)
		return err_nomem(e);
	memcpy(p->bytes, identity.p, identity.n);
	p->n = identity.n;
	p->from_unix_ns = decoded->time_nanos > 0 ? decoded->time_nanos : received_unix_ns;
	p->to_unix_ns = end_of(p->from_unix_ns, decoded->duration_nanos);
	append(s, p);
	s->samples += decoded->sample_count;
	h->bytes += sizeof(*p) + p->n;
	if (!h->opened_ms)
		h->opened_ms = clock_mono_ms();
	return 0;
}
