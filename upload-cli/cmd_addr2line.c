/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/mem.h"
#include "symbolizer/symbolize_json.h"
#include "upload-cli/chain_text.h"
#include "upload-cli/command.h"
#include "upload-cli/frames_text.h"
#include "upload-cli/indexer.h"
#include <errno.h>

enum { LINE_MAX_BYTES = 64, BATCH = 4096, REQUEST_MAX = 8 << 20, READ_BYTES = 64 << 10, INPUT_MAX = 1 << 20 };
enum { WRITE_BYTES = 256 << 10, OUTPUT_MAX = 64 << 20, SLICE = 256 };

struct addr2line {
	struct frames_style style;
	bool as_json;
	char *elf;
	char *index;
	char *build_id;
	struct server_options server;
	struct opt_list debug_dirs;
	/* one of the two */
	struct uhx *uhx;
	struct chain_text *text; /* of uhx, unless as JSON */
	struct remote remote;
	struct frames *frames; /* room for one answer */
	struct buf out;        /* answers that are not written yet */
	size_t good, bad;      /* addresses, and what was none */
};

/* ---- printing ---------------------------------------------------------------------------------------- */

/* An error of writing is kept by stdio: main() tells it. */
static void write_out(struct addr2line *a)
{
	if (a->out.n)
		fwrite(a->out.p, 1, a->out.n, stdout);
	fflush(stdout);
	buf_clear(&a->out);
}

/* To be called after each answer, or a few: what is too large then is no honest one. */
static int answer_done(struct addr2line *a, struct err *e)
{
	if (buf_check(&a->out, "an answer", e) < 0)
		return -1;
	if (a->out.n >= WRITE_BYTES)
		write_out(a);
	return 0;
}

/* ---- local ---------------------------------------------------------------------------------------------- */

static int open_index(struct addr2line *a, struct err *e)
{
	if (a->index)
		return uhx_open(a->index, &a->uhx, e);
	return indexer_index(a->elf, NULL, a->debug_dirs.n ? a->debug_dirs.items : indexer_usual_debug_dirs, &a->uhx, e);
}

static int open_local(struct addr2line *a, struct err *e)
{
	if (open_index(a, e) < 0)
		return -1;
	return a->as_json ? 0 : chain_text_new(a->uhx, &a->style, CHAIN_TEXT_KEPT, &a->text, e);
}

static int local_as_json(struct addr2line *a, const uint64_t *addresses, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct json_out j = JSON_OUT(&a->out);

		uhx_lookup(a->uhx, addresses[i], a->frames);
		symbolize_json_address(&j, addresses[i], a->frames, (struct symbolize_json_reason){.code = "no_symbol"});
		buf_append_c(&a->out, '\n');
		if (answer_done(a, e) < 0)
			return -1;
	}
	return 0;
}

static void print_chain(void *ctx, size_t i UNUSED, const struct uhx_chain *chain)
{
	struct addr2line *a = ctx;

	chain_text_append(a->text, chain, &a->out);
}

