/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that burns, thread_main -> inner, and one that is mostly inside the kernel, below a frame
 * of 64 KiB: reader_main -> read_into_frame -> read(2).
 */
#include "victim.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

enum { FRAME = 64 << 10 };

NOIPA uint64_t inner(uint64_t x)
{
	return victim_burn(x);
}

static NOIPA void *thread_main(void *arg)
{
	uint64_t x = 1;

	while (victim_goes_on())
		x = inner(x);
	return x ? arg : NULL;
}

NOIPA ssize_t read_into_frame(int fd)
{
	char frame[FRAME];
	ssize_t n = read(fd, frame, sizeof(frame));

	__asm__ volatile("" : : "r"(frame) : "memory");
	return n;
}

static NOIPA void *reader_main(void *arg)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	while (fd >= 0 && victim_goes_on())
		n += read_into_frame(fd);
	return n ? arg : NULL;
}

int main(int argc, char **argv)
{
	pthread_t burner, reader;

	victim_start(argc, argv);
	if (pthread_create(&burner, NULL, thread_main, NULL) != 0 ||
	    pthread_create(&reader, NULL, reader_main, NULL) != 0)
		return 1;
	victim_ready();
	pthread_join(burner, NULL);
	pthread_join(reader, NULL);
	return 0;
}
