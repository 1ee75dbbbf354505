/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unhex-indexer: the one program that reads foreign binaries. It opens what it is given, locks itself in,
 * reads, and answers with one JSON object on stdout.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/sandbox.h"
#include "symbolizer/indexer/debug_dir.h"
#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/indexer/extract.h"
#include "symbolizer/indexer/gsym_image.h"
#include "symbolizer/indexer/gsym_index.h"
#include "symbolizer/indexer/index.h"
#include "symbolizer/indexer/input_file.h"
#include "symbolizer/indexer/probe.h"
#include "symbolizer/indexer/publisher.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { REPORT_MAX = 16 << 20, PATH_SIZE = 4096 };

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
	 .help = "look for the debug file of ELF here, by build ID and debug link; may repeat"},
	{.name = "alt", .type = OPT_STRING, .target = &arg_alt, .arg = "FILE",
	 .help = "the file that dwz shared between debug files"},
	{.name = "dwp", .type = OPT_STRING, .target = &arg_dwp, .arg = "FILE",
	 .help = "package of split DWARF; without it ELF.dwp where there is one"},
	{.name = "dwo", .type = OPT_LIST, .target = &arg_dwo, .arg = "FILE",
	 .help = "split DWARF of some units; may repeat"},
	{.name = "max-memory", .type = OPT_SIZE, .target = &arg_max_memory, .fallback = "4GiB",
	 .arg = "SIZE", .group = "Limits", .help = "address space"},
	{.name = "max-cpu", .type = OPT_DURATION_MS, .target = &arg_max_cpu_ms, .fallback = "300s",
	 .arg = "DURATION", .help = "processor time"},
	{.name = NULL},
};

static struct opt_table table = {
	.opts = options,
	.usage = "unhex-indexer [OPTION]... -o OUT.uhx ELF [DEBUG_ELF]\n"
		 "       unhex-indexer -o OUT.uhx GSYM\n"
		 "       unhex-indexer --probe ELF\n"
		 "       unhex-indexer --extract -o OUT.debug ELF",
	.intro = "Reads ELF and DWARF inside a sandbox and writes an index of names by address.\n"
		 "A FILE may be fd:N, a descriptor inherited from the caller. The answer is one\n"
		 "JSON object on stdout.\n\n"
		 "  unhex-indexer -o libc.uhx --debug-dir /usr/lib/debug libc.so.6\n"
		 "  unhex-indexer --probe ./server",
};

enum { FILE_ELF, FILE_DEBUG, FILE_ALT, FILE_COUNT };

// A .dwp or .dwo file.
struct split_file {
	const char *name;
	int fd;
	struct elf_image image;
};

