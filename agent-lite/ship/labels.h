/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The labels of a series: pairs of name and value, each name once. `struct labels` is the set while
 * it is made; its packed form (pairs in order of names, each text NUL-terminated) is compared, kept
 * and sent. No state beyond the set; one owner thread for each.
 */
#ifndef AGENT_LABELS_H
#define AGENT_LABELS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
	LABELS_MAX = 48,	/* with the __meta_ ones */
	LABELS_SENT_MAX = 30,	/* Pyroscope's limit, with __name__ */
	LABEL_NAME_MAX = 128,	/* bytes; longer ones are refused */
	LABEL_VALUE_MAX = 512,	/* longer ones are cut */
	LABELS_PACKED_MAX = 32 << 10,
};

struct label {
	char *name;
	char *value;
};

struct labels {
	struct label items[LABELS_MAX]; /* ascending by name */
	size_t n;
};

void labels_deinit(struct labels *l);
/*
 * Sets or replaces; an empty value removes the label. The value becomes clean text in UTF-8, as far
 * as its first NUL.
 * ERR_TOO_LARGE when there are too many or the name is too long; ERR_NOMEM.
 */
int labels_set(struct labels *l, struct str name, struct str value, struct err *e) MUST_CHECK;
const char *labels_get(const struct labels *l, struct str name); /* "": none */
void labels_remove(struct labels *l, struct str name);
/* Letters, digits and _ , not beginning with a digit: what Prometheus takes for a label name. */
bool label_name_is_valid(struct str name);

/* Appends the packed form of those whose names do not begin with "__". */
int labels_pack(const struct labels *l, struct buf *out, struct err *e) MUST_CHECK;
/* The next pair of a packed form; false at the end. */
bool labels_next(struct str *packed, struct str *ret_name, struct str *ret_value);
/* service_name, container_id and this host's node, packed. */
int labels_of_service(const char *service, const char *container, struct buf *out, struct err *e)
	MUST_CHECK;
struct str labels_find(struct str packed, struct str name); /* empty: none */

#endif
