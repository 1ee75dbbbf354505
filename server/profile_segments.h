/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a closed head to segments: the profiles of each series merged, symbolized with what is known
 * now, written. Blocking; runs on the thread that writes windows.
 */
#ifndef SERVER_PROFILE_SEGMENTS_H
#define SERVER_PROFILE_SEGMENTS_H

#include "base/err.h"
#include "server/binaries.h"
#include "server/head.h"
#include "store/profile_dir.h"

/*
 * All series become visible together, with the note that `log` was taken up to h->last_position, or
 * none. What cannot be merged (limits, memory) is kept as it was pushed. The head is only read.
 */
int profile_segments_write(const struct head *h, struct binaries *binaries, struct profile_dir *dir,
			   const char *log, struct err *e) MUST_CHECK;

#endif
