/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as relabel rules, and, behind a NUL, as the values that they meet: an error of ours, or
 * labels within their bounds.
 */
#include "agent-lite/ship/relabel.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_labels(const struct labels *l)
{
	if (l->n > LABELS_MAX)
		abort();
	for (size_t i = 0; i < l->n; i++) {
		if (!label_name_is_valid(str_from(l->items[i].name)) || !l->items[i].value[0] ||
		    strlen(l->items[i].value) > LABEL_VALUE_MAX ||
		    !str_is_utf8(str_from(l->items[i].value)))
			abort();
		if (i > 0 && strcmp(l->items[i - 1].name, l->items[i].name) >= 0)
			abort();
	}
}

static void apply(const struct relabel *r, struct str value)
{
	struct labels l = {.n = 0};
	struct err e = ERR_INIT;
	bool keep;

	if (labels_set(&l, STR("a"), value, &e) < 0 || labels_set(&l, STR("b_c"), STR("d/e-f"), &e) < 0 ||
	    labels_set(&l, STR("__meta_x"), value, &e) < 0)
		abort();
	if (relabel_apply(r, &l, &keep, &e) < 0 && (e.kind == ERR_NONE || e.msg[0] == 0))
		abort();
	check_labels(&l);
	labels_deinit(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str value = {(const char *)data, size}, rules;
	struct relabel *r = NULL;
	struct err e = ERR_INIT;

	if (!str_next(&value, 0, &rules))
		return 0;
	if (!value.p)
		value = STR("value");
	if (relabel_parse(rules, &r, &e) < 0) {
		if (e.kind == ERR_NONE || e.msg[0] == 0)
			abort();
		return 0;
	}
	apply(r, value);
	relabel_free(r);
	return 0;
}
