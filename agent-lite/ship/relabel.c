/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/relabel.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TEXT_MAX = LABEL_VALUE_MAX * RELABEL_SOURCES_MAX, // joined source values; replacements
	GROUPS_MAX = 10,				  // $0 to $9
	REPEAT_MAX = 1000, // product of all {n,m} of an expression: states multiply
};

enum action { REPLACE, KEEP, DROP, LABELMAP, LABELDROP, LABELKEEP, ACTION_COUNT };

static const char *const action_names[ACTION_COUNT] = {
	"replace", "keep", "drop", "labelmap", "labeldrop", "labelkeep",
};

struct rule {
	enum action action;
	char **sources;
	size_t source_count;
	char *separator;
	char *target;
	char *replacement;
	regex_t regex;
	bool compiled;
};

struct relabel {
	struct rule rules[RELABEL_RULES_MAX];
	size_t n;
};

static void rule_deinit(struct rule *rule)
{
	for (size_t i = 0; i < rule->source_count; i++)
		free(rule->sources[i]);
	free(rule->sources);
	free(rule->separator);
	free(rule->target);
	free(rule->replacement);
	if (rule->compiled)
		regfree(&rule->regex);
}

void relabel_free(struct relabel *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		rule_deinit(&r->rules[i]);
	free(r);
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* What other dialects have and this one would take for something else. */
static const char *foreign_syntax(const char *regex)
{
	for (const char *p = regex; *p; p++) {
		if (p[0] == '(' && p[1] == '?')
			return "(?…) is not known here; every ( ) is a group";
		if (p[0] != '\\')
			continue;
		p++;
		if (!*p)
			return "it ends with a backslash";
		if (isdigit((unsigned char)*p))
			return "back references are not known here";
		if (isalpha((unsigned char)*p))
			return "no backslash with a letter: write [0-9], [[:alnum:]_], [[:space:]]";
	}
	return NULL;
}

static const char *too_much_repetition(const char *regex)
{
	uint64_t product = 1;

	// The larger number of each {n}, {n,} or {n,m}; other braces are themselves.
	for (const char *p = regex; (p = strchr(p, '{')); p++) {
		uint64_t n = strtoul(p + 1, NULL, 10), m;
		const char *comma = p + 1 + strspn(p + 1, "0123456789");

		m = *comma == ',' ? strtoul(comma + 1, NULL, 10) : 0;
		n = MAX(MAX(n, m), (uint64_t)1);
		if (n > REPEAT_MAX || (product *= n) > REPEAT_MAX)
			return "its {n,m} repeat more than 1000 times, taken together";
	}
	return NULL;
}

/* Groups of the rule begin at 2: the first is around all of it, so that it matches the whole. */
static int compile(struct rule *rule, const char *regex, struct err *e)
{
	char whole[RELABEL_REGEX_MAX + sizeof("^()$")], why[128];
	const char *wrong = foreign_syntax(regex);
	int r;

	if (strlen(regex) > RELABEL_REGEX_MAX)
		return err_set(e, ERR_CONFIG, "regex is longer than %d bytes", RELABEL_REGEX_MAX);
	wrong = wrong ? wrong : too_much_repetition(regex);
	if (wrong)
		return err_set(e, ERR_CONFIG, "regex '%s': %s", regex, wrong);
	snprintf(whole, sizeof(whole), "^(%s)$", regex);
	r = regcomp(&rule->regex, whole, REG_EXTENDED);
	if (r != 0) {
		regerror(r, &rule->regex, why, sizeof(why));
		return err_set(e, ERR_CONFIG, "regex '%s': %s", regex, why);
	}
	rule->compiled = true;
	return 0;
}

static bool matches(const struct rule *rule, const char *text, regmatch_t groups[GROUPS_MAX + 1])
{
	return regexec(&rule->regex, text, GROUPS_MAX + 1, groups, 0) == 0;
}

/* The n of "$n" or "${n}" at p, of which *ret_length bytes are it; -1: neither. */
static int group_reference(const char *p, size_t *ret_length)
{
	bool braced = p[1] == '{';
	const char *digit = p + 1 + braced;

	if (*digit < '0' || *digit > '9' || (braced && digit[1] != '}'))
		return -1;
	*ret_length = braced ? 4 : 2;
	return *digit - '0';
}

static bool replacement_is_valid(const char *p)
{
	size_t length;

	for (; *p; p++) {
		if (*p != '$')
			continue;
		if (p[1] == '$')
			p++;
		else if (group_reference(p, &length) < 0)
			return false;
	}
	return true;
}

static void expand(const char *replacement, const char *text, const regmatch_t *groups,
		   struct buf *out)
{
	for (const char *p = replacement; *p;) {
		size_t length = 1;
		int group;

		if (*p != '$' || p[1] == '$') {
			buf_append_c(out, *p);
			p += *p == '$' ? 2 : 1;
			continue;
		}
		group = group_reference(p, &length);
		p += length;
		if (group >= 0 && groups[group + (group > 0)].rm_so >= 0)
			buf_append(out, text + groups[group + (group > 0)].rm_so,
				   (size_t)(groups[group + (group > 0)].rm_eo -
					    groups[group + (group > 0)].rm_so));
	}
}

/* ---- reading --------------------------------------------------------------------------------- */

static int get_text(const json_t *object, const char *key, const char *fallback, char **ret,
		    struct err *e)
{
	const json_t *value = json_object_get(object, key);

	if (value && !json_is_string(value))
		return err_set(e, ERR_CONFIG, "%s must be a text", key);
	*ret = mem_strdup(value ? json_string_value(value) : fallback);
	return *ret ? 0 : err_nomem(e);
}

static int read_sources(const json_t *object, struct rule *rule, struct err *e)
{
	const json_t *list = json_object_get(object, "source_labels");
	size_t n = json_array_size(list);

	if (list && !json_is_array(list))
		return err_set(e, ERR_CONFIG, "source_labels must be a list of names");
	if (n > RELABEL_SOURCES_MAX)
		return err_set(e, ERR_CONFIG, "more than %d source_labels", RELABEL_SOURCES_MAX);
	rule->sources = mem_calloc(n + 1, sizeof(*rule->sources));
	if (!rule->sources)
		return err_nomem(e);
	for (size_t i = 0; i < n; i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (!name || !label_name_is_valid(str_from(name)))
			return err_set(e, ERR_CONFIG, "source_labels: '%s' is no label name",
				       name ? name : "(no text)");
		rule->sources[i] = mem_strdup(name);
		if (!rule->sources[i])
			return err_nomem(e);
		rule->source_count++;
	}
	return 0;
}

static int read_action(const json_t *object, struct rule *rule, struct err *e)
{
	const json_t *value = json_object_get(object, "action");
	const char *name = value ? json_string_value(value) : "replace";

	for (enum action a = 0; name && a < ACTION_COUNT; a++) {
		if (strcmp(name, action_names[a]) == 0) {
			rule->action = a;
			return 0;
		}
	}
	return err_set(e, ERR_CONFIG,
		       "action '%s' is not known; replace, keep, drop, labelmap, labeldrop or labelkeep",
		       name ? name : "(no text)");
}

static int check_keys(const json_t *object, struct err *e)
{
	static const char *const known[] = {"source_labels", "separator", "regex",
					    "target_label",  "replacement", "action"};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) {
		bool found = false;

		for (size_t i = 0; i < countof(known); i++)
			found = found || strcmp(key, known[i]) == 0;
		if (!found)
			return err_set(e, ERR_CONFIG, "'%s' is not known", key);
	}
	return 0;
}

