/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program samples itself: linked in, and with UNHEX_SAMPLES=FILE in the environment, it takes
 * 99 stacks per second of its own CPU time by SIGPROF and writes them to FILE at exit, as raw
 * addresses with its mappings. For `unhex-agent --from-samples FILE`, where eBPF is not permitted.
 * The format is described in agent-lite/ship/samples_file.h. Compiles as C and as C++; Linux on x86-64
 * only.
 *
 * Stacks are walked by frame pointers (-fno-omit-frame-pointer), those of the main thread only: it
 * is the one whose stack bounds are known. Other threads give their leaf.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	HZ = 99,
	DEPTH = 64,
	SAMPLES = 1 << 14, // minutes
	LINE = 4096,
};

struct sample {
	uint32_t n;
	uint64_t ip[DEPTH];
};

extern void *__libc_stack_end; // where the main thread's stack begins

static struct sample *samples; // mapped, so that untouched pages cost nothing
static uint32_t sample_count;
static uint32_t lost;
static const char *output;
static struct timespec started_real, started_mono;

/* Walks upwards only, and within the stack: every read is of mapped memory. */
static uint32_t walk(uint64_t ip, uint64_t sp, uint64_t fp, uint64_t *ips)
{
	const uint64_t end = (uint64_t)__libc_stack_end;
	uint64_t floor = sp;
	uint32_t n = 0;

	ips[n++] = ip;
	while (n < DEPTH && fp >= floor && fp % sizeof(uint64_t) == 0 && fp < end &&
	       end - fp >= 2 * sizeof(uint64_t)) {
		const uint64_t *frame = (const uint64_t *)fp;

		if (frame[1] == 0)
			break;
		ips[n++] = frame[1];
		floor = fp + 2 * sizeof(uint64_t);
		fp = frame[0];
	}
	return n;
}

static void on_sigprof(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = (const ucontext_t *)context;
	uint32_t at = __atomic_fetch_add(&sample_count, 1, __ATOMIC_RELAXED);

	(void)sig;
	(void)info;
	if (at >= SAMPLES) {
		__atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
		return;
	}
	samples[at].n = walk((uint64_t)uc->uc_mcontext.gregs[REG_RIP],
			     (uint64_t)uc->uc_mcontext.gregs[REG_RSP],
			     (uint64_t)uc->uc_mcontext.gregs[REG_RBP], samples[at].ip);
}

static void set_timer(long usec)
{
	struct itimerval every;

	memset(&every, 0, sizeof(every));
	every.it_interval.tv_usec = usec;
	every.it_value.tv_usec = usec;
	setitimer(ITIMER_PROF, &every, NULL);
}

static long long nanoseconds(const struct timespec *t)
{
	return (long long)t->tv_sec * 1000000000 + t->tv_nsec;
}

static void write_head(FILE *f)
{
	struct timespec now;
	char comm[64] = "?";
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, comm, sizeof(comm) - 1);

	if (n > 0)
		comm[n - (comm[n - 1] == '\n')] = 0;
	if (fd >= 0)
		close(fd);
	clock_gettime(CLOCK_MONOTONIC, &now);
	fprintf(f, "unhex-samples 1\nhz %d\npid %d\ncomm %s\n", HZ, (int)getpid(), comm);
	fprintf(f, "start_unix_ns %lld\nduration_ns %lld\nlost %u\n", nanoseconds(&started_real),
		nanoseconds(&now) - nanoseconds(&started_mono), lost);
}

static void write_maps(FILE *f)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[LINE];

	fputs("maps\n", f);
	while (maps && fgets(line, sizeof(line), maps))
		fputs(line, f);
	if (maps)
		fclose(maps);
}

static void write_stacks(FILE *f)
{
	uint32_t count = sample_count < SAMPLES ? sample_count : (uint32_t)SAMPLES;

	fputs("stacks\n", f);
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < samples[i].n; j++)
			fprintf(f, "%s%llx", j ? " " : "", (unsigned long long)samples[i].ip[j]);
		fputc('\n', f);
	}
	fputs("end\n", f);
}

__attribute__((destructor)) static void sampler_write(void)
{
	FILE *f;

	if (!samples)
		return;
	set_timer(0);
	signal(SIGPROF, SIG_IGN);
	f = fopen(output, "we");
	if (!f) {
		fprintf(stderr, "sigprof sampler: cannot write %s\n", output);
		return;
	}
	write_head(f);
	write_maps(f);
	write_stacks(f);
	if (fclose(f) != 0)
		fprintf(stderr, "sigprof sampler: cannot write %s\n", output);
}

__attribute__((constructor)) static void sampler_start(void)
{
	struct sigaction action;
	void *p;

	output = getenv("UNHEX_SAMPLES");
	if (!output || !*output)
		return;
	p = mmap(NULL, SAMPLES * sizeof(struct sample), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return;
	samples = (struct sample *)p;
	clock_gettime(CLOCK_REALTIME, &started_real);
	clock_gettime(CLOCK_MONOTONIC, &started_mono);
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_sigprof;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigaction(SIGPROF, &action, NULL);
	set_timer(1000000 / HZ);
}
