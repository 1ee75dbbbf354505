/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/output.h"
#include "symbolizer/gsym_writer.h"
#include "symbolizer/uhx_reader.h"
#include "upload-cli/command.h"

#include <inttypes.h>
#include <sys/stat.h>

static int open_whole(const char *path, struct uhx **ret, struct err *e)
{
	_cleanup_(uhx_unrefp) struct uhx *u = NULL;

	if (uhx_open(path, &u, e) < 0)
		return -1;
	if (uhx_verify(u, e) < 0)
		return err_wrap(e, "%s", path);
	*ret = steal_ptr(u);
	return 0;
}

static int dump(const char *path, struct err *e)
{
	_cleanup_(uhx_unrefp) struct uhx *u = NULL;

	if (open_whole(path, &u, e) < 0)
		return -1;
	return uhx_dump(u, stdout, e) < 0 ? err_wrap(e, "%s", path) : 0;
}

static void tell_losses(const char *path, const struct gsym_export *x)
{
	if (!x->uuid)
		fprintf(stderr, "unhex: %s has no UUID: the index has no GNU build-ID of up to 20 bytes\n",
			path);
	if (x->lost_inlines)
		fprintf(stderr, "unhex: %s: inlined calls at unknown places are left out in %" PRIu64 " rows\n",
			path, x->lost_inlines);
}

static int write_gsym(const struct uhx *u, const char *path, struct err *e)
{
	struct gsym_export done;
	struct output out;
	int r;

	if (output_open(&out, path, e) < 0)
		return -1;
	r = gsym_write(u, out.fd, &done, e);
	if (r == 0)
		r = output_publish(&out, e);
	output_deinit(&out);
	if (r == 0)
		tell_losses(path, &done);
	return r;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int export_gsym(const char *path, const char *to, struct err *e)
{
	_cleanup_(uhx_unrefp) struct uhx *u = NULL;

	if (same_file(path, to))
		return err_set(e, ERR_USAGE, "--export-gsym %s is the index to read", to);
	return open_whole(path, &u, e) < 0 || write_gsym(u, to, e) < 0 ? -1 : 0;
}

int command_index(int argc, char **argv)
{
	char *path = NULL, *gsym = NULL;
	struct opt opts[] = {
		{.name = "dump", .type = OPT_STRING, .target = &path, .arg = "F.uhx", .flag_only = true,
		 .help = "print header, sections and every row with its chain", .group = "What to do"},
		{.name = "export-gsym", .type = OPT_STRING, .target = &gsym, .arg = "OUT.gsym", .flag_only = true,
		 .help = "write F.uhx in LLVM's symbol format, version 1 (it has no columns and no start lines)"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.usage = "unhex index --dump F.uhx\n"
			 "       unhex index --export-gsym OUT.gsym F.uhx",
		.intro = "Checks an index (its checksum, then each row) and prints it for people, or writes it as\n"
			 "GSYM, which llvm-gsymutil reads. Indexes are made by the server, or by:\n"
			 "unhex-indexer -o F.uhx ELF (or GSYM). Their format: docs/FORMATS.md.",
	};
	struct operands words;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &words, &code))
		return code;
	if (!path == !gsym || words.n != (gsym ? 1 : 0))
		code = command_usage("index: say --dump F.uhx, or --export-gsym OUT.gsym F.uhx");
	else if ((gsym ? export_gsym(words.p[0], gsym, &e) : dump(path, &e)) < 0)
		code = command_fail(&e);
	free(words.p);
	opt_deinit(&table);
	return code;
}
