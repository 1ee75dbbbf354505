/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opt.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX = 1 << 20, ENV_NAME_MAX = 128, WIDTH = 80, TEXT_COLUMN = 30, LIST_MAX = 4096 };

static const char *const from_flag = "flag";
static const char *const from_env = "env";
static const char *const from_file = "file";
static const char *const from_default = "default";

static bool is_white(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

// ---- values ------------------------------------------------------------------------------------

static void clear_list(struct opt_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct opt_list){NULL, 0};
}

static int add_item(struct opt_list *list, struct str s, struct err *e)
{
	char **items;
	char *copy;

	if (list->n >= LIST_MAX)
		return err_set(e, ERR_USAGE, "more than %d values", LIST_MAX);
	items = mem_reallocarray(list->items, list->n + 2, sizeof(*items));
	if (!items)
		return err_nomem(e);
	list->items = items;
	copy = mem_strndup(s.p, s.n);
	items[list->n] = copy;
	items[list->n + !!copy] = NULL;
	list->n += !!copy;
	return copy ? 0 : err_nomem(e);
}

static int add_words(struct opt_list *list, struct str s, struct err *e)
{
	for (s = str_trim(s); s.n; s = str_trim(s)) {
		struct str word = {s.p, 0};

		while (word.n < s.n && !is_white(s.p[word.n]))
			word.n++;
		if (add_item(list, word, e))
			return -1;
		s = str_skip(s, word.n);
	}
	return 0;
}

static int set_string(char **target, struct str s, struct err *e)
{
	char *copy = mem_strndup(s.p, s.n);

	if (!copy)
		return err_nomem(e);
	free(*target);
	*target = copy;
	return 0;
}

// What a value of the type looks like, for the message.
static const char *expected(enum opt_type type)
{
	switch (type) {
	case OPT_FLAG:
		return "true or false";
	case OPT_SIZE:
		return "a size such as 64MiB";
	case OPT_DURATION_MS:
		return "a duration such as 30s or 250ms";
	default:
		return "a whole number";
	}
}

static bool set_scalar(struct opt *o, struct str s)
{
	switch (o->type) {
	case OPT_FLAG:
		return str_to_bool(s, o->target);
	case OPT_U64:
		return str_to_u64(s, UINT64_MAX, o->target);
	case OPT_SIZE:
		return str_to_size(s, o->target);
	case OPT_DURATION_MS:
		return str_to_duration_ms(s, o->target);
	default:
		return false;
	}
}

/*
 * A later value of the same source adds to a list and replaces anything else; one of a higher source
 * replaces a list too. On the command line a list value is one item (none where it is empty), elsewhere
 * words.
 */
static int set_value(struct opt *o, struct str s, const char *source, struct err *e)
{
	const char *before = o->source;

	o->source = source;
	if (o->type == OPT_STRING)
		return set_string(o->target, s, e);
	if (o->type != OPT_LIST)
		return set_scalar(o, s) ? 0
					: err_set(e, ERR_USAGE, "'" STR_FMT "' is not %s",
						  STR_ARG(s), expected(o->type));
	if (before != source)
		clear_list(o->target);
	if (source != from_flag)
		return add_words(o->target, s, e);
	return s.n ? add_item(o->target, s, e) : 0;
}

static int set_defaults(struct opt_table *t, struct err *e)
{
	for (struct opt *o = t->opts; o->name; o++) {
		o->source = from_default;
		if (o->fallback && set_value(o, str_from(o->fallback), from_default, e))
			return err_wrap(e, "default of --%s", o->name);
	}
	return 0;
}

// ---- environment -------------------------------------------------------------------------------

// UNHEX_MAX_SIZE for max-size; empty where the option has no variable.
static void env_name(const struct opt_table *t, const struct opt *o, char out[static ENV_NAME_MAX])
{
	int n;

	out[0] = '\0';
	if (!t->env_prefix || o->flag_only)
		return;
	n = snprintf(out, ENV_NAME_MAX, "%s%s", t->env_prefix, o->name);
	for (int i = 0; i < n && i < ENV_NAME_MAX; i++) {
		if (out[i] == '-')
			out[i] = '_';
		else if (out[i] >= 'a' && out[i] <= 'z')
			out[i] = (char)(out[i] - 'a' + 'A');
	}
}

// An empty variable is one that was not set: service files leave such behind.
static int apply_env(struct opt_table *t, struct err *e)
{
	char name[ENV_NAME_MAX];

	for (struct opt *o = t->opts; o->name; o++) {
		const char *value;

		env_name(t, o, name);
		value = name[0] ? getenv(name) : NULL;
		if (value && *value && set_value(o, str_from(value), from_env, e))
			return err_wrap(e, "environment variable %s", name);
	}
	return 0;
}

// ---- command line ------------------------------------------------------------------------------

struct args {
	char **next; // NULL-terminated
	char **rest;
	size_t rest_n;
};

static struct opt *find_long(const struct opt_table *t, struct str name)
{
	for (struct opt *o = t->opts; o->name; o++) {
		if (str_is(name, o->name))
			return o;
	}
	return NULL;
}

