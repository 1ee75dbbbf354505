/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unhex-indexer: the one program that reads foreign binaries. It opens what it is given, locks itself in,
 * reads, and answers with one JSON object on stdout.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/opt.h"
#include "base/sandbox.h"
#include "symbolizer/indexer/extract.h"
#include "symbolizer/indexer/gsym_image.h"
#include "symbolizer/indexer/gsym_index.h"
#include "symbolizer/indexer/index.h"
#include "symbolizer/indexer/input_file.h"
#include "symbolizer/indexer/inputs.h"
#include "symbolizer/indexer/kallsyms_index.h"
#include "symbolizer/indexer/kallsyms_list.h"
#include "symbolizer/indexer/probe.h"
#include "symbolizer/indexer/publisher.h"
#include <inttypes.h>
#include <stdio.h>

enum { REPORT_MAX = 16 << 20 };

static bool arg_probe;
static bool arg_extract;
static char *arg_output;
static struct opt_list arg_debug_dirs;
static char *arg_alt;
static char *arg_dwp;
static struct opt_list arg_dwo;
static uint64_t arg_max_memory;
static uint64_t arg_max_cpu_ms;

static struct opt options[] = {
	{.name = "probe", .type = OPT_FLAG, .target = &arg_probe, .group = "What to do",
	 .help = "only say what the file is: IDs, program headers, sections, quality, needs"},
	{.name = "extract", .type = OPT_FLAG, .target = &arg_extract,
	 .help = "write a debug-only copy instead of an index"},
	{.name = "output", .short_name = 'o', .type = OPT_STRING, .target = &arg_output, .arg = "FILE",
	 .help = "where the index (or the copy) goes"},
	{.name = "debug-dir", .type = OPT_LIST, .target = &arg_debug_dirs, .arg = "DIR",
	 .group = "Where names come from",
	 .help = "look for the debug file of ELF here and beside ELF, by build ID and debug link; without it, no debug file is looked for"},
	{.name = "alt", .type = OPT_STRING, .target = &arg_alt, .arg = "FILE",
	 .help = "the file that dwz shared between debug files"},
	{.name = "dwp", .type = OPT_STRING, .target = &arg_dwp, .arg = "FILE",
	 .help = "package of split DWARF; without it ELF.dwp where there is one"},
	{.name = "dwo", .type = OPT_LIST, .target = &arg_dwo, .arg = "FILE",
	 .help = "split DWARF of some units"},
	{.name = "max-memory", .type = OPT_SIZE, .target = &arg_max_memory, .fallback = "4GiB",
	 .arg = "SIZE", .group = "Limits", .help = "address space"},
	{.name = "max-cpu", .type = OPT_DURATION_MS, .target = &arg_max_cpu_ms, .fallback = "300s",
	 .arg = "DURATION", .help = "processor time"},
	{.name = NULL},
};

static struct opt_table table = {
	.opts = options,
	.usage = "unhex-indexer [OPTION]... -o OUT.uhx ELF [DEBUG_ELF]\n"
		 "       unhex-indexer -o OUT.uhx GSYM|KALLSYMS\n"
		 "       unhex-indexer --probe ELF\n"
		 "       unhex-indexer --extract -o OUT.debug ELF",
	.intro = "Reads ELF and DWARF inside a sandbox and writes an index of names by address.\n"
		 "A FILE may be fd:N, a descriptor inherited from the caller. The answer is one\n"
		 "JSON object on stdout.\n\n"
		 "  unhex-indexer -o libc.uhx --debug-dir /usr/lib/debug libc.so.6\n"
		 "  unhex-indexer --probe ./server",
};

struct job {
	struct inputs inputs;
	int out_fd;
	struct sandbox_limits limits;
	struct sandbox_state sandbox;
	struct warnings warnings;
	struct buf report;
};

static int print(const struct buf *b, FILE *to)
{
	return fwrite(b->p ? b->p : "", 1, b->n, to) == b->n && fflush(to) == 0 ? 0 : -1;
}

