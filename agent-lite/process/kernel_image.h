/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running kernel as a module: its build-ID (the notes in /sys/kernel/notes), where its code lies,
 * and how far KASLR moved it, so that kernel addresses are shipped as they stand in vmlinux. No state
 * beyond the struct; thread-safe.
 *
 * How far: on x86-64 vmlinux is linked at one place in every distribution, so that _text in
 * /proc/kallsyms tells. On aarch64 that place depends on how many address bits the kernel was built
 * for and on its version, so the kernel has to say it: KERNELOFFSET in the VMCOREINFO note of
 * /proc/kcore, for which one needs CAP_SYS_RAWIO. Without it kernel frames stay unnamed there.
 */
#ifndef AGENT_KERNEL_IMAGE_H
#define AGENT_KERNEL_IMAGE_H

#include "base/base.h"
#include "base/build_id.h"
#include "base/err.h"

struct kernel_image {
	struct build_id id;
	bool known;	/* id and bias are good; else kernel addresses are shipped as they are */
	uint64_t start; /* run-time _text */
	uint64_t end;	/* behind _etext, before anything that is loaded later */
	uint64_t bias;	/* run time minus link time */
};

struct kernel_paths {
	const char *notes;
	const char *kallsyms;
	const char *kcore;
	const char *modules; /* /proc/modules */
	const char *sys_module; /* /sys/module */
	const char *roots[2];	/* below which lib/modules may be */
};

extern const struct kernel_paths kernel_paths; /* the running kernel's */

/*
 * *ret is always usable: without an answer nothing is known of it, and the reason names what is
 * missing (no note, hidden addresses): ERR_NO_CAPABILITY, ERR_NO_KERNEL_SUPPORT, ERR_IO.
 */
int kernel_image_read(const struct kernel_paths *paths, struct kernel_image *ret,
		      struct err *e) MUST_CHECK;
/* KERNELOFFSET of an ELF core as /proc/kcore is one. ERR_NO_CAPABILITY, ERR_NO_KERNEL_SUPPORT. */
int kernel_image_kcore_offset(const char *kcore, uint64_t *ret, struct err *e) MUST_CHECK;

#endif
