/* SPDX-License-Identifier: Apache-2.0 */
/* The fast counts say what the plain loops say. */
#include "symbolizer/uhx_count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static int up_u8(const void *a, const void *b)
{
	const uint8_t *x = a;
	const uint8_t *y = b;

	return (*x > *y) - (*x < *y);
}

static int up_u16(const void *a, const void *b)
{
	const uint16_t *x = a;
	const uint16_t *y = b;

	return (*x > *y) - (*x < *y);
}

static int up_u32(const void *a, const void *b)
{
	const uint32_t *x = a;
	const uint32_t *y = b;

	return (*x > *y) - (*x < *y);
}

static uint32_t number(void)
{
	static const uint32_t edges[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff, 0x7fff, 0x8000, 0xfffe,
					 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
	static uint64_t state = 42;

	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return state >> 61 ? (uint32_t)(state >> 32) : edges[(state >> 32) % countof(edges)];
}

static void test_u8(void **state)
{
	(void)state;
	for (int round = 0; round < 10000; round++) {
		uint8_t v[8];

		for (size_t i = 0; i < countof(v); i++)
			v[i] = (uint8_t)number();
		qsort(v, countof(v), sizeof(v[0]), up_u8);
		for (unsigned x = 0; x < 256; x += 1 + (number() & 15))
			assert_int_equal(uhx_count_8_u8(v, (uint8_t)x),
					 uhx_count_8_u8_plain(v, (uint8_t)x));
	}
}

static void test_u16(void **state)
{
	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint16_t v[8];
		uint16_t x = (uint16_t)number();

		for (size_t i = 0; i < countof(v); i++)
			v[i] = (uint16_t)number();
		qsort(v, countof(v), sizeof(v[0]), up_u16);
		assert_int_equal(uhx_count_8_u16((uint8_t *)v, x),
				 uhx_count_u16_plain((uint8_t *)v, countof(v), x));
	}
}

static void test_u32(void **state)
{
	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint32_t v[16];
		uint32_t x = number();

		for (size_t i = 0; i < countof(v); i++)
			v[i] = number();
		qsort(v, countof(v), sizeof(v[0]), up_u32);
		assert_int_equal(uhx_count_16_u32((uint8_t *)v, x),
				 uhx_count_u32_plain((uint8_t *)v, countof(v), x));
		assert_int_equal(uhx_count_8_u32((uint8_t *)v, x),
				 uhx_count_u32_plain((uint8_t *)v, 8, x));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u8),
		cmocka_unit_test(test_u16),
		cmocka_unit_test(test_u32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
