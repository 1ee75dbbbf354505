/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/path.h"

static bool is_windows(struct str s)
{
	bool drive = s.n >= 3 && ((s.p[0] | 0x20) >= 'a' && (s.p[0] | 0x20) <= 'z') && s.p[1] == ':';

	return (drive && (s.p[2] == '\\' || s.p[2] == '/')) || (s.n >= 2 && !memcmp(s.p, "\\\\", 2));
}

static bool is_absolute(struct str s)
{
	return (s.n && s.p[0] == '/') || is_windows(s);
}

// Takes the last component off again; false where there is none, or only "..".
static bool step_back(struct buf *out)
{
	struct str last = str_basename(buf_str(out));
	size_t keep;

	if (!last.n || str_is(last, ".."))
		return false;
	keep = out->n - last.n;
	if (keep > 1)
		keep--; // the slash before it, unless it is the root
	out->n = keep;
	out->p[keep] = '\0';
	return true;
}

static void append_component(struct buf *out, struct str part)
{
	if (!part.n || str_is(part, "."))
		return;
	if (str_is(part, "..") && (step_back(out) || str_is(buf_str(out), "/")))
		return;
	if (out->n && out->p[out->n - 1] != '/')
		buf_append_c(out, '/');
	buf_append_str(out, part);
}

static void append_path(struct buf *out, struct str path)
{
	struct str part;

	if (!out->n && path.n && path.p[0] == '/')
		buf_append_c(out, '/');
	while (str_next(&path, '/', &part))
		append_component(out, part);
}

void path_join(struct str dir, struct str path, struct buf *out)
{
	bool absolute = is_absolute(path);

	buf_clear(out);
	if (is_windows(path) || (!absolute && is_windows(dir))) {
		if (!absolute) {
			buf_append_str(out, dir);
			buf_append_c(out, memchr(dir.p, '\\', dir.n) ? '\\' : '/');
		}
		buf_append_str(out, path);
		return;
	}
	if (!absolute)
		append_path(out, dir);
	append_path(out, path);
}
