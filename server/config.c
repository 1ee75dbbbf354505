/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "base/mem.h"
#include "server/http.h"
#include <stdlib.h>
#include <unistd.h>

#define OPTION(field, option_name, option_type, ...)                                               \
	{                                                                                          \
		.name = (option_name), .type = (option_type), .target = &c->field, __VA_ARGS__     \
	}

static void fill_table(struct config *c)
{
	const struct opt opts[] = {
		OPTION(listen, "listen", OPT_STRING, .fallback = "127.0.0.1:8002",
		       .arg = "ADDR:PORT", .help = "where to listen; port 0 picks a free one",
		       .group = "Where"),
		OPTION(data_dir, "data-dir", OPT_STRING, .fallback = "./unhex-data", .arg = "DIR",
		       .help = "where everything is kept; made when missing"),
		OPTION(upstream, "upstream", OPT_LIST, .arg = "URL",
		       .help = "a debuginfod server to ask for what is not here (default: "
			       "those in DEBUGINFOD_URLS)"),
		OPTION(scan, "scan", OPT_LIST, .arg = "DIR",
		       .help = "a folder of binaries to serve (not built yet)"),
		OPTION(store, "store", OPT_LIST, .arg = "SPEC",
		       .help = "where symbolized profiles go: dir:PATH (default: inside the data "
			       "dir)"),
		OPTION(port_file, "port-file", OPT_STRING, .arg = "FILE",
		       .help = "write the port there once it is open"),
		OPTION(config_file, "config", OPT_STRING, .arg = "FILE",
		       .help = "read `key = value` lines, keys as the options here"),
		OPTION(check_config, "check-config", OPT_FLAG, .flag_only = true,
		       .help = "check options and files, then exit"),
		OPTION(print_config, "print-config", OPT_FLAG, .flag_only = true,
		       .help = "print every option in force and where it comes from, then exit"),

		OPTION(allow_anonymous_write, "allow-anonymous-write", OPT_FLAG,
		       .help = "let anyone upload and push, beyond loopback, too",
		       .group = "Who may"),
		OPTION(require_read_token, "require-read-token", OPT_FLAG,
		       .help = "reading /v1 needs a token with scope read"),

		OPTION(io_threads, "io-threads", OPT_U64, .fallback = "2", .arg = "N",
		       .help = "threads for sockets", .group = "Requests"),
		OPTION(work_threads, "work-threads", OPT_U64, .fallback = "0", .arg = "N",
		       .help = "threads that symbolize and look up (0: one per CPU, at least 2)"),
		OPTION(ingest_threads, "ingest-threads", OPT_U64, .fallback = "0", .arg = "N",
		       .help = "threads that take uploads (0: one per CPU, at least 2)"),
		OPTION(queue, "queue", OPT_U64, .fallback = "256", .arg = "N",
		       .help = "requests that may wait for a thread; more are refused"),
		OPTION(max_waiting, "max-waiting", OPT_U64, .fallback = "1024", .arg = "N",
		       .help = "requests that may wait for debug info at the same time"),
		OPTION(max_connections, "max-connections", OPT_U64, .fallback = "2048", .arg = "N",
		       .help = "connections in all"),
		OPTION(max_connections_per_ip, "max-connections-per-ip", OPT_U64,
		       .fallback = "1024", .arg = "N", .help = "connections from one address"),
		OPTION(connection_memory, "connection-memory", OPT_SIZE, .fallback = "64KiB",
		       .arg = "SIZE", .help = "buffer of one connection"),
		OPTION(idle_timeout_ms, "idle-timeout", OPT_DURATION_MS, .fallback = "60s",
		       .arg = "DURATION",
		       .help = "a connection that stands still so long is closed"),
		OPTION(drain_timeout_ms, "drain-timeout", OPT_DURATION_MS, .fallback = "10s",
		       .arg = "DURATION", .help = "time for requests to end after TERM"),
		OPTION(max_body, "max-body", OPT_SIZE, .fallback = "64MiB", .arg = "SIZE",
		       .help = "largest profile or JSON request, as sent"),
		OPTION(max_decompressed, "max-decompressed", OPT_SIZE, .fallback = "256MiB",
		       .arg = "SIZE", .help = "largest one after decompression"),
		OPTION(max_body_memory, "max-body-memory", OPT_SIZE, .fallback = "512MiB",
		       .arg = "SIZE", .help = "memory for all request bodies together"),

		OPTION(max_upload, "max-upload", OPT_SIZE, .fallback = "4GiB", .arg = "SIZE",
		       .help = "largest upload, sent and decompressed", .group = "Binaries"),
		OPTION(quota, "quota", OPT_SIZE, .fallback = "0", .arg = "SIZE",
		       .help = "disk for uploads and fetched files (0: no limit)"),
		OPTION(identity_cache, "identity-cache", OPT_SIZE, .fallback = "2GiB",
		       .arg = "SIZE",
		       .help = "disk for uncompressed copies of what is often asked for"),
		OPTION(compression_level, "compression-level", OPT_U64, .fallback = "3", .arg = "N",
		       .help = "zstd level of stored files (1 to 19)"),
		OPTION(indexer, "indexer", OPT_STRING, .arg = "FILE",
		       .help = "the indexer program (default: unhex-indexer beside unhexd)"),
		OPTION(index_workers, "index-workers", OPT_U64, .fallback = "0", .arg = "N",
		       .help = "indexers at a time (0: one per CPU)"),
		OPTION(index_deadline_ms, "index-deadline", OPT_DURATION_MS, .fallback = "300s",
		       .arg = "DURATION", .help = "time for one binary"),
		OPTION(index_memory, "index-memory", OPT_SIZE, .fallback = "4GiB", .arg = "SIZE",
		       .help = "address space of one indexer"),
		OPTION(open_indexes, "open-indexes", OPT_U64, .fallback = "512", .arg = "N",
		       .help = "indexes kept mapped"),
		OPTION(wanted_lease_ms, "wanted-lease", OPT_DURATION_MS, .fallback = "10m",
		       .arg = "DURATION",
		       .help = "how long one host is waited for that was asked for a binary"),

		OPTION(upstream_max_file, "upstream-max-file", OPT_SIZE, .fallback = "4GiB",
		       .arg = "SIZE", .help = "largest file fetched", .group = "Upstream"),
		OPTION(upstream_max_day, "upstream-max-day", OPT_SIZE, .fallback = "0",
		       .arg = "SIZE", .help = "bytes fetched a day (0: no limit)"),
		OPTION(upstream_transfers, "upstream-transfers", OPT_U64, .fallback = "4",
		       .arg = "N", .help = "transfers per server at a time"),
		OPTION(upstream_connect_timeout_ms, "upstream-connect-timeout", OPT_DURATION_MS,
		       .fallback = "5s", .arg = "DURATION", .help = "time to connect"),
		OPTION(upstream_head_start_ms, "upstream-head-start", OPT_DURATION_MS,
		       .fallback = "2s", .arg = "DURATION",
		       .help = "silence after which the next server is asked, too"),
		OPTION(upstream_stall_timeout_ms, "upstream-stall-timeout", OPT_DURATION_MS,
		       .fallback = "60s", .arg = "DURATION",
		       .help = "a transfer that stands still so long is given up"),
		OPTION(upstream_absent_ms, "upstream-absent", OPT_DURATION_MS, .fallback = "10m",
		       .arg = "DURATION", .help = "how long a \"no\" is remembered"),
		OPTION(upstream_error_ms, "upstream-error", OPT_DURATION_MS, .fallback = "60s",
		       .arg = "DURATION", .help = "how long a failure is remembered"),

		OPTION(profile_window_ms, "profile-window", OPT_DURATION_MS, .fallback = "60s",
		       .arg = "DURATION", .help = "span of one stored segment",
		       .group = "Profiles"),
		OPTION(profile_memory, "profile-memory", OPT_SIZE, .fallback = "256MiB",
		       .arg = "SIZE", .help = "memory for profiles not yet written as segments"),

		OPTION(log_level_name, "log-level", OPT_STRING, .fallback = "info", .arg = "LEVEL",
		       .help = "error, warn, info or debug", .group = "Logs"),
		OPTION(log_format_name, "log-format", OPT_STRING, .fallback = "logfmt",
		       .arg = "FORMAT", .help = "logfmt or json"),
		{0},
	};

	_Static_assert(countof(opts) <= CONFIG_OPTIONS, "the option table has outgrown its place");
	memcpy(c->opts, opts, sizeof(opts));
	c->table = (struct opt_table){
		.opts = c->opts,
		.env_prefix = "UNHEX_",
		.usage = "unhexd [OPTION]...\n"
			 "       unhexd token create|list|revoke --data-dir DIR [--name N] "
			 "[--scope S]",
		.intro =
			"The central symbolizer: profiles with addresses in, the same profiles "
			"with names\n"
			"out; a debuginfod server and proxy beside it.\n"
			"\n"
			"  unhexd --data-dir /var/lib/unhex --upstream "
			"https://debuginfod.debian.net\n"
			"  unhexd token create --data-dir /var/lib/unhex --name ci --scope upload\n"
			"  unhexd --data-dir /var/lib/unhex --listen 0.0.0.0:8002",
	};
}

