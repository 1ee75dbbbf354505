/* SPDX-License-Identifier: Apache-2.0 */
/* Needs no headers and no library, so that any compiler can build it for any machine. */

static volatile unsigned sink;

static inline unsigned rotate(unsigned x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static inline unsigned mix(unsigned a, unsigned b)
{
	a ^= rotate(b, 7);
	if (a & 1)
		sink += a;
	return rotate(a, 13) * 5 + b;
}

__attribute__((noinline)) static unsigned round_of(unsigned *state, unsigned n)
{
	for (unsigned i = 0; i + 1 < n; i++) {
		state[i] = mix(state[i], state[i + 1]);
		if (state[i] > 1000)
			state[i + 1] ^= mix(i, state[0]);
	}
	return state[0];
}

__attribute__((noinline)) static unsigned fold(const unsigned *p, unsigned n)
{
	unsigned sum = 0;

	while (n--)
		sum = mix(sum, *p++);
	return sum;
}

unsigned checksum(unsigned seed)
{
	unsigned state[8];

	for (unsigned i = 0; i < 8; i++)
		state[i] = mix(seed, i);
	for (unsigned i = 0; i < 20; i++)
		sink += round_of(state, 8);
	return fold(state, 8);
}

void _start(void)
{
	for (unsigned i = 0;; i++)
		sink = checksum(i);
}
