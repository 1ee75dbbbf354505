/* SPDX-License-Identifier: Apache-2.0 */
#include "server/negotiate.h"

// "0.8" → 800; at most three decimals count (RFC 9110 12.4.2). Malformed: 1000, as if not given.
static unsigned parse_weight(struct str text)
{
	unsigned weight = 0;
	unsigned unit = 100;

	if (!text.n || (text.p[0] != '0' && text.p[0] != '1'))
		return 1000;
	if (text.p[0] == '1')
		return 1000;
	for (size_t i = 2; i < text.n && text.p[1] == '.' && unit; i++, unit /= 10) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return 1000;
		weight += (unsigned)(text.p[i] - '0') * unit;
	}
	return weight;
}

static unsigned weight_of_params(struct str params)
{
	struct str part;

	while (str_next(&params, ';', &part)) {
		part = str_trim(part);
		if (str_has_prefix(part, STR("q=")) || str_has_prefix(part, STR("Q=")))
			return parse_weight(str_skip(part, 2));
	}
	return 1000;
}

unsigned accept_weight(struct str header, const char *coding)
{
	struct str item;

	while (str_next(&header, ',', &item)) {
		struct str params = item;
		struct str name;

		if (!str_next(&params, ';', &name))
			continue;
		if (str_eq_nocase(str_trim(name), str_from(coding)))
			return params.p ? weight_of_params(params) : 1000;
	}
	return 0;
}

static enum range_outcome last_bytes(struct str count, uint64_t size, uint64_t *ret_off,
				     uint64_t *ret_len)
{
	uint64_t n;

	if (!str_to_u64(count, UINT64_MAX, &n))
		return RANGE_NONE;
	if (!n || !size)
		return RANGE_UNSATISFIABLE;
	*ret_len = MIN(n, size);
	*ret_off = size - *ret_len;
	return RANGE_ONE;
}

enum range_outcome range_parse(struct str header, uint64_t size, uint64_t *ret_off,
			       uint64_t *ret_len)
{
	struct str last = str_trim(header);
	struct str first;
	uint64_t from;
	uint64_t to = UINT64_MAX;

	if (!str_has_prefix(last, STR("bytes=")))
		return RANGE_NONE;
	last = str_trim(str_skip(last, strlen("bytes=")));
	if (!str_next(&last, '-', &first) || !last.p)
		return RANGE_NONE;
	if (!first.n)
		return last_bytes(last, size, ret_off, ret_len);
	if (!str_to_u64(first, UINT64_MAX, &from))
		return RANGE_NONE;
	if (last.n && (!str_to_u64(last, UINT64_MAX, &to) || to < from))
		return RANGE_NONE;
	if (from >= size)
		return RANGE_UNSATISFIABLE;
	*ret_off = from;
	*ret_len = MIN(to, size - 1) - from + 1;
	return RANGE_ONE;
}
