/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a closed head to segments: each series merged into one profile, symbolized with what is known now,
 * written. Blocking; runs on the profiles thread.
 */
#ifndef SERVER_PROFILE_SEGMENTS_H
#define SERVER_PROFILE_SEGMENTS_H

#include "base/err.h"
#include "server/binaries.h"
#include "server/head.h"
#include "store/profile_dir.h"

/* All series become visible together, or none. The head is only read. */
int profile_segments_write(const struct head *h, struct binaries *binaries, struct profile_dir *dir,
			   struct err *e) MUST_CHECK;

#endif
