/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_rename.h"

// Bytes at the start of s that hold a parenthesis but no parameters.
static size_t span_of_name(struct str s, bool after_dot)
{
	static const char *const words[] = {"(anonymous namespace)", "operator()"};

	for (size_t i = 0; i < countof(words); i++) {
		if (str_has_prefix(s, str_from(words[i])))
			return strlen(words[i]);
	}
	// A Go method: pkg.(*Type).Method
	return after_dot && str_has_prefix(s, STR("(*")) ? 2 : 0;
}

// The name without its parameters: symbol tables, Go and other demanglers disagree about them.
static struct str bare_name(struct str name)
{
	for (size_t i = 0; i < name.n;) {
		size_t skip = span_of_name(str_skip(name, i), i && name.p[i - 1] == '.');

		if (!skip && name.p[i] == '(')
			return (struct str){name.p, i};
		i += skip ? skip : 1;
	}
	return name;
}

static bool is_same_name(struct str a, struct str b)
{
	return a.n && str_eq(a, b);
}

bool pprof_is_same_function(const struct pprof_function *a, const struct pprof_function *b)
{
	return is_same_name(a->name, b->name) || is_same_name(a->name, b->system_name) ||
	       is_same_name(a->system_name, b->name) ||
	       is_same_name(a->system_name, b->system_name) ||
	       is_same_name(bare_name(a->name), bare_name(b->name));
}

static bool contains(const struct pprof_function *functions, struct pprof_chain chain,
		     const struct pprof_function *f)
{
	for (size_t i = 0; i < chain.n; i++) {
		if (pprof_is_same_function(f, &functions[chain.lines[i].function]))
			return true;
	}
	return false;
}

bool pprof_is_better(const struct pprof_function *functions, struct pprof_chain theirs,
		     struct pprof_chain ours)
{
	bool their_line, our_line, their_file, our_file;

	if (!theirs.n || !ours.n)
		return ours.n > 0;
	their_line = theirs.lines[0].line > 0;
	our_line = ours.lines[0].line > 0;
	their_file = functions[theirs.lines[0].function].filename.n > 0;
	our_file = functions[ours.lines[0].function].filename.n > 0;
	if (ours.n < theirs.n || (their_line && !our_line) || (their_file && !our_file))
		return false;
	if (ours.n == theirs.n && our_line == their_line && our_file == their_file)
		return false;
	return contains(functions, ours, &functions[theirs.lines[theirs.n - 1].function]);
}
