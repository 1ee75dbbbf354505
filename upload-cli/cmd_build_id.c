/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "upload-cli/command.h"
#include "upload-cli/indexer.h"

static void print_text(const struct build_id *ids, size_t n)
{
	char text[BUILD_ID_TEXT];

	for (size_t i = 0; i < n; i++) {
		build_id_text(&ids[i], text);
		puts(text);
	}
}

static void print_json(const char *path, const struct build_id *ids, size_t n)
{
	struct buf b = BUF_INIT(1 << 20);
	struct json_out j = JSON_OUT(&b);
	char text[BUILD_ID_TEXT];

	json_obj(&j);
	json_kv_cstr(&j, "path", path);
	json_key(&j, "ids");
	json_arr(&j);
	for (size_t i = 0; i < n; i++) {
		build_id_text(&ids[i], text);
		json_obj(&j);
		json_kv_cstr(&j, "kind", build_id_kind_name(ids[i].kind));
		json_kv_cstr(&j, "text", text);
		json_end_obj(&j);
	}
	json_end_arr(&j);
	json_end_obj(&j);
	puts(b.p ? b.p : "{}");
	buf_deinit(&b);
}

static int build_id_of(const char *path, bool as_json, struct err *e)
{
	_cleanup_free_ struct build_id *ids = NULL;
	json_t *report;
	size_t n = 0;
	int r;

	if (indexer_probe(path, &report, e) < 0)
		return -1;
	r = indexer_report_ids(report, &ids, &n, e);
	json_decref(report);
	if (r < 0)
		return -1;
	if (as_json)
		print_json(path, ids, n);
	else
		print_text(ids, n);
	return 0;
}

int command_build_id(int argc, char **argv)
{
	bool as_json = false;
	struct opt opts[] = {
		{.name = "json", .type = OPT_FLAG, .target = &as_json, .flag_only = true,
		 .help = "one JSON object a file, with the kind of each ID", .group = "Output"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.usage = "unhex build-id [--json] ELF...",
		.intro = "Prints every ID of an ELF file, best first, one a line: the GNU build-ID in hex,\n"
			 "Go's as go-HEX, the file's hash as htl-HEX. Any of them names the binary to the\n"
			 "server. The file hash is that of the file given: for a stripped binary, of the\n"
			 "deployed one.",
	};
	struct operands files;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &files, &code))
		return code;
	if (files.n == 0)
		code = command_usage("build-id: name an ELF file");
	for (size_t i = 0; i < files.n && code == EXIT_OK; i++) {
		if (build_id_of(files.p[i], as_json, &e) < 0)
			code = command_fail(&e);
	}
	free(files.p);
	return code;
}