// Servers in DEBUGINFOD_URLS are those every debuginfod client asks; "ima:…" words are passed over
// later.
static int default_upstreams(struct config *c, struct err *e)
{
	struct str rest = str_trim(str_from(getenv("DEBUGINFOD_URLS")));
	struct str word;

	if (opt_given(&c->table, "upstream") || !rest.n)
		return 0;
	while (str_next(&rest, ' ', &word)) {
		char **items;

		if (!word.n)
			continue;
		items = mem_reallocarray(c->upstream.items, c->upstream.n + 2, sizeof(*items));
		if (!items)
			return err_nomem(e);
		c->upstream.items = items;
		items[c->upstream.n] = mem_strndup(word.p, word.n);
		items[c->upstream.n + 1] = NULL;
		if (!items[c->upstream.n++])
			return err_nomem(e);
	}
	return 0;
}

static void fill_cpu_counts(struct config *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = cpus > 0 ? (uint64_t)cpus : 1;

	if (!c->work_threads)
		c->work_threads = MAX(n, (uint64_t)2);
	if (!c->ingest_threads)
		c->ingest_threads = MAX(n, (uint64_t)2);
	if (!c->index_workers)
		c->index_workers = n;
}

static int check_range(const char *name, uint64_t value, uint64_t min, uint64_t max, struct err *e)
{
	if (value >= min && value <= max)
		return 0;
	return err_set(e, ERR_CONFIG, "--%s is %llu; it must be from %llu to %llu", name,
		       (unsigned long long)value, (unsigned long long)min, (unsigned long long)max);
}

