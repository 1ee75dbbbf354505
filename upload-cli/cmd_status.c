/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/printable.h"
#include "upload-cli/command.h"
#include "upload-cli/table.h"
#include <inttypes.h>

/* What the server says came from outside: names, origins, reasons. */
static void put(const json_t *obj, const char *key)
{
	printable_put(json_get_str(obj, key), stdout);
}

static void print_files(const json_t *files)
{
	size_t i;
	const json_t *f;

	json_array_foreach(files, i, f) {
		fputs("  ", stdout);
		put(f, "type");
		printf(", %" PRIu64 " bytes, from ", json_get_u64(f, "size", 0));
		put(f, "origin");
		fputs(" (", stdout);
		put(f, "trust");
		fputs("), sha256 ", stdout);
		put(f, "sha256");
		putchar('\n');
	}
}

static void print_line(const json_t *story, const char *key)
{
	const json_t *value = json_object_get(story, key);

	if (!value)
		return;
	printf("%-10s ", key);
	if (json_is_integer(value))
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		put(story, key);
	putchar('\n');
}

static void print_story(const json_t *story)
{
	const json_t *ids = json_object_get(story, "ids"), *reason = json_object_get(story, "reason"), *id;
	static const char *const keys[] = {"name", "state", "quality", "generation", "machine"};
	size_t i;

	json_array_foreach(ids, i, id) {
		printf("%-10s ", i ? "" : "ids");
		put(id, "text");
		putchar('\n');
	}
	for (i = 0; i < countof(keys); i++)
		print_line(story, keys[i]);
	if (json_array_size(json_object_get(story, "files"))) {
		puts("files");
		print_files(json_object_get(story, "files"));
	}
	if (!json_is_object(reason))
		return;
	fputs("reason     ", stdout);
	put(reason, "code");
	fputs(": ", stdout);
	put(reason, "detail");
	putchar('\n');
}

static int status(const struct server_options *server, const char *id, bool as_json, struct err *e)
{
	struct remote remote;
	char path[1024];
	json_t *story;
	int r;

	if (remote_open(server, &remote, e) < 0)
		return -1;
	table_url_path(path, sizeof(path), "/v1/debuginfo/", id);
	r = remote_get_json(&remote, path, &story, e);
	remote_close(&remote);
	if (r < 0)
		return -1;
	if (as_json)
		table_print_json(story);
	else
		print_story(story);
	json_decref(story);
	return 0;
}

int command_status(int argc, char **argv)
{
	struct server_options server = {0};
	bool as_json = false;
	struct opt opts[] = {
		SERVER_OPTS(&server),
		{.name = "json", .type = OPT_FLAG, .target = &as_json, .flag_only = true,
		 .help = "the server's answer as it is", .group = "Output"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.env_prefix = "UNHEX_",
		.usage = "unhex status [--json] ID",
		.intro = "Tells a binary's whole story: its IDs, the files the server holds and where they came\n"
			 "from, the index made of them, or why there is none. Exit code 3: never heard of.",
	};
	struct operands words;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &words, &code))
		return code;
	if (words.n != 1)
		code = command_usage("status: name one ID (unhex build-id FILE prints it)");
	else if (status(&server, words.p[0], as_json, &e) < 0)
		code = command_fail(&e);
	free(words.p);
	opt_deinit(&table);
	return code;
}
