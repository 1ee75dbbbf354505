/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/labels.h"

#include "agent-lite/process/clean_text.h"
#include "base/cleanup.h"
#include "base/mem.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void label_free(struct label *l)
{
	free(l->name);
	free(l->value);
}

void labels_deinit(struct labels *l)
{
	for (size_t i = 0; i < l->n; i++)
		label_free(&l->items[i]);
	l->n = 0;
}

bool label_name_is_valid(struct str name)
{
	if (name.n == 0 || name.n > LABEL_NAME_MAX || (name.p[0] >= '0' && name.p[0] <= '9'))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '_')
			return false;
	}
	return true;
}

/* Where the name is, or belongs; *ret_found tells which. */
static size_t position(const struct labels *l, struct str name, bool *ret_found)
{
	size_t i = 0;
	int order = 1;

	while (i < l->n && (order = str_cmp(str_from(l->items[i].name), name)) < 0)
		i++;
	*ret_found = i < l->n && order == 0;
	return i;
}

static void remove_at(struct labels *l, size_t at)
{
	label_free(&l->items[at]);
	l->n--;
	memmove(&l->items[at], &l->items[at + 1], (l->n - at) * sizeof(l->items[0]));
}

void labels_remove(struct labels *l, struct str name)
{
	bool found;
	size_t at = position(l, name, &found);

	if (found)
		remove_at(l, at);
}

const char *labels_get(const struct labels *l, struct str name)
{
	bool found;
	size_t at = position(l, name, &found);

	return found ? l->items[at].value : "";
}

static int insert(struct labels *l, size_t at, struct str name, char *value, struct err *e)
{
	char *copy;

	if (l->n == LABELS_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d labels", LABELS_MAX);
	copy = mem_strndup(name.p, name.n);
	if (!copy)
		return err_nomem(e);
	memmove(&l->items[at + 1], &l->items[at], (l->n - at) * sizeof(l->items[0]));
	l->items[at] = (struct label){copy, value};
	l->n++;
	return 0;
}

int labels_set(struct labels *l, struct str name, struct str value, struct err *e)
{
	bool found;
	size_t at = position(l, name, &found);
	_cleanup_free_ char *copy = NULL;

	value.n = value.n ? strnlen(value.p, value.n) : 0;
	if (value.n == 0) {
		labels_remove(l, name);
		return 0;
	}
	if (!label_name_is_valid(name))
		return err_set(e, ERR_TOO_LARGE, "'%.*s' cannot be a label's name",
			       (int)MIN(name.n, (size_t)LABEL_NAME_MAX), name.p);
	copy = mem_strndup(value.p, MIN(value.n, (size_t)LABEL_VALUE_MAX));
	if (!copy)
		return err_nomem(e);
	clean_text(copy);
	if (!found) {
		if (insert(l, at, name, copy, e) < 0)
			return -1;
	} else {
		free(l->items[at].value);
		l->items[at].value = copy;
	}
	steal_ptr(copy);
	return 0;
}

int labels_pack(const struct labels *l, struct buf *out, struct err *e)
{
	size_t sent = 1; // __name__

	for (size_t i = 0; i < l->n && sent < LABELS_SENT_MAX; i++) {
		const struct label *at = &l->items[i];

		if (str_has_prefix(str_from(at->name), STR("__")))
			continue;
		buf_append(out, at->name, strlen(at->name) + 1);
		buf_append(out, at->value, strlen(at->value) + 1);
		sent++;
	}
	return buf_check(out, "the labels", e);
}

bool labels_next(struct str *packed, struct str *ret_name, struct str *ret_value)
{
	return packed->n > 0 && str_next(packed, 0, ret_name) && str_next(packed, 0, ret_value);
}

struct str labels_find(struct str packed, struct str name)
{
	struct str n, value;

	while (labels_next(&packed, &n, &value)) {
		if (str_eq(n, name))
			return value;
	}
	return STR("");
}

int labels_of_service(const char *service, const char *container, struct buf *out, struct err *e)
{
	_cleanup_(labels_deinit) struct labels l = {.n = 0};
	char node[HOST_NAME_MAX + 1];

	if (gethostname(node, sizeof(node)) < 0)
		node[0] = 0;
	node[sizeof(node) - 1] = 0;
	if (labels_set(&l, STR("service_name"), str_from(service), e) < 0 ||
	    labels_set(&l, STR("container_id"), str_from(container), e) < 0 ||
	    labels_set(&l, STR("node"), str_from(node), e) < 0)
		return -1;
	return labels_pack(&l, out, e);
}
