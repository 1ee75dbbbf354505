/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was loaded into the kernel after it booted, and where its code lies: modules, with a build-ID of
 * their own (/sys/module/NAME), and BPF programs, of which only this host knows the names.
 *
 * A module's addresses are shipped as the server lays out its file (elf_code_sections.h), which takes
 * the file, NAME.ko of /lib/modules. Where that cannot be read (it is compressed, or not in sight of a
 * container) they are offsets in .text and come without a build-ID: better no name than a wrong one.
 *
 * Nothing is read before a sample lies in none of what is known, and then now and then only: BPF
 * programs stand at the end of /proc/kallsyms. One owner thread.
 */
#ifndef AGENT_KERNEL_LOADED_H
#define AGENT_KERNEL_LOADED_H

#include "agent-lite/process/kernel_image.h"
#include "agent-lite/process/module.h"

enum {
	KERNEL_MODULES_MAX = 1024,
	KERNEL_REGIONS_MAX = 16384,
	KERNEL_LOADED_PAUSE_MS = 300 * 1000, /* between two looks; grows where they find nothing new */
	KERNEL_LOADED_PAUSE_MAX_MS = 3600 * 1000,
};

struct kernel_region {
	uint64_t start, end;
	uint64_t link;		/* what `start` is shipped as */
	struct module *module;	/* a reference */
	char *function;		/* of BPF; else NULL */
	char *file;		/* of a module; NULL: unknown */
};

struct kernel_loaded {
	const struct kernel_paths *paths; /* borrowed */
	const char *elf_program;	  /* as elf_child_new(); borrowed */
	struct kernel_region *regions;	  /* sorted, apart */
	size_t n, cap;
	bool missed;
	uint64_t next_look_ms, pause_ms;
	uint64_t looks;
};

void kernel_loaded_init(struct kernel_loaded *k, const struct kernel_paths *paths,
			const char *elf_program);
void kernel_loaded_deinit(struct kernel_loaded *k);
/* False: nothing known lies at ip. What is borrowed lives until the next look. */
bool kernel_loaded_frame(struct kernel_loaded *k, uint64_t ip, struct frame *ret);
/* Looks again where samples were missed, if it is time to. Costs some 50 ms of CPU then. */
int kernel_loaded_refresh(struct kernel_loaded *k, struct err *e) MUST_CHECK;
/* A descriptor of the file of the module of that build-ID, or -1. */
int kernel_loaded_open(const struct kernel_loaded *k, const char *build_id);

#endif
