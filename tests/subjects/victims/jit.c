/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that is in no file, with frame pointers as JIT compilers keep them, and named in
 * /tmp/perf-PID.map as they do: main -> run -> jitted_outer -> jitted_inner -> inner (C).
 */
#include "victim.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FUNCTION = 64, PAGE = 4096 };

typedef uint64_t jitted_fn(uint64_t x);

NOIPA uint64_t inner(uint64_t x)
{
	return victim_burn(x);
}

/* push rbp; mov rbp, rsp; movabs rax, callee; call rax; pop rbp; ret */
static void emit(unsigned char *at, const void *callee)
{
	static const unsigned char head[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8};
	static const unsigned char tail[] = {0xff, 0xd0, 0x5d, 0xc3};

	memcpy(at, head, sizeof(head));
	memcpy(at + sizeof(head), &callee, sizeof(callee));
	memcpy(at + sizeof(head) + sizeof(callee), tail, sizeof(tail));
}

static bool write_map(const unsigned char *code, char *path, size_t size)
{
	FILE *map;

	snprintf(path, size, "/tmp/perf-%d.map", (int)getpid());
	map = fopen(path, "w");
	if (!map)
		return false;
	fprintf(map, "%lx %x jitted_inner\n%lx %x jitted_outer\n", (unsigned long)code, FUNCTION,
		(unsigned long)code + FUNCTION, FUNCTION);
	return fclose(map) == 0;
}

NOIPA uint64_t run(jitted_fn *f, uint64_t x)
{
	x = f(x);
	KEEP(x);
	return x;
}

int main(int argc, char **argv)
{
	unsigned char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t x = 1;
	char path[64];

	victim_start(argc, argv);
	if (code == MAP_FAILED || !write_map(code, path, sizeof(path)))
		return 1;
	emit(code, (const void *)inner);
	emit(code + FUNCTION, code);
	victim_ready();
	while (victim_goes_on())
		x = run((jitted_fn *)(code + FUNCTION), x);
	unlink(path);
	return x == 0;
}
