/* SPDX-License-Identifier: Apache-2.0 */
#include "server/indexer_report.h"

#include "base/cleanup.h"
#include "base/json.h"
#include <stdio.h>

static int unbelievable(struct err *e, const char *what)
{
	return err_set(e, ERR_INDEXER_CRASHED, "the indexer's report makes no sense: %s", what);
}

static int parse_json(struct str text, const char *format, json_t **ret, struct err *e)
{
	struct err why;

	if (text.n > INDEXER_REPORT_MAX)
		return unbelievable(e, "it is too long");
	if (json_parse(text, ret, &why))
		return unbelievable(e, why.msg);
	if (str_is(json_get_str(*ret, "format"), format))
		return 0;
	json_decref(*ret);
	return unbelievable(e, "unknown format");
}

static bool parse_kind(struct str s, enum build_id_kind *ret)
{
	for (enum build_id_kind k = BUILD_ID_GNU; k <= BUILD_ID_HTL; k++) {
		if (str_is(s, build_id_kind_name(k))) {
			*ret = k;
			return true;
		}
	}
	return false;
}

// The text form alone may be ambiguous (32 hex digits); the kind says which it is.
static bool parse_id(const json_t *obj, struct build_id *ret)
{
	struct build_id candidates[2];
	enum build_id_kind kind;
	int n = build_id_parse(json_get_str(obj, "text"), candidates, NULL);

	if (!parse_kind(json_get_str(obj, "kind"), &kind))
		return false;
	for (int i = 0; i < n; i++) {
		if (candidates[i].kind == kind) {
			*ret = candidates[i];
			return true;
		}
	}
	return false;
}

static int parse_ids(const json_t *report, struct probe_report *r, struct err *e)
{
	const json_t *ids = json_object_get(report, "ids");
	size_t n = json_array_size(ids);

	if (!n || n > PROBE_IDS_MAX)
		return unbelievable(e, "no IDs, or too many");
	for (size_t i = 0; i < n; i++) {
		if (!parse_id(json_array_get(ids, i), &r->ids[i]))
			return unbelievable(e, "bad ID");
	}
	r->id_count = n;
	return 0;
}

static int parse_what(const json_t *report, struct probe_report *r, struct err *e)
{
	static const char *const kinds[] = {
		[PROBE_EXECUTABLE] = "executable",
		[PROBE_DEBUGINFO] = "debuginfo",
		[PROBE_BOTH] = "both",
		[PROBE_KALLSYMS] = "kallsyms",
	};
	struct str kind = json_get_str(report, "kind");

	for (size_t i = 0; i < countof(kinds); i++) {
		if (str_is(kind, kinds[i])) {
			r->kind = (enum probe_kind)i;
			r->core = str_is(json_get_str(report, "type"), "CORE");
			r->relocatable = str_is(json_get_str(report, "type"), "REL");
			return 0;
		}
	}
	return unbelievable(e, "unknown kind of file");
}

static bool is_machine_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static int parse_machine(const json_t *report, struct probe_report *r, struct err *e)
{
	struct str machine = json_get_str(report, "machine");

	if (machine.n >= sizeof(r->machine))
		return unbelievable(e, "the machine's name is too long");
	for (size_t i = 0; i < machine.n; i++) {
		if (!is_machine_byte(machine.p[i]))
			return unbelievable(e, "the machine's name is none");
		r->machine[i] = machine.p[i];
	}
	r->machine[machine.n] = '\0';
	return 0;
}

