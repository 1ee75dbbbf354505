/* SPDX-License-Identifier: Apache-2.0 */
/* Every byte of a compiled program, each way of printing: as frames_text() prints what uhx_lookup() finds. */
#include "upload-cli/chain_text.h"

#include "tests/unit/sibling.h"
#include "tests/unit/toolbox.h"
#include "upload-cli/indexer.h"
#include "base/testing.h"

enum { TEXT_MAX = 16 << 20, CODE_MAX = 1 << 20 };

static struct uhx *uhx;

static int setup(void **state)
{
	char path[256];
	struct err e = ERR_INIT;
	bool built = sibling_indexer();
	int r = toolbox_setup(state) ||
		toolbox_run("printf '#include \"b.h\"\\nnamespace n { int twice(int a) { return other(a) * 2; } }\\n"
			    "int main(int c, char **) { return n::twice(c) + other(c); }\\n' >a.cc && "
			    "printf 'static inline __attribute__((always_inline)) int other(int a) {\\n"
			    "  volatile int b = a;\\n  return b + 3; }\\n' >b.h && g++ -g -O2 a.cc -o whole");

	if (r || !built)
		return r;
	snprintf(path, sizeof(path), "%s/whole", toolbox_dir);
	return indexer_index(path, NULL, NULL, &uhx, &e);
}

static int teardown(void **state)
{
	uhx_unref(uhx);
	return toolbox_teardown(state);
}

static void need_index(void)
{
	if (uhx)
		return;
	print_message("unhex-indexer is not built\n");
	skip();
}

/* [*start, *start + n) is the executable segment. */
static size_t code(uint64_t *start)
{
	const struct program_headers *h = &uhx_info(uhx)->headers;

	for (size_t i = 0; i < h->n; i++) {
		if (h->p[i].flags & 1) {
			*start = h->p[i].vaddr;
			return (size_t)MIN(h->p[i].memsz, (uint64_t)CODE_MAX);
		}
	}
	return 0;
}

static void check_style(struct frames_style style, size_t kept)
{
	struct buf want = BUF_INIT(TEXT_MAX), got = BUF_INIT(TEXT_MAX);
	static struct uhx_chain chain;
	static struct frames frames;
	struct chain_text *t = NULL;
	struct err e = ERR_INIT;
	uint64_t start = 0;
	size_t n = code(&start), chains = 0;

	assert_ok(chain_text_new(uhx, &style, kept, &t, &e));
	for (size_t i = 0; i < n; i++) {
		uhx_lookup(uhx, start + i, &frames);
		frames_text(&frames, &style, &want);
		uhx_chain(uhx, start + i, true, &chain);
		chain_text_append(t, &chain, &got);
		chains += chain.n > 1;
	}
	assert_true(chains > 0);
	assert_ok(buf_check(&got, "text", &e));
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, want.n);
	assert_non_null(strstr(got.p, "b.h:3"));
	chain_text_free(t);
	buf_deinit(&want);
	buf_deinit(&got);
}

static void prints_what_frames_text_prints(void **state)
{
	(void)state;
	need_index();
	for (unsigned bits = 0; bits < 8; bits++)
		check_style((struct frames_style){bits & 1, bits & 2, bits & 4}, CHAIN_TEXT_KEPT);
}

static void starts_anew_when_full(void **state)
{
	(void)state;
	need_index();
	check_style((struct frames_style){.functions = true, .inlines = true}, 0);
	check_style((struct frames_style){.functions = true}, 40);
}

static void foreign_ids_are_holes(void **state)
{
	const struct uhx_chain chain = {.source = SOURCE_DWARF, .n = 1, .place = {{UINT32_MAX, 7, 0}}};
	const struct frames_style style = {.functions = true};
	struct buf out = BUF_INIT(1024);
	struct chain_text *t = NULL;
	struct err e = ERR_INIT;

	(void)state;
	need_index();
	assert_ok(chain_text_new(uhx, &style, 0, &t, &e));
	chain_text_append(t, &chain, &out);
	assert_string_equal(buf_str(&out).p, "??\n??:7\n");
	chain_text_free(t);
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_what_frames_text_prints),
		cmocka_unit_test(starts_anew_when_full),
		cmocka_unit_test(foreign_ids_are_holes),
	};

	return cmocka_run_group_tests_name("chain_text", tests, setup, teardown);
}
