/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors as Prometheus writes them (https://prometheus.io/docs/prometheus/latest/querying/basics/
 * "Time series selectors"), with POSIX extended regular expressions instead of RE2.
 */
#include "store/profile_dir.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include <regex.h>

enum {
	MATCHERS_MAX = 32,
	NAME_MAX_BYTES = 256,
	VALUE_MAX = 1024,
	// glibc unrolls intervals, nested ones by their product.
	REPEATS_MAX = 256,
	NESTING_MAX = 64,
	REGEX_VALUE_MAX = 4096, // longer ones do not match: each byte may cost a state
};

enum op { OP_EQ, OP_NE, OP_MATCH, OP_NOT_MATCH };

struct matcher {
	char *name;
	char *value;
	enum op op;
	regex_t regex;
	bool compiled;
};

struct profile_matchers {
	struct matcher items[MATCHERS_MAX];
	size_t n;
};

DEFINE_CLEANUP(struct profile_matchers *, profile_matchers_free)

void profile_matchers_free(struct profile_matchers *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		if (m->items[i].compiled)
			regfree(&m->items[i].regex);
		free(m->items[i].name);
		free(m->items[i].value);
	}
	free(m);
}

// ---- reading --------------------------------------------------------------------------------------

struct reader {
	struct str text;
	size_t pos;
	struct err *e;
};

static int fail(const struct reader *r, const char *expected)
{
	return err_set(r->e, ERR_BAD_REQUEST, "matcher, character %zu: expected %s", r->pos + 1, expected);
}

static char peek(const struct reader *r)
{
	return r->pos < r->text.n ? r->text.p[r->pos] : '\0';
}

static void skip_space(struct reader *r)
{
	while (r->pos < r->text.n && memchr(" \t\r\n", r->text.p[r->pos], 4))
		r->pos++;
}

static bool take(struct reader *r, char c)
{
	skip_space(r);
	if (r->pos >= r->text.n || r->text.p[r->pos] != c)
		return false;
	r->pos++;
	return true;
}

// Metric names have colons; dots are how OpenTelemetry spells attributes.
static bool is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
	       (!first && ((c >= '0' && c <= '9') || c == '.'));
}

static struct str read_name(struct reader *r)
{
	size_t start;

	skip_space(r);
	start = r->pos;
	while (r->pos < r->text.n && is_name_char(r->text.p[r->pos], r->pos == start))
		r->pos++;
	return (struct str){r->text.p + start, r->pos - start};
}

static int read_op(struct reader *r, enum op *ret)
{
	char next;

	skip_space(r);
	next = r->pos + 1 < r->text.n ? r->text.p[r->pos + 1] : '\0';
	if (peek(r) == '=')
		*ret = next == '~' ? OP_MATCH : OP_EQ;
	else if (peek(r) == '!' && (next == '=' || next == '~'))
		*ret = next == '~' ? OP_NOT_MATCH : OP_NE;
	else
		return fail(r, "one of = != =~ !~");
	r->pos += *ret == OP_EQ ? 1 : 2;
	return 0;
}

static int read_escape(struct reader *r, char *ret)
{
	static const char from[] = "ntr\\\"'";
	static const char to[] = "\n\t\r\\\"'";
	char c = peek(r);
	const char *p = c ? strchr(from, c) : NULL;

	if (!p)
		return fail(r, "one of n t r \\ \" ' after a backslash");
	*ret = to[p - from];
	r->pos++;
	return 0;
}

static int read_value(struct reader *r, char **ret)
{
	char value[VALUE_MAX];
	size_t n = 0;
	char quote;

	skip_space(r);
	quote = peek(r);
	if (quote != '"' && quote != '\'')
		return fail(r, "a quoted value");
	for (r->pos++; r->pos < r->text.n && r->text.p[r->pos] != quote; n++) {
		char c = r->text.p[r->pos];

		if (n == VALUE_MAX)
			return fail(r, "a value of at most 1024 bytes");
		if (!c || c == '\n')
			return fail(r, "no line end or NUL in a value");
		r->pos++;
		if (c == '\\' && read_escape(r, &c))
			return -1;
		value[n] = c;
	}
	if (!take(r, quote))
		return fail(r, "a closing quote");
	*ret = mem_strndup(value, n);
	return *ret ? 0 : err_nomem(r->e);
}

// ---- regular expressions ----------------------------------------------------------------------------

// The larger bound of the interval that starts after p ("3}", "2,7}"); *end is where it ends.
static unsigned interval_bound(const char *p, const char **end)
{
	unsigned bound = 0;

	while (*p && *p != '}') {
		unsigned n = 0;

		for (; *p >= '0' && *p <= '9'; p++)
			n = MIN(n * 10 + (unsigned)(*p - '0'), REPEATS_MAX + 1U);
		bound = MAX(bound, n);
		p += *p && *p != '}';
	}
	*end = p;
	return bound;
}

/*
 * What makes glibc's regcomp() and regexec() take time or memory beyond measure: intervals, which it
 * unrolls, nested ones by their product; backward references; deep nesting. Counted without regard to
 * brackets and as if all were nested, so on the safe side.
 */
