/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/indexer.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/output.h"
#include "base/subproc.h"
#include "upload-cli/command.h"

enum { ARGS_MAX = 64, DEBUG_DIRS_MAX = 24, REPORT_MAX = 8 << 20, STDERR_MAX = 64 << 10, IDS_MAX = 16, DEADLINE_MS = 600000 };

static char usual_dir[] = "/usr/lib/debug";
char *const indexer_usual_debug_dirs[] = {usual_dir, NULL};

/* What the indexer said went wrong, as our error. */
static int told_error(const struct subproc_result *r, const char *elf, struct err *e)
{
	json_t *report = NULL;
	struct err parse = ERR_INIT;

	if (r->timed_out)
		return err_set(e, ERR_INDEXER_TIMEOUT, "%s: reading it took longer than %d s", elf, DEADLINE_MS / 1000);
	if (r->signal)
		return err_set(e, ERR_INDEXER_CRASHED, "%s: the indexer was ended by signal %d", elf,
			       r->signal);
	if (json_parse(buf_str(&r->out), &report, &parse) == 0) {
		const json_t *error = json_object_get(report, "error");
		struct str code = json_get_str(error, "code");
		struct str detail = json_get_str(error, "detail");
		enum err_kind kind = err_kind_from_code(code.p);

		// "ok" would be an odd reason to fail.
		err_set(e, kind == ERR_NONE ? ERR_INTERNAL : kind, STR_FMT, STR_ARG(detail));
		json_decref(report);
		return -1;
	}
	return err_set(e, ERR_INTERNAL, "%s: the indexer ended with %d: " STR_FMT, elf, r->exit_code,
		       STR_ARG(str_trim(buf_str(&r->err))));
}

/* Runs unhex-indexer over elf with args (NULL-terminated), where out_fd (-1: none) is fd:3. */
static int run_indexer(const char *const *args, const char *elf, int out_fd, json_t **ret_report,
		       struct err *e)
{
	struct subproc_result result = SUBPROC_RESULT_INIT;
	char path[4096];
	struct subproc_spec spec = {
		.path = path,
		.argv = args,
		.fds = {out_fd},
		.fd_count = out_fd >= 0,
		.deadline_ms = DEADLINE_MS,
		.max_stdout = REPORT_MAX,
		.max_stderr = STDERR_MAX,
	};
	int r;

	if (subproc_sibling("unhex-indexer", path, e) < 0)
		return -1;
	r = subproc_run(&spec, &result, e);
	if (r == 0 && (result.exit_code != 0 || result.signal || result.timed_out))
		r = told_error(&result, elf, e);
	if (r == 0 && ret_report)
		r = json_parse(buf_str(&result.out), ret_report, e);
	subproc_result_deinit(&result);
	return r;
}

int indexer_probe(const char *elf, json_t **ret, struct err *e)
{
	const char *const args[] = {"unhex-indexer", "--probe", "--", elf, NULL};

	return run_indexer(args, elf, -1, ret, e);
}

int indexer_report_ids(const json_t *report, struct build_id **ret, size_t *ret_n, struct err *e)
{
	const json_t *list = json_object_get(report, "ids");
	size_t n = MIN(json_array_size(list), (size_t)IDS_MAX);
	_cleanup_free_ struct build_id *ids = mem_calloc(n ? n : 1, sizeof(*ids));

	if (!ids)
		return err_nomem(e);
	for (size_t i = 0; i < n; i++) {
		struct build_id candidates[2];

		if (build_id_parse(json_get_str(json_array_get(list, i), "text"), candidates, e) < 0)
			return -1;
		ids[i] = candidates[0];
	}
	*ret = steal_ptr(ids);
	*ret_n = n;
	return 0;
}

int indexer_index(const char *elf, const char *debug_elf, char *const *debug_dirs, struct uhx **ret,
		  struct err *e)
{
	_cleanup_close_ int fd = command_tmpfile(e);
	const char *args[ARGS_MAX] = {"unhex-indexer", "-o", "fd:3"};
	size_t n = 3;

	if (fd < 0)
		return -1;
	for (size_t i = 0; debug_dirs && debug_dirs[i]; i++) {
		if (i == DEBUG_DIRS_MAX)
			return err_set(e, ERR_USAGE, "more than %d debug folders", DEBUG_DIRS_MAX);
		args[n++] = "--debug-dir";
		args[n++] = debug_dirs[i];
	}
	args[n++] = "--";
	args[n++] = elf;
	args[n++] = debug_elf;
	args[n] = NULL;
	if (run_indexer(args, elf, fd, NULL, e) < 0)
		return -1;
	return uhx_open_fd(fd, ret, e) < 0 ? err_wrap(e, "%s", elf) : 0;
}

int indexer_extract(const char *elf, const char *out, struct err *e)
{
	const char *const args[] = {"unhex-indexer", "--extract", "-o", "fd:3", "--", elf, NULL};
	_cleanup_(output_deinit) struct output o = OUTPUT_INIT;

	if (output_open(&o, out, e) < 0)
		return -1;
	if (run_indexer(args, elf, o.fd, NULL, e) < 0)
		return -1;
	return output_publish(&o, e);
}