struct job {
	const char *names[FILE_COUNT]; // NULL: not given, not found
	int fds[FILE_COUNT];
	char found[FILE_COUNT][PATH_SIZE];
	struct split_file *split;
	size_t split_count;
	struct elf_image **split_images; // of those that could be opened
	size_t split_image_count;
	char package[PATH_SIZE]; // the one beside ELF
	int out_fd;
	struct sandbox_limits limits;
	struct sandbox_state sandbox;
	struct elf_image images[FILE_COUNT];
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

static int open_one(struct job *job, int which, const char *name, struct err *e)
{
	job->names[which] = name;
	job->fds[which] = input_file_open(name, e);
	return job->fds[which] < 0 ? -1 : 0;
}

static void take_found(struct job *job, int which, int fd)
{
	job->fds[which] = fd;
	job->names[which] = job->found[which];
}

static int look_for_debug_files(struct job *job, struct err *e)
{
	struct debug_wanted w = {&arg_debug_dirs, &job->limits};
	int from;
	int fd;
	int rc;

	if (!job->names[FILE_DEBUG]) {
		rc = debug_dir_find(&w, job->fds[FILE_ELF], job->names[FILE_ELF], &fd,
				    job->found[FILE_DEBUG], e);
		if (rc < 0)
			return -1;
		if (rc == DEBUG_DIR_FOUND)
			take_found(job, FILE_DEBUG, fd);
		else if (!rc)
			warn(&job->warnings, "%s: no debug file in the folders given",
			     job->names[FILE_ELF]);
	}
	if (job->names[FILE_ALT])
		return 0;
	from = job->names[FILE_DEBUG] ? FILE_DEBUG : FILE_ELF;
	rc = debug_dir_find_alt(&w, job->fds[from], job->names[from], &fd, job->found[FILE_ALT], e);
	if (rc > 0)
		take_found(job, FILE_ALT, fd);
	return rc < 0 ? -1 : 0;
}

static int add_split(struct job *job, const char *name, struct err *e)
{
	int fd = input_file_open(name, e);

	if (fd < 0)
		return -1;
	job->split[job->split_count++] = (struct split_file){name, fd, ELF_IMAGE_INIT};
	return 0;
}

// As debuggers do: "prog.dwp" for "prog", or for its debug file. Where there is none nothing is said.
static int add_package_beside(struct job *job, const char *elf, struct err *e)
{
	struct err ignored = ERR_INIT;
	int inherited;
	int n = snprintf(job->package, sizeof(job->package), "%s.dwp", elf);

	if (n < 0 || (size_t)n >= sizeof(job->package) || inherited_fd(elf, &inherited, &ignored))
		return 0;
	return access(job->package, R_OK) == 0 ? add_split(job, job->package, e) : 0;
}

// Whoever names a package or .dwo files need not have a look for one done.
static int open_split(struct job *job, struct err *e)
{
	size_t n = arg_dwo.n + 1;

	job->split = mem_calloc(n, sizeof(*job->split));
	job->split_images = mem_calloc(n, sizeof(struct elf_image *));
	if (!job->split || !job->split_images)
		return err_nomem(e);
	if (arg_dwp && add_split(job, arg_dwp, e))
		return -1;
	for (size_t i = 0; i < arg_dwo.n; i++)
		if (add_split(job, arg_dwo.items[i], e))
			return -1;
	if (!job->split_count && add_package_beside(job, job->names[FILE_ELF], e))
		return -1;
	if (!job->split_count && job->names[FILE_DEBUG])
		return add_package_beside(job, job->names[FILE_DEBUG], e);
	return 0;
}

// A copy or an index in place of what it was made from would be a loss.
static int check_output(const struct job *job, struct err *e)
{
	for (int i = 0; i < FILE_COUNT; i++)
		if (job->fds[i] >= 0 && output_file_is(arg_output, job->fds[i]))
			return err_set(e, ERR_USAGE, "-o %s is the file to read", arg_output);
	for (size_t i = 0; i < job->split_count; i++)
		if (output_file_is(arg_output, job->split[i].fd))
			return err_set(e, ERR_USAGE, "-o %s is the file to read", arg_output);
	return 0;
}

static int open_all(struct job *job, char **names, size_t n, struct err *e)
{
	if (open_one(job, FILE_ELF, names[0], e) || (n > 1 && open_one(job, FILE_DEBUG, names[1], e)) ||
	    (arg_alt && open_one(job, FILE_ALT, arg_alt, e)))
		return -1;
	if (arg_debug_dirs.n && !arg_probe && !arg_extract && !gsym_image_is(job->fds[FILE_ELF]) &&
	    look_for_debug_files(job, e))
		return -1;
	if (!arg_probe && !arg_extract && open_split(job, e))
		return -1;
	return arg_output ? check_output(job, e) : 0;
}

static int load_images(struct job *job, struct err *e)
{
	for (int i = 0; i < FILE_COUNT; i++)
		if (job->names[i] && elf_image_open(&job->images[i], job->fds[i], job->names[i], e))
			return -1;
	// a bad one costs its own functions, not the index
	for (size_t i = 0; i < job->split_count; i++) {
		struct split_file *s = &job->split[i];
		struct err problem = ERR_INIT;

		if (elf_image_open(&s->image, s->fd, s->name, &problem) == 0)
			job->split_images[job->split_image_count++] = &s->image;
		else
			warn(&job->warnings, "%s: %s", s->name, problem.msg);
	}
	return 0;
}

static int make_index(struct job *job, struct json_out *j, struct err *e)
{
	struct index_input in = {
		.files = {&job->images[FILE_ELF], job->names[FILE_DEBUG] ? &job->images[FILE_DEBUG] : NULL},
		.alternate = job->names[FILE_ALT] ? &job->images[FILE_ALT] : NULL,
		.split = job->split_images,
		.split_count = job->split_image_count,
		.out_fd = job->out_fd,
		.sandbox = job->sandbox,
		.warnings = &job->warnings,
	};

	return index_run(&in, j, e);
}

static int work_gsym(struct job *job, struct json_out *j, struct err *e)
{
	struct gsym_index_input in = {
		.name = job->names[FILE_ELF],
		.fd = job->fds[FILE_ELF],
		.out_fd = job->out_fd,
		.sandbox = job->sandbox,
		.warnings = &job->warnings,
	};

	if (arg_probe || arg_extract)
		return err_set(e, ERR_NOT_ELF, "%s: not an ELF file but GSYM, of which only an index can be made",
			       in.name);
	if (job->names[FILE_DEBUG] || job->names[FILE_ALT])
		return err_set(e, ERR_USAGE, "%s is a GSYM file: it is indexed alone", in.name);
	return gsym_index_run(&in, j, e);
}

static int work(struct job *job, struct err *e)
{
	struct json_out j = JSON_OUT(&job->report);
	bool gsym = gsym_image_is(job->fds[FILE_ELF]);
	int rc = 0;

	if (!gsym && load_images(job, e))
		return -1;
	if (gsym)
		rc = work_gsym(job, &j, e);
	else if (arg_probe)
		probe_write(&job->images[FILE_ELF], &j);
	else if (arg_extract)
		rc = extract_run(&job->images[FILE_ELF], job->out_fd, &j, e);
	else
		rc = make_index(job, &j, e);
	buf_append_c(&job->report, '\n');
	return rc ? -1 : buf_check(&job->report, "report", e);
}

static int run(struct job *job, char **names, size_t n, struct err *e)
{
	if (open_all(job, names, n, e) || sandbox_enter(&job->limits, &job->sandbox, e))
		return -1;
	if (work(job, e)) {
		// memory that was denied here is denied for good: the limit is ours
		if (e->kind == ERR_NOMEM)
			err_set(e, ERR_INDEXER_MEMORY, "%s needs more than %" PRIu64 " MiB of memory",
				job->names[FILE_ELF], job->limits.address_space >> 20);
		return -1;
	}
	if (print(&job->report, stdout))
		return err_set(e, ERR_IO, "the report cannot be written to stdout");
	return 0;
}

static void job_deinit(struct job *job)
{
	for (int i = 0; i < FILE_COUNT; i++)
		elf_image_close(&job->images[i]);
	for (size_t i = 0; i < job->split_count; i++)
		elf_image_close(&job->split[i].image);
	free(job->split);
	free(job->split_images);
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
	static struct job job = {.fds = {-1, -1, -1}, .out_fd = -1};
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
