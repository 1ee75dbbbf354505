/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-cli/chain_text.h"

#include "base/mem.h"
#include "base/printable.h"
#include <string.h>

/* In `text` before the name (with its line end, empty without -f) and the file. */
struct spelled {
	uint32_t name;
	uint32_t file;
};

/* More than one function's strings ever need, so that a kept_max of nothing still holds one. */
enum { ONE_FUNCTION = 8 << 20 };

struct chain_text {
	const struct uhx *uhx;
	struct frames_style style;
	size_t functions;
	uint32_t *at; /* by function: 1 + where in text its spelling is; 0: not there */
	struct buf text;
	size_t kept_max;
};

int chain_text_new(const struct uhx *u, const struct frames_style *style, size_t kept_max, struct chain_text **ret,
		   struct err *e)
{
	struct chain_text *t = mem_zalloc(sizeof(*t));

	if (!t)
		return err_nomem(e);
	t->uhx = u;
	t->style = *style;
	t->kept_max = kept_max;
	t->functions = uhx_info(u)->functions + 1;
	t->text = BUF_INIT(kept_max + ONE_FUNCTION);
	t->at = mem_calloc(t->functions, sizeof(*t->at));
	if (!t->at) {
		chain_text_free(t);
		return err_nomem(e);
	}
	*ret = t;
	return 0;
}

void chain_text_free(struct chain_text *t)
{
	if (!t)
		return;
	buf_deinit(&t->text);
	free(t->at);
	free(t);
}

static void start_anew(struct chain_text *t)
{
	buf_clear(&t->text);
	memset(t->at, 0, t->functions * sizeof(*t->at));
}

static void remember(struct chain_text *t, uint32_t function)
{
	struct frame f = {0};
	struct spelled s;
	size_t at;

	if (t->text.n > t->kept_max)
		start_anew(t);
	at = t->text.n;
	buf_append(&t->text, &(struct spelled){0}, sizeof(s));
	if (!uhx_spell(t->uhx, function, &f))
		f = (struct frame){0};
	frames_text_function(&f, &t->style, &t->text);
	s.name = (uint32_t)(t->text.n - at - sizeof(s));
	frames_text_file(&f, &t->text);
	s.file = (uint32_t)(t->text.n - at - sizeof(s) - s.name);
	if (t->text.failed)
		return;
	memcpy(t->text.p + at, &s, sizeof(s));
	t->at[function] = (uint32_t)at + 1;
}

/* Where a function is spelled; NULL when memory is out. What is no function of the index is its 0, a hole. */
static const char *spell(struct chain_text *t, uint32_t function, struct spelled *ret)
{
	const char *p;

	if (function >= t->functions)
		function = 0;
	if (!t->at[function])
		remember(t, function);
	if (t->text.failed)
		return NULL;
	p = t->text.p + t->at[function] - 1;
	memcpy(ret, p, sizeof(*ret));
	return p + sizeof(*ret);
}

/* Of `function` the name, of `place` the rest; they differ where -i is not asked for. */
static void append(struct chain_text *t, uint32_t function, const struct uhx_place *place, struct buf *out)
{
	struct spelled s = {0};
	const char *p = spell(t, function, &s);

	if (p && function != place->function) {
		buf_append(out, p, s.name);
		p = spell(t, place->function, &s);
		if (p)
			p += s.name;
		s.name = 0;
	}
	if (!p) {
		out->failed = out->nomem = true;
		return;
	}
	buf_append(out, p, (size_t)s.name + s.file);
	frames_text_line(place->line, place->column, out);
}

void chain_text_append(struct chain_text *t, const struct uhx_chain *chain, struct buf *out)
{
	static const struct frames unknown;

	if (chain->n == 0) {
		frames_text(&unknown, &t->style, out);
	} else if (!t->style.inlines) {
		append(t, chain->place[chain->n - 1].function, &chain->place[0], out);
	} else {
		for (size_t i = 0; i < chain->n; i++)
			append(t, chain->place[i].function, &chain->place[i], out);
	}
}
