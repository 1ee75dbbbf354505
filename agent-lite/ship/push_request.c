/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/push_request.h"

#include "base/cleanup.h"
#include "base/compress.h"
#include "base/pb.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

enum {
	PLAIN_MAX = 64 << 20,
	GZIP_LEVEL = 6, // 7 % less than 1, for about a millisecond
	ID_NUMBER = 6,	// digits
};

/* Field numbers of push.proto. */
enum {
	REQUEST_SERIES = 1,
	SERIES_LABELS = 1,
	SERIES_SAMPLES = 2,
	SAMPLE_RAW_PROFILE = 1,
	SAMPLE_ID = 2,
	LABEL_NAME = 1,
	LABEL_VALUE = 2,
};

int uuid_random(char out[static UUID_TEXT], struct err *e)
{
	static const size_t group_ends[] = {8, 13, 18, 23};
	uint8_t bytes[16];
	char hex[33];
	size_t pos = 0, group = 0;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return err_sys(e, errno, "getting random bytes");
	bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
	hex_encode(bytes, sizeof(bytes), hex);
	for (const char *h = hex; *h; h++) {
		if (group < countof(group_ends) && pos == group_ends[group]) {
			out[pos++] = '-';
			group++;
		}
		out[pos++] = *h;
	}
	out[pos] = 0;
	return 0;
}

static const char *const type_names[STACK_TYPE_COUNT] = {
	[STACK_CPU] = "process_cpu",
	[STACK_OFF_CPU] = "off_cpu",
};

static void put_label(struct buf *out, struct str name, struct str value)
{
	size_t m = pb_open(out, SERIES_LABELS);

	pb_put_bytes(out, LABEL_NAME, name);
	pb_put_bytes(out, LABEL_VALUE, value);
	pb_close(out, m);
}

static void put_labels(struct buf *out, const struct series *s)
{
	struct str packed = {s->labels, s->labels_size};
	struct str name, value;

	put_label(out, STR("__name__"), str_from(type_names[s->type]));
	while (labels_next(&packed, &name, &value))
		put_label(out, name, value);
}

static void put_raw_sample(struct buf *out, const struct series *s, const struct profile_info *info,
			   const char *id)
{
	size_t sample = pb_open(out, SERIES_SAMPLES);
	size_t profile = pb_open(out, SAMPLE_RAW_PROFILE);

	profile_put(&s->stacks, info, out);
	pb_close(out, profile);
	pb_put_bytes(out, SAMPLE_ID, str_from(id));
	pb_close(out, sample);
}

static void put_series(struct buf *out, const struct series *s, const struct profile_info *info,
		       const char *id)
{
	size_t m = pb_open(out, REQUEST_SERIES);

	put_labels(out, s);
	put_raw_sample(out, s, info, id);
	pb_close(out, m);
}

int push_request_encode(const struct batch *b, unsigned hz, struct buf *out, struct err *e)
{
	_cleanup_(buf_deinit) struct buf plain = BUF_INIT(PLAIN_MAX);
	struct profile_info info = batch_info(b, hz);
	char id[UUID_TEXT];

	if (uuid_random(id, e) < 0)
		return -1;
	for (size_t i = 0; i < b->series_count; i++) {
		if (b->series[i]->stacks.samples == 0)
			continue;
		// Random once a batch, and then counted: random digits do not compress.
		snprintf(id + UUID_TEXT - 1 - ID_NUMBER, ID_NUMBER + 1, "%06x", (unsigned)i & 0xffffff);
		put_series(&plain, b->series[i], &info, id);
	}
	if (buf_check(&plain, "the push request", e) < 0)
		return -1;
	return gzip_compress(buf_str(&plain), GZIP_LEVEL, out, e);
}
