/* SPDX-License-Identifier: Apache-2.0 */
/* A tiny function of a shared library, called all the time: main -> call_often -> (PLT stub) -> tiny. */
#include "victim.h"

uint64_t tiny(uint64_t x);

NOIPA uint64_t call_often(uint64_t x)
{
	for (int i = 0; i < ROUNDS; i++)
		x = tiny(x);
	return x;
}

int main(int argc, char **argv)
{
	return victim_run(argc, argv, call_often);
}
