/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits in a known chain: main -> caller -> nap -> nanosleep(), 20 ms at a time; and for a tenth of
 * a millisecond each in brief().
 */
#include "victim.h"

NOIPA int nap(long ns)
{
	struct timespec t = {0, ns};
	int r = nanosleep(&t, NULL);

	KEEP(r);
	return r;
}

NOIPA int brief(void)
{
	int r = nap(100 * 1000L);

	KEEP(r);
	return r;
}

NOIPA int caller(void)
{
	int r = nap(20 * 1000 * 1000L);

	KEEP(r);
	return r;
}

int main(int argc, char **argv)
{
	victim_start(argc, argv);
	victim_ready();
	while (victim_goes_on() && caller() == 0 && brief() == 0)
		;
	return 0;
}
