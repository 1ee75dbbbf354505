/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of its own: named (15 characters), with all signals blocked, joined by its owner. A zeroed
 * struct thread has none.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/err.h"
#include <pthread.h>

struct thread {
	pthread_t id;
	bool started;
};

int thread_start(struct thread *t, const char *name, void *(*fn)(void *), void *arg,
		 struct err *e) MUST_CHECK;
/* Does nothing where none was started. */
void thread_join(struct thread *t);

#endif
