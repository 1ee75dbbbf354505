/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_answers.h"

#include "base/mem.h"
#include "tests/unit/toolbox.h"

enum { MANY = 20000 };

// Spread over all bytes of an address, never twice the same.
static uint64_t address(uint32_t i)
{
	return (uint64_t)i * 0x9e3779b97f4a7c15;
}

static void each_address_of_a_module_is_one(void **state)
{
	struct pprof_answers a = PPROF_ANSWERS_INIT;
	uint32_t number;

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < MANY; i++) {
			assert_int_equal(pprof_answers_put(&a, i % 3, address(i / 3), &number), 0);
			assert_int_equal(number, i);
			assert_int_equal(a.items[number].module, i % 3);
			assert_int_equal(a.items[number].va, address(i / 3));
		}
		assert_int_equal(a.n, MANY);
	}
	pprof_answers_deinit(&a);
}

static void check_order(const struct pprof_answers *a)
{
	uint32_t *order = pprof_answers_in_order(a);
	uint8_t *met = mem_calloc(a->n, 1);

	assert_non_null(order);
	assert_non_null(met);
	for (size_t i = 0; i < a->n; i++) {
		const struct pprof_answer *now = &a->items[order[i]];
		const struct pprof_answer *last = i ? &a->items[order[i - 1]] : now;

		assert_int_equal(met[order[i]]++, 0);
		assert_true(last->module < now->module ||
			    (last->module == now->module && last->va <= now->va));
	}
	free(order);
	free(met);
}

static void they_are_put_in_order(void **state)
{
	struct pprof_answers a = PPROF_ANSWERS_INIT;
	uint32_t number;

	(void)state;
	check_order(&a);
	assert_int_equal(pprof_answers_put(&a, 0, UINT64_MAX, &number), 0);
	check_order(&a);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(pprof_answers_put(&a, i % 3 << 7 * i % 24, address(i), &number), 0);
	check_order(&a);
	pprof_answers_deinit(&a);
	// As addresses are: near each other, so that most bytes are the same in all.
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(pprof_answers_put(&a, 0, 0x401000 + address(i) % 0x10000, &number), 0);
	check_order(&a);
	pprof_answers_deinit(&a);
}

static void running_out_of_memory_is_survived(void **state)
{
	bool fired = true;

	(void)state;
	for (unsigned long nth = 1; fired; nth++) {
		struct pprof_answers a = PPROF_ANSWERS_INIT;
		uint32_t *order = NULL;
		uint32_t number;
		bool failed = false;

		mem_fault_at(nth, 1);
		for (uint32_t i = 0; i < 200; i++)
			failed |= pprof_answers_put(&a, 0, i, &number) < 0;
		order = pprof_answers_in_order(&a);
		failed |= !order;
		fired = mem_fault_off();
		assert_int_equal(failed, fired);
		free(order);
		for (uint32_t i = 0; i < 200; i++)
			assert_int_equal(pprof_answers_put(&a, 0, i, &number), 0);
		assert_int_equal(a.n, 200);
		pprof_answers_deinit(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_address_of_a_module_is_one),
		cmocka_unit_test(they_are_put_in_order),
		cmocka_unit_test(running_out_of_memory_is_survived),
	};

	return cmocka_run_group_tests_name("pprof_answers", tests, NULL, NULL);
}
