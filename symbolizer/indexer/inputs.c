/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/inputs.h"

#include "base/mem.h"
#include "symbolizer/indexer/debug_dir.h"
#include "symbolizer/indexer/gsym_image.h"
#include "symbolizer/indexer/input_file.h"
#include <stdio.h>
#include <unistd.h>

static int open_one(struct input *file, const char *name, struct err *e)
{
	*file = (struct input){.name = name, .fd = input_file_open(name, e)};
	return file->fd < 0 ? -1 : 0;
}

static void take_found(struct inputs *in, enum input_role role, int fd)
{
	in->files[role] = (struct input){.name = in->found[role], .fd = fd};
}

// ---- debug files ----------------------------------------------------------------------------------------

static int look_for_debug(struct inputs *in, const struct debug_wanted *w, struct warnings *warnings,
			  struct err *e)
{
	const struct input *elf = &in->files[INPUT_ELF];
	int fd;
	int rc = debug_dir_find(w, elf->fd, elf->name, &fd, in->found[INPUT_DEBUG], e);

	if (rc < 0)
		return -1;
	if (rc == DEBUG_DIR_FOUND)
		take_found(in, INPUT_DEBUG, fd);
	else if (!rc)
		warn(warnings, "%s: no debug file in the folders given", elf->name);
	return 0;
}

static int look_for_alternate(struct inputs *in, const struct debug_wanted *w, struct err *e)
{
	const struct input *from = &in->files[in->files[INPUT_DEBUG].name ? INPUT_DEBUG : INPUT_ELF];
	int fd;
	int rc = debug_dir_find_alt(w, from->fd, from->name, &fd, in->found[INPUT_ALTERNATE], e);

	if (rc > 0)
		take_found(in, INPUT_ALTERNATE, fd);
	return rc < 0 ? -1 : 0;
}

static int look_in_folders(struct inputs *in, const struct inputs_wanted *wanted, struct warnings *warnings,
			   struct err *e)
{
	const struct debug_wanted w = {wanted->debug_dirs, wanted->limits};

	if (!wanted->debug_dirs->n || gsym_image_is(in->files[INPUT_ELF].fd))
		return 0;
	if (!in->files[INPUT_DEBUG].name && look_for_debug(in, &w, warnings, e))
		return -1;
	return in->files[INPUT_ALTERNATE].name ? 0 : look_for_alternate(in, &w, e);
}

// ---- split DWARF ----------------------------------------------------------------------------------------

static int add_split(struct inputs *in, const char *name, struct err *e)
{
	if (open_one(&in->split[in->split_count], name, e))
		return -1;
	in->split_count++;
	return 0;
}

// As debuggers do: "prog.dwp" for "prog", or for its debug file. Nobody asked for it: where there is none nothing
// is said, and one that cannot be read (a folder) is worth a warning.
static void add_package_beside(struct inputs *in, const char *elf, struct warnings *warnings)
{
	struct err problem = ERR_INIT;
	int inherited;
	int n = snprintf(in->package, sizeof(in->package), "%s.dwp", elf);

	if (n < 0 || (size_t)n >= sizeof(in->package) || inherited_fd(elf, &inherited, &problem))
		return;
	if (access(in->package, R_OK) == 0 && add_split(in, in->package, &problem))
		warn(warnings, "%s", problem.msg);
}

// Whoever names a package or .dwo files need not have a look for one done.
static int open_split(struct inputs *in, const struct inputs_wanted *w, struct warnings *warnings, struct err *e)
{
	size_t n = w->dwo->n + 1;

	in->split = mem_calloc(n, sizeof(*in->split));
	in->split_images = mem_calloc(n, sizeof(struct elf_image *));
	if (!in->split || !in->split_images)
		return err_nomem(e);
	if (w->package && add_split(in, w->package, e))
		return -1;
	for (size_t i = 0; i < w->dwo->n; i++)
		if (add_split(in, w->dwo->items[i], e))
			return -1;
	if (!in->split_count)
		add_package_beside(in, in->files[INPUT_ELF].name, warnings);
	if (!in->split_count && in->files[INPUT_DEBUG].name)
		add_package_beside(in, in->files[INPUT_DEBUG].name, warnings);
	return 0;
}

// ---- all of them ----------------------------------------------------------------------------------------

int inputs_open(struct inputs *in, const struct inputs_wanted *w, struct warnings *warnings, struct err *e)
{
	if (open_one(&in->files[INPUT_ELF], w->names[0], e) ||
	    (w->name_count > 1 && open_one(&in->files[INPUT_DEBUG], w->names[1], e)) ||
	    (w->alternate && open_one(&in->files[INPUT_ALTERNATE], w->alternate, e)))
		return -1;
	if (w->alone)
		return 0;
	return look_in_folders(in, w, warnings, e) || open_split(in, w, warnings, e) ? -1 : 0;
}

static int load_one(struct input *file, struct err *e)
{
	if (elf_image_open(&file->image, file->fd, file->name, e))
		return -1;
	file->loaded = true;
	return 0;
}

int inputs_load(struct inputs *in, struct warnings *warnings, struct err *e)
{
	for (size_t i = 0; i < INPUT_ROLES; i++)
		if (in->files[i].name && load_one(&in->files[i], e))
			return -1;
	for (size_t i = 0; i < in->split_count; i++) {
		struct err problem = ERR_INIT;

		if (load_one(&in->split[i], &problem) == 0)
			in->split_images[in->split_image_count++] = &in->split[i].image;
		else
			warn(warnings, "%s", problem.msg); // names the file
	}
	return 0;
}

struct elf_image *inputs_image(struct inputs *in, enum input_role role)
{
	return in->files[role].loaded ? &in->files[role].image : NULL;
}

bool inputs_include(const struct inputs *in, const char *name)
{
	for (size_t i = 0; i < INPUT_ROLES; i++)
		if (in->files[i].fd >= 0 && output_file_is(name, in->files[i].fd))
			return true;
	for (size_t i = 0; i < in->split_count; i++)
		if (output_file_is(name, in->split[i].fd))
			return true;
	return false;
}

// The descriptors end with the process: some are the caller's.
void inputs_deinit(struct inputs *in)
{
	for (size_t i = 0; i < INPUT_ROLES; i++)
		if (in->files[i].loaded)
			elf_image_close(&in->files[i].image);
	for (size_t i = 0; i < in->split_count; i++)
		if (in->split[i].loaded)
			elf_image_close(&in->split[i].image);
	free(in->split);
	free(in->split_images);
}
