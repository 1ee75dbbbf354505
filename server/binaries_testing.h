/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixture of the tests of binary life: a real store in a scratch folder, the real indexer, subjects
 * compiled by gcc, an upstream server that does what it is told. For test-*.c alone.
 */
#ifndef SERVER_BINARIES_TESTING_H
#define SERVER_BINARIES_TESTING_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/testing.h"
#include "server/binaries.h"
#include "tests/unit/fake_upstream.h"
#include "tests/unit/toolbox.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

enum { PATIENCE_MS = 20000, ABSENT_S = 600, ERROR_S = 60 };

struct subject {
	char *bytes;
	size_t size;
};

/* What the tests work on; made once. */
static struct {
	char indexer[4096];
	const char *why_not; /* NULL: everything is there */
	char id[BUILD_ID_TEXT];       /* of one */
	char other_id[BUILD_ID_TEXT]; /* of other */
	uint64_t work;                /* the address of work() in one; what is inlined lies in it */
	uint64_t main;
	struct subject debug, stripped, full, other_debug;
	char debuginfo_path[BUILD_ID_TEXT + 32];
	char executable_path[BUILD_ID_TEXT + 32];
	char other_debuginfo_path[BUILD_ID_TEXT + 32];
} made;

struct woken {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned times;
};

struct life {
	char dir[64];
	char index_dir[80];
	struct fake_upstream *server;
	char *urls[2];
	struct catalog *catalog;
	struct blob_store *blobs;
	struct results *results;
	struct upstream *upstream;
	struct binaries_config cfg;
	struct binaries *b;
	struct binaries_view *view;
	struct woken woken;
};

/* ---- subjects ----------------------------------------------------------------------------------------- */

static void load(struct subject *s, const char *name)
{
	s->bytes = toolbox_read(name, &s->size);
}

static void read_id(const char *file, char out[static BUILD_ID_TEXT])
{
	char *text;

	assert_int_equal(toolbox_run("readelf -n %s | awk '/Build ID/ { printf \"%%s\", $3 }' >id.txt", file),
			 0);
	text = toolbox_read("id.txt", NULL);
	snprintf(out, BUILD_ID_TEXT, "%s", text);
	free(text);
}

static bool find_indexer(void)
{
	const char *named = getenv("UNHEX_INDEXER");
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (named) {
		snprintf(made.indexer, sizeof(made.indexer), "%s", named);
		return access(named, X_OK) == 0;
	}
	assert_true(n > 0);
	self[n] = '\0';
	for (unsigned up = 0; up < 3; up++) { // BUILD/test/server/test-…
		slash = strrchr(self, '/');
		assert_non_null(slash);
		*slash = '\0';
	}
	snprintf(made.indexer, sizeof(made.indexer), "%.4000s/unhex-indexer", self);
	return access(made.indexer, X_OK) == 0;
}

static const char source_one[] =
	"static inline __attribute__((always_inline)) int inner(int x) { return x * 3 + 1; }\n"
	"__attribute__((noinline)) int work(int x)\n"
	"{ int s = 0; for (int i = 0; i < x; i++) s += inner(i); return s; }\n"
	"int main(int c, char **v) { (void)v; return work(c * 1000); }\n";

static void make_subjects(void)
{
	toolbox_write("one.c", str_from(source_one));
	toolbox_write("other.c", STR("int main(void) { return 7; }\n"));
	assert_int_equal(toolbox_run("gcc -g -O1 -Wl,--build-id -o one one.c &&"
				     " gcc -g -O1 -Wl,--build-id -o other other.c &&"
				     " objcopy --only-keep-debug one one.debug && strip -o one.stripped one &&"
				     " objcopy --only-keep-debug other other.debug"),
			 0);
	read_id("one", made.id);
	read_id("other", made.other_id);
	made.work = toolbox_nm("one", "work");
	made.main = toolbox_nm("one", "main");
	load(&made.debug, "one.debug");
	load(&made.stripped, "one.stripped");
	load(&made.full, "one");
	load(&made.other_debug, "other.debug");
	snprintf(made.debuginfo_path, sizeof(made.debuginfo_path), "/buildid/%s/debuginfo", made.id);
	snprintf(made.executable_path, sizeof(made.executable_path), "/buildid/%s/executable", made.id);
	snprintf(made.other_debuginfo_path, sizeof(made.other_debuginfo_path), "/buildid/%s/debuginfo",
		 made.other_id);
}

