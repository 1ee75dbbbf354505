/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of unhex-agent (and UNHEX_SERVER, UNHEX_TOKEN_FILE, …), parsed and checked.
 * Owns its strings.
 */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include "agent-lite/sample/sampler.h"
#include "agent-lite/ship/sink.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"

struct options {
	char *server;
	char *token_file;
	char *spool_dir;      /* NULL: none */
	uint64_t spool_bytes; /* at most, on disk */
	char *node;	      /* NULL: the host's name */
	struct opt_list labels;
	char *relabel; /* file, NULL: none */
	char *metrics; /* address and port, NULL: none */
	uint64_t hz;
	uint64_t interval_ms;
	struct opt_list pid_texts;
	struct opt_list cgroups;
	uint64_t once_ms; /* 0: until told to stop */
	bool to_stdout;
	char *output;
	bool check;
	bool from_samples;
	char **files; /* operands (the strings are argv's); with from_samples only */
	size_t file_count;
	uint32_t *pids; /* of pid_texts */
	bool off_cpu;
	uint64_t off_cpu_min_ms;
	char *unwinder_text;
	enum sampler_unwinder unwinder;
	/* accepted, so that they can say that they are not there yet */
	bool upload;
	uint64_t upload_rate; /* bytes per second */
	uint64_t upload_interval_ms;
};

/* 0, OPT_HELP or OPT_VERSION (print, exit 0), -1 with ERR_USAGE. Call options_deinit() in any case.
 */
int options_parse(struct options *o, int argc, char **argv, struct err *e) MUST_CHECK;
/* Where to; its strings stay those of *o. */
void options_sink(const struct options *o, struct sink_config *ret);
void options_help(struct buf *out);
void options_deinit(struct options *o);

#endif