static const char *find_excess(const char *pattern)
{
	unsigned repeats = 1;
	unsigned depth = 0;

	for (const char *p = pattern; *p; p++) {
		if (*p == '\\' && p[1] >= '1' && p[1] <= '9')
			return "has a backward reference";
		if (*p == '(' && ++depth > NESTING_MAX)
			return "has too many groups";
		if (*p == '{') {
			unsigned bound = interval_bound(p + 1, &p);

			repeats *= MAX(bound, 1U);
			if (repeats > REPEATS_MAX)
				return "repeats too often";
		}
		if (!*p || (*p == '\\' && !*++p))
			break;
	}
	return NULL;
}

static int compile(const struct reader *r, struct matcher *m)
{
	const char *excess = find_excess(m->value);
	char why[200];
	int rc;

	if (excess)
		return err_set(r->e, ERR_BAD_REQUEST, "matcher: the regular expression of '%s' %s", m->name,
			       excess);
	rc = regcomp(&m->regex, m->value, REG_EXTENDED);
	if (rc) {
		regerror(rc, &m->regex, why, sizeof(why));
		return err_set(r->e, ERR_BAD_REQUEST, "matcher: the regular expression of '%s': %s",
			       m->name, why);
	}
	m->compiled = true;
	return 0;
}

// The whole value has to match: the leftmost longest match is all of it, or there is none such.
static bool regex_matches(const regex_t *regex, struct str value)
{
	regmatch_t match = {.rm_so = 0, .rm_eo = (regoff_t)value.n};

	if (value.n > REGEX_VALUE_MAX)
		return false;
	return regexec(regex, value.p, 1, &match, REG_STARTEND) == 0 && match.rm_so == 0 &&
	       (size_t)match.rm_eo == value.n;
}

// ---- parsing ----------------------------------------------------------------------------------------

static int add_name(struct reader *r, struct profile_matchers *m, struct str name, struct matcher **ret)
{
	struct matcher *item = &m->items[m->n];

	if (m->n == MATCHERS_MAX)
		return err_set(r->e, ERR_BAD_REQUEST, "matcher: more than %d conditions", MATCHERS_MAX);
	if (!name.n || name.n > NAME_MAX_BYTES)
		return fail(r, "a label name");
	item->name = mem_strndup(name.p, name.n);
	if (!item->name)
		return err_nomem(r->e);
	m->n++;
	*ret = item;
	return 0;
}

static int read_condition(struct reader *r, struct profile_matchers *m)
{
	struct matcher *item;

	if (add_name(r, m, read_name(r), &item) || read_op(r, &item->op) ||
	    read_value(r, &item->value))
		return -1;
	return item->op == OP_MATCH || item->op == OP_NOT_MATCH ? compile(r, item) : 0;
}

static int read_conditions(struct reader *r, struct profile_matchers *m)
{
	while (!take(r, '}')) {
		if (read_condition(r, m))
			return -1;
		if (!take(r, ',')) {
			if (!take(r, '}'))
				return fail(r, "',' or '}'");
			return 0;
		}
	}
	return 0;
}

static int read_selector(struct reader *r, struct profile_matchers *m)
{
	struct str metric = read_name(r);
	struct matcher *item;

	if (metric.n) {
		if (add_name(r, m, STR("__name__"), &item))
			return -1;
		item->value = mem_strndup(metric.p, metric.n);
		if (!item->value)
			return err_nomem(r->e);
	}
	if (take(r, '{') && read_conditions(r, m))
		return -1;
	skip_space(r);
	return r->pos < r->text.n ? fail(r, m->n ? "the end" : "a selector such as {service_name=\"api\"}")
				  : 0;
}

int profile_matchers_parse(struct str text, struct profile_matchers **ret, struct err *e)
{
	_cleanup_(profile_matchers_freep) struct profile_matchers *m = mem_zalloc(sizeof(*m));
	struct reader r = {.text = text, .e = e};

	if (!m)
		return err_nomem(e);
	if (read_selector(&r, m))
		return -1;
	*ret = steal_ptr(m);
	return 0;
}

// ---- matching ---------------------------------------------------------------------------------------

// A label that is not there is the same as an empty one.
static struct str label_of(const struct profile_series *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (str_is(s->labels[i].name, name))
			return s->labels[i].value;
	}
	return STR_EMPTY;
}

static bool matches(const struct matcher *m, struct str value)
{
	switch (m->op) {
	case OP_EQ:
		return str_is(value, m->value);
	case OP_NE:
		return !str_is(value, m->value);
	case OP_MATCH:
		return regex_matches(&m->regex, value);
	default:
		return !regex_matches(&m->regex, value);
	}
}

bool profile_matchers_match(const struct profile_matchers *m, const struct profile_series *s)
{
	for (size_t i = 0; i < m->n; i++) {
		if (!matches(&m->items[i], label_of(s, m->items[i].name)))
			return false;
	}
	return true;
}

bool profile_matchers_name_given(const struct profile_matchers *m)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->items[i].name, "__name__") == 0)
			return true;
	}
	return false;
}

bool profile_matchers_equality(const struct profile_matchers *m, const char **ret_name,
			       const char **ret_value)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->items[i].op == OP_EQ && m->items[i].value[0]) {
			*ret_name = m->items[i].name;
			*ret_value = m->items[i].value;
			return true;
		}
	}
	return false;
}