static int fail(const struct err *e)
{
	struct buf b = BUF_INIT(REPORT_MAX);
	struct json_out j = JSON_OUT(&b);

	json_obj(&j);
	json_key(&j, "error");
	json_obj(&j);
	json_kv_cstr(&j, "code", err_code(e->kind));
	json_kv_cstr(&j, "detail", e->msg);
	json_end_obj(&j);
	json_end_obj(&j);
	buf_append_c(&b, '\n');
	(void)print(&b, stdout);
	buf_deinit(&b);
	fprintf(stderr, "unhex-indexer: %s\n", e->msg);
	return err_exit_code(e->kind);
}

static int open_inputs(struct job *job, char **names, size_t n, struct err *e)
{
	const struct inputs_wanted wanted = {
		.names = names,
		.name_count = n,
		.debug_dirs = &arg_debug_dirs,
		.alternate = arg_alt,
		.package = arg_dwp,
		.dwo = &arg_dwo,
		.alone = arg_probe || arg_extract,
		.limits = &job->limits,
	};

	if (inputs_open(&job->inputs, &wanted, &job->warnings, e))
		return -1;
	// A copy or an index in place of what it was made from would be a loss.
	if (arg_output && inputs_include(&job->inputs, arg_output))
		return err_set(e, ERR_USAGE, "-o %s is the file to read", arg_output);
	return 0;
}

static int make_index(struct job *job, struct json_out *j, struct err *e)
{
	struct inputs *i = &job->inputs;
	struct index_input in = {
		.files = {inputs_image(i, INPUT_ELF), inputs_image(i, INPUT_DEBUG)},
		.alternate = inputs_image(i, INPUT_ALTERNATE),
		.split = i->split_images,
		.split_count = i->split_image_count,
		.out_fd = job->out_fd,
		.sandbox = job->sandbox,
		.warnings = &job->warnings,
	};

	return index_run(&in, j, e);
}

static int work_gsym(struct job *job, struct json_out *j, struct err *e)
{
	const struct input *files = job->inputs.files;
	struct gsym_index_input in = {
		.name = files[INPUT_ELF].name,
		.fd = files[INPUT_ELF].fd,
		.out_fd = job->out_fd,
		.sandbox = job->sandbox,
		.warnings = &job->warnings,
	};

	if (arg_probe || arg_extract)
		return err_set(e, ERR_NOT_ELF, "%s: not an ELF file but GSYM, of which only an index can be made",
			       in.name);
	if (files[INPUT_DEBUG].name || files[INPUT_ALTERNATE].name)
		return err_set(e, ERR_USAGE, "%s is a GSYM file: it is indexed alone", in.name);
	return gsym_index_run(&in, j, e);
}

static int work_kallsyms(struct job *job, struct json_out *j, struct err *e)
{
	const struct input *files = job->inputs.files;
	struct kallsyms_index_input in = {
		.name = files[INPUT_ELF].name,
		.fd = files[INPUT_ELF].fd,
		.out_fd = arg_probe ? -1 : job->out_fd,
		.sandbox = job->sandbox,
		.warnings = &job->warnings,
	};

	if (arg_extract)
		return err_set(e, ERR_NOT_ELF, "%s: not an ELF file but a kernel's symbol list", in.name);
	if (files[INPUT_DEBUG].name || files[INPUT_ALTERNATE].name)
		return err_set(e, ERR_USAGE, "%s is a kernel's symbol list: it is indexed alone", in.name);
	return kallsyms_index_run(&in, j, e);
}

static int work_elf(struct job *job, struct json_out *j, struct err *e)
{
	struct elf_image *elf;

	if (inputs_load(&job->inputs, &job->warnings, e))
		return -1;
	elf = inputs_image(&job->inputs, INPUT_ELF);
	if (arg_extract)
		return extract_run(elf, job->out_fd, j, e);
	if (!arg_probe)
		return make_index(job, j, e);
	probe_write(elf, j);
	return 0;
}

