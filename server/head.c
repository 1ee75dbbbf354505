/* SPDX-License-Identifier: Apache-2.0 */
#include "server/head.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"

struct head *head_new(void)
{
	struct head *h = mem_zalloc(sizeof(*h));

	if (!h)
		return NULL;
	h->series = MAP_INIT;
	h->refs = 1;
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

/* Lengths go in as well: what is in a string must not pass for the next one. */
static void key_part(struct sha256 *key, struct str part)
{
	sha256_update(key, &part.n, sizeof(part.n));
	sha256_update(key, part.p, part.n);
}

/* A digest, since texts of sample types may be as long as a profile. */
static bool series_key(const struct push_series *series, const struct pprof *p,
		       uint8_t ret[static SHA256_SIZE])
{
	struct sha256 *key = sha256_new();

	if (!key)
		return false;
	sha256_update(key, &series->label_count, sizeof(series->label_count));
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
	sha256_final(key, ret);
	return true;
}

static size_t text_bytes(const struct push_series *series)
{
	size_t n = 0;

	for (size_t i = 0; i < series->label_count; i++)
		n += series->labels[i].name.n + series->labels[i].value.n;
	return n;
}

/* The labels and their text in one block, to be freed with it. */
static struct profile_label *copy_labels(const struct push_series *series)
{
	size_t n = series->label_count;
	struct profile_label *labels = mem_alloc(n * sizeof(*labels) + text_bytes(series) + 1);
	char *at;

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
	return s;
}

static struct head_series *find_series(struct head *h, const struct push_series *from,
				       const struct pprof *p)
{
	uint8_t digest[SHA256_SIZE];
	const struct str key = {(const char *)digest, sizeof(digest)};
	struct head_series *s;

	if (!series_key(from, p, digest))
		return NULL;
	s = map_get(&h->series, key);
	if (s)
		return s;
	s = series_new(from);
	if (s && map_set(&h->series, key, s, NULL) < 0) {
		series_free(s);
		return NULL;
	}
	if (s)
		h->bytes += sizeof(*s) + sizeof(digest) + s->labels.n * sizeof(*s->labels.labels) +
			    text_bytes(from);
	return s;
}

static void append(struct head_series *s, struct head_profile *p)
{
	if (s->last)
		s->last->next = p;
	else
		s->first = p;
	s->last = p;
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
	p->samples = decoded->sample_count;
	append(s, p);
	h->bytes += sizeof(*p) + p->n;
	if (!h->opened_ms)
		h->opened_ms = clock_mono_ms();
	return 0;
}
