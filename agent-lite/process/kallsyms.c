/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/kallsyms.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

// A read() gives a page at most. Longer lines than half of it (names have 512 bytes) are no symbols.
enum { CHUNK = 8192 };

static bool parse(struct str line, struct kallsym *ret)
{
	struct str address, type;

	if (!str_next(&line, ' ', &address) || !str_next(&line, ' ', &type) || type.n != 1 ||
	    !str_hex_to_u64(address, &ret->address) || !str_next(&line, '\t', &ret->name) ||
	    !ret->name.n)
		return false;
	ret->type = type.p[0];
	ret->module = STR_EMPTY;
	if (line.n > 2 && line.p[0] == '[' && line.p[line.n - 1] == ']')
		ret->module = (struct str){line.p + 1, line.n - 2};
	return true;
}

/* All whole lines of the text; *ret_rest is what is left. False: enough. */
static bool take_lines(struct str text, kallsyms_fn *fn, void *ctx, struct str *ret_rest)
{
	const char *end = text.n ? memrchr(text.p, '\n', text.n) : NULL;
	struct str whole = {text.p, end ? (size_t)(end - text.p) : 0};
	struct kallsym s;
	struct str line;

	*ret_rest = end ? str_skip(text, whole.n + 1) : text;
	while (end && whole.n && str_next(&whole, '\n', &line)) {
		if (parse(line, &s) && !fn(ctx, &s))
			return false;
	}
	return true;
}

int kallsyms_walk(const char *path, kallsyms_fn *fn, void *ctx, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[CHUNK];
	size_t held = 0;

	if (fd < 0)
		return err_sys(e, errno, "opening %s", path);
	for (;;) {
		ssize_t n = read(fd, chunk + held, sizeof(chunk) - held);
		struct str rest;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_sys(e, errno, "reading %s", path) : 0;
		if (!take_lines((struct str){chunk, held + (size_t)n}, fn, ctx, &rest))
			return 0;
		held = rest.n < sizeof(chunk) / 2 ? rest.n : 0;
		memmove(chunk, rest.p, held);
	}
}
