/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library that comes later: main -> before, then from SIGUSR1 on main -> run_plugin -> plugin_outer
 * -> plugin_inner, the latter two in plugin.c, argv[2].
 */
#include "victim.h"

#include <dlfcn.h>
#include <signal.h>

typedef uint64_t plugin_fn(uint64_t x);

static volatile sig_atomic_t told;

static void on_signal(int number)
{
	told = number;
}

NOIPA uint64_t before(uint64_t x)
{
	return victim_burn(x);
}

NOIPA uint64_t run_plugin(plugin_fn *plugin, uint64_t x)
{
	x = plugin(x);
	KEEP(x);
	return x;
}

int main(int argc, char **argv)
{
	plugin_fn *plugin = NULL;
	uint64_t x = 1;

	victim_start(argc, argv);
	if (argc < 3 || signal(SIGUSR1, on_signal) == SIG_ERR)
		return 1;
	victim_ready();
	while (victim_goes_on() && !told)
		x = before(x);
	void *library = dlopen(argv[2], RTLD_NOW);
	if (library)
		plugin = (plugin_fn *)dlsym(library, "plugin_outer");
	if (!plugin)
		return 1;
	while (victim_goes_on())
		x = run_plugin(plugin, x);
	return x == 0;
}
