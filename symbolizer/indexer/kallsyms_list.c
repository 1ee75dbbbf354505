/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/kallsyms_list.h"

#include "base/mem.h"

#include <elf.h>
#include <unistd.h>

enum { FIRST_LINE = 2 }; // of the symbols

static const char magic[] = "unhex-kallsyms ";

bool kallsyms_list_is(int fd)
{
	char start[sizeof(magic) - 1];

	return pread(fd, start, sizeof(start), 0) == (ssize_t)sizeof(start) &&
	       memcmp(start, magic, sizeof(start)) == 0;
}

// ---- the first line -------------------------------------------------------------------------------------

static bool is_machine_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static int read_machine(struct str text, struct kallsyms_head *h, struct err *e)
{
	if (!text.n || text.n >= sizeof(h->machine))
		return err_set(e, ERR_UNSUPPORTED, "symbol list: the first line names no machine");
	for (size_t i = 0; i < text.n; i++) {
		if (!is_machine_byte(text.p[i]))
			return err_set(e, ERR_UNSUPPORTED,
				       "symbol list: the first line names no machine");
		h->machine[i] = text.p[i];
	}
	return 0;
}

static int read_id(struct str text, struct kallsyms_head *h, struct err *e)
{
	struct build_id ids[2];

	if (build_id_parse(text, ids, NULL) < 1 || ids[0].kind != BUILD_ID_GNU)
		return err_set(e, ERR_NO_BUILD_ID, "symbol list: the first line has no GNU build-ID");
	h->id = ids[0];
	return 0;
}

// "unhex-kallsyms 1 BUILD-ID MACHINE"
int kallsyms_list_head(struct str *text, struct kallsyms_head *ret, struct err *e)
{
	struct kallsyms_head h = {.machine = ""};
	struct str rest = *text;
	struct str line, version;
	struct str id = STR_EMPTY;

	if (rest.n > KALLSYMS_BYTES_MAX)
		return err_set(e, ERR_TOO_LARGE, "symbol list: more than %d MiB",
			       KALLSYMS_BYTES_MAX >> 20);
	if (!str_has_prefix(rest, STR(magic)) || !str_next(&rest, '\n', &line))
		return err_set(e, ERR_UNSUPPORTED, "not a symbol list: it does not start with '%s'",
			       magic);
	line = str_skip(line, sizeof(magic) - 1);
	if (!str_next(&line, ' ', &version) || !str_is(version, "1"))
		return err_set(e, ERR_UNSUPPORTED, "symbol list: only version 1 is known");
	(void)str_next(&line, ' ', &id);
	if (read_id(id, &h, e) || read_machine(line, &h, e))
		return -1;
	*ret = h;
	*text = rest;
	return 0;
}

// ---- the symbols ----------------------------------------------------------------------------------------

struct list {
	struct symbols *symbols;
	size_t group;	  // the first symbol at the last address; its end is not known yet
	uint64_t address; // of the last line
	size_t line;
};

static int bad(const struct list *l, const char *what, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED, "symbol list: line %zu: %s", l->line, what);
}

static bool is_name(struct str s)
{
	if (!s.n || s.n > KALLSYMS_NAME_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	}
	return true;
}

static void end_group(struct list *l, uint64_t end)
{
	struct symbols *s = l->symbols;

	for (; l->group < s->n; l->group++) {
		uint64_t most = s->items[l->group].start + KALLSYMS_FUNCTION_MAX;

		s->items[l->group].end = most < s->items[l->group].start ? end : MIN(end, most);
	}
}

static int add_symbol(struct list *l, char type, struct str name, struct err *e)
{
	static const uint8_t bindings[] = {
		['T'] = STB_GLOBAL, ['t'] = STB_LOCAL, ['W'] = STB_WEAK, ['w'] = STB_WEAK};
	struct symbols *s = l->symbols;

	if (!is_name(name))
		return bad(l, "not a function's name", e);
	if (mem_grow(&s->items, &s->cap, s->n + 1, sizeof(*s->items), KALLSYMS_LINES_MAX))
		return err_nomem(e);
	s->items[s->n++] = (struct symbol){
		.start = l->address,
		.name = name,
		.binding = bindings[(unsigned char)type],
		.source = SOURCE_SYMTAB,
	};
	return 0;
}

// "ffffffff81000000 T _stext"; "ffffffff82000000 -": what lies here is no function.
static int read_line(struct list *l, struct str line, struct err *e)
{
	struct str address, type;
	uint64_t value;

	if (++l->line - FIRST_LINE >= KALLSYMS_LINES_MAX)
		return err_set(e, ERR_TOO_LARGE, "symbol list: more than %d lines",
			       KALLSYMS_LINES_MAX);
	if (!str_next(&line, ' ', &address) || !str_hex_to_u64(address, &value) ||
	    !str_next(&line, ' ', &type) || type.n != 1 || !memchr("TtWw-", type.p[0], 5))
		return bad(l, "not an address, a letter of TtWw- and a name", e);
	if (value < l->address)
		return bad(l, "its address is below the one before", e);
	if (value > l->address)
		end_group(l, value);
	l->address = value;
	if (type.p[0] == '-')
		return line.n ? bad(l, "a gap has no name", e) : 0;
	return add_symbol(l, type.p[0], line, e);
}

int kallsyms_list_read(struct str text, struct symbols *ret, struct err *e)
{
	struct symbols found = SYMBOLS_INIT;
	struct list l = {.symbols = &found, .line = FIRST_LINE - 1};
	struct str line;

	while (text.n && str_next(&text, '\n', &line)) {
		if (read_line(&l, line, e)) {
			symbols_deinit(&found);
			return -1;
		}
	}
	end_group(&l, UINT64_MAX);
	*ret = found;
	return 0;
}