static int work(struct job *job, struct err *e)
{
	struct json_out j = JSON_OUT(&job->report);
	int fd = job->inputs.files[INPUT_ELF].fd;

	if (gsym_image_is(fd)	   ? work_gsym(job, &j, e)
	    : kallsyms_list_is(fd) ? work_kallsyms(job, &j, e)
				   : work_elf(job, &j, e))
		return -1;
	buf_append_c(&job->report, '\n');
	return buf_check(&job->report, "report", e);
}

static int run(struct job *job, char **names, size_t n, struct err *e)
{
	if (open_inputs(job, names, n, e) || sandbox_enter(&job->limits, &job->sandbox, e))
		return -1;
	if (work(job, e)) {
		// memory that was denied here is denied for good: the limit is ours
		if (e->kind == ERR_NOMEM)
			err_set(e, ERR_INDEXER_MEMORY, "%s needs more than %" PRIu64 " MiB of memory",
				job->inputs.files[INPUT_ELF].name, job->limits.address_space >> 20);
		return -1;
	}
	if (print(&job->report, stdout))
		return err_set(e, ERR_IO, "the report cannot be written to stdout");
	return 0;
}

static void job_deinit(struct job *job)
{
	inputs_deinit(&job->inputs);
	buf_deinit(&job->report);
}

struct operands {
	struct job *job;
	char **names;
	size_t n;
};

// Of the type publisher_work; without an output out_fd is -1.
static int answer(void *ctx, int out_fd)
{
	const struct operands *o = ctx;
	struct err e = ERR_INIT;
	int rc;

	o->job->out_fd = out_fd;
	rc = run(o->job, o->names, o->n, &e) ? fail(&e) : EXIT_OK;
	job_deinit(o->job);
	return rc;
}

static int answer_or_publish(struct operands *o)
{
	struct err e = ERR_INIT;
	int fd = -1;
	int rc = arg_output ? inherited_fd(arg_output, &fd, &e) : 1;

	if (rc > 0)
		return answer(o, fd);
	if (rc == 0)
		rc = publisher_run(arg_output, answer, o, &e);
	return rc < 0 ? fail(&e) : rc;
}

static int check_usage(size_t n, struct err *e)
{
	if (arg_probe && arg_extract)
		return err_set(e, ERR_USAGE, "--probe and --extract exclude each other");
	if (arg_probe && arg_output)
		return err_set(e, ERR_USAGE, "--probe writes no file: its report goes to stdout");
	if (arg_output && strcmp(arg_output, "-") == 0)
		return err_set(e, ERR_USAGE, "-o -: stdout is for the report; name a file");
	if (n == 0)
		return err_set(e, ERR_USAGE, "no ELF file given; try --help");
	if (n > (arg_probe || arg_extract ? 1U : 2U))
		return err_set(e, ERR_USAGE, "too many files; try --help");
	if (!arg_probe && !arg_output)
		return err_set(e, ERR_USAGE, "-o FILE is missing; try --help");
	return 0;
}

static int show_help(void)
{
	struct buf b = BUF_INIT(REPORT_MAX);
	int rc;

	opt_help(&table, &b);
	rc = print(&b, stdout);
	buf_deinit(&b);
	return rc ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
	static struct job job = {.inputs = INPUTS_INIT, .out_fd = -1};
	_cleanup_free_ char **names = calloc((size_t)argc + 1, sizeof(*names));
	struct err e = ERR_INIT;
	size_t n = 0;
	int rc;

	if (!names)
		return EXIT_FAILED;
	rc = opt_parse(&table, argc, argv, names, &n, &e);
	if (rc == OPT_HELP)
		return show_help();
	if (rc == OPT_VERSION)
		return printf("unhex-indexer %s (%s)\n", UNHEX_VERSION, UNHEX_COMMIT) < 0;
	if (rc || check_usage(n, &e))
		return fail(&e);
	job.report = BUF_INIT(REPORT_MAX);
	job.limits = (struct sandbox_limits){
		.address_space = arg_max_memory,
		.cpu_seconds = MAX(arg_max_cpu_ms / 1000, 1),
		.file_size = GIB(16),
	};
	rc = answer_or_publish(&(struct operands){&job, names, n});
	opt_deinit(&table);
	return rc;
}