static int parse_headers(const json_t *report, struct probe_report *r, struct err *e)
{
	const json_t *headers = json_object_get(report, "program_headers");
	size_t n = json_array_size(headers);

	if (n > PROGRAM_HEADERS_MAX)
		return unbelievable(e, "too many program headers");
	for (size_t i = 0; i < n; i++) {
		const json_t *h = json_array_get(headers, i);

		if (!str_is(json_get_str(h, "type"), "LOAD"))
			return unbelievable(e, "a program header that is not PT_LOAD");
		r->headers[i] = (struct program_header){
			.vaddr = json_get_u64(h, "vaddr", 0),
			.memsz = json_get_u64(h, "memsz", 0),
			.offset = json_get_u64(h, "offset", 0),
			.filesz = json_get_u64(h, "filesz", 0),
			.align = json_get_u64(h, "align", 0),
			.flags = (uint32_t)json_get_u64(h, "flags", 0),
		};
	}
	r->header_count = n;
	r->headers_trusted = n && json_get_bool(report, "program_headers_trusted", false);
	return 0;
}

static int parse_report(const json_t *report, struct probe_report *r, struct err *e)
{
	if (parse_ids(report, r, e) || parse_what(report, r, e) || parse_machine(report, r, e) ||
	    parse_headers(report, r, e))
		return -1;
	if (!quality_parse(json_get_str(report, "quality"), &r->quality))
		return unbelievable(e, "unknown quality");
	return 0;
}

int probe_report_parse(struct str text, struct probe_report *ret, struct err *e)
{
	_cleanup_(json_decrefp) json_t *report = NULL;

	if (parse_json(text, "unhex-probe/1", &report, e)) {
		report = NULL;
		return -1;
	}
	*ret = (struct probe_report){.id_count = 0};
	return parse_report(report, ret, e);
}

bool probe_report_has(const struct probe_report *r, const struct build_id *id)
{
	for (size_t i = 0; i < r->id_count; i++) {
		if (build_id_eq(&r->ids[i], id))
			return true;
	}
	return false;
}

int index_report_check(struct str text, struct err *e)
{
	json_t *report = NULL;
	enum quality quality;
	bool ok;

	if (parse_json(text, "unhex-index/1", &report, e))
		return -1;
	ok = quality_parse(json_get_str(report, "quality"), &quality);
	json_decref(report);
	return ok ? 0 : unbelievable(e, "unknown quality");
}

/*
 * Only what can be true of a file, or of the indexer's own limits, is taken over; a child does not get to
 * say "unauthorized".
 */
static enum err_kind believable_kind(struct str code)
{
	static const enum err_kind kinds[] = {ERR_NOT_ELF,  ERR_BAD_ELF,  ERR_UNSUPPORTED,
					      ERR_NO_BUILD_ID, ERR_TOO_LARGE, ERR_TOO_DEEP,
					      ERR_ID_MISMATCH, ERR_NO_SPACE, ERR_IO,
					      ERR_INDEXER_MEMORY};

	for (size_t i = 0; i < countof(kinds); i++) {
		if (str_is(code, err_code(kinds[i])))
			return kinds[i];
	}
	if (str_is(code, err_code(ERR_NOMEM)))
		return ERR_INDEXER_MEMORY;
	return ERR_INDEXER_CRASHED;
}

// It was given a descriptor; whoever reads the message never saw that name.
static struct str without_fd_name(struct str detail)
{
	struct str rest = detail;
	struct str name;

	if (!str_has_prefix(detail, STR("fd:")) || !str_next(&rest, ' ', &name) || !rest.p ||
	    !str_has_suffix(name, STR(":")))
		return detail;
	return rest;
}

void indexer_error_parse(struct str text, struct str said, struct err *e)
{
	_cleanup_(json_decrefp) json_t *report = NULL;
	const json_t *error;
	struct str detail;

	if (text.n > INDEXER_REPORT_MAX || json_parse(text, &report, NULL))
		report = NULL;
	error = report ? json_object_get(report, "error") : NULL;
	if (!error) {
		err_set(e, ERR_INDEXER_CRASHED, "the indexer failed without a report%s" STR_FMT,
			said.n ? ": " : "", STR_ARG(said));
		return;
	}
	detail = json_get_str(error, "detail");
	detail = without_fd_name(detail.n ? detail : said);
	err_set(e, believable_kind(json_get_str(error, "code")), STR_FMT, STR_ARG(detail));
}
