/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads that hand a byte to and fro: main -> play -> (read, write), the other from player_main. */
#include "victim.h"

#include <pthread.h>
#include <unistd.h>

enum { EXCHANGES = 1000 };

static int there[2], back[2];

NOIPA bool play(int from, int to)
{
	char byte = 0;

	for (int i = 0; i < EXCHANGES; i++) {
		if (write(to, &byte, 1) != 1 || read(from, &byte, 1) != 1)
			return false;
	}
	return true;
}

static NOIPA void *player_main(void *arg)
{
	while (play(there[0], back[1]))
		;
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t player;

	victim_start(argc, argv);
	if (pipe(there) != 0 || pipe(back) != 0 ||
	    pthread_create(&player, NULL, player_main, NULL) != 0)
		return 1;
	victim_ready();
	while (victim_goes_on() && play(back[0], there[1]))
		;
	return 0;
}
