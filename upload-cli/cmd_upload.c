/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "upload-cli/command.h"
#include "upload-cli/scan.h"
#include "upload-cli/upload_one.h"
#include <inttypes.h>
#include <string.h>

struct upload {
	struct server_options server;
	struct upload_options options;
	char *type;
	char *deployed;
	char *source_root;
	bool wait;
	uint64_t wait_ms;
	bool as_json;
	/* counts of this run */
	size_t done;
	size_t failed;
	size_t left_out;
	struct err last;
};

static void tell(const struct upload *u, const char *path, const struct upload_result *r)
{
	struct buf b = BUF_INIT(1 << 16);
	struct json_out j = JSON_OUT(&b);

	if (!u->as_json) {
		printf("%s  %s  %s, %s, %" PRIu64 " KiB: %s%s%s\n", r->build_id, path, r->type, r->quality,
		       (r->size + 1023) >> 10, upload_outcome_name(r->outcome), r->status[0] ? ", " : "", r->status);
		return;
	}
	json_obj(&j);
	json_kv_cstr(&j, "path", path);
	json_kv_cstr(&j, "build_id", r->build_id);
	json_kv_cstr(&j, "type", r->type);
	json_kv_cstr(&j, "quality", r->quality);
	json_kv_cstr(&j, "outcome", upload_outcome_name(r->outcome));
	json_kv_u64(&j, "size", r->size);
	json_kv_u64(&j, "sent", r->sent);
	if (r->status[0])
		json_kv_cstr(&j, "status", r->status);
	json_end_obj(&j);
	puts(b.p ? b.p : "{}");
	buf_deinit(&b);
}

static void upload_file(struct upload *u, struct remote *remote, const char *path)
{
	struct upload_result result = {0};
	struct err e = ERR_INIT;

	if (upload_one(remote, path, &u->options, &result, &e) == 0) {
		if (result.outcome == UPLOAD_LEFT_OUT) {
			u->left_out++;
			return;
		}
		u->done++;
		tell(u, path, &result);
		return;
	}
	u->failed++;
	if (!str_has_prefix(str_from(e.msg), str_from(path)))
		err_wrap(&e, "%s", path);
	command_fail(&e);
	u->last = e;
}

/* A server that is not there, or lets us do nothing, is the same for the next file. */
static bool gives_up(const struct upload *u)
{
	return u->last.kind == ERR_UNAVAILABLE || u->last.kind == ERR_UNAUTHORIZED || u->last.kind == ERR_FORBIDDEN;
}

static bool is_named(const char *path, const struct operands *paths)
{
	for (size_t i = 0; i < paths->n; i++) {
		if (strcmp(path, paths->p[i]) == 0)
			return true;
	}
	return false;
}

static int upload_all(struct upload *u, const struct scan *files, const struct operands *paths, struct err *e)
{
	struct remote remote = REMOTE_INIT;
	size_t i = 0;

	if (!u->options.dry_run && remote_open(&u->server, &remote, e) < 0)
		return -1;
	for (; i < files->n && !gives_up(u); i++) {
		u->options.from_folder = !is_named(files->paths[i], paths);
		upload_file(u, &remote, files->paths[i]);
	}
	remote_close(&remote);
	if (i < files->n)
		fprintf(stderr, "unhex: %zu more files were not tried\n", files->n - i);
	if (u->left_out)
		fprintf(stderr, "unhex: %zu objects without build-ID (.o, .dwo, .dwp) left out\n", u->left_out);
	return 0;
}

static int exit_code(const struct upload *u)
{
	if (u->failed == 0)
		return u->done ? EXIT_OK : EXIT_NOT_FOUND;
	return u->done ? EXIT_PARTLY : err_exit_code(u->last.kind);
}

static int run_upload(struct upload *u, const struct operands *paths)
{
	struct scan files = SCAN_INIT;
	struct err e = ERR_INIT;
	int code = EXIT_OK, r = 0;

	for (size_t i = 0; i < paths->n && r == 0; i++)
		r = scan_add(&files, paths->p[i], &e);
	if (r == 0 && files.n == 0)
		r = err_set(&e, ERR_NOT_FOUND, "no ELF file below %s", paths->p[0]);
	if (r == 0)
		r = upload_all(u, &files, paths, &e);
	code = r < 0 ? command_fail(&e) : exit_code(u);
	scan_deinit(&files);
	return code;
}

/* What was asked for and cannot be done; NULL where all is well. */
static const char *refusal(const struct upload *u, const struct operands *paths)
{
	if (paths->n == 0)
		return "upload: name files or folders";
	if (u->source_root || (u->type && str_is(str_from(u->type), "sources")))
		return "upload: sources are not built yet";
	if (u->type && !str_is(str_from(u->type), "debuginfo") && !str_is(str_from(u->type), "executable"))
		return "upload: --type is debuginfo or executable";
	if (u->deployed && paths->n != 1)
		return "upload: --for goes with exactly one file";
	return NULL;
}

int command_upload(int argc, char **argv)
{
	struct upload u = {0};
	struct opt opts[] = {
		SERVER_OPTS(&u.server),
		{.name = "type", .type = OPT_STRING, .target = &u.type, .arg = "TYPE", .flag_only = true,
		 .help = "debuginfo or executable (default: by what the file is)", .group = "What"},
		{.name = "for", .type = OPT_STRING, .target = &u.deployed, .arg = "DEPLOYED_ELF", .flag_only = true,
		 .help = "the stripped file that runs: its IDs (and file hash) are joined to what is uploaded"},
		{.name = "source-root", .type = OPT_STRING, .target = &u.source_root, .arg = "DIR", .flag_only = true,
		 .help = "(not built yet) sources to go along"},
		{.name = "force", .type = OPT_FLAG, .target = &u.options.force, .flag_only = true,
		 .help = "replace what the server has, even by something no better"},
		{.name = "wait", .type = OPT_FLAG, .target = &u.wait, .flag_only = true,
		 .help = "wait until the server has indexed it", .group = "How"},
		{.name = "wait-limit", .type = OPT_DURATION_MS, .target = &u.wait_ms, .fallback = "300s",
		 .arg = "DURATION", .flag_only = true, .help = "at most so long"},
		{.name = "dry-run", .type = OPT_FLAG, .target = &u.options.dry_run, .flag_only = true,
		 .help = "only say what would be sent"},
		{.name = "json", .type = OPT_FLAG, .target = &u.as_json, .flag_only = true,
		 .help = "one JSON object a file"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.env_prefix = "UNHEX_",
		.usage = "unhex upload [OPTION]... PATH...",
		.intro = "Sends ELF files to the server: files as they are, folders searched for ELF files (objects that\n"
			 "are still to be linked are left out). Each goes under its own build-ID; one the server\n"
			 "already has is not sent again.\n"
			 "\n"
			 "  unhex upload --server http://unhex:8002 build/          every ELF of a build\n"
			 "  unhex upload app.debug                                  a separate debug file\n"
			 "  unhex upload --for dist/app app.debug                   a stripped file without build-ID",
	};
	struct operands paths;
	const char *refused;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &paths, &code))
		return code;
	u.options.type = u.type;
	u.options.deployed = u.deployed;
	u.options.wait_s = u.wait ? (u.wait_ms + 999) / 1000 : 0;
	refused = refusal(&u, &paths);
	code = refused ? command_usage("%s", refused) : run_upload(&u, &paths);
	free(paths.p);
	opt_deinit(&table);
	return code;
}
