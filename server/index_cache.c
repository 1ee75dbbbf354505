/* SPDX-License-Identifier: Apache-2.0 */
#include "server/index_cache.h"

#include "base/io.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "server/binaries_metrics.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

// Also the key in the map, as bytes: no padding.
struct index_key {
	int64_t binary;
	uint64_t generation;
};

struct entry {
	struct index_key key;
	struct entry *older;
	struct entry *newer;
	struct uhx *index;
};

struct index_cache {
	char *dir;
	size_t max_open;
	pthread_mutex_t lock; // guards what follows
	struct map entries;
	struct entry *newest;
	struct entry *oldest;
};

static struct str key_str(const struct index_key *k)
{
	return (struct str){(const char *)k, sizeof(*k)};
}

int index_cache_new(const char *dir, size_t max_open, struct index_cache **ret, struct err *e)
{
	struct index_cache *c = mem_zalloc(sizeof(*c));

	if (!c)
		return err_nomem(e);
	pthread_mutex_init(&c->lock, NULL);
	c->entries = MAP_INIT;
	c->max_open = MAX(max_open, (size_t)1);
	c->dir = mem_strdup(dir);
	if (!c->dir) {
		index_cache_free(c);
		return err_nomem(e);
	}
	if (io_mkdirs(dir, 0755, e)) {
		index_cache_free(c);
		return -1;
	}
	*ret = c;
	return 0;
}

// ---- the LRU; the lock is held --------------------------------------------------------------------------

static void take_out(struct index_cache *c, struct entry *en)
{
	*(en->newer ? &en->newer->older : &c->newest) = en->older;
	*(en->older ? &en->older->newer : &c->oldest) = en->newer;
}

static void put_newest(struct index_cache *c, struct entry *en)
{
	en->newer = NULL;
	en->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = en;
	c->newest = en;
}

// The entry's reference to the index becomes the caller's.
static struct uhx *forget(struct index_cache *c, struct entry *en)
{
	struct uhx *index = en->index;

	take_out(c, en);
	map_del(&c->entries, key_str(&en->key));
	free(en);
	metric_gauge_add(&metric_indexes_open, 0, -1);
	return index;
}

static struct uhx *find(struct index_cache *c, const struct index_key *key)
{
	struct entry *en = map_get(&c->entries, key_str(key));

	if (!en)
		return NULL;
	take_out(c, en);
	put_newest(c, en);
	return uhx_ref(en->index);
}

// Returns what fell out at the other end, to be given back without the lock.
static struct uhx *insert(struct index_cache *c, struct entry *en)
{
	if (map_set(&c->entries, key_str(&en->key), en, NULL)) {
		struct uhx *index = en->index;

		free(en);
		return index;
	}
	put_newest(c, en);
	metric_gauge_add(&metric_indexes_open, 0, 1);
	return c->entries.n > c->max_open ? forget(c, c->oldest) : NULL;
}

// ---- opening ----------------------------------------------------------------------------------------------

void index_cache_free(struct index_cache *c)
{
	if (!c)
		return;
	while (c->newest)
		uhx_unref(forget(c, c->newest));
	map_deinit(&c->entries);
	pthread_mutex_destroy(&c->lock);
	free(c->dir);
	free(c);
}

const char *index_cache_dir(const struct index_cache *c)
{
	return c->dir;
}

int index_cache_path(const struct index_cache *c, int64_t binary, uint32_t generation,
		     char ret[static INDEX_PATH_MAX], struct err *e)
{
	int n = snprintf(ret, INDEX_PATH_MAX, "%s/%" PRId64 "-%" PRIu32 ".uhx", c->dir, binary,
			 generation);

	if (n < 0 || n >= INDEX_PATH_MAX)
		return err_set(e, ERR_CONFIG, "the path of the index folder is too long");
	return 0;
}

static int open_file(struct index_cache *c, const struct index_key *key, struct uhx **ret,
		     struct err *e)
{
	char path[INDEX_PATH_MAX];
	struct err why;

