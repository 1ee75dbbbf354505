/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/give/wanted.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <string.h>

static void write_ids(const struct wanted_id *ids, size_t n, bool lists, struct json_out *j)
{
	json_key(j, lists ? "kallsyms" : "build_ids");
	json_arr(j);
	for (size_t i = 0; i < n; i++) {
		if (ids[i].is_list == lists)
			json_str_(j, str_from(ids[i].text));
	}
	json_end_arr(j);
}

void wanted_write(const struct wanted_id *ids, size_t n, struct buf *out)
{
	struct json_out j = JSON_OUT(out);

	json_obj(&j);
	write_ids(ids, n, false, &j);
	write_ids(ids, n, true, &j);
	json_end_obj(&j);
}

/* n where it was not asked about, or not in this form. */
static size_t position_of(const json_t *item, const struct wanted_id *ids, size_t n)
{
	struct str id = json_get_str(item, "build_id");
	struct str type = json_get_str(item, "type");
	size_t i = 0;

	while (i < n && !(str_is(id, ids[i].text) &&
			  str_is(type, ids[i].is_list ? "kallsyms" : "debuginfo")))
		i++;
	return i;
}

int wanted_read(struct str answer, const struct wanted_id *ids, size_t n,
		size_t ret[static WANTED_GIVEN_MAX], size_t *ret_n, struct err *e)
{
	_cleanup_(json_decrefp) json_t *root = NULL;
	const json_t *wanted;
	size_t found = 0;

	if (json_parse(answer, &root, e) < 0)
		return -1;
	wanted = json_object_get(root, "wanted");
	if (!json_is_array(wanted))
		return err_set(e, ERR_BAD_REQUEST, "the answer to what is wanted has no such list");
	for (size_t i = 0; i < json_array_size(wanted) && found < WANTED_GIVEN_MAX; i++) {
		size_t at = position_of(json_array_get(wanted, i), ids, n);

		if (at < n)
			ret[found++] = at;
	}
	*ret_n = found;
	return 0;
}
