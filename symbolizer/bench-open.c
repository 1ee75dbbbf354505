/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-open INDEX ADDRESS
 *
 * Milliseconds in this process from nothing to the first answer: open the index, look one address up,
 * read its strings. For a cold index, drop it from the page cache before.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "symbolizer/uhx_reader.h"
#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	_cleanup_(uhx_unrefp) struct uhx *u = NULL;
	static struct frames frames;
	struct err e = ERR_INIT;
	uint64_t address, start;
	uint64_t read = 0;

	if (argc != 3 || !str_hex_to_u64(str_from(argv[2]), &address)) {
		fprintf(stderr, "usage: bench-open INDEX ADDRESS\n");
		return EXIT_USAGE;
	}
	start = clock_mono_ns();
	if (uhx_open(argv[1], &u, &e)) {
		fprintf(stderr, "bench-open: %s\n", e.msg);
		return err_exit_code(e.kind);
	}
	uhx_lookup(u, address, &frames);
	for (size_t i = 0; i < frames.n; i++)
		read ^= xxh3_seeded(frames.frame[i].function.p, frames.frame[i].function.n, i) ^
			xxh3_seeded(frames.frame[i].file.p, frames.frame[i].file.n, i);
	printf("first answer %.4f ms (%zu frames, %" PRIx64 ")\n", (double)(clock_mono_ns() - start) / 1e6,
	       frames.n, read);
	return EXIT_OK;
}
