/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules by file identity (device, inode, change time, size), so that each binary on the host is
 * read once however many processes map it, and anew when it was replaced; and by what an event
 * tells of a mapping (build-ID, else device, inode, generation), so that no file is opened for what
 * is known. Holds the elf_child that reads them and the few modules that are no files. Bounded; what
 * no process uses goes first. One owner thread.
 */
#ifndef AGENT_MODULE_CACHE_H
#define AGENT_MODULE_CACHE_H

#include "agent-lite/process/module.h"
#include "agent-lite/elf/unwind_table.h"
#include "base/err.h"

enum { MODULE_CACHE_MAX = 8192 };

/* Places that are not files, and the names they are shipped under. */
enum module_special {
	MODULE_UNKNOWN,	     /* "[unknown]": in no known mapping */
	MODULE_ANON,	     /* "[anon]": JIT and other code in no file; addresses as they are */
	MODULE_VDSO,	     /* "[vdso]": with the build-ID of our own vdso, the same for all */
	MODULE_VSYSCALL,     /* "[vsyscall]" */
	MODULE_KERNEL,	     /* "[kernel]": the core image */
	MODULE_KERNEL_OTHER, /* "[kernel module]": loaded later: modules, BPF */
	MODULE_SPECIAL_COUNT,
};

struct module_cache_stats {
	uint64_t files_read;
	uint64_t files_failed; /* not ELF, damaged, or the reader died */
	uint64_t files_other;  /* whose build-ID is not that of the mapping: passed over */
	uint64_t tables_failed; /* damaged call frame information, or the reader died */
	uint64_t tables_refused; /* for want of room */
	uint64_t evicted;
	uint64_t evictions; /* times that room had to be made */
	unsigned reader_starts;
};

struct module_cache;

/* elf_program: see elf_child_new(). */
int module_cache_new(const char *elf_program, struct module_cache **ret, struct err *e) MUST_CHECK;
void module_cache_free(struct module_cache *c);
/*
 * The module of an open regular file; a new reference. A file that cannot be identified gives a
 * module without build-ID; -1: ERR_NOMEM, ERR_IO (fstat).
 */
int module_cache_get(struct module_cache *c, int fd, const char *filename, struct module **ret,
		     struct err *e) MUST_CHECK;
/*
 * The module behind a mapping; a new reference. fd: the mapped file, or -1 when it could not be
 * opened or the mapping is of none; it stays the caller's.
 */
int module_cache_of_mapping(struct module_cache *c, const struct mapping *m, int fd,
			    struct module **ret, struct err *e) MUST_CHECK;
/*
 * The module of a mapping of which an event told, if it is known already; a new reference, or NULL.
 * Opens nothing. Sets m->guessed where only the inode says so.
 */
struct module *module_cache_find(struct module_cache *c, struct mapping *m);
/*
 * Is fd's module the one of that mapping, as far as the event told? Then 1 and a new reference; it
 * will be found from now on. 0: another file.
 */
int module_cache_match(struct module_cache *c, const struct mapping *m, int fd, struct module **ret,
		       struct err *e) MUST_CHECK;
struct module *module_cache_special(struct module_cache *c,
				    enum module_special which); /* borrowed */
/* Gives the kernel its identity. */
void module_cache_set_kernel(struct module_cache *c, const struct build_id *id);

/* Takes the unwind table of a module just read, see unwind_store_add(). False: there is no room. */
typedef bool module_table_fn(void *ctx, struct module *m, const struct unwind_table *t,
			     const uint64_t *slots);
/* From now on files are read for their tables too; that of the vdso comes at once. */
void module_cache_set_tables(struct module_cache *c, module_table_fn *fn, void *ctx);
void module_cache_stats(const struct module_cache *c, struct module_cache_stats *ret);

/*
 * Is what was opened the file that is mapped? A path may by now name another one. The device is
 * compared where path is our own; seen through another process's root some overlay file systems
 * report another.
 */
bool module_is_mapped(int fd, const struct mapping *m, bool own_path);
/* The regular file of that path, if it is; fd or -1. */
int module_open_mapped(const char *path, const struct mapping *m, bool own_path);

#endif
