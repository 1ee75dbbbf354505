/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/uhx_reader.h"
#include "upload-cli/command.h"

static int dump(const char *path, struct err *e)
{
	struct uhx *u;
	int r;

	if (uhx_open(path, &u, e) < 0)
		return err_wrap(e, "%s", path);
	r = uhx_verify(u, e);
	if (r == 0)
		r = uhx_dump(u, stdout, e);
	uhx_unref(u);
	return r < 0 ? err_wrap(e, "%s", path) : 0;
}

int command_index(int argc, char **argv)
{
	char *path = NULL;
	struct opt opts[] = {
		{.name = "dump", .type = OPT_STRING, .target = &path, .arg = "F.uhx", .flag_only = true,
		 .help = "print header, sections and every row with its chain", .group = "What to do"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.usage = "unhex index --dump F.uhx",
		.intro = "Checks an index (its checksum, then each row) and prints it for people. Indexes are made\n"
			 "by the server, or by: unhex-indexer -o F.uhx ELF. Their format: docs/FORMATS.md.",
	};
	struct operands words;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &words, &code))
		return code;
	if (!path || words.n)
		code = command_usage("index: say --dump F.uhx");
	else if (dump(path, &e) < 0)
		code = command_fail(&e);
	free(words.p);
	opt_deinit(&table);
	return code;
}
