/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sample as it came out of the ring buffer (bpf/profile.h), checked and unpacked. Borrows
 * nothing: what was 2 KiB in the ring is 2 KiB here. No state; thread-safe.
 */
#ifndef AGENT_RECORD_H
#define AGENT_RECORD_H

#include "base/base.h"
#include "base/err.h"
#include "bpf/profile.h"

struct record {
	struct profile_record head; /* names are NUL-terminated */
	const uint64_t *kernel_ips; /* into ips; leaf first */
	const uint64_t *user_ips;
	uint64_t ips[2 * PROFILE_DEPTH];
};

/*
 * ERR_BAD_REQUEST on a record that is too short, too long, or whose counts are not those of its
 * size.
 */
int record_parse(const void *data, size_t size, struct record *ret, struct err *e) MUST_CHECK;

#endif
