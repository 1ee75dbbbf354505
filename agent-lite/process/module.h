/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module: what a profile's mapping names, i.e. one binary (or one of the places that are none),
 * and how run-time addresses in it become the addresses that are shipped. Shared by reference count
 * among the processes that map it and the batches that mention it. One owner thread.
 */
#ifndef AGENT_MODULE_H
#define AGENT_MODULE_H

#include "agent-lite/elf/elf_ident.h"
#include "agent-lite/process/mappings.h"
#include "base/base.h"
#include "base/cleanup.h"

struct module;

/* Where the kernel's walk finds this module's unwind table. */
struct module_unwind {
	uint64_t base;					 /* ELF virtual address of the table's pc 0 */
	uint32_t table;					 /* valid if there is a release() */
	uint32_t pages;
	void (*release)(void *ctx, struct module *m); /* called when the module goes */
	void *ctx;
};

struct module {
	unsigned refs;
	char *filename;
	char build_id[BUILD_ID_TEXT]; /* empty: none */
	bool has_ident;		      /* ident is valid: addresses become ELF virtual addresses */
	struct elf_ident ident;
	/* Identified by an event alone: addresses are file offsets, which the profile says. */
	bool by_offset;
	struct module_unwind unwind;
};

/* One address of a stack, ready to ship. */
struct frame {
	struct module *module; /* borrowed */
	uint64_t address;
	const char *function; /* borrowed; only where none but this host can tell (JIT), else NULL */
};

/* filename is copied; ident may be NULL. NULL when out of memory. */
struct module *module_new(const char *filename, const struct elf_ident *ident) MUST_CHECK;
struct module *module_ref(struct module *m);
struct module *module_unref(struct module *m); /* accepts NULL, returns NULL */
DEFINE_CLEANUP(struct module *, module_unref)

/*
 * What to ship for a run-time address inside the mapping: the ELF virtual address; for a file that
 * could not be read, the offset in the file, which at least does not change from run to run; else
 * the address as it is.
 */
uint64_t module_address(const struct module *m, const struct mapping *mapping, uint64_t address);

/*
 * What to ship for a user stack of n run-time addresses, leaf first, in mappings that all have
 * their modules. Returns the number of frames. A caller in no executable mapping ends the stack
 * when `cut`: it is what a walk over frame pointers finds where a function keeps none. What is not
 * cut goes to `unknown` as it is. The modules in ret are borrowed.
 */
size_t module_frames(const struct mappings *mappings, struct module *unknown,
		     const uint64_t *addresses, size_t n, bool cut, struct frame *ret);

/* Deinits mappings whose modules are references of their own. */
void module_release_mappings(struct mappings *m);

/* Return addresses (all but the leaf, i == 0) point behind the call; profiles want into it. */
static inline uint64_t address_into_call(uint64_t ip, size_t i)
{
	return i > 0 && ip > 0 ? ip - 1 : ip;
}

#endif