UNUSED static int life_group_setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	if (!find_indexer())
		made.why_not = "unhex-indexer is not built";
	else if (!toolbox_has("gcc") || !toolbox_has("objcopy"))
		made.why_not = "gcc or objcopy is missing";
	else
		make_subjects();
	return 0;
}

UNUSED static int life_group_teardown(void **state)
{
	free(made.debug.bytes);
	free(made.stripped.bytes);
	free(made.full.bytes);
	free(made.other_debug.bytes);
	return toolbox_teardown(state);
}

/* ---- the server's part -------------------------------------------------------------------------------- */

static void open_stores(struct life *l)
{
	struct blob_limits limits = {.identity_cache_bytes = 64 << 20};
	struct err e = ERR_INIT;
	char path[128];

	snprintf(path, sizeof(path), "%s/catalog.db", l->dir);
	assert_ok(catalog_open(path, &l->catalog, &e));
	snprintf(path, sizeof(path), "%s/blobs", l->dir);
	assert_ok(blob_store_open(path, &limits, &l->blobs, &e));
	snprintf(path, sizeof(path), "%s/results.db", l->dir);
	assert_ok(results_open(path, &l->results, &e));
}

/* From here on the server answers. */
UNUSED static void life_start(struct life *l)
{
	struct err e = ERR_INIT;
	struct upstream_config up = {
		.urls = l->urls,
		.max_file_bytes = 64 << 20,
		.per_server = 8,
		.connect_timeout_ms = 2000,
		.first_byte_timeout_ms = 1000,
		.stall_timeout_ms = 60000,
		.staging_dir = l->dir,
		.user_agent = "unhexd/test",
	};

	open_stores(l);
	assert_ok(upstream_new(&up, &l->upstream, &e));
	l->cfg.catalog = l->catalog;
	l->cfg.blobs = l->blobs;
	l->cfg.results = l->results;
	l->cfg.upstream = l->upstream;
	assert_ok(binaries_new(&l->cfg, &l->b, &e));
	assert_ok(binaries_view_new(l->b, &l->view, &e));
}

static void life_stop(struct life *l)
{
	binaries_view_free(l->view);
	binaries_free(l->b);
	upstream_free(l->upstream);
	if (l->results)
		results_close(l->results);
	if (l->blobs)
		blob_store_close(l->blobs);
	if (l->catalog)
		catalog_close(l->catalog);
	l->view = NULL;
	l->b = NULL;
	l->upstream = NULL;
	l->results = NULL;
	l->blobs = NULL;
	l->catalog = NULL;
}

UNUSED static int life_setup(void **state)
{
	struct life *l = calloc(1, sizeof(*l));

	test_dir_make(l->dir);
	snprintf(l->index_dir, sizeof(l->index_dir), "%s/index", l->dir);
	l->server = fake_upstream_new();
	l->urls[0] = l->server->url;
	fake_upstream_start(l->server);
	l->cfg = (struct binaries_config){
		.index_dir = l->index_dir,
		.indexer_path = made.indexer,
		.index_workers = 2,
		.indexer_deadline_ms = 20000,
		.indexer_max_memory = UINT64_C(1) << 30,
		.absent_s = ABSENT_S,
		.error_s = ERROR_S,
		.open_indexes = 8,
	};
	pthread_mutex_init(&l->woken.lock, NULL);
	pthread_cond_init(&l->woken.changed, NULL);
	*state = l;
	return 0;
}

