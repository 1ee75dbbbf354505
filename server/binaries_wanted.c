/* SPDX-License-Identifier: Apache-2.0 */
/* What of a binary a host that runs it should send. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "server/binaries_internal.h"

// Agents send all that their host has: asked again they would send the same again.
static bool came_from_agents(const struct catalog_file *files, size_t n, bool list)
{
	for (size_t i = 0; i < n; i++) {
		if (files[i].trust == TRUST_AGENT && (files[i].type == FILE_KALLSYMS) == list)
			return true;
	}
	return false;
}

/*
 * Are the names at hand good enough, on their way, or as good as they will be? A failure to index them
 * holds for as long as no others come.
 */
static int is_provided(struct binaries *b, const struct binaries_wants *w, bool *ret, struct err *e)
{
	_cleanup_free_ struct catalog_file *files = NULL;
	_cleanup_free_ struct binary *row = mem_alloc(sizeof(*row)); // large
	size_t n;
	int rc;

	*ret = false;
	if (!row)
		return err_nomem(e);
	rc = catalog_find(b->cfg.catalog, w->ids, w->n, row, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	*ret = (row->index_current && row->quality >= QUALITY_SYMTAB) || row->needs_index ||
	       row->reason_code[0];
	if (*ret)
		return 0;
	if (catalog_files(b->cfg.catalog, row->id, &files, &n, e))
		return -1;
	*ret = came_from_agents(files, n, w->list);
	return 0;
}

/*
 * Have upstream servers said no, or is there none to ask? One that could not be asked just now has not, and
 * where nobody has asked yet this does.
 */
static int upstream_said_no(struct binaries *b, const struct binaries_wants *w, bool *ret, struct err *e)
{
	static const enum file_type types[] = {FILE_DEBUGINFO, FILE_EXECUTABLE};
	const struct build_id *id = binaries_gnu_id(w->ids, w->n);
	const struct flight_ask ask = {.ids = w->ids, .n = w->n, .wants = FLIGHT_NAMES};
	bool unknown = false, failed = false;

	*ret = true;
	if (!id || !upstream_configured(b->cfg.upstream))
		return 0;
	for (size_t i = 0; i < countof(types); i++) {
		enum upstream_answer answer;
		int rc = catalog_upstream_get(b->cfg.catalog, id, types[i], &answer, e);

		if (rc < 0)
			return -1;
		unknown |= rc == CATALOG_NOT_FOUND;
		failed |= rc == 0 && answer == UPSTREAM_ERROR;
	}
	*ret = !unknown && !failed;
	// Too much on its way is no error: it is asked for again.
	if (unknown && flights_join(b->flights, &ask, e) && e->kind != ERR_OVERLOADED)
		return -1;
	return 0;
}

int binaries_wanted(struct binaries *b, const struct binaries_wants *w, bool *ret, struct err *e)
{
	bool provided, refused;

	*ret = false;
	if (flights_under_way(b->flights, w->ids, w->n, 0, UNTIL_INDEXED))
		return 0;
	if (is_provided(b, w, &provided, e))
		return -1;
	if (provided)
		return 0;
	if (upstream_said_no(b, w, &refused, e))
		return -1;
	*ret = refused;
	return 0;
}
