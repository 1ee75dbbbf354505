/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/compress.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/output.h"
#include "symbolizer/pprof_symbolize.h"
#include "upload-cli/command.h"
#include "upload-cli/indexer.h"
#include "upload-cli/local_resolver.h"
#include <inttypes.h>

enum { INPUT_MAX = 256 << 20, ARENA_CAP = 1 << 30, GZIP_LEVEL = 6 };

struct symbolize {
	struct server_options server;
	struct opt_list debug_dirs;
	char *out;
	char *rename; /* as given; NULL: the default */
	enum rename_policy policy;
	uint64_t wait_ms;
};

static const char *const policies[] = {
	[RENAME_BETTER] = "better", [RENAME_NEVER] = "never", [RENAME_ALWAYS] = "always"};

static int parse_rename(const char *text, enum rename_policy *ret, struct err *e)
{
	*ret = RENAME_BETTER;
	if (!text)
		return 0;
	for (size_t i = 0; i < countof(policies); i++) {
		if (str_is(str_from(text), policies[i])) {
			*ret = (enum rename_policy)i;
			return 0;
		}
	}
	return err_set(e, ERR_USAGE, "--rename is better, never or always, not '%s'", text);
}

/* ---- by the server ----------------------------------------------------------------------------------------- */

static int by_server(const struct symbolize *s, struct str input, struct buf *out, struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/octet-stream", NULL};
	struct http_request rq = HTTP_REQUEST_INIT;
	struct http_response answer = {0};
	struct remote remote;
	char path[128];
	int r = -1;

	if (remote_open(&s->server, &remote, e) < 0)
		return -1;
	snprintf(path, sizeof(path), "/v1/symbolize?wait=%" PRIu64 "&rename=%s", s->wait_ms / 1000,
		 policies[s->policy]);
	rq.method = "POST";
	rq.headers = headers;
	rq.body = input;
	if (remote_do(&remote, &rq, path, &answer, e) == 0 && http_status_err(&answer, remote.url, e) == 0) {
		struct str pending = http_header(&answer, "Unhex-Pending");

		if (pending.n && !str_is(pending, "0"))
			fprintf(stderr, "unhex: " STR_FMT " build-IDs are still being fetched or indexed; run this "
					"again for their names\n", STR_ARG(pending));
		buf_append_str(out, buf_str(&answer.body));
		r = buf_check(out, "the symbolized profile", e);
	}
	http_response_deinit(&answer);
	remote_close(&remote);
	return r;
}

/* ---- here ------------------------------------------------------------------------------------------------------ */

static int add_hints(struct local_resolver *l, const struct pprof *p, struct err *e)
{
	for (size_t i = 0; i < p->mapping_count; i++) {
		const struct pprof_mapping *m = &p->mappings[i];

		if (m->build_id.n && local_resolver_hint(l, m->build_id, m->filename, e) < 0)
			return -1;
	}
	return 0;
}

static int put_names(const struct symbolize *s, struct pprof *p, struct err *e)
{
	struct symbolize_options options = {.rename = s->policy};
	struct symbolize_stats stats;
	struct local_resolver *l;
	int r = -1;

	if (local_resolver_new(s->debug_dirs.n ? s->debug_dirs.items : indexer_usual_debug_dirs, &l, e) < 0)
		return -1;
	if (add_hints(l, p, e) == 0)
		r = pprof_symbolize(p, local_resolver_resolver(l), &options, &stats, e);
	local_resolver_free(l);
	if (r == 0)
		fprintf(stderr, "unhex: %zu of %zu locations named, %zu kept their names, %zu unknown\n",
			stats.resolved, stats.locations, stats.kept, stats.unresolved);
	return r;
}

static int locally(const struct symbolize *s, struct str input, struct buf *out, struct err *e)
{
	struct buf identity = BUF_INIT(INPUT_MAX), encoded = BUF_INIT(INPUT_MAX);
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct pprof p;
	int r = -1;

	if (decompress_any(input, &identity, e) == 0 &&
	    pprof_decode(buf_str(&identity), &pprof_limits_default, &arena, &p, e) == 0 &&
	    put_names(s, &p, e) == 0 && pprof_encode(&p, &encoded, e) == 0)
		r = gzip_compress(buf_str(&encoded), GZIP_LEVEL, out, e);
	arena_deinit(&arena);
	buf_deinit(&encoded);
	buf_deinit(&identity);
	return r;
}

/* --------------------------------------------------------------------------------------------------------------- */

static int read_input(const char *path, struct buf *in, struct err *e)
{
	return str_is(str_from(path), "-") ? io_read_fd(STDIN_FILENO, in, e) : io_read_file(path, in, e);
}

static int write_output(const char *path, const struct buf *out, struct err *e)
{
	_cleanup_(output_deinit) struct output o = OUTPUT_INIT;

	if (output_open(&o, path, e) < 0 || io_write_all(o.fd, out->p, out->n, e) < 0)
		return -1;
	return output_publish(&o, e);
}

static int run_symbolize(const struct symbolize *s, const char *path, struct err *e)
{
	struct buf in = BUF_INIT(INPUT_MAX), out = BUF_INIT(INPUT_MAX);
	bool local = s->debug_dirs.n || !s->server.url || !*s->server.url;
	int r = read_input(path, &in, e);

	if (r == 0)
		r = local ? locally(s, buf_str(&in), &out, e) : by_server(s, buf_str(&in), &out, e);
	if (r == 0)
		r = write_output(s->out, &out, e);
	else
		err_wrap(e, "%s", path);
	buf_deinit(&in);
	buf_deinit(&out);
	return r;
}

int command_symbolize(int argc, char **argv)
{
	struct symbolize s = {0};
	struct opt opts[] = {
		{.name = "output", .short_name = 'o', .type = OPT_STRING, .target = &s.out, .arg = "OUT.pb.gz",
		 .flag_only = true, .help = "the symbolized profile; - is standard output", .group = "Output"},
		{.name = "rename", .type = OPT_STRING, .target = &s.rename, .arg = "POLICY", .flag_only = true,
		 .help = "what to do with names that are there: better, never, always"},
		SERVER_OPTS(&s.server),
		{.name = "wait", .type = OPT_DURATION_MS, .target = &s.wait_ms, .fallback = "30s", .arg = "DURATION",
		 .flag_only = true, .help = "how long the server may fetch and index first"},
		{.name = "debug-dir", .type = OPT_LIST, .target = &s.debug_dirs, .arg = "DIR", .flag_only = true,
		 .help = "work on this machine with the debug files below DIR", .group = "Without a server"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.env_prefix = "UNHEX_",
		.usage = "unhex symbolize IN.pb.gz -o OUT.pb.gz [--server URL | --debug-dir DIR...]",
		.intro = "Puts functions, files, lines and inlined frames into a pprof profile. With a server, it\n"
			 "does the work; without, the files of this machine are used: /usr/lib/debug, the binaries\n"
			 "the profile names, and the servers of DEBUGINFOD_URLS.",
	};
	struct operands words;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &words, &code))
		return code;
	if (words.n != 1 || !s.out)
		code = command_usage("symbolize: name one profile and -o OUT.pb.gz");
	else if (parse_rename(s.rename, &s.policy, &e) < 0 || run_symbolize(&s, words.p[0], &e) < 0)
		code = command_fail(&e);
	free(words.p);
	opt_deinit(&table);
	return code;
}
