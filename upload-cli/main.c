/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"
#include "upload-cli/command.h"
#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
	{"upload", "send debug info, executables or whole build trees to a server", command_upload},
	{"extract", "make a debug-only file from an unstripped ELF", command_extract},
	{"build-id", "print every ID of an ELF file", command_build_id},
	{"find", "fetch a binary's debuginfo, executable or source by build-ID", command_find},
	{"addr2line", "name addresses of an ELF, an index or a build-ID", command_addr2line},
	{"symbolize", "put names into a pprof profile", command_symbolize},
	{"top", "print the heaviest functions of profiles", command_top},
	{"index", "print an index (--dump) or write it as GSYM (--export-gsym)", command_index},
	{"status", "tell a binary's whole story", command_status},
	{"missing", "list what the server could not name, heaviest first", command_missing},
};

static void help(FILE *out)
{
	fputs("Usage: unhex COMMAND [OPTION]... [ARGUMENT]...\n"
	      "\n"
	      "From hex addresses to names. Try one of:\n"
	      "\n"
	      "  unhex upload --server http://unhex:8002 build/        after a build, in CI\n"
	      "  unhex addr2line -f -i -e ./app 0x1139                 on this machine\n"
	      "  unhex symbolize raw.pb.gz -o named.pb.gz              a profile, by the server\n"
	      "  unhex missing                                         what to upload next\n"
	      "\n"
	      "Commands:\n", out);
	for (size_t i = 0; i < countof(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "unhex COMMAND --help tells more. UNHEX_SERVER and UNHEX_TOKEN_FILE stand for\n"
	      "--server and --token-file.\n"
	      "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found or nothing to do, 4 refused,\n"
	      "5 server unavailable (retry makes sense), 6 partly done.\n", out);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		help(stdout);
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0) {
		printf("unhex %s (%s)\n", UNHEX_VERSION, UNHEX_COMMIT);
		return EXIT_OK;
	}
	for (size_t i = 0; i < countof(commands); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			int code = commands[i].run(argc - 1, argv + 1);

			if (fflush(stdout) == 0 && !ferror(stdout))
				return code;
			fputs("unhex: standard output could not be written\n", stderr);
			return EXIT_FAILED;
		}
	}
	return command_usage("has no command '%s'", name);
}