static int local_as_text(struct addr2line *a, const uint64_t *addresses, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i += SLICE) {
		uhx_chain_many(a->uhx, addresses + i, MIN(n - i, (size_t)SLICE), true, print_chain, a);
		if (answer_done(a, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- by the server ---------------------------------------------------------------------------------------- */

static void request_body(const struct addr2line *a, const uint64_t *addresses, size_t n, struct buf *out)
{
	struct json_out j = JSON_OUT(out);

	json_obj(&j);
	json_key(&j, "modules");
	json_arr(&j);
	json_obj(&j);
	json_kv_cstr(&j, "build_id", a->build_id);
	json_key(&j, "addresses");
	json_arr(&j);
	for (size_t i = 0; i < n; i++)
		json_hex(&j, addresses[i]);
	json_end_arr(&j);
	json_end_obj(&j);
	json_end_arr(&j);
	json_end_obj(&j);
}

static void read_frame(const json_t *from, struct frame *f)
{
	*f = (struct frame){
		.function = json_get_str(from, "function"),
		.system_name = json_get_str(from, "system_name"),
		.file = json_get_str(from, "file"),
		.line = (uint32_t)json_get_u64(from, "line", 0),
		.start_line = (uint32_t)json_get_u64(from, "start_line", 0),
		.column = (uint32_t)json_get_u64(from, "column", 0),
		.inlined = json_get_bool(from, "inlined", false),
	};
}

static int append_json(const char *text, size_t n, void *ctx)
{
	buf_append(ctx, text, n);
	return 0;
}

static int print_remote_address(struct addr2line *a, const json_t *answer, struct err *e)
{
	const json_t *list = json_object_get(answer, "frames");

	if (a->as_json) {
		json_dump_callback(answer, append_json, &a->out, JSON_COMPACT | JSON_PRESERVE_ORDER);
		buf_append_c(&a->out, '\n');
		return answer_done(a, e);
	}
	a->frames->n = MIN(json_array_size(list), (size_t)FRAMES_MAX);
	for (size_t i = 0; i < a->frames->n; i++)
		read_frame(json_array_get(list, i), &a->frames->frame[i]);
	frames_text(a->frames, &a->style, &a->out);
	return answer_done(a, e);
}

static int print_module(struct addr2line *a, const json_t *answer, struct err *e)
{
	const json_t *module = json_array_get(json_object_get(answer, "modules"), 0);
	const json_t *list = json_object_get(module, "addresses"), *address;
	struct str status = json_get_str(module, "status");
	size_t i;

	json_array_foreach(list, i, address) {
		if (print_remote_address(a, address, e) < 0)
			return -1;
	}
	if (str_is(status, "missing") || str_is(status, "invalid"))
		return err_set(e, ERR_NOT_FOUND, "the server has nothing for %s (" STR_FMT ")", a->build_id,
			       STR_ARG(status));
	if (str_is(status, "pending"))
		return err_set(e, ERR_UNAVAILABLE, "%s is still being fetched or indexed; ask again", a->build_id);
	return 0;
}

static int ask_server(struct addr2line *a, const uint64_t *addresses, size_t n, struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	struct http_request rq = HTTP_REQUEST_INIT;
	struct http_response answer = {0};
	struct buf body = BUF_INIT(REQUEST_MAX);
	json_t *parsed;
	int r = -1;

	request_body(a, addresses, n, &body);
	rq.method = "POST";
	rq.headers = headers;
	rq.body = buf_str(&body);
	if (buf_check(&body, "the request", e) == 0 && remote_do(&a->remote, &rq, "/v1/symbolize", &answer, e) == 0 &&
	    http_status_err(&answer, a->remote.url, e) == 0 && json_parse(buf_str(&answer.body), &parsed, e) == 0) {
		r = print_module(a, parsed, e);
		json_decref(parsed);
	}
	http_response_deinit(&answer);
	buf_deinit(&body);
	return r;
}

/* ---- the addresses ------------------------------------------------------------------------------------------ */

static int answer(struct addr2line *a, const uint64_t *addresses, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	if (!a->uhx)
		return ask_server(a, addresses, n, e);
	return a->as_json ? local_as_json(a, addresses, n, e) : local_as_text(a, addresses, n, e);
}

/* What is no address is answered in its place, so that answers stay in step with questions. */
static int answer_bad(struct addr2line *a, struct str text, struct err *e)
{
	struct json_out j = JSON_OUT(&a->out);

	a->bad++;
	write_out(a);
	fprintf(stderr, "unhex: '" STR_FMT "' is not a hexadecimal address\n", STR_ARG(text));
	a->frames->n = 0;
	if (!a->as_json) {
		frames_text(a->frames, &a->style, &a->out);
		return answer_done(a, e);
	}
	json_obj(&j);
	json_kv_str(&j, "address", text);
	json_kv_cstr(&j, "source", frame_source_name(SOURCE_NONE));
	json_key(&j, "frames");
	json_arr(&j);
	json_end_arr(&j);
	json_kv_cstr(&j, "reason", "bad_address");
	json_end_obj(&j);
	buf_append_c(&a->out, '\n');
	return answer_done(a, e);
}

/* Addresses that wait for their answer. */
struct batch {
	uint64_t list[BATCH];
	size_t n;
};

static int answer_batch(struct addr2line *a, struct batch *b, struct err *e)
{
	size_t n = b->n;

	b->n = 0;
	a->good += n;
	return answer(a, b->list, n, e);
}

static int take_address(struct addr2line *a, struct batch *b, struct str text, struct err *e)
{
	text = str_trim(text);
	if (text.n == 0)
		return 0;
	if (b->n == BATCH && answer_batch(a, b, e) < 0)
		return -1;
	if (str_hex_to_u64(text, &b->list[b->n])) {
		b->n++;
		return 0;
	}
	if (answer_batch(a, b, e) < 0)
		return -1;
	return answer_bad(a, (struct str){text.p, MIN(text.n, (size_t)LINE_MAX_BYTES)}, e);
}

static int answer_operands(struct addr2line *a, struct batch *b, const struct operands *words, struct err *e)
{
	for (size_t i = 0; i < words->n; i++) {
		if (take_address(a, b, str_from(words->p[i]), e) < 0)
			return -1;
	}
	return answer_batch(a, b, e);
}

/* The whole lines in `text` are taken; what is left of it is the beginning of another. */
static int take_lines(struct addr2line *a, struct batch *b, struct buf *text, struct err *e)
{
	size_t done = 0;
	char *end;

	while ((end = memchr(text->p + done, '\n', text->n - done))) {
		struct str line = {text->p + done, (size_t)(end - text->p) - done};

		done += line.n + 1;
		if (take_address(a, b, line, e) < 0)
			return -1;
	}
	memmove(text->p, text->p + done, text->n - done);
	text->n -= done;
	return 0;
}

/*
 * What one read brings is answered at once: one line where a person or a program asks and waits, many
 * where a file is read.
 */
static int answer_stdin(struct addr2line *a, struct batch *b, struct err *e)
{
	struct buf text = BUF_INIT(INPUT_MAX);
	ssize_t n = 0;
	int r = 0;

	while (r == 0) {
		char *to = buf_reserve(&text, READ_BYTES);

		n = to ? read(STDIN_FILENO, to, READ_BYTES) : 0;
		if (n <= 0)
			break;
		buf_commit(&text, (size_t)n);
		r = take_lines(a, b, &text, e);
		if (r == 0)
			r = answer_batch(a, b, e);
		write_out(a);
	}
	if (r == 0 && n < 0)
		r = err_sys(e, errno, "reading addresses");
	if (r == 0)
		r = buf_check(&text, "a line of the input", e);
	if (r == 0)
		r = take_address(a, b, buf_str(&text), e);
	if (r == 0)
		r = answer_batch(a, b, e);
	buf_deinit(&text);
	return r;
}

static int open_source(struct addr2line *a, struct err *e)
{
	return a->build_id ? remote_open(&a->server, &a->remote, e) : open_local(a, e);
}

static int run_addr2line(struct addr2line *a, const struct operands *words, struct err *e)
{
	int r;

	_cleanup_free_ struct batch *batch = mem_zalloc(sizeof(*batch));

	a->frames = mem_zalloc(sizeof(*a->frames));
	a->out = BUF_INIT(OUTPUT_MAX);
	r = a->frames && batch ? open_source(a, e) : err_nomem(e);
	if (r == 0)
		r = words->n ? answer_operands(a, batch, words, e) : answer_stdin(a, batch, e);
	write_out(a); // also what was found before something failed
	chain_text_free(a->text);
	uhx_unref(a->uhx);
	remote_close(&a->remote);
	buf_deinit(&a->out);
	free(a->frames);
	return r;
}

int command_addr2line(int argc, char **argv)
{
	struct addr2line a = {0};
	struct opt opts[] = {
		{.name = "exe", .short_name = 'e', .type = OPT_STRING, .target = &a.elf, .arg = "ELF", .flag_only = true,
		 .help = "look the addresses up in this file (and its debug file)", .group = "Where from (one of)"},
		{.name = "index", .type = OPT_STRING, .target = &a.index, .arg = "F.uhx", .flag_only = true,
		 .help = "in this index, made by unhex-indexer"},
		{.name = "build-id", .type = OPT_STRING, .target = &a.build_id, .arg = "ID", .flag_only = true,
		 .help = "ask the server about this binary"},
		{.name = "debug-dir", .type = OPT_LIST, .target = &a.debug_dirs, .arg = "DIR", .flag_only = true,
		 .help = "where debug files of -e ELF may lie (default /usr/lib/debug)"},
		{.name = "functions", .short_name = 'f', .type = OPT_FLAG, .target = &a.style.functions, .flag_only = true,
		 .help = "print function names", .group = "Output"},
		{.name = "inlines", .short_name = 'i', .type = OPT_FLAG, .target = &a.style.inlines, .flag_only = true,
		 .help = "print the functions it is inlined into, innermost first"},
		{.name = "demangle", .short_name = 'C', .type = OPT_FLAG, .target = &a.style.demangle, .flag_only = true,
		 .help = "demangle names"},
		{.name = "json", .type = OPT_FLAG, .target = &a.as_json, .flag_only = true,
		 .help = "one JSON object an address, all of the above"},
		SERVER_OPTS(&a.server),
		{0},
	};
	struct opt_table table = {
		.opts = opts,
		.env_prefix = "UNHEX_",
		.usage = "unhex addr2line [-f] [-i] [-C] [--json] (-e ELF|--index F|--build-id ID) [ADDR]...",
		.intro = "Names addresses: ELF virtual addresses in hex, from the arguments or, with none, from\n"
			 "standard input, one a line.\n"
			 "\n"
			 "  unhex addr2line -f -i -e ./app 0x1139\n"
			 "  unhex addr2line --json --build-id 93ac61ec… --server http://unhex:8002 0x1139",
	};
	struct operands words;
	struct err e = ERR_INIT;
	int code = EXIT_OK;

	if (!command_parse(&table, argc, argv, &words, &code))
		return code;
	if (!!a.elf + !!a.index + !!a.build_id != 1)
		code = command_usage("addr2line: say exactly one of -e ELF, --index F.uhx, --build-id ID");
	else if (run_addr2line(&a, &words, &e) < 0)
		code = command_fail(&e);
	else if (a.bad)
		code = a.good ? EXIT_PARTLY : EXIT_USAGE;
	free(words.p);
	opt_deinit(&table);
	return code;
}
