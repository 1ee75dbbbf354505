/* SPDX-License-Identifier: Apache-2.0 */
#include "debuginfod/protocol.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

// Better data may come for the same ID, so nothing is immutable; ETags make asking again cheap.
static const char cache_control[] = "public, max-age=3600";

static const char *const artifact_names[] = {
	[DEBUGINFOD_DEBUGINFO] = "debuginfo",
	[DEBUGINFOD_EXECUTABLE] = "executable",
	[DEBUGINFOD_SOURCE] = "source",
	[DEBUGINFOD_SECTION] = "section",
};

const char *debuginfod_artifact_name(enum debuginfod_artifact a)
{
	return artifact_names[a];
}

// ---- URLs -----------------------------------------------------------------------------------------

// RFC 3986, 2.1; '+' is itself. NUL-terminates.
static int percent_decode(struct str in, char *out, size_t out_size, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		uint8_t byte = (uint8_t)in.p[i];

		if (byte == '%') {
			if (!str_percent_byte(str_skip(in, i), &byte))
				return err_set(e, ERR_BAD_PATH, "bad percent-escape in the URL");
			i += 2;
		}
		if (!byte)
			return err_set(e, ERR_BAD_PATH, "NUL byte in the URL");
		if (n + 1 >= out_size)
			return err_set(e, ERR_BAD_PATH, "name in the URL is longer than %zu bytes",
				       out_size - 1);
		out[n++] = (char)byte;
	}
	out[n] = '\0';
	return 0;
}

static bool find_artifact(struct str name, enum debuginfod_artifact *ret)
{
	for (size_t i = 0; i < countof(artifact_names); i++) {
		if (str_is(name, artifact_names[i])) {
			*ret = (enum debuginfod_artifact)i;
			return true;
		}
	}
	return false;
}

static void drop_last_segment(const char *path, size_t *n)
{
	while (*n && path[*n - 1] != '/')
		--*n;
	if (*n)
		--*n;
}

// RFC 3986, 5.2.4, and "//" is "/". The result is never longer than `in`.
static void canonicalize(struct str in, char *out)
{
	bool absolute = str_has_prefix(in, STR("/"));
	struct str segment;
	size_t n = 0;

	while (str_next(&in, '/', &segment)) {
		if (!segment.n || str_is(segment, "."))
			continue;
		if (str_is(segment, "..")) {
			drop_last_segment(out, &n);
			continue;
		}
		if (n || absolute)
			out[n++] = '/';
		memcpy(out + n, segment.p, segment.n);
		n += segment.n;
	}
	if (!n && absolute)
		out[n++] = '/';
	out[n] = '\0';
}

static int parse_name(struct str rest, struct debuginfod_request *r, struct err *e)
{
	if (percent_decode(rest, r->name, sizeof(r->name), e))
		return -1;
	if (!r->name[0])
		return err_set(e, ERR_BAD_PATH, "the %s's name is missing after /%s/",
			       artifact_names[r->artifact], artifact_names[r->artifact]);
	if (r->artifact == DEBUGINFOD_SOURCE)
		canonicalize(str_from(r->name), r->canonical);
	return 0;
}

static int parse_id(struct str text, struct debuginfod_request *r, struct err *e)
{
	char decoded[DEBUGINFOD_ID_MAX];
	int n;

	if (percent_decode(text, decoded, sizeof(decoded), e))
		return -1;
	n = build_id_parse(str_from(decoded), r->ids, e);
	if (n < 0)
		return -1;
	r->id_count = (size_t)n;
	return 0;
}

/*
 * Source paths are absolute and begin with the slash that ends "source"; a second one belongs to paths
 * that clients wrote without encoding.
 */
static int parse_after_id(struct str rest, struct debuginfod_request *r, struct err *e)
{
	struct str whole = rest;
	struct str word;

	if (!str_next(&rest, '/', &word) || !find_artifact(word, &r->artifact))
		return err_set(e, ERR_NOT_FOUND,
			       "no such artifact; there are debuginfo, executable, source and section");
	rest = str_skip(whole, word.n);
	if (r->artifact == DEBUGINFOD_SOURCE)
		return parse_name(rest.n > 1 ? rest : STR_EMPTY, r, e);
	if (r->artifact == DEBUGINFOD_SECTION)
		return parse_name(str_skip(rest, 1), r, e);
	if (rest.n)
		return err_set(e, ERR_NOT_FOUND, "nothing follows /%s in such a URL",
			       artifact_names[r->artifact]);
	return 0;
}

