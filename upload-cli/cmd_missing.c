/* SPDX-License-Identifier: Apache-2.0 */
#include "base/build_id.h"
#include "base/cleanup.h"
#include "base/printable.h"
#include "upload-cli/command.h"
#include "upload-cli/table.h"

static void print_missing(const json_t *list, uint64_t rows)
{
	const json_t *m;
	size_t i, n = json_array_size(list);

	printf("%7s  %-20s %-40s %s\n", "share", "binary", "build-id", "why");
	json_array_foreach(list, i, m) {
		if (i >= rows)
			break;
		struct str fix = json_get_str(m, "fix");
		char name[64], id[BUILD_ID_TEXT];

		printable_copy(json_get_str(m, "filename"), name, sizeof(name));
		printable_copy(json_get_str(m, "build_id"), id, sizeof(id));
		printf("%6.2f%%  %-20s %-40s ", 100 * json_number_value(json_object_get(m, "share")), name, id);
		printable_put(json_get_str(m, "reason"), stdout);
		fputs(fix.n ? "\n         fix: " : "", stdout);
		printable_put(fix, stdout);
		putchar('\n');
	}
	fflush(stdout);
	if (n > rows)
		fprintf(stderr, "unhex: %zu more; -n N shows more\n", n - (size_t)rows);
}

static int missing(const struct server_options *server, uint64_t rows, bool as_json, struct err *e)
{
	struct remote remote;
	json_t *answer;
	size_t n;
	int r;

	if (remote_open(server, &remote, e) < 0)
		return -1;
	r = remote_get_json(&remote, "/v1/missing", &answer, e);
	remote_close(&remote);
	if (r < 0)
		return -1;
	n = json_array_size(json_object_get(answer, "missing"));
	if (as_json)
		table_print_json(answer);
	else if (n)
		print_missing(json_object_get(answer, "missing"), rows);
	else
		fputs("unhex: nothing is missing\n", stderr);
	json_decref(answer);
	return 0;
}

int command_missing(int argc, char **argv)
{
	struct server_options server = {0};
	bool as_json = false;
	uint64_t rows;
	struct opt opts[] = {
		SERVER_OPTS(&server),
		{.name = "count", .short_name = 'n', .type = OPT_U64, .target = &rows, .fallback = "20", .arg = "N",
		 .flag_only = true, .help = "how many binaries", .group = "Output"},
		{.name = "json", .type = OPT_FLAG, .target = &as_json, .flag_only = true,
		 .help = "the server's answer as it is"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.env_prefix = "UNHEX_",
		.usage = "unhex missing [-n N] [--json]",
		.intro = "Lists the binaries whose addresses the server could not name, by the profile weight\n"
			 "lost to them, why, and the command that would help.",
	};
	struct operands words;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &words, &code))
		return code;
	if (words.n)
		code = command_usage("missing: takes no arguments");
	else if (missing(&server, rows, as_json, &e) < 0)
		code = command_fail(&e);
	free(words.p);
	opt_deinit(&table);
	return code;
}
