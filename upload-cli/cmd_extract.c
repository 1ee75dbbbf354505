/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "upload-cli/command.h"
#include "upload-cli/indexer.h"

int command_extract(int argc, char **argv)
{
	char *out = NULL;
	struct opt opts[] = {
		{.name = "output", .short_name = 'o', .type = OPT_STRING, .target = &out, .arg = "OUT.debug",
		 .flag_only = true, .help = "the debug-only file to write", .group = "Output"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.usage = "unhex extract ELF -o OUT.debug",
		.intro = "Makes a debug-only file from an unstripped ELF: DWARF, symbols, notes and Go's\n"
			 "line table stay; code and data go. Same build-ID, a fraction of the secrets.\n"
			 "Upload that, ship the stripped one:\n"
			 "\n"
			 "  unhex extract app -o app.debug && strip app && unhex upload app.debug app\n"
			 "  unhex addr2line -e app.debug 0x1139               # its addresses are the same",
	};
	struct operands files;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &files, &code))
		return code;
	if (files.n != 1 || !out)
		code = command_usage("extract: name one ELF file and -o OUT.debug");
	else if (indexer_extract(files.p[0], out, &e) < 0)
		code = command_fail(&e);
	free(files.p);
	opt_deinit(&table);
	return code;
}
