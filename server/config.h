/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What unhexd can be told: flags, UNHEX_* environment, `key = value` file (base/opt.h), checked
 * once at start. Read-only afterwards.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"

enum { CONFIG_OPTIONS = 64 };

struct config {
	/* where */
	char *listen;
	char *data_dir;
	char *port_file;
	char *config_file;
	struct opt_list upstream;
	struct opt_list scan;
	struct opt_list store;
	bool check_config;
	bool print_config;

	/* who may */
	bool allow_anonymous_write;
	bool require_read_token;

	/* how much: connections and requests */
	uint64_t io_threads;
	uint64_t work_threads;
	uint64_t ingest_threads;
	uint64_t queue;
	uint64_t max_waiting;
	uint64_t max_connections;
	uint64_t max_connections_per_ip;
	uint64_t connection_memory;
	uint64_t idle_timeout_ms;
	uint64_t drain_timeout_ms;
	uint64_t max_body;
	uint64_t max_body_memory;
	uint64_t max_decompressed;
	uint64_t max_upload;

	/* how much: disk and indexing */
	uint64_t quota;
	uint64_t identity_cache;
	uint64_t compression_level;
	char *indexer;
	uint64_t index_workers;
	uint64_t index_deadline_ms;
	uint64_t index_memory;
	uint64_t open_indexes;
	uint64_t wanted_lease_ms;

	/* upstream */
	uint64_t upstream_max_file;
	uint64_t upstream_max_day;
	uint64_t upstream_transfers;
	uint64_t upstream_connect_timeout_ms;
	uint64_t upstream_head_start_ms;
	uint64_t upstream_stall_timeout_ms;
	uint64_t upstream_absent_ms;
	uint64_t upstream_error_ms;

	/* profiles */
	uint64_t profile_window_ms;
	uint64_t profile_memory;

	/* logs */
	char *log_level_name;
	char *log_format_name;
	enum log_level log_level;
	enum log_format log_format;

	bool loopback;	     /* every address of `listen` is one */
	char *profile_store; /* folder of the embedded store; NULL: inside the data dir */
	struct opt opts[CONFIG_OPTIONS];
	struct opt_table table;
};

/*
 * Parses and checks. OPT_HELP or OPT_VERSION where asked for; ERR_USAGE, ERR_CONFIG. Deinit in any
 * case. *c must not be moved afterwards.
 */
int config_load(struct config *c, int argc, char **argv, struct err *e) MUST_CHECK;
void config_deinit(struct config *c);

#endif
