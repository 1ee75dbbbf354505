/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running kernel as a module: its build-ID (the notes in /sys/kernel/notes) and how far KASLR
 * moved it (run-time _text of /proc/kallsyms minus the link-time one), so that kernel addresses are
 * shipped as they stand in vmlinux. No state beyond the struct; thread-safe.
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
	uint64_t end;	/* run-time _etext */
	uint64_t bias;	/* run time minus link time */
};

/*
 * notes: the bytes of /sys/kernel/notes; kallsyms: the text of /proc/kallsyms. -1 with a reason
 * that names what is missing (no note, hidden addresses): ERR_NO_CAPABILITY, ERR_NO_KERNEL_SUPPORT.
 */
int kernel_image_parse(struct str notes, struct str kallsyms, struct kernel_image *ret,
		       struct err *e) MUST_CHECK;
/* From the running kernel. *ret is always usable: without an answer nothing is known of it. */
int kernel_image_read(struct kernel_image *ret, struct err *e) MUST_CHECK;

#endif
