/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/options.h"

#include "agent-lite/sample/sampler.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum {
	OPTIONS_MAX = 40,
	INTERVAL_MIN_MS = 1000,
	INTERVAL_MAX_MS = 600 * 1000,
	SPOOL_MIN_BYTES = 1 << 20,
	UPLOAD_RATE_MIN = 1 << 10,
	ONCE_MIN_MS = 100, // a few samples, at the most
};

static const char usage[] = "unhex-agent --server URL [OPTION]...";
static const char intro[] =
	"Samples what runs on this host by eBPF and ships addresses and build-IDs;\n"
	"names are the server's business.\n\n"
	"  unhex-agent --server http://unhex:8002\n"
	"  unhex-agent --once 10s -o host.pb.gz        # one profile, no server\n"
	"  unhex-agent --check                         # what is missing here?";

static size_t fill_table(struct options *o, struct opt opts[static OPTIONS_MAX])
{
	const struct opt all[] = {
		{.name = "server", .type = OPT_STRING, .target = &o->server, .arg = "URL",
		 .help = "push profiles there (push.v1)", .group = "Where to"},
		{.name = "token-file", .type = OPT_STRING, .target = &o->token_file, .arg = "FILE",
		 .help = "file with the bearer token"},
		{.name = "output", .short_name = 'o', .type = OPT_STRING, .target = &o->output,
		 .arg = "FILE", .help = "write one merged profile at the end", .flag_only = true},
		{.name = "stdout", .type = OPT_FLAG, .target = &o->to_stdout,
		 .help = "the same, to stdout", .flag_only = true},
		{.name = "spool-dir", .type = OPT_STRING, .target = &o->spool_dir, .arg = "DIR",
		 .help = "keep there what an absent server cannot take"},
		{.name = "spool-size", .type = OPT_SIZE, .target = &o->spool_bytes,
		 .fallback = "64MiB", .arg = "SIZE", .help = "at most; the oldest goes first"},
		{.name = "node", .type = OPT_STRING, .target = &o->node, .arg = "NAME",
		 .help = "label node of all series; default: the host's name", .group = "Labels"},
		{.name = "label", .type = OPT_LIST, .target = &o->labels, .arg = "NAME=VALUE",
		 .help = "one more label for all series"},
		{.name = "relabel", .type = OPT_STRING, .target = &o->relabel, .arg = "FILE",
		 .help = "rules (JSON) that keep, drop and rename: docs/AGENT.md"},
		{.name = "hz", .type = OPT_U64, .target = &o->hz, .fallback = "19", .arg = "N",
		 .help = "samples per second and CPU", .group = "What and how"},
		{.name = "interval", .type = OPT_DURATION_MS, .target = &o->interval_ms,
		 .fallback = "10s", .arg = "DUR", .help = "time between pushes"},
		{.name = "once", .type = OPT_DURATION_MS, .target = &o->once_ms, .arg = "DUR",
		 .help = "sample that long, ship, exit", .flag_only = true},
		{.name = "pid", .type = OPT_LIST, .target = &o->pid_texts, .arg = "N",
		 .help = "only this process", .flag_only = true},
		{.name = "cgroup", .type = OPT_LIST, .target = &o->cgroups, .arg = "PATH",
		 .help = "only below this cgroup v2 folder", .flag_only = true},
		{.name = "off-cpu", .type = OPT_FLAG, .target = &o->off_cpu,
		 .help = "also where threads wait, as a second profile (Linux 5.17)"},
		{.name = "off-cpu-min", .type = OPT_DURATION_MS, .target = &o->off_cpu_min_ms,
		 .fallback = "1ms", .arg = "DUR", .help = "leave out shorter waits"},
		{.name = "unwinder", .type = OPT_STRING, .target = &o->unwinder_text,
		 .fallback = "auto", .arg = "NAME",
		 .help = "auto, bpf_loop, tail_call or frame_pointer"},
		{.name = "upload", .type = OPT_FLAG, .target = &o->upload,
		 .help = "send symbols and debug sections that the server wants, never code or data",
		 .group = "Giving"},
		{.name = "upload-rate", .type = OPT_SIZE, .target = &o->upload_rate,
		 .fallback = "1MiB", .arg = "SIZE", .help = "bytes per second, at most"},
		{.name = "upload-interval", .type = OPT_DURATION_MS, .target = &o->upload_interval_ms,
		 .fallback = "60s", .arg = "DUR", .help = "how often the server is asked what it wants"},
		{.name = "metrics", .type = OPT_STRING, .target = &o->metrics, .arg = "ADDR:PORT",
		 .help = "answer GET /metrics there, e.g. 127.0.0.1:9102",
		 .group = "Looking at the agent"},
		{.name = "check", .type = OPT_FLAG, .target = &o->check,
		 .help = "say what sampling needs and what is missing; exit 0 or 4",
		 .flag_only = true},
		{.name = "from-samples", .type = OPT_FLAG, .target = &o->from_samples,
		 .help = "ship the dumps of a SIGPROF sampler: FILE...",
		 .group = "Without eBPF", .flag_only = true},
	};

	_Static_assert(countof(all) < OPTIONS_MAX, "room for the end");
	memcpy(opts, all, sizeof(all));
	opts[countof(all)] = (struct opt){.name = NULL};
	return countof(all);
}

