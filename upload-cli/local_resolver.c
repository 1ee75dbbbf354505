/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/local_resolver.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "upload-cli/debuginfod_client.h"
#include "upload-cli/indexer.h"
#include <limits.h>

struct local_module {
	struct uhx *uhx; /* NULL: nothing usable was found */
	bool tried;
	char *hint;
};

struct local_resolver {
	struct resolver resolver;
	char *const *debug_dirs;
	struct map modules; /* build-ID text → struct local_module * */
	debuginfod_client *client;
	bool client_tried;
};

static struct local_module *get_module(struct local_resolver *l, struct str id)
{
	struct local_module *m = map_get(&l->modules, id);

	if (m)
		return m;
	m = mem_zalloc(sizeof(*m));
	if (m && map_set(&l->modules, id, m, NULL) < 0) {
		free(m);
		m = NULL;
	}
	return m;
}

int local_resolver_hint(struct local_resolver *l, struct str build_id, struct str path, struct err *e)
{
	struct local_module *m = get_module(l, build_id);

	if (!m)
		return err_nomem(e);
	if (m->hint || path.n == 0 || path.p[0] != '/')
		return 0;
	m->hint = mem_strndup(path.p, path.n);
	return m->hint ? 0 : err_nomem(e);
}

/* Indexes the files if they are there and of that ID. */
static bool try_files(struct local_module *m, const char *elf, const char *debug, const struct build_id *id)
{
	struct err e = ERR_INIT;
	struct uhx *uhx;

	if (!elf || access(elf, R_OK) != 0)
		return false;
	if (debug && access(debug, R_OK) != 0)
		debug = NULL;
	if (indexer_index(elf, debug, NULL, &uhx, &e) < 0)
		return false;
	for (size_t i = 0; i < uhx_info(uhx)->id_count; i++) {
		if (build_id_eq(&uhx_info(uhx)->ids[i], id)) {
			m->uhx = uhx;
			return true;
		}
	}
	uhx_unref(uhx);
	return false;
}

static bool try_debug_dirs(struct local_resolver *l, struct local_module *m, const struct build_id *id)
{
	char hex[BUILD_ID_TEXT], path[PATH_MAX];

	if (id->kind != BUILD_ID_GNU)
		return false;
	build_id_text(id, hex);
	for (char *const *dir = l->debug_dirs; dir && *dir; dir++) {
		snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", *dir, hex, hex + 2);
		if (access(path, R_OK) == 0 && (try_files(m, m->hint, path, id) || try_files(m, path, NULL, id)))
			return true;
	}
	return false;
}

/* Once; that there is none is no reason to give up what the machine's own files can name. */
static void open_client(struct local_resolver *l)
{
	struct err e = ERR_INIT;

	if (!l->client_tried && debuginfod_client_open(&l->client, &e) < 0)
		fprintf(stderr, "unhex: DEBUGINFOD_URLS is set, but %s\n", e.msg);
	l->client_tried = true;
}

static bool try_debuginfod(struct local_resolver *l, struct local_module *m, const struct build_id *id)
{
	char hex[BUILD_ID_TEXT];
	char *path = NULL;
	bool found;
	int fd;

	if (id->kind != BUILD_ID_GNU || !getenv("DEBUGINFOD_URLS"))
		return false;
	open_client(l);
	if (!l->client)
		return false;
	build_id_text(id, hex);
	fd = debuginfod.find_debuginfo(l->client, (const unsigned char *)hex, 0, &path);
	if (fd < 0)
		return false;
	close(fd);
	found = try_files(m, path, NULL, id);
	free(path);
	return found;
}

static void load(struct local_resolver *l, struct local_module *m, struct str text)
{
	struct build_id ids[2];
	struct err e = ERR_INIT;
	int n = build_id_parse(text, ids, &e);

	m->tried = true;
	for (int i = 0; i < n && !m->uhx; i++) {
		if (!try_debug_dirs(l, m, &ids[i]) && !try_files(m, m->hint, NULL, &ids[i]))
			(void)try_debuginfod(l, m, &ids[i]);
	}
}

static int resolve_module(void *ctx, struct str build_id, struct module *ret, struct err *e)
{
	struct local_resolver *l = ctx;
	struct local_module *m = get_module(l, build_id);

	if (!m)
		return err_nomem(e);
	if (!m->tried)
		load(l, m, build_id);
	*ret = (struct module){.status = MODULE_MISSING,
			       .reason = err_code(ERR_NOT_FOUND),
			       .detail = "no file with that build-ID on this machine"};
	if (m->uhx)
		*ret = (struct module){.headers = uhx_info(m->uhx)->headers, .handle = m->uhx};
	return 0;
}

static int lookup(void *ctx UNUSED, const struct module *m, uint64_t va, struct frames *ret, struct err *e UNUSED)
{
	uhx_lookup(m->handle, va, ret);
	return 0;
}

static void release(void *ctx UNUSED, struct module *m UNUSED)
{
}

int local_resolver_new(char *const *debug_dirs, struct local_resolver **ret, struct err *e)
{
	struct local_resolver *l = mem_zalloc(sizeof(*l));

	if (!l)
		return err_nomem(e);
	l->resolver = (struct resolver){l, resolve_module, lookup, release};
	l->debug_dirs = debug_dirs;
	l->modules = MAP_INIT;
	*ret = l;
	return 0;
}

const struct resolver *local_resolver_resolver(struct local_resolver *l)
{
	return &l->resolver;
}

void local_resolver_free(struct local_resolver *l)
{
	struct str key;
	size_t pos = 0;
	void *value;

	if (!l)
		return;
	while (map_next(&l->modules, &pos, &key, &value)) {
		struct local_module *m = value;

		uhx_unref(m->uhx);
		free(m->hint);
		free(m);
	}
	map_deinit(&l->modules);
	debuginfod_client_close(l->client);
	free(l);
}
