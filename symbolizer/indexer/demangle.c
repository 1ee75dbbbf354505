/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/demangle.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include <libiberty/demangle.h>

bool demangle(struct str name, struct buf *out)
{
	_cleanup_free_ char *mangled = NULL;
	_cleanup_free_ char *text = NULL;

	if (name.n < 3 || name.n > DEMANGLE_IN_MAX || name.p[0] != '_')
		return false;
	mangled = mem_strndup(name.p, name.n);
	if (!mangled)
		return false;
	text = cplus_demangle(mangled, DMGL_AUTO | DMGL_PARAMS | DMGL_ANSI);
	if (!text || strlen(text) > DEMANGLE_OUT_MAX)
		return false;
	buf_puts(out, text);
	return !out->failed;
}
