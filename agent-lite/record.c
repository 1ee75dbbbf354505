/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/record.h"

#include <string.h>

int record_parse(const void *data, size_t size, struct record *ret, struct err *e)
{
	struct profile_record head;
	size_t frames;

	if (size < sizeof(head))
		return err_set(e, ERR_BAD_REQUEST, "sample record of %zu bytes; a head has %zu",
			       size, sizeof(head));
	memcpy(&head, data, sizeof(head));
	if (head.kernel_count > PROFILE_DEPTH || head.user_count > PROFILE_DEPTH)
		return err_set(e, ERR_BAD_REQUEST,
			       "sample record with %u kernel and %u user frames; at most %d each",
			       head.kernel_count, head.user_count, PROFILE_DEPTH);
	frames = (size_t)head.kernel_count + head.user_count;
	// The ring hands out sizes as they were written: no padding.
	if (size != sizeof(head) + frames * sizeof(uint64_t))
		return err_set(e, ERR_BAD_REQUEST,
			       "sample record of %zu bytes does not hold %zu frames", size, frames);
	if (head.why >= PROFILE_END_COUNT || head.unwinder >= PROFILE_UNWINDER_COUNT)
		return err_set(e, ERR_BAD_REQUEST, "sample record with stack end %u, unwinder %u",
			       head.why, head.unwinder);
	head.comm[PROFILE_COMM - 1] = 0;
	head.leader_comm[PROFILE_COMM - 1] = 0;
	ret->head = head;
	memcpy(ret->ips, (const uint8_t *)data + sizeof(head), frames * sizeof(uint64_t));
	ret->kernel_ips = ret->ips;
	ret->user_ips = ret->ips + head.kernel_count;
	return 0;
}
