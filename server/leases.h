/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who was asked for which binary, so that a fleet of hosts that all run it sends it once: a lease on
 * a build-ID is given to one asker and ends with its upload or when its time is over. In memory only:
 * after a restart the worst is an upload that was there already. Bounded. Thread-safe.
 */
#ifndef SERVER_LEASES_H
#define SERVER_LEASES_H

#include "base/build_id.h"
#include "base/err.h"

enum { LEASES_MAX = 65536 };

struct leases;

int leases_new(uint64_t duration_ms, struct leases **ret, struct err *e) MUST_CHECK;
void leases_free(struct leases *l); /* accepts NULL */
uint64_t leases_duration_ms(const struct leases *l);

/* 0: it is the caller's now. LEASE_HELD: somebody else's, or the table is full. ERR_NOMEM. */
enum { LEASE_HELD = 1 };
int leases_take(struct leases *l, const struct build_id *id, struct err *e) MUST_CHECK;
/*
 * The upload of what may be leased begins, and ends. In between the lease does not run out. An
 * upload that will be refused again when it comes again leaves the lease as it is; after any other
 * end it is free.
 */
/* False: it is not leased, and nothing is to be ended. */
bool leases_upload_begins(struct leases *l, const struct build_id *id);
void leases_upload_ends(struct leases *l, const struct build_id *id, bool refused);

#endif
