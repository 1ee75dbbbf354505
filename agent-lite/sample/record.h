/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sample as it came out of the ring buffer (bpf/profile.h), checked. Its addresses stay where
 * they are, in the ring. No state; thread-safe.
 */
#ifndef AGENT_RECORD_H
#define AGENT_RECORD_H

#include "base/base.h"
#include "base/err.h"
#include "bpf/profile.h"

struct record {
	struct profile_record head; /* names are NUL-terminated */
	const uint64_t *kernel_ips; /* leaf first; borrowed, as is the rest */
	const uint64_t *user_ips;
	const struct profile_stack_copy *copy; /* NULL: the walk was done in the kernel */
	size_t copy_words;		       /* of copy->words */
};

/*
 * data must be aligned to 8 bytes, as the ring's records are, and outlive *ret. ERR_BAD_REQUEST on
 * a record that is too short, too long, or whose counts are not those of its size.
 */
int record_parse(const void *data, size_t size, struct record *ret, struct err *e) MUST_CHECK;

#endif
