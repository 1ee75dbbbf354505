/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/record.h"

#include <string.h>

/* A copy comes instead of user frames, and is never without its registers. */
static int check_copy(const struct profile_record *head, struct err *e)
{
	bool has = head->unwinder == PROFILE_UNWINDER_COPY;

	if (has ? head->copy_words >= PROFILE_COPY_HEAD &&
			  head->copy_words <= PROFILE_COPY_HEAD + PROFILE_COPY_WORDS &&
			  head->user_count == 0
		: head->copy_words == 0)
		return 0;
	return err_set(e, ERR_BAD_REQUEST,
		       "sample record with a stack copy of %u words, %u user frames, unwinder %u",
		       head->copy_words, head->user_count, head->unwinder);
}

int record_parse(const void *data, size_t size, struct record *ret, struct err *e)
{
	struct profile_record head;
	const uint64_t *words;
	size_t n;

	if (size < sizeof(head))
		return err_set(e, ERR_BAD_REQUEST, "sample record of %zu bytes; a head has %zu",
			       size, sizeof(head));
	memcpy(&head, data, sizeof(head));
	if (head.kernel_count > PROFILE_DEPTH || head.user_count > PROFILE_DEPTH)
		return err_set(e, ERR_BAD_REQUEST,
			       "sample record with %u kernel and %u user frames; at most %d each",
			       head.kernel_count, head.user_count, PROFILE_DEPTH);
	if (check_copy(&head, e) < 0)
		return -1;
	n = (size_t)head.kernel_count + head.user_count + head.copy_words;
	// The ring hands out sizes as they were written: no padding.
	if (size != sizeof(head) + n * sizeof(*words))
		return err_set(e, ERR_BAD_REQUEST,
			       "sample record of %zu bytes does not hold %zu words", size, n);
	if (head.why >= PROFILE_END_COUNT || head.unwinder >= PROFILE_UNWINDER_COUNT ||
	    head.kind >= PROFILE_KIND_COUNT)
		return err_set(e, ERR_BAD_REQUEST,
			       "sample record of kind %u with stack end %u, unwinder %u", head.kind,
			       head.why, head.unwinder);
	head.comm[PROFILE_COMM - 1] = 0;
	head.leader_comm[PROFILE_COMM - 1] = 0;
	words = (const uint64_t *)((const char *)data + sizeof(head));
	*ret = (struct record){
		.head = head,
		.kernel_ips = words,
		.user_ips = words + head.kernel_count,
	};
	if (head.copy_words > 0) {
		ret->copy = (const struct profile_stack_copy *)(words + head.kernel_count);
		ret->copy_words = (size_t)head.copy_words - PROFILE_COPY_HEAD;
	}
	return 0;
}
