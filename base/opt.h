/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of options drives flags, environment, the `key = value` config file, --help and
 * --print-config. Precedence: flag > environment (UNHEX_<FLAG>, dashes as underscores) > file >
 * default. Unknown keys are errors. Repeatable options collect; in environment and file they are
 * separated by white space.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum opt_type { OPT_FLAG, OPT_STRING, OPT_LIST, OPT_U64, OPT_SIZE, OPT_DURATION_MS };

struct opt_list {
	char **items; /* NULL-terminated when non-NULL */
	size_t n;
};

struct opt {
	const char *name;    /* long name without dashes */
	char short_name;     /* 0 for none */
	enum opt_type type;
	void *target;        /* bool, char *, struct opt_list, uint64_t: matches type; owned by the table user */
	const char *fallback; /* default as text, NULL for none */
	const char *arg;      /* metavariable in help: "URL" */
	const char *help;
	const char *group;    /* help section; NULL: same as the entry before */
	bool secret;          /* redacted by opt_print() */
	bool flag_only;       /* neither environment nor file */
	const char *source;   /* filled: "flag", "env", "file", "default" */
};

/* Ends with an entry whose name is NULL. */
struct opt_table {
	struct opt *opts;
	const char *usage; /* "unhexd [OPTION]..." */
	const char *intro; /* one or two sentences and examples; NULL for none */
	const char *env_prefix; /* "UNHEX_"; NULL: no environment */
};

/*
 * Parses argv[1..]; *ret_rest gets the operands (pointers into argv, in order; options may follow
 * operands; "--" ends options). ERR_USAGE with one precise line on a mistake.
 * Positive outcomes: OPT_HELP, OPT_VERSION when --help/-h or --version was met.
 */
enum { OPT_HELP = 1, OPT_VERSION = 2 };
int opt_parse(struct opt_table *t, int argc, char **argv, char **ret_rest, size_t *ret_rest_n,
	      struct err *e) MUST_CHECK;
/* Applies a config file below flags and environment. Call after opt_parse(). */
int opt_parse_file(struct opt_table *t, const char *path, struct err *e) MUST_CHECK;
void opt_help(const struct opt_table *t, struct buf *out); /* fits 80 columns */
void opt_print(const struct opt_table *t, struct buf *out); /* key = value  # source */
void opt_deinit(struct opt_table *t);
/* The option's value came from flag, env or file rather than the default. */
bool opt_given(const struct opt_table *t, const char *name);

#endif