static int check_rule(const struct rule *rule, struct err *e)
{
	bool of_values = rule->action <= DROP;

	if (rule->action == REPLACE && !rule->target[0])
		return err_set(e, ERR_CONFIG, "replace needs target_label");
	if (rule->action == REPLACE && !label_name_is_valid(str_from(rule->target)))
		return err_set(e, ERR_CONFIG, "target_label '%s' is no label name", rule->target);
	if (of_values && rule->action != REPLACE && rule->source_count == 0)
		return err_set(e, ERR_CONFIG, "%s needs source_labels", action_names[rule->action]);
	if (!replacement_is_valid(rule->replacement))
		return err_set(e, ERR_CONFIG, "replacement '%s': $ must be followed by 0 to 9 or $",
			       rule->replacement);
	return 0;
}

static int read_rule(const json_t *object, struct rule *rule, struct err *e)
{
	_cleanup_free_ char *regex = NULL;

	if (!json_is_object(object))
		return err_set(e, ERR_CONFIG, "not an object");
	if (check_keys(object, e) < 0 || read_action(object, rule, e) < 0 ||
	    read_sources(object, rule, e) < 0 ||
	    get_text(object, "separator", ";", &rule->separator, e) < 0 ||
	    get_text(object, "regex", "(.*)", &regex, e) < 0 ||
	    get_text(object, "target_label", "", &rule->target, e) < 0 ||
	    get_text(object, "replacement", "$1", &rule->replacement, e) < 0)
		return -1;
	return compile(rule, regex, e) < 0 ? -1 : check_rule(rule, e);
}

static int read_rules(const json_t *list, struct relabel *r, struct err *e)
{
	if (!json_is_array(list))
		return err_set(e, ERR_CONFIG, "not a list of rules");
	if (json_array_size(list) > RELABEL_RULES_MAX)
		return err_set(e, ERR_CONFIG, "more than %d rules", RELABEL_RULES_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		r->n++;
		if (read_rule(json_array_get(list, i), &r->rules[i], e) < 0)
			return err_wrap(e, "rule %zu", i + 1);
	}
	return 0;
}

