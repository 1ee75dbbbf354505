/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof bytes written by hand, good and bad, for tests. Strings get into the table where they are first
 * needed, so the table lies scattered between the messages: readers must not mind. Header-only.
 */
#ifndef TESTS_UNIT_PPROF_WIRE_H
#define TESTS_UNIT_PPROF_WIRE_H

#include "base/pb.h"
#include "symbolizer/pprof.h"
#include <stdio.h>

struct wire {
	struct buf b;
	uint64_t strings;
};

/* The bytes are released by buf_deinit(&w.b). */
UNUSED static struct wire wire_new(void)
{
	struct wire w = {BUF_INIT(MIB(64)), 1};

	pb_put_bytes_always(&w.b, 6, STR_EMPTY);
	return w;
}

/* A new string's index. Never between wire_open() and wire_close(). */
UNUSED static uint64_t wire_text(struct wire *w, const char *s)
{
	pb_put_bytes_always(&w->b, 6, str_from(s));
	return w->strings++;
}

UNUSED static void wire_fields(struct wire *w, const uint64_t *fields)
{
	for (; fields[0]; fields += 2) {
		pb_put_tag(&w->b, (uint32_t)fields[0], PB_VARINT);
		pb_put_varint(&w->b, fields[1]);
	}
}

UNUSED static void wire_message(struct wire *w, uint32_t number, const uint64_t *fields)
{
	size_t mark = pb_open(&w->b, number);

	wire_fields(w, fields);
	pb_close(&w->b, mark);
}

/* WIRE(&w, 5, 1, id, 2, name): message 5 with numeric fields 1 and 2. Texts may be made in place. */
#define WIRE(w, number, ...) wire_message((w), (number), (const uint64_t[]){__VA_ARGS__, 0})

/* One sample type, and the period type the same. */
UNUSED static void wire_type(struct wire *w, const char *type, const char *unit)
{
	uint64_t t = wire_text(w, type);
	uint64_t u = wire_text(w, unit);

	WIRE(w, 1, 1, t, 2, u);
	WIRE(w, 11, 1, t, 2, u);
}

UNUSED static void wire_mapping(struct wire *w, uint64_t id, uint64_t start, const char *filename,
				const char *build_id)
{
	uint64_t limit = start ? start + 0x100000 : 0;

	WIRE(w, 3, 1, id, 2, start, 3, limit, 5, wire_text(w, filename), 6,
	     wire_text(w, build_id));
}

UNUSED static void wire_function(struct wire *w, uint64_t id, const char *name, const char *file)
{
	uint64_t n = wire_text(w, name);

	WIRE(w, 5, 1, id, 2, n, 3, n, 4, wire_text(w, file));
}

/* lines: {function id, line} pairs ending with 0. */
UNUSED static void wire_location(struct wire *w, uint64_t id, uint64_t mapping, uint64_t address,
				 const uint64_t *lines)
{
	size_t mark = pb_open(&w->b, 4);

	wire_fields(w, (const uint64_t[]){1, id, 2, mapping, 3, address, 0});
	for (; lines && lines[0]; lines += 2)
		WIRE(w, 4, 1, lines[0], 2, lines[1]);
	pb_close(&w->b, mark);
}

/* locations: ids ending with 0; key may be NULL. */
UNUSED static void wire_sample(struct wire *w, const uint64_t *locations, int64_t value,
			       const char *key, const char *label)
{
	uint64_t k = key ? wire_text(w, key) : 0;
	uint64_t v = key ? wire_text(w, label) : 0;
	uint64_t packed_value = (uint64_t)value;
	size_t mark = pb_open(&w->b, 2);
	size_t n = 0;

	while (locations[n])
		n++;
	pb_put_packed(&w->b, 1, locations, n);
	pb_put_packed(&w->b, 2, &packed_value, 1);
	if (key)
		WIRE(w, 3, 1, k, 2, v);
	pb_close(&w->b, mark);
}

#define IDS(...) ((const uint64_t[]){__VA_ARGS__, 0})

/* Decodes, or prints why not and returns -1. */
UNUSED static int wire_decode(const struct wire *w, struct arena *a, struct pprof *ret)
{
	struct err e = ERR_INIT;

	if (pprof_decode(buf_str(&w->b), &pprof_limits_default, a, ret, &e) == 0)
		return 0;
	fprintf(stderr, "%s\n", e.msg);
	return -1;
}

#endif
