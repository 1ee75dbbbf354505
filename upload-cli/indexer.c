/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/indexer.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/subproc.h"
#include <errno.h>

enum { ARGS_MAX = 64, REPORT_MAX = 8 << 20, STDERR_MAX = 64 << 10, IDS_MAX = 16, DEADLINE_MS = 600000 };

static char usual_dir[] = "/usr/lib/debug";
char *const indexer_usual_debug_dirs[] = {usual_dir, NULL};

/* What the indexer said went wrong, as our error. */
static int told_error(const struct subproc_result *r, struct err *e)
{
	json_t *report = NULL;
	struct err parse = ERR_INIT;

	if (r->timed_out)
		return err_set(e, ERR_INDEXER_TIMEOUT, "indexing took longer than %d s", DEADLINE_MS / 1000);
	if (r->signal)
		return err_set(e, ERR_INDEXER_CRASHED, "the indexer was ended by signal %d", r->signal);
	if (json_parse(buf_str(&r->out), &report, &parse) == 0) {
		const json_t *error = json_object_get(report, "error");
		struct str code = json_get_str(error, "code");
		struct str detail = json_get_str(error, "detail");
		char text[64];

		snprintf(text, sizeof(text), STR_FMT, STR_ARG(code));
		err_set(e, err_kind_from_code(text), STR_FMT, STR_ARG(detail));
		json_decref(report);
		return -1;
	}
	return err_set(e, ERR_INTERNAL, "the indexer ended with %d: " STR_FMT, r->exit_code,
		       STR_ARG(str_trim(buf_str(&r->err))));
}

/* Runs unhex-indexer with args (NULL-terminated); *ret_report may be NULL. */
static int run_indexer(const char *const *args, json_t **ret_report, struct err *e)
{
	struct subproc_result result = SUBPROC_RESULT_INIT;
	char path[4096];
	struct subproc_spec spec = {
		.path = path,
		.argv = args,
		.deadline_ms = DEADLINE_MS,
		.max_stdout = REPORT_MAX,
		.max_stderr = STDERR_MAX,
	};
	int r;

	if (subproc_sibling("unhex-indexer", path, e) < 0)
		return -1;
	r = subproc_run(&spec, &result, e);
	if (r == 0 && (result.exit_code != 0 || result.signal || result.timed_out))
		r = told_error(&result, e);
	if (r == 0 && ret_report)
		r = json_parse(buf_str(&result.out), ret_report, e);
	subproc_result_deinit(&result);
	return r;
}

int indexer_probe(const char *elf, json_t **ret, struct err *e)
{
	const char *const args[] = {"unhex-indexer", "--probe", elf, NULL};

	return run_indexer(args, ret, e) < 0 ? err_wrap(e, "%s", elf) : 0;
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

static int temporary(char path[static 64], struct err *e)
{
	int fd;

	snprintf(path, 64, "/tmp/unhex-index-XXXXXX");
	fd = mkstemp(path);
	return fd >= 0 ? fd : err_sys(e, errno, "cannot make a temporary file in /tmp");
}

int indexer_index(const char *elf, const char *debug_elf, char *const *debug_dirs, struct uhx **ret,
		  struct err *e)
{
	const char *args[ARGS_MAX] = {"unhex-indexer"};
	char path[64];
	size_t n = 1;
	int fd, r;

	for (; debug_dirs && *debug_dirs && n + 8 < ARGS_MAX; debug_dirs++) {
		args[n++] = "--debug-dir";
		args[n++] = *debug_dirs;
	}
	fd = temporary(path, e);
	if (fd < 0)
		return -1;
	args[n++] = "-o";
	args[n++] = path;
	args[n++] = elf;
	args[n++] = debug_elf;
	args[n] = NULL;
	close(fd);
	r = run_indexer(args, NULL, e);
	if (r == 0)
		r = uhx_open(path, ret, e);
	unlink(path);
	return r < 0 ? err_wrap(e, "%s", elf) : 0;
}

int indexer_extract(const char *elf, const char *out, struct err *e)
{
	const char *const args[] = {"unhex-indexer", "--extract", "-o", out, elf, NULL};

	return run_indexer(args, NULL, e) < 0 ? err_wrap(e, "%s", elf) : 0;
}
