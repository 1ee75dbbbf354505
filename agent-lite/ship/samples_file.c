/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/samples_file.h"

#include <stdio.h>
#include <string.h>

enum { HZ_MAX = 10000 };

/* The rest of a line that starts with `key` and a blank. */
static int take_line(struct str *text, const char *key, struct str *ret, struct err *e)
{
	struct str line, word;

	if (!str_next(text, '\n', &line))
		return err_set(e, ERR_BAD_REQUEST, "samples file ends before '%s'", key);
	if (!str_next(&line, ' ', &word) || !str_is(word, key))
		return err_set(e, ERR_BAD_REQUEST, "samples file: '%s' expected, not '" STR_FMT "'",
			       key, STR_ARG(((struct str){word.p, MIN(word.n, (size_t)40)})));
	*ret = line.p ? line : STR_EMPTY;
	return 0;
}

static int take_number(struct str *text, const char *key, uint64_t max, uint64_t *ret,
		       struct err *e)
{
	struct str value;

	if (take_line(text, key, &value, e) < 0)
		return -1;
	if (!str_to_u64(value, max, ret))
		return err_set(e, ERR_BAD_REQUEST, "samples file: '%s' is not a number up to %llu",
			       key, (unsigned long long)max);
	return 0;
}

/* Everything up to the line `end`, which is consumed too. */
static int take_block(struct str *text, const char *end, struct str *ret, struct err *e)
{
	const char *start = text->p;
	struct str line;

	while (str_next(text, '\n', &line)) {
		if (str_is(line, end)) {
			*ret = (struct str){start, (size_t)(line.p - start)};
			return 0;
		}
	}
	return err_set(e, ERR_BAD_REQUEST, "samples file is cut off: no '%s' line", end);
}

static int take_head(struct str *text, struct samples_file *f, struct err *e)
{
	struct str comm, ignored;
	uint64_t version;

	if (take_number(text, "unhex-samples", 1, &version, e) < 0 ||
	    take_number(text, "hz", HZ_MAX, &f->hz, e) < 0 ||
	    take_number(text, "pid", UINT32_MAX, &f->pid, e) < 0 ||
	    take_line(text, "comm", &comm, e) < 0 ||
	    take_number(text, "start_unix_ns", INT64_MAX, &f->start_unix_ns, e) < 0 ||
	    take_number(text, "duration_ns", INT64_MAX, &f->duration_ns, e) < 0 ||
	    take_number(text, "lost", UINT64_MAX, &f->lost, e) < 0 ||
	    take_line(text, "maps", &ignored, e) < 0)
		return -1;
	if (f->hz == 0)
		return err_set(e, ERR_BAD_REQUEST, "samples file: 'hz' is 0");
	snprintf(f->comm, sizeof(f->comm), STR_FMT, STR_ARG(comm));
	return 0;
}

int samples_file_parse(struct str text, struct samples_file *ret, struct err *e)
{
	struct samples_file f = {0};

	if (take_head(&text, &f, e) < 0 || take_block(&text, "stacks", &f.maps, e) < 0 ||
	    take_block(&text, "end", &f.stacks, e) < 0)
		return -1;
	*ret = f;
	return 0;
}

int samples_file_next(struct str *rest, uint64_t ips[static SAMPLES_DEPTH], size_t *ret_n,
		      struct err *e)
{
	struct str line, word;
	size_t n = 0;

	do {
		if (rest->n == 0 || !str_next(rest, '\n', &line))
			return 0;
	} while (line.n == 0);
	while (str_next(&line, ' ', &word)) {
		if (n >= SAMPLES_DEPTH)
			return err_set(e, ERR_BAD_REQUEST,
				       "samples file: a stack of more than %d frames",
				       SAMPLES_DEPTH);
		if (!str_hex_to_u64(word, &ips[n]))
			return err_set(e, ERR_BAD_REQUEST,
				       "samples file: '" STR_FMT "' is not an address",
				       STR_ARG(((struct str){word.p, MIN(word.n, (size_t)40)})));
		n++;
	}
	*ret_n = n;
	return 1;
}