	if (index_cache_path(c, key->binary, (uint32_t)key->generation, path, e))
		return -1;
	if (uhx_open(path, ret, &why) == 0)
		return 0;
	if (why.kind == ERR_BAD_INDEX || why.kind == ERR_UNSUPPORTED) {
		// what another release wrote is in order, and rebuilt like what is not
		if (why.kind == ERR_UNSUPPORTED)
			log_err(LOG_INFO, "index_outdated", &why, NULL);
		else
			log_err(LOG_WARN, "index_damaged", &why, NULL);
		unlink(path);
		return INDEX_NOT_FOUND;
	}
	if (why.kind == ERR_NOT_FOUND)
		return INDEX_NOT_FOUND;
	if (e)
		*e = why;
	return -1;
}

static void keep(struct index_cache *c, const struct index_key *key, struct uhx *index)
{
	struct entry *en = mem_zalloc(sizeof(*en));
	struct uhx *surplus;

	if (!en)
		return;
	en->key = *key;
	en->index = uhx_ref(index);
	pthread_mutex_lock(&c->lock);
	if (map_get(&c->entries, key_str(key))) { // another thread was faster
		surplus = en->index;
		free(en);
	} else {
		surplus = insert(c, en);
	}
	pthread_mutex_unlock(&c->lock);
	uhx_unref(surplus);
}

int index_cache_get(struct index_cache *c, int64_t binary, uint32_t generation, struct uhx **ret,
		    struct err *e)
{
	struct index_key key = {binary, generation};
	struct uhx *index;
	int rc;

	pthread_mutex_lock(&c->lock);
	index = find(c, &key);
	pthread_mutex_unlock(&c->lock);
	if (index) {
		metric_inc(&metric_index_hits);
		*ret = index;
		return 0;
	}
	metric_inc(&metric_index_misses);
	rc = open_file(c, &key, &index, e);
	if (rc)
		return rc;
	keep(c, &key, index);
	*ret = index;
	return 0;
}

bool index_cache_has_file(const struct index_cache *c, int64_t binary, uint32_t generation)
{
	char path[INDEX_PATH_MAX];

	return !index_cache_path(c, binary, generation, path, NULL) && access(path, R_OK) == 0;
}

void index_cache_remove(struct index_cache *c, int64_t binary, uint32_t generation)
{
	struct index_key key = {binary, generation};
	char path[INDEX_PATH_MAX];
	struct uhx *index = NULL;
	struct entry *en;

	pthread_mutex_lock(&c->lock);
	en = map_get(&c->entries, key_str(&key));
	if (en)
		index = forget(c, en);
	pthread_mutex_unlock(&c->lock);
	uhx_unref(index);
	if (!index_cache_path(c, binary, generation, path, NULL))
		unlink(path);
}

// ---- after a crash ------------------------------------------------------------------------------------------

static bool parse_name(const char *name, struct index_key *ret)
{
	struct str s = str_from(name);
	struct str binary;
	uint64_t n;

	if (!str_has_suffix(s, STR(".uhx")))
		return false;
	s.n -= 4;
	if (!str_next(&s, '-', &binary) || !str_to_u64(binary, INT64_MAX, &n))
		return false;
	ret->binary = (int64_t)n;
	return str_to_u64(s, UINT32_MAX, &ret->generation);
}

// What we write there ourselves: indexes, and those that were on their way (base/io.h).
static bool is_ours(const char *name)
{
	return str_has_suffix(str_from(name), STR(".uhx")) ||
	       str_has_prefix(str_from(name), STR(".tmp-"));
}

// 1: it is; 0: it is not.
static int is_current(struct catalog *catalog, const char *name, struct err *e)
{
	struct index_key key;
	struct binary row;
	int rc;

	if (!parse_name(name, &key))
		return 0;
	rc = catalog_get(catalog, key.binary, &row, e);
	if (rc < 0)
		return -1;
	return rc == 0 && row.generation == key.generation;
}

int index_cache_sweep(struct index_cache *c, struct catalog *catalog, struct err *e)
{
	DIR *dir = opendir(c->dir);
	const struct dirent *d;
	int rc = 0;

	if (!dir)
		return err_sys(e, errno, "reading %s", c->dir);
	while (rc >= 0 && (d = readdir(dir))) {
		if (!is_ours(d->d_name))
			continue;
		rc = is_current(catalog, d->d_name, e);
		if (rc == 0)
			unlinkat(dirfd(dir), d->d_name, 0);
	}
	closedir(dir);
	return rc < 0 ? -1 : 0;
}
