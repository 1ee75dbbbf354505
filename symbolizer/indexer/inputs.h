/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that one run reads: the ELF file (or GSYM), and what belongs to it: its debug file, what dwz
 * shared between debug files, packages and files of split DWARF. They are named on the command line or
 * looked for beside it; opened before the sandbox closes, parsed inside it. Owned by one thread; names are
 * borrowed from the command line.
 */
#ifndef SYMBOLIZER_INDEXER_INPUTS_H
#define SYMBOLIZER_INDEXER_INPUTS_H

#include "base/opt.h"
#include "base/sandbox.h"
#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/indexer/warnings.h"

enum { INPUT_PATH_SIZE = 4096 };
enum input_role { INPUT_ELF, INPUT_DEBUG, INPUT_ALTERNATE, INPUT_ROLES };

struct input {
	const char *name; /* NULL: not given, not found */
	int fd;
	bool loaded;
	struct elf_image image;
};

struct inputs {
	struct input files[INPUT_ROLES];
	char found[INPUT_ROLES][INPUT_PATH_SIZE];
	struct input *split; /* .dwp and .dwo files */
	size_t split_count;
	struct elf_image **split_images; /* of those that could be loaded */
	size_t split_image_count;
	char package[INPUT_PATH_SIZE]; /* the one beside ELF */
};

#define INPUTS_INIT                                                                                          \
	{                                                                                                    \
		.files = {{.fd = -1}, {.fd = -1}, {.fd = -1}}                                                \
	}

struct inputs_wanted {
	char *const *names; /* ELF, and perhaps its debug file */
	size_t name_count;
	const struct opt_list *debug_dirs;
	const char *alternate; /* NULL: look for it in debug_dirs */
	const char *package;   /* NULL: look beside ELF unless `dwo` has some */
	const struct opt_list *dwo;
	bool alone; /* only ELF is of interest: nothing is looked for */
	const struct sandbox_limits *limits; /* of the process that says what to look for */
};

/* Call inputs_deinit() also after -1. ERR_NOT_FOUND, ERR_IO, ERR_USAGE, ERR_NOMEM, and as debug_dir_find(). */
int inputs_open(struct inputs *in, const struct inputs_wanted *w, struct warnings *warnings,
		struct err *e) MUST_CHECK;
void inputs_deinit(struct inputs *in);

/* Parses them. A bad file of split DWARF costs its own functions and a warning; else as elf_image_open(). */
int inputs_load(struct inputs *in, struct warnings *warnings, struct err *e) MUST_CHECK;
/* Of a file that was loaded, or NULL. */
struct elf_image *inputs_image(struct inputs *in, enum input_role role);
/* Does the path `name` lead to one of them? */
bool inputs_include(const struct inputs *in, const char *name);

#endif
