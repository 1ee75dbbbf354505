/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/gsym_tables.h"

#include "base/mem.h"

int gsym_tables_init(struct gsym_tables *t, struct err *e)
{
	*t = (struct gsym_tables){
		.strings = BUF_INIT(UINT32_MAX),
		.string_set = STR_SET_INIT(NULL),
		.path_set = STR_SET_INIT(NULL),
	};
	buf_append_c(&t->strings, '\0');
	if (t->strings.failed ||
	    mem_grow(&t->files, &t->file_cap, 1, sizeof(*t->files), UINT32_MAX))
		return err_nomem(e);
	t->files[t->file_count++] = (struct gsym_file){0, 0};
	return 0;
}

void gsym_tables_deinit(struct gsym_tables *t)
{
	buf_deinit(&t->strings);
	str_set_deinit(&t->string_set);
	str_set_deinit(&t->path_set);
	free(t->offsets);
	free(t->files);
}

static uint32_t fail(struct gsym_tables *t)
{
	t->strings.failed = t->strings.nomem = true;
	return 0;
}

static uint32_t add_string(struct gsym_tables *t, struct str s)
{
	uint32_t offset = (uint32_t)t->strings.n;

	if (mem_grow(&t->offsets, &t->offset_cap, t->string_set.n, sizeof(*t->offsets), UINT32_MAX))
		return fail(t);
	t->offsets[t->string_set.n - 1] = offset;
	buf_append_str(&t->strings, s);
	buf_append_c(&t->strings, '\0');
	return offset;
}

uint32_t gsym_tables_string(struct gsym_tables *t, struct str s)
{
	const char *nul = s.n ? memchr(s.p, '\0', s.n) : NULL;
	uint32_t number;
	int is_new;

	if (nul)
		s.n = (size_t)(nul - s.p);
	if (!s.n || t->strings.failed)
		return 0;
	is_new = str_set_borrow(&t->string_set, s, &number);
	if (is_new < 0)
		return fail(t);
	return is_new ? add_string(t, s) : t->offsets[number];
}

// "/x" has no folder that could be put before its name with a slash between.
static struct gsym_file split(struct gsym_tables *t, struct str path)
{
	struct str name = str_basename(path);
	size_t folder = path.n - name.n;

	if (folder < 2)
		return (struct gsym_file){0, gsym_tables_string(t, path)};
	return (struct gsym_file){gsym_tables_string(t, (struct str){path.p, folder - 1}),
				  gsym_tables_string(t, name)};
}

static uint32_t put_file(struct gsym_tables *t, struct str path)
{
	uint32_t number;
	int is_new = str_set_borrow(&t->path_set, path, &number);

	if (is_new < 0)
		return fail(t);
	if (!is_new)
		return number + 1;
	if (mem_grow(&t->files, &t->file_cap, t->file_count + 1, sizeof(*t->files), UINT32_MAX))
		return fail(t);
	t->files[t->file_count++] = split(t, path);
	return number + 1;
}

uint32_t gsym_tables_file(struct gsym_tables *t, struct str path)
{
	return path.n ? put_file(t, path) : 0;
}

uint32_t gsym_tables_nameless(struct gsym_tables *t)
{
	return put_file(t, STR_EMPTY);
}
