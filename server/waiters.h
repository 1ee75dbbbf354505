/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait without a thread. A waiter is held by everything it waits for, and by who sets it
 * up; when the last hold is released, or when its time is over, wake(ctx) is called, once. One thread with
 * a heap of deadlines serves them all.
 *
 *   w = waiter_new(...)            held once, by you
 *   waiter_hold(w)                 per thing waited for; each of them calls waiter_release(w) once
 *   waiter_start(w)                the clock runs; gives up your hold
 *
 * Thread-safe. The lock is innermost; wake() is called without it.
 */
#ifndef SERVER_WAITERS_H
#define SERVER_WAITERS_H

#include "base/err.h"
#include "server/binaries.h"

struct waiters;
struct waiter;

int waiters_new(struct waiters **ret, struct err *e) MUST_CHECK;
/* Wakes all that still wait, joins the thread. Every hold must have been released. Accepts NULL. */
void waiters_free(struct waiters *ws);

struct waiter *waiter_new(struct waiters *ws, const struct binaries_waiting *w) MUST_CHECK; /* or NULL */
void waiter_hold(struct waiter *w);
void waiter_release(struct waiter *w);
int waiter_start(struct waiter *w, struct err *e) MUST_CHECK; /* on failure wake() is never called */
/* Instead of waiter_start(): there is nothing to wait for. No wake(). */
void waiter_drop(struct waiter *w);

#endif
