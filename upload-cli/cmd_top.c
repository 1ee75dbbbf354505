/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/compress.h"
#include "base/io.h"
#include "base/printable.h"
#include "symbolizer/pprof_merge.h"
#include "symbolizer/pprof_top.h"
#include "upload-cli/command.h"
#include <inttypes.h>

enum { INPUT_MAX = 256 << 20, ARENA_CAP = 1 << 30, FILES_MAX = 256, NAME_COLUMNS = 60 };

struct top_options {
	uint64_t rows;
	bool by_cum;
	bool as_json;
};

static int read_profile(const char *path, struct buf *identity, struct arena *arena, struct pprof *ret,
			struct err *e)
{
	struct buf raw = BUF_INIT(INPUT_MAX);
	int r;

	if (io_read_file(path, &raw, e) < 0) {
		buf_deinit(&raw);
		return -1; // names the file
	}
	r = decompress_any(buf_str(&raw), identity, e);
	if (r == 0)
		r = pprof_decode(buf_str(identity), &pprof_limits_default, arena, ret, e);
	buf_deinit(&raw);
	return r < 0 ? err_wrap(e, "%s", path) : 0;
}

/* 10 ms units are what people sample in: show time as seconds, anything else as it is. */
static void print_value(int64_t value, struct str unit)
{
	if (str_is(unit, "nanoseconds"))
		printf("%8.2fs", (double)value / 1e9);
	else
		printf("%9" PRId64, value);
}

static void print_row(const struct pprof_top_row *row, struct str unit)
{
	char name[NAME_COLUMNS + 1];

	printable_copy(row->function, name, sizeof(name));
	printf("%6.2f%% ", 100 * row->share);
	print_value(row->flat, unit);
	putchar(' ');
	print_value(row->cum, unit);
	printf("  %-*s  ", NAME_COLUMNS, name);
	printable_put(row->file, stdout);
	if (row->file.n)
		printf(":%" PRId64, row->line);
	putchar('\n');
}

static void print_json_row(const struct pprof_top_row *row)
{
	struct buf b = BUF_INIT(1 << 20);
	struct json_out j = JSON_OUT(&b);

	json_obj(&j);
	json_key(&j, "share");
	json_f64(&j, row->share);
	json_kv_i64(&j, "flat", row->flat);
	json_kv_i64(&j, "cum", row->cum);
	json_kv_str(&j, "function", row->function);
	json_kv_str(&j, "file", row->file);
	json_kv_i64(&j, "line", row->line);
	json_end_obj(&j);
	puts(b.p ? b.p : "{}");
	buf_deinit(&b);
}

static int by_cum(const void *a, const void *b)
{
	const struct pprof_top_row *x = a, *y = b;

	return x->cum < y->cum ? 1 : x->cum > y->cum ? -1 : str_cmp(x->function, y->function);
}

static void print_top(struct pprof_top *top, const struct top_options *o)
{
	size_t n = MIN(top->n, (size_t)o->rows);

	if (o->by_cum)
		qsort(top->rows, top->n, sizeof(*top->rows), by_cum);
	if (!o->as_json)
		printf("%7s %9s %9s  %-*s  %s\n", "share", "flat", "cum", NAME_COLUMNS, "function", "file:line");
	for (size_t i = 0; i < n; i++) {
		if (o->as_json)
			print_json_row(&top->rows[i]);
		else
			print_row(&top->rows[i], top->type.unit);
	}
	fflush(stdout);
	if (n < top->n)
		fprintf(stderr, "unhex: %zu more functions; -n N shows more\n", top->n - n);
}

static int merge_and_print(const struct pprof *const *in, size_t n, struct arena *arena,
			   const struct top_options *o, struct err *e)
{
	struct pprof_top top;
	struct pprof merged;

	if (pprof_merge(in, n, arena, &merged, e) < 0 ||
	    pprof_top(&merged, pprof_default_value(&merged), arena, &top, e) < 0)
		return -1;
	print_top(&top, o);
	return 0;
}

static int run_top(const struct operands *files, const struct top_options *o, struct err *e)
{
	struct arena arena = ARENA_INIT(ARENA_CAP);
	struct buf *bytes = arena_array(&arena, files->n, struct buf);
	struct pprof *all = arena_array(&arena, files->n, struct pprof);
	const struct pprof **in = arena_array(&arena, files->n, const struct pprof *);
	int r = bytes && all && in ? 0 : err_nomem(e);
	size_t opened = 0;

	for (; r == 0 && opened < files->n; opened++) {
		bytes[opened] = BUF_INIT(INPUT_MAX);
		in[opened] = &all[opened];
		r = read_profile(files->p[opened], &bytes[opened], &arena, &all[opened], e);
	}
	if (r == 0)
		r = merge_and_print(in, files->n, &arena, o, e);
	for (size_t i = 0; i < opened; i++)
		buf_deinit(&bytes[i]);
	arena_deinit(&arena);
	return r;
}

int command_top(int argc, char **argv)
{
	struct top_options o = {0};
	struct opt opts[] = {
		{.name = "count", .short_name = 'n', .type = OPT_U64, .target = &o.rows, .fallback = "20", .arg = "N",
		 .help = "how many functions", .group = "Output"},
		{.name = "cum", .type = OPT_FLAG, .target = &o.by_cum, .help = "order by what a function and its callees cost"},
		{.name = "json", .type = OPT_FLAG, .target = &o.as_json, .help = "one JSON object a function"},
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.usage = "unhex top [-n N] [--cum] [--json] FILE...",
		.intro = "Prints the heaviest functions of pprof profiles (gzip, zstd or plain), several merged:\n"
			 "share, own cost, cost with callees, name, and the file and line with the most of it.",
	};
	struct operands files;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &files, &code))
		return code;
	if (files.n == 0 || files.n > FILES_MAX)
		code = command_usage("top: name profiles (at most %d)", FILES_MAX);
	else if (run_top(&files, &o, &e) < 0)
		code = command_fail(&e);
	free(files.p);
	opt_deinit(&table);
	return code;
}