static int check_ranges(const struct config *c, struct err *e)
{
	const struct {
		const char *name;
		uint64_t value, min, max;
	} ranges[] = {
		{"io-threads", c->io_threads, 1, 64},
		{"work-threads", c->work_threads, 1, 256},
		{"ingest-threads", c->ingest_threads, 1, 256},
		{"queue", c->queue, 1, 100000},
		{"max-waiting", c->max_waiting, 0, 100000},
		{"max-connections", c->max_connections, c->io_threads, 100000},
		{"max-connections-per-ip", c->max_connections_per_ip, 1, 100000},
		{"connection-memory", c->connection_memory, KIB(8), MIB(1)},
		{"idle-timeout", c->idle_timeout_ms, 1000, 24 * 3600 * 1000},
		{"max-body", c->max_body, KIB(1), GIB(1)},
		{"max-decompressed", c->max_decompressed, KIB(1), GIB(2)},
		{"max-upload", c->max_upload, KIB(1), GIB(64)},
		{"compression-level", c->compression_level, 1, 19},
		{"index-workers", c->index_workers, 1, 256},
		{"index-deadline", c->index_deadline_ms, 1000, 3600 * 1000},
		{"open-indexes", c->open_indexes, 1, 100000},
		{"wanted-lease", c->wanted_lease_ms, 1000, 24 * 3600 * 1000},
		{"upstream-transfers", c->upstream_transfers, 1, 256},
		{"profile-window", c->profile_window_ms, 100, 3600 * 1000},
		{"profile-memory", c->profile_memory, MIB(1), GIB(64)},
	};

	for (size_t i = 0; i < countof(ranges); i++) {
		if (check_range(ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max, e))
			return -1;
	}
	return 0;
}

static int check_logs(struct config *c, struct err *e)
{
	struct str format = str_from(c->log_format_name);

	if (!log_level_parse(str_from(c->log_level_name), &c->log_level))
		return err_set(e, ERR_CONFIG, "--log-level '%s' is not error, warn, info or debug",
			       c->log_level_name);
	if (!str_is(format, "logfmt") && !str_is(format, "json"))
		return err_set(e, ERR_CONFIG, "--log-format '%s' is not logfmt or json",
			       c->log_format_name);
	c->log_format = str_is(format, "json") ? LOG_JSON : LOG_LOGFMT;
	return 0;
}

// What the interface names and this version does not do yet is refused, not passed over.
static int check_built(struct config *c, struct err *e)
{
	if (c->scan.n)
		return err_set(e, ERR_CONFIG,
			       "--scan %s: scanning folders is not built yet; upload the "
			       "files instead (unhex upload DIR)",
			       c->scan.items[0]);
	if (c->store.n > 1)
		return err_set(e, ERR_CONFIG, "more than one --store is not built yet");
	if (!c->store.n)
		return 0;
	if (!str_has_prefix(str_from(c->store.items[0]), STR("dir:")) || !c->store.items[0][4])
		return err_set(e, ERR_CONFIG, "--store '%s': this version knows dir:PATH only",
			       c->store.items[0]);
	c->profile_store = c->store.items[0] + strlen("dir:");
	return 0;
}

static int check(struct config *c, struct err *e)
{
	if (!c->data_dir[0])
		return err_set(e, ERR_CONFIG, "--data-dir is empty");
	fill_cpu_counts(c);
	if (check_ranges(c, e) || check_logs(c, e) || check_built(c, e))
		return -1;
	return http_listen_is_loopback(c->listen, &c->loopback, e);
}

int config_load(struct config *c, int argc, char **argv, struct err *e)
{
	char **operands = mem_calloc((size_t)argc + 1, sizeof(*operands));
	size_t n = 0;
	int rc;

	*c = (struct config){0};
	fill_table(c);
	if (!operands)
		return err_nomem(e);
	rc = opt_parse(&c->table, argc, argv, operands, &n, e);
	if (rc == 0 && n)
		rc = err_set(e, ERR_USAGE, "unexpected operand '%s'", operands[0]);
	free(operands);
	if (rc)
		return rc;
	if (c->config_file && opt_parse_file(&c->table, c->config_file, e))
		return -1;
	return default_upstreams(c, e) || check(c, e) ? -1 : 0;
}

void config_deinit(struct config *c)
{
	if (c->table.opts)
		opt_deinit(&c->table);
}
