/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/kernel_list.h"

#include "agent-lite/process/kallsyms.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

enum {
	LINE_MAX_BYTES = 600,
	NAME_MAX_BYTES = 512, // KSYM_NAME_LEN
};

struct list {
	const struct kernel_image *kernel;
	struct zstd_out *to;
	uint64_t last;	 // run-time address
	bool in_gap;	 // said already that no function lies here
	struct err *err; // why it ended
	bool failed;
};

static bool put(struct list *l, uint64_t address, char type, struct str name)
{
	char line[LINE_MAX_BYTES];
	int n = snprintf(line, sizeof(line), "%llx %c%s" STR_FMT "\n",
			 (unsigned long long)(address - l->kernel->bias), type, name.n ? " " : "",
			 STR_ARG(name));

	l->failed = zstd_out_write(l->to, (struct str){line, (size_t)n}, l->err) < 0;
	return !l->failed;
}

static bool is_function(const struct kallsym *s)
{
	return strchr("tTwW", s->type) && s->name.n <= NAME_MAX_BYTES;
}

/* Symbols come sorted; those before _text and out of order are offsets and absolute values. */
static bool take(void *ctx, const struct kallsym *s)
{
	struct list *l = ctx;

	if (s->module.n || s->address < l->kernel->start || s->address < l->last)
		return true;
	l->last = s->address;
	if (is_function(s)) {
		l->in_gap = false;
		return put(l, s->address, s->type, s->name);
	}
	if (l->in_gap)
		return true;
	l->in_gap = true;
	return put(l, s->address, '-', STR_EMPTY);
}

int kernel_list_write(const struct kernel_paths *paths, const struct kernel_image *k,
		      struct zstd_out *to, struct err *e)
{
	struct list l = {.kernel = k, .to = to, .err = e, .in_gap = true};
	char head[BUILD_ID_TEXT + 128];
	char id[BUILD_ID_TEXT];
	struct utsname machine;
	int n;

	uname(&machine);
	build_id_text(&k->id, id);
	n = snprintf(head, sizeof(head), "unhex-kallsyms 1 %s %s\n", id, machine.machine);
	if (zstd_out_write(to, (struct str){head, (size_t)n}, e) < 0 ||
	    kallsyms_walk(paths->kallsyms, take, &l, e) < 0)
		return -1;
	return l.failed ? -1 : 0;
}