static struct opt *find_short(const struct opt_table *t, char name)
{
	for (struct opt *o = t->opts; o->name; o++) {
		if (o->short_name && o->short_name == name)
			return o;
	}
	return NULL;
}

static int take_long(struct opt_table *t, struct args *a, struct str arg, struct err *e)
{
	struct str name = STR_EMPTY;
	struct str value = arg;
	struct opt *o;

	(void)str_next(&value, '=', &name);
	o = find_long(t, name);
	if (!o)
		return err_set(e, ERR_USAGE, "unknown option --" STR_FMT, STR_ARG(name));
	if (!value.p && o->type == OPT_FLAG)
		value = STR("true");
	if (!value.p && !*a->next)
		return err_set(e, ERR_USAGE, "option --%s needs a value (%s)", o->name,
			       o->arg ? o->arg : "VALUE");
	if (!value.p)
		value = str_from(*a->next++);
	if (set_value(o, value, from_flag, e))
		return err_wrap(e, "option --%s", o->name);
	return 0;
}

// -v, -vq (flags in a row), -ovalue, -o value
static int take_short(struct opt_table *t, struct args *a, struct str arg, struct err *e)
{
	while (arg.n) {
		char name = arg.p[0];
		struct opt *o = find_short(t, name);
		struct str value = STR("true");

		arg = str_skip(arg, 1);
		if (!o)
			return err_set(e, ERR_USAGE, "unknown option -%c", name);
		if (o->type != OPT_FLAG) {
			if (!arg.n && !*a->next)
				return err_set(e, ERR_USAGE, "option -%c needs a value (%s)", name,
					       o->arg ? o->arg : "VALUE");
			value = arg.n ? arg : str_from(*a->next++);
			arg.n = 0;
		}
		if (set_value(o, value, from_flag, e))
			return err_wrap(e, "option -%c", name);
	}
	return 0;
}

// Of options that the table does not claim for itself.
static int built_in(const struct opt_table *t, const char *arg)
{
	if (strcmp(arg, "--help") == 0 || (strcmp(arg, "-h") == 0 && !find_short(t, 'h')))
		return OPT_HELP;
	if (strcmp(arg, "--version") == 0)
		return OPT_VERSION;
	return 0;
}

static int take_arg(struct opt_table *t, struct args *a, bool *options, struct err *e)
{
	char *arg = *a->next++;

	if (!*options || arg[0] != '-' || !arg[1]) {
		a->rest[a->rest_n++] = arg;
		return 0;
	}
	if (strcmp(arg, "--") == 0) {
		*options = false;
		return 0;
	}
	if (built_in(t, arg))
		return built_in(t, arg);
	if (arg[1] == '-')
		return take_long(t, a, str_from(arg + 2), e);
	return take_short(t, a, str_from(arg + 1), e);
}

int opt_parse(struct opt_table *t, int argc, char **argv, char **ret_rest, size_t *ret_rest_n,
	      struct err *e)
{
	struct args a = {argv + (argc > 0), ret_rest, 0};
	bool options = true;

	if (set_defaults(t, e) || apply_env(t, e))
		return -1;
	while (*a.next) {
		int rc = take_arg(t, &a, &options, e);

		if (rc)
			return rc;
	}
	*ret_rest_n = a.rest_n;
	return 0;
}

// ---- file --------------------------------------------------------------------------------------

// A comment starts at the line's start or after white space, so that URLs may hold a '#'.
static struct str without_comment(struct str line)
{
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '#' && (i == 0 || is_white(line.p[i - 1])))
			line.n = i;
	}
	return str_trim(line);
}

static int take_line(struct opt_table *t, struct str line, struct err *e)
{
	struct str value = without_comment(line);
	struct str key;
	struct opt *o;

	if (!value.n)
		return 0;
	(void)str_next(&value, '=', &key);
	key = str_trim(key);
	o = find_long(t, key);
	if (!value.p)
		return err_set(e, ERR_CONFIG, "expected 'key = value'");
	if (!o || o->flag_only)
		return err_set(e, ERR_CONFIG, "unknown key '" STR_FMT "'", STR_ARG(key));
	if (o->source == from_file && o->type != OPT_LIST)
		return err_set(e, ERR_CONFIG, "'%s' is set a second time", o->name);
	if (o->source == from_flag || o->source == from_env)
		return 0;
	if (set_value(o, str_trim(value), from_file, e)) {
		if (e && e->kind == ERR_USAGE)
			e->kind = ERR_CONFIG;
		return err_wrap(e, "%s", o->name);
	}
	return 0;
}

int opt_parse_file(struct opt_table *t, const char *path, struct err *e)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(CONFIG_MAX);
	struct str rest;
	struct str line;
	unsigned number = 0;

	if (io_read_file(path, &text, e))
		return -1;
	rest = buf_str(&text);
	while (str_next(&rest, '\n', &line)) {
		number++;
		if (take_line(t, line, e))
			return err_wrap(e, "%s:%u", path, number);
	}
	return 0;
}