static struct opt_table make_table(struct opt *opts)
{
	return (struct opt_table){opts, usage, intro, "UNHEX_"};
}

void options_help(struct buf *out)
{
	struct options o = {0};
	struct opt opts[OPTIONS_MAX];

	fill_table(&o, opts);

	struct opt_table t = make_table(opts);

	opt_help(&t, out);
}

static int parse_pids(struct options *o, struct err *e)
{
	o->pids = mem_calloc(o->pid_texts.n + 1, sizeof(*o->pids));
	if (!o->pids)
		return err_nomem(e);
	for (size_t i = 0; i < o->pid_texts.n; i++) {
		uint64_t pid;

		if (!str_to_u64(str_from(o->pid_texts.items[i]), UINT32_MAX, &pid) || pid == 0)
			return err_set(e, ERR_USAGE, "--pid %s is not a process ID",
				       o->pid_texts.items[i]);
		o->pids[i] = (uint32_t)pid;
	}
	return 0;
}

static int check_upload(const struct options *o, struct err *e)
{
	if (!o->upload)
		return 0;
	if (!o->server)
		return err_set(e, ERR_USAGE, "--upload needs --server");
	if (o->upload_rate < UPLOAD_RATE_MIN)
		return err_set(e, ERR_USAGE, "--upload-rate must be at least 1KiB");
	if (o->upload_interval_ms < INTERVAL_MIN_MS)
		return err_set(e, ERR_USAGE, "--upload-interval must be at least 1s");
	return 0;
}

static bool on_command_line(const struct opt_table *t, const void *target)
{
	for (const struct opt *opt = t->opts; opt->name; opt++) {
		if (opt->target == target)
			return opt->source && strcmp(opt->source, "flag") == 0;
	}
	return false;
}

/* A destination given on the command line outweighs UNHEX_SERVER. */
static int choose_destination(struct options *o, const struct opt_table *t, struct err *e)
{
	bool to_file = o->output || o->to_stdout;
	bool server_flag = on_command_line(t, &o->server);

	if (o->output && o->to_stdout)
		return err_set(e, ERR_USAGE, "--output and --stdout exclude each other");
	if (to_file && server_flag)
		return err_set(e, ERR_USAGE, "--server excludes --output and --stdout");
	if (to_file) {
		free(o->server);
		o->server = NULL;
	} else if (!o->server && !o->check) {
		return err_set(e, ERR_USAGE,
			       "where to? give --server URL, --output FILE or --stdout");
	}
	return 0;
}

static int check_values(const struct options *o, const struct opt_table *t, struct err *e)
{
	size_t operands = o->file_count;

	if (o->hz < 1 || o->hz > SAMPLER_HZ_MAX)
		return err_set(e, ERR_USAGE, "--hz must be 1 to %d", SAMPLER_HZ_MAX);
	if (o->interval_ms < INTERVAL_MIN_MS || o->interval_ms > INTERVAL_MAX_MS)
		return err_set(e, ERR_USAGE, "--interval must be 1s to 10m");
	if (o->once_ms < ONCE_MIN_MS && on_command_line(t, &o->once_ms))
		return err_set(e, ERR_USAGE, "--once must be at least %dms", ONCE_MIN_MS);
	if (o->spool_bytes < SPOOL_MIN_BYTES)
		return err_set(e, ERR_USAGE, "--spool-size must be at least 1MiB");
	if (o->from_samples && operands == 0)
		return err_set(e, ERR_USAGE, "--from-samples needs the dumps' file names");
	if (!o->from_samples && operands > 0)
		return err_set(e, ERR_USAGE, "unexpected argument '%s'", o->files[0]);
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	struct opt opts[OPTIONS_MAX];
	int r;

	*o = (struct options){0};
	fill_table(o, opts);

	struct opt_table t = make_table(opts);

	o->files = mem_calloc((size_t)argc + 1, sizeof(*o->files));
	if (!o->files)
		return err_nomem(e);
	r = opt_parse(&t, argc, argv, o->files, &o->file_count, e);
	if (r != 0)
		return r;
	if (check_values(o, &t, e) < 0 || choose_destination(o, &t, e) < 0 ||
	    check_upload(o, e) < 0)
		return -1;
	if (sampler_parse_unwinder(o->unwinder_text, &o->unwinder, e) < 0)
		return -1;
	return parse_pids(o, e);
}

static void free_list(struct opt_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
}

void options_deinit(struct options *o)
{
	free(o->server);
	free(o->token_file);
	free(o->output);
	free(o->spool_dir);
	free(o->node);
	free(o->relabel);
	free(o->metrics);
	free_list(&o->labels);
	free(o->unwinder_text);
	free_list(&o->pid_texts);
	free_list(&o->cgroups);
	free(o->files);
	free(o->pids);
}

void options_sink(const struct options *o, struct sink_config *ret)
{
	*ret = (struct sink_config){
		.server = o->server,
		.token_file = o->token_file,
		.spool_dir = o->spool_dir,
		.spool_bytes = o->spool_bytes,
		.output = o->output,
		.to_stdout = o->to_stdout,
		.hz = (unsigned)o->hz,
	};
}
