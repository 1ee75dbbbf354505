/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/demangle.h"

#include <ctype.h>
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>

enum {
	D_IN_MAX = 1024,
	D_BACK_REFERENCES_MAX = 16, // each may double the output, and the D demangler has no limit
	SUFFIXES_MAX = 8,           // places tried as the start of the clone suffix
};

// Output grows exponentially with hostile input, and the library cannot be told to stop: so leave
// it. Neither of its callback interfaces holds memory for C++ or ASCII Rust names meanwhile.
struct sink {
	struct buf *out;
	size_t left;
	jmp_buf full;
};

static void put(const char *text, size_t n, void *opaque)
{
	struct sink *s = opaque;

	if (n > s->left || s->out->failed)
		longjmp(s->full, 1);
	s->left -= n;
	buf_append(s->out, text, n);
}

typedef int engine(const char *mangled, int options, demangle_callbackref put, void *opaque);

static bool run(engine *with, const char *mangled, int options, struct buf *out)
{
	struct sink s = {.out = out, .left = DEMANGLE_OUT_MAX};

	if (setjmp(s.full))
		return false;
	return with(mangled, options, put, &s) == 1;
}

static bool demangle_d(const char *mangled, size_t n, struct buf *out)
{
	size_t references = 0;
	char *text;
	bool fits;

	for (size_t i = 0; i < n; i++)
		references += mangled[i] == 'Q';
	if (n > D_IN_MAX || references > D_BACK_REFERENCES_MAX)
		return false;
	text = dlang_demangle(mangled, DMGL_PARAMS);
	fits = text && strlen(text) <= DEMANGLE_OUT_MAX;
	if (fits)
		buf_puts(out, text);
	free(text);
	return fits;
}

// The library's recursion limit for C++ refuses every name of more than 1 KiB, which templates
// exceed daily; without it DEMANGLE_IN_MAX bytes take less than 2 MiB of stack. Rust's limit is a
// true one.
static bool demangle_stem(struct str stem, struct buf *out)
{
	char mangled[DEMANGLE_IN_MAX + 1];
	size_t n = out->n;

	memcpy(mangled, stem.p, stem.n);
	mangled[stem.n] = '\0';
	if (strlen(mangled) != stem.n)
		return false;
	if (str_has_prefix(stem, STR("_D")) && (isdigit((unsigned char)mangled[2]) || str_is(stem, "_Dmain")))
		return demangle_d(mangled, stem.n, out);
	if (run(rust_demangle_callback, mangled, DMGL_PARAMS, out))
		return true;
	out->n = n;
	if (str_has_prefix(stem, STR("_Z")) &&
	    run(cplus_demangle_v3_callback, mangled,
		DMGL_PARAMS | DMGL_ANSI | DMGL_NO_RECURSE_LIMIT, out))
		return true;
	out->n = n;
	return false;
}

static bool is_mangled(struct str name)
{
	return name.n > 3 && name.n <= DEMANGLE_IN_MAX &&
	       (str_has_prefix(name, STR("_Z")) || str_has_prefix(name, STR("_R")) ||
		str_has_prefix(name, STR("_D")));
}

// (\.[A-Za-z0-9_]+)+
static bool is_clone_suffix(struct str s)
{
	bool after_dot = false;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '.' ? after_dot : !isalnum(c) && c != '_')
			return false;
		after_dot = c == '.';
	}
	return s.n > 1 && !after_dot;
}

// Rust's old scheme has dots in the stem too: the first one behind which everything fits is it.
static bool demangle_clone(struct str name, struct buf *out)
{
	unsigned tried = 0;

	for (size_t i = 1; i < name.n && tried < SUFFIXES_MAX; i++) {
		struct str suffix = str_skip(name, i);

		if (name.p[i] != '.' || !is_clone_suffix(suffix))
			continue;
		tried++;
		if (demangle_stem((struct str){name.p, i}, out)) {
			buf_printf(out, " (" STR_FMT ")", STR_ARG(suffix));
			return true;
		}
	}
	return false;
}

static bool demangle_any(struct str name, struct buf *out)
{
	const char *at = memchr(name.p, '@', name.n);

	// f@plt, f@@VERSION
	if (at) {
		struct str stem = {name.p, (size_t)(at - name.p)};

		if (!demangle_stem(stem, out))
			return false;
		buf_append_str(out, str_skip(name, stem.n));
		return true;
	}
	return demangle_clone(name, out) || demangle_stem(name, out);
}

bool demangle(struct str name, struct buf *out)
{
	size_t n = out->n;

	if (is_mangled(name) && demangle_any(name, out) && !out->failed)
		return true;
	if (out->p) {
		out->n = n;
		out->p[n] = '\0';
	}
	return false;
}