// ---- help --------------------------------------------------------------------------------------

// Words from `column` on; further lines start at TEXT_COLUMN.
static void put_wrapped(struct buf *out, struct str text, size_t column)
{
	bool first = true;

	for (text = str_trim(text); text.n; text = str_trim(text)) {
		struct str word = {text.p, 0};

		while (word.n < text.n && !is_white(text.p[word.n]))
			word.n++;
		if (!first && column + 1 + word.n > WIDTH) {
			buf_printf(out, "\n%*s", TEXT_COLUMN, "");
			column = TEXT_COLUMN;
		} else if (!first) {
			buf_append_c(out, ' ');
			column++;
		}
		buf_append_str(out, word);
		column += word.n;
		first = false;
		text = str_skip(text, word.n);
	}
	buf_append_c(out, '\n');
}

static void put_entry(struct buf *out, const char *left, const char *text)
{
	size_t n = strlen(left);

	buf_puts(out, left);
	if (n + 2 > TEXT_COLUMN) {
		buf_append_c(out, '\n');
		n = 0;
	}
	buf_printf(out, "%*s", (int)(TEXT_COLUMN - n), "");
	put_wrapped(out, str_from(text), TEXT_COLUMN);
}

// "  -l, --listen ADDR" and "text (default: x; UNHEX_LISTEN)"
static void put_option(const struct opt_table *t, const struct opt *o, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(4096);
	char env[ENV_NAME_MAX];
	char left[128];
	char dash[8] = "    ";
	bool shows_default = o->fallback && *o->fallback && o->type != OPT_FLAG;

	if (o->short_name)
		snprintf(dash, sizeof(dash), "-%c, ", o->short_name);
	snprintf(left, sizeof(left), "  %s--%s%s%s", dash, o->name, o->type == OPT_FLAG ? "" : " ",
		 o->type == OPT_FLAG ? "" : o->arg ? o->arg : "VALUE");
	env_name(t, o, env);
	buf_puts(&text, o->help ? o->help : "");
	if (o->type == OPT_LIST)
		buf_puts(&text, "; may repeat");
	if (shows_default || env[0])
		buf_printf(&text, " (%s%s%s%s)", shows_default ? "default: " : "",
			   shows_default ? o->fallback : "", shows_default && env[0] ? "; " : "", env);
	put_entry(out, left, text.p ? text.p : "");
}

void opt_help(const struct opt_table *t, struct buf *out)
{
	buf_printf(out, "Usage: %s\n", t->usage);
	if (t->intro)
		buf_printf(out, "\n%s\n", t->intro);
	for (const struct opt *o = t->opts; o->name; o++) {
		if (o->group)
			buf_printf(out, "\n%s:\n", o->group);
		else if (o == t->opts)
			buf_puts(out, "\nOptions:\n");
		put_option(t, o, out);
	}
	buf_puts(out, "\nOther:\n");
	put_entry(out, find_short(t, 'h') ? "      --help" : "  -h, --help", "print this and exit");
	put_entry(out, "      --version", "print the version and exit");
}

// ---- printing ----------------------------------------------------------------------------------

static void put_list(const struct opt_list *list, struct buf *out)
{
	for (size_t i = 0; i < list->n; i++)
		buf_printf(out, "%s%s", i ? " " : "", list->items[i]);
}

static bool is_unset(const struct opt *o)
{
	if (o->type == OPT_STRING)
		return !*(char *const *)o->target;
	return o->type == OPT_LIST && !((const struct opt_list *)o->target)->n;
}

static void put_current(const struct opt *o, struct buf *out)
{
	const uint64_t *number = o->target;

	switch (o->type) {
	case OPT_FLAG:
		buf_puts(out, *(const bool *)o->target ? "true" : "false");
		break;
	case OPT_STRING:
		buf_puts(out, *(char *const *)o->target);
		break;
	case OPT_LIST:
		put_list(o->target, out);
		break;
	case OPT_DURATION_MS:
		buf_printf(out, "%" PRIu64 "ms", *number);
		break;
	default:
		buf_printf(out, "%" PRIu64, *number);
		break;
	}
}

void opt_print(const struct opt_table *t, struct buf *out)
{
	for (const struct opt *o = t->opts; o->name; o++) {
		if (o->flag_only)
			continue;
		if (is_unset(o)) {
			buf_printf(out, "# %s is not set\n", o->name);
			continue;
		}
		buf_printf(out, "%s = ", o->name);
		if (o->secret)
			buf_puts(out, "(hidden)");
		else
			put_current(o, out);
		buf_printf(out, "  # %s\n", o->source);
	}
}

void opt_deinit(struct opt_table *t)
{
	for (struct opt *o = t->opts; o->name; o++) {
		if (o->type == OPT_STRING) {
			free(*(char **)o->target);
			*(char **)o->target = NULL;
		} else if (o->type == OPT_LIST) {
			clear_list(o->target);
		}
	}
}

bool opt_given(const struct opt_table *t, const char *name)
{
	const struct opt *o = find_long(t, str_from(name));

	return o && o->source && o->source != from_default;
}
