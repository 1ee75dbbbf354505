/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_stub.h"

enum { BASENAME_MAX = 255 }; // NAME_MAX: a longer one is no file's

static struct str mapping_name(const struct pprof_mapping *mapping)
{
	struct str base = mapping ? str_basename(mapping->filename) : STR_EMPTY;

	base.n = MIN(base.n, (size_t)BASENAME_MAX);
	return base.n ? base : STR("unknown");
}

struct str pprof_stub_name(struct arena *a, const struct pprof_mapping *mapping, uint64_t va)
{
	struct str base = mapping_name(mapping);
	char *text = arena_printf(a, STR_FMT "+0x%llx", STR_ARG(base), (unsigned long long)va);

	return (struct str){text, text ? strlen(text) : 0};
}

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
			return false;
	}
	return s.n > 0;
}

bool pprof_parse_stub(struct str name, struct str *ret_prefix)
{
	size_t at = name.n;

	while (at && name.p[at - 1] != '+' && name.p[at - 1] != '!')
		at--;
	if (at < 2 || !str_has_prefix(str_skip(name, at), STR("0x")) ||
	    !is_hex(str_skip(name, at + 2)))
		return false;
	*ret_prefix = (struct str){name.p, at - 1};
	return true;
}

bool pprof_parse_place(const struct frames *f, uint64_t *ret_start)
{
	struct str name = f->n ? f->frame[0].function : STR_EMPTY;

	return f->source == SOURCE_EH_FRAME && str_has_prefix(name, STR("fun_0x")) &&
	       str_hex_to_u64(str_skip(name, strlen("fun_")), ret_start);
}

bool pprof_is_stub(const struct pprof *p, const struct pprof_location *loc)
{
	const struct pprof_function *f;
	struct str prefix;

	if (loc->line_count != 1 || loc->lines[0].line)
		return false;
	f = &p->functions[loc->lines[0].function];
	return !f->filename.n && pprof_parse_stub(f->name, &prefix);
}

bool pprof_stub_is_of_mapping(struct str name, const struct pprof_mapping *mapping)
{
	struct str prefix;

	if (!pprof_parse_stub(name, &prefix))
		return false;
	prefix = str_basename(prefix);
	return str_is(prefix, "unknown") || str_eq(prefix, mapping_name(mapping));
}