int relabel_parse(struct str text, struct relabel **ret, struct err *e)
{
	struct relabel *r = mem_zalloc(sizeof(*r));
	json_t *list;
	int rc;

	if (!r)
		return err_nomem(e);
	if (json_parse(text, &list, e) < 0) {
		// Ours is a file of the user's, not a request's body.
		if (e && e->kind != ERR_NOMEM)
			e->kind = ERR_CONFIG;
		relabel_free(r);
		return -1;
	}
	rc = read_rules(list, r, e);
	json_decref(list);
	if (rc < 0) {
		relabel_free(r);
		return -1;
	}
	*ret = r;
	return 0;
}

int relabel_read(const char *path, struct relabel **ret, struct err *e)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(RELABEL_FILE_MAX);

	if (io_read_file(path, &text, e) < 0)
		return err_wrap(e, "--relabel");
	if (relabel_parse(buf_str(&text), ret, e) < 0)
		return err_wrap(e, "--relabel %s", path);
	return 0;
}

/* ---- applying -------------------------------------------------------------------------------- */

static int join_sources(const struct rule *rule, const struct labels *l, struct buf *out,
			struct err *e)
{
	for (size_t i = 0; i < rule->source_count; i++) {
		if (i > 0)
			buf_puts(out, rule->separator);
		buf_puts(out, labels_get(l, str_from(rule->sources[i])));
	}
	buf_append_c(out, 0);
	return buf_check(out, "the source labels' values", e);
}

static int replace(const struct rule *rule, struct labels *l, const char *text,
		   const regmatch_t *groups, struct err *e)
{
	_cleanup_(buf_deinit) struct buf value = BUF_INIT(TEXT_MAX);

	expand(rule->replacement, text, groups, &value);
	if (buf_check(&value, "a replacement", e) < 0)
		return -1;
	return labels_set(l, str_from(rule->target), buf_str(&value), e);
}

static int apply_to_values(const struct rule *rule, struct labels *l, bool *keep, struct err *e)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(TEXT_MAX);
	regmatch_t groups[GROUPS_MAX + 1];
	bool match;

	if (join_sources(rule, l, &text, e) < 0)
		return -1;
	match = matches(rule, text.p, groups);
	if (rule->action != REPLACE) {
		*keep = match == (rule->action == KEEP);
		return 0;
	}
	return match ? replace(rule, l, text.p, groups, e) : 0;
}

/* New labels are read from a copy: what a rule makes is not mapped again by it. */
static int map_labels(const struct rule *rule, struct labels *l, struct err *e)
{
	_cleanup_(labels_deinit) struct labels made = {.n = 0};
	regmatch_t groups[GROUPS_MAX + 1];

	for (size_t i = 0; i < l->n; i++) {
		_cleanup_(buf_deinit) struct buf name = BUF_INIT(TEXT_MAX);

		if (!matches(rule, l->items[i].name, groups))
			continue;
		expand(rule->replacement, l->items[i].name, groups, &name);
		if (buf_check(&name, "a label's name", e) < 0 ||
		    labels_set(&made, buf_str(&name), str_from(l->items[i].value), e) < 0)
			return -1;
	}
	for (size_t i = 0; i < made.n; i++) {
		if (labels_set(l, str_from(made.items[i].name), str_from(made.items[i].value), e) <
		    0)
			return -1;
	}
	return 0;
}

/* __meta_ labels stay for the rules behind. */
static void remove_labels(const struct rule *rule, struct labels *l)
{
	for (size_t i = l->n; i > 0; i--) {
		const char *name = l->items[i - 1].name;
		regmatch_t groups[GROUPS_MAX + 1];
		bool meta = str_has_prefix(str_from(name), STR("__"));

		if (matches(rule, name, groups) == (rule->action == LABELDROP) && !meta)
			labels_remove(l, str_from(name));
	}
}

static int apply_rule(const struct rule *rule, struct labels *l, bool *keep, struct err *e)
{
	if (rule->action <= DROP)
		return apply_to_values(rule, l, keep, e);
	if (rule->action == LABELMAP)
		return map_labels(rule, l, e);
	remove_labels(rule, l);
	return 0;
}

int relabel_apply(const struct relabel *r, struct labels *l, bool *ret_keep, struct err *e)
{
	bool keep = true;

	for (size_t i = 0; i < r->n && keep; i++) {
		if (apply_rule(&r->rules[i], l, &keep, e) < 0)
			return err_wrap(e, "relabel rule %zu", i + 1);
	}
	*ret_keep = keep;
	return 0;
}