int debuginfod_parse(struct str path, struct debuginfod_request *ret, struct err *e)
{
	static const struct str prefix = {"/buildid/", 9};
	struct debuginfod_request r = {.name = ""};
	const char *slash;
	struct str id;

	if (!str_has_prefix(path, prefix))
		return err_set(e, ERR_NOT_FOUND, "not a debuginfod URL");
	path = str_skip(path, prefix.n);
	slash = memchr(path.p, '/', path.n);
	if (!slash)
		return err_set(e, ERR_NOT_FOUND, "the URL names no artifact after the build-ID");
	id = (struct str){path.p, (size_t)(slash - path.p)};
	if (parse_id(id, &r, e) || parse_after_id(str_skip(path, id.n + 1), &r, e))
		return -1;
	*ret = r;
	return 0;
}

// ---- answers --------------------------------------------------------------------------------------

static char *add(struct debuginfod_header *h, size_t *n, const char *name)
{
	h[*n].name = name;
	return h[(*n)++].value;
}

// Field values hold visible ASCII and spaces (RFC 9110, 5.5); the rest of a file name becomes '?'.
static void put_safe(char *out, const char *s)
{
	size_t n = 0;

	for (; *s && n + 1 < DEBUGINFOD_HEADER_VALUE; s++)
		out[n++] = *s >= ' ' && *s < 0x7f ? *s : '?';
	out[n] = '\0';
}

// RFC 9110, 5.6.7, whatever the locale.
static bool put_date(char *out, int64_t unix_s)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || tm.tm_year < 0 || tm.tm_year > 8099)
		return false;
	snprintf(out, DEBUGINFOD_HEADER_VALUE, "%s, %02d %s %04d %02d:%02d:%02d GMT",
		 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
		 tm.tm_min, tm.tm_sec);
	return true;
}

size_t debuginfod_headers(const struct debuginfod_answer *a,
			  struct debuginfod_header ret[static DEBUGINFOD_HEADERS_MAX])
{
	size_t n = 0;

	snprintf(add(ret, &n, "X-DEBUGINFOD-SIZE"), DEBUGINFOD_HEADER_VALUE, "%" PRIu64, a->size);
	if (a->file && *a->file)
		put_safe(add(ret, &n, "X-DEBUGINFOD-FILE"), a->file);
	snprintf(add(ret, &n, "ETag"), DEBUGINFOD_HEADER_VALUE, "\"%s%s%s\"", a->sha256,
		 a->encoding ? "-" : "", a->encoding ? a->encoding : "");
	if (a->modified_unix_s > 0 && put_date(ret[n].value, a->modified_unix_s))
		ret[n++].name = "Last-Modified";
	snprintf(add(ret, &n, "Cache-Control"), DEBUGINFOD_HEADER_VALUE, "%s", cache_control);
	snprintf(add(ret, &n, "Accept-Ranges"), DEBUGINFOD_HEADER_VALUE, "bytes");
	snprintf(add(ret, &n, "Vary"), DEBUGINFOD_HEADER_VALUE, "Accept-Encoding");
	return n;
}

bool debuginfod_etag_matches(struct str if_none_match, struct str etag)
{
	struct str one;

	if (str_has_prefix(etag, STR("W/")))
		etag = str_skip(etag, 2);
	while (str_next(&if_none_match, ',', &one)) {
		one = str_trim(one);
		if (str_has_prefix(one, STR("W/")))
			one = str_skip(one, 2);
		if (str_is(one, "*") || (one.n && str_eq(one, etag)))
			return true;
	}
	return false;
}

uint64_t debuginfod_max_size(struct str header)
{
	uint64_t max;

	return str_to_u64(str_trim(header), UINT64_MAX, &max) ? max : UINT64_MAX;
}

// ---- hops -------------------------------------------------------------------------------------------

enum debuginfod_hops debuginfod_hops(struct str forwarded_for, const char *token)
{
	size_t entries = 0;
	struct str entry;

	if (forwarded_for.n >= DEBUGINFOD_FORWARDED_MAX)
		return HOPS_TOO_MANY;
	while (str_next(&forwarded_for, ',', &entry)) {
		entry = str_trim(entry);
		if (token && *token && str_is(entry, token))
			return HOPS_LOOP;
		entries += entry.n > 0;
	}
	return entries > DEBUGINFOD_HOPS_MAX ? HOPS_TOO_MANY : HOPS_FINE;
}

void debuginfod_forwarded(struct str forwarded_for, const char *peer,
			  char ret[static DEBUGINFOD_FORWARDED_MAX])
{
	char text[DEBUGINFOD_FORWARDED_MAX];
	int n;

	forwarded_for = str_trim(forwarded_for);
	n = snprintf(text, sizeof(text), STR_FMT "%s%s", STR_ARG(forwarded_for),
		     forwarded_for.n ? ", " : "", peer);
	if (n < 0 || (size_t)n >= sizeof(text))
		text[0] = '\0';
	put_safe(ret, text);
}
