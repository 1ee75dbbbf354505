/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that a loaded kernel module came from, found by /lib/modules/RELEASE/modules.dep and checked
 * by its build-ID, and where the kernel put its code (/sys/module/NAME). No state; the reader's owner
 * thread.
 */
#ifndef AGENT_KERNEL_MODULE_FILE_H
#define AGENT_KERNEL_MODULE_FILE_H

#include "agent-lite/elf/elf_child.h"
#include "agent-lite/process/kernel_image.h"

enum { KERNEL_MODULE_PATH_MAX = 1024 };

struct kernel_module_file {
	struct build_id id;
	char path[KERNEL_MODULE_PATH_MAX];
	struct code_sections code;
	uint64_t loaded[CODE_SECTIONS_MAX]; /* run-time starts of these; 0: not loaded (any more) */
};

/* 0, or -1: there is none that can be read and is the one that runs. */
int kernel_module_file_find(const struct kernel_paths *paths, const char *name,
			    struct elf_child *reader, struct kernel_module_file *ret) MUST_CHECK;
/* Where a section of a module is; 0: not known. */
uint64_t kernel_module_section(const struct kernel_paths *paths, const char *name,
			       const char *section);
/* The path in modules.dep of a module, whose name has '_' where a file may have '-'. */
bool kernel_module_dep_path(struct str modules_dep, struct str name, struct str *ret);

#endif