UNUSED static int life_teardown(void **state)
{
	struct life *l = *state;


	life_stop(l);
	fake_upstream_free(l->server);
	pthread_mutex_destroy(&l->woken.lock);
	pthread_cond_destroy(&l->woken.changed);
	test_dir_remove(l->dir);
	free(l);
	return 0;
}

/* The first line of a test. */
#define LIFE(state)                                                                                \
	({                                                                                         \
		if (made.why_not) {                                                                \
			print_message("skipped: %s\n", made.why_not);                              \
			skip();                                                                    \
		}                                                                                  \
		(struct life *)*(state);                                                           \
	})

/* ---- waiting ------------------------------------------------------------------------------------------ */

static void on_wake(void *ctx)
{
	struct woken *w = ctx;

	pthread_mutex_lock(&w->lock);
	w->times++;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void wait_woken(struct woken *w, unsigned times)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&w->lock);
	while (w->times < times)
		assert_int_equal(pthread_cond_timedwait(&w->changed, &w->lock, &until), 0);
	assert_int_equal(w->times, times);
	w->times = 0;
	pthread_mutex_unlock(&w->lock);
}

UNUSED static void parse_id(const char *text, struct build_id ids[static 2], size_t *ret_n)
{
	struct err e = ERR_INIT;
	int n = build_id_parse(str_from(text), ids, &e);

	assert_true(n > 0);
	*ret_n = (size_t)n;
}

/* ---- looking up ----------------------------------------------------------------------------------------- */

struct answer {
	enum module_status status;
	char reason[64];
	char detail[512];
	bool headers_trusted;
	size_t n;
	enum frame_source source;
	char leaf[64];   /* innermost function */
	char outer[64];  /* outermost */
	char file[256];
	uint32_t line;
};

static void copy_frames(const struct frames *f, struct answer *a)
{
	a->n = f->n;
	a->source = f->source;
	if (!f->n)
		return;
	snprintf(a->leaf, sizeof(a->leaf), STR_FMT, STR_ARG(f->frame[0].function));
	snprintf(a->outer, sizeof(a->outer), STR_FMT, STR_ARG(f->frame[f->n - 1].function));
	snprintf(a->file, sizeof(a->file), STR_FMT, STR_ARG(f->frame[0].file));
	a->line = f->frame[0].line;
}

/* Asks once, and takes what is at hand. */
static struct answer ask_view(struct binaries_view *view, const char *id, uint64_t va)
{
	const struct resolver *r = binaries_view_resolver(view);
	static _Thread_local struct frames frames;
	struct answer a = {0};
	struct err e = ERR_INIT;
	struct module m;

	assert_ok(r->module(r->ctx, str_from(id), &m, &e));
	a.status = m.status;
	snprintf(a.reason, sizeof(a.reason), "%s", m.reason ? m.reason : "");
	snprintf(a.detail, sizeof(a.detail), "%s", m.detail ? m.detail : "");
	if (m.status == MODULE_OK) {
		assert_ok(r->lookup(r->ctx, &m, va, &frames, &e));
		copy_frames(&frames, &a);
		a.headers_trusted = m.headers.trusted;
	}
	r->release(r->ctx, &m);
	return a;
}

UNUSED static struct answer ask_once(struct life *l, const char *id, uint64_t va)
{
	binaries_view_reset(l->view);
	return ask_view(l->view, id, va);
}

/* Asks, waits while something is pending, asks again. */
UNUSED static struct answer ask(struct life *l, const char *id, uint64_t va)
{
	struct binaries_waiting w = {.wait_ms = PATIENCE_MS, .wake = on_wake, .ctx = &l->woken};
	struct err e = ERR_INIT;
	struct answer a = ask_once(l, id, va);

	for (unsigned i = 0; i < 10 && binaries_view_pending(l->view); i++) {
		assert_int_equal(binaries_wait(l->b, l->view, &w, &e), 0);
		wait_woken(&l->woken, 1);
		a = ask_once(l, id, va);
	}
	assert_int_equal(binaries_view_pending(l->view), 0);
	return a;
}

