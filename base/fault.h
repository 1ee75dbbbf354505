/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fault to inject: from the nth call on, `times` calls in a row fail (0 = for ever). Unarmed it costs
 * one relaxed load. Shared by mem and io, which each own one. Thread-safe, except that arming races
 * with calls already under way.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/base.h"
#include <stdatomic.h>

struct fault {
	atomic_bool armed;
	atomic_bool fired;
	atomic_ulong seen;
	unsigned long nth;
	unsigned long times;
};

static inline void fault_arm(struct fault *f, unsigned long nth, unsigned long times)
{
	atomic_store(&f->armed, false);
	atomic_store(&f->fired, false);
	atomic_store(&f->seen, 0);
	f->nth = nth;
	f->times = times;
	atomic_store(&f->armed, true);
}

/* Returns whether it has fired. */
static inline bool fault_disarm(struct fault *f)
{
	atomic_store(&f->armed, false);
	return atomic_exchange(&f->fired, false);
}

/* Is this call to fail? */
static inline bool fault_hits(struct fault *f)
{
	unsigned long call;

	if (!atomic_load_explicit(&f->armed, memory_order_acquire))
		return false;
	call = atomic_fetch_add(&f->seen, 1) + 1;
	if (call < f->nth || (f->times && call - f->nth >= f->times))
		return false;
	atomic_store(&f->fired, true);
	return true;
}

#endif
