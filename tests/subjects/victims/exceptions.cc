// SPDX-License-Identifier: Apache-2.0
// The C++ run-time's own unwinder at work: main -> catcher -> passes (a destructor to run) -> thrower -> throw. Of
// every throw, "often" leaves out the work that comes before it.
#include "victim.h"

#include <stdexcept>

struct guard {
	uint64_t *count;
	~guard() { ++*count; }
};

static bool often;

NOIPA void thrower(uint64_t x)
{
	if (!often)
		x |= victim_burn(x);
	if (x != 0)
		throw std::runtime_error("thrown on purpose");
}

NOIPA void passes(uint64_t x, uint64_t *count)
{
	guard g{count};
	thrower(x);
}

NOIPA uint64_t catcher(uint64_t x)
{
	uint64_t count = 0;

	for (int i = 0; i < 100; i++) {
		try {
			passes(x, &count);
		} catch (const std::exception &e) {
			count += e.what()[0] != 0;
		}
	}
	return count;
}

int main(int argc, char **argv)
{
	often = argc > 2;
	return victim_run(argc, argv, catcher);
}