UNUSED static void assert_work(const struct answer *a)
{
	assert_int_equal(a->status, MODULE_OK);
	assert_string_equal(a->outer, "work");
	assert_int_equal(a->source, SOURCE_DWARF);
	assert_non_null(strstr(a->file, "one.c"));
	assert_true(a->line > 0);
}

/* Waits until no flight is about the binary. */
UNUSED static void wait_landed(struct life *l, const char *id)
{
	struct binaries_waiting w = {.wait_ms = PATIENCE_MS, .wake = on_wake, .ctx = &l->woken};
	struct err e = ERR_INIT;
	struct build_id ids[2];
	size_t n;
	int rc;

	parse_id(id, ids, &n);
	while ((rc = binaries_wait_id(l->b, ids, n, UNTIL_INDEXED, &w, &e)) == 0)
		wait_woken(&l->woken, 1);
	assert_int_equal(rc, BINARIES_SETTLED);
}

/* ---- taking in ------------------------------------------------------------------------------------------ */

UNUSED static int put(struct life *l, const char *id, const struct subject *s, enum file_type type,
		      struct err *e)
{
	char path[] = "/tmp/unhex-test-XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	struct binaries_put_result ret = {.probe_json = NULL};
	struct build_id ids[2];
	struct binaries_upload u = {
		.fd = fd, .claimed = ids, .type = type, .trust = TRUST_UPLOAD, .origin = "ci"};
	int rc;

	unlink(path);
	assert_int_equal(write(fd, s->bytes, s->size), (ssize_t)s->size);
	parse_id(id, ids, &u.claimed_count);
	rc = binaries_put(l->b, &u, &ret, e);
	if (rc >= 0)
		free(ret.probe_json);
	return rc;
}

UNUSED static struct binary row(struct life *l, const char *id)
{
	static struct binary b;
	struct build_id ids[2];
	struct err e = ERR_INIT;
	size_t n;

	parse_id(id, ids, &n);
	assert_ok(catalog_find(l->catalog, ids, n, &b, &e));
	return b;
}

UNUSED static bool known(struct life *l, const char *id)
{
	static struct binary b;
	struct build_id ids[2];
	struct err e = ERR_INIT;
	size_t n;

	parse_id(id, ids, &n);
	return catalog_find(l->catalog, ids, n, &b, &e) == 0;
}

/* Empties a folder that holds files and folders of files. */
UNUSED static void wipe(const struct life *l, const char *name)
{
	char command[256];

	snprintf(command, sizeof(command), "find %s/%s -type f -delete", l->dir, name);
	assert_int_equal(system(command), 0);
}

UNUSED static unsigned indexes_on_disk(const struct life *l)
{
	DIR *dir = opendir(l->index_dir);
	const struct dirent *d;
	unsigned n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir)))
		n += str_has_suffix(str_from(d->d_name), STR(".uhx"));
	closedir(dir);
	return n;
}

/* A program that stands in for the indexer: the real one for --probe, the shell line otherwise. */
UNUSED static void fake_indexer(struct life *l, const char *line)
{
	static char path[128];
	char text[8192];

	snprintf(path, sizeof(path), "%s/fake-indexer", l->dir);
	snprintf(text, sizeof(text), "#!/bin/sh\ncase \"$*\" in *--probe*) exec %s \"$@\";; esac\n%s\n",
		 made.indexer, line);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "exec %s \"$@\"\n", made.indexer);
	{
		struct err e = ERR_INIT;

		assert_ok(io_write_file(path, text, strlen(text), 0755, &e));
	}
	l->cfg.indexer_path = path;
}

#endif
