/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks made by hand for tests of the walk: one process whose program lies at PROGRAM with a table
 * of a few rows, and a stack whose words are set by address.
 */
#ifndef TESTS_REPLAY_H
#define TESTS_REPLAY_H

#include "agent-lite/sample/unwind_replay.h"
#include "base/testing.h"

#define PROGRAM 0x555555554000u
#define LIBRARY 0x7f0000000000u
#define STACK 0x7ffc00001000u

enum { REPLAY_PAGES = 4, REPLAY_ROWS = 16, REPLAY_WORDS = 4096 };

#define RULES(cfa, saved) ((cfa) | (saved) << 4)

static uint64_t at(uint64_t offset)
{
	return PROGRAM + offset;
}

static uint64_t replay_slots[REPLAY_PAGES + REPLAY_ROWS];
static const struct unwind_mapping replay_mappings[] = {
	{PROGRAM, PROGRAM + 0x4000, PROGRAM, 0, REPLAY_PAGES},
	{LIBRARY, LIBRARY + 0x4000, 0, UNWIND_NO_TABLE, 0},
};
static uint64_t replay_copy[PROFILE_COPY_HEAD + REPLAY_WORDS];
static struct unwind_result replay_result;

static const uint64_t *replay_table(void *ctx, uint32_t table, size_t *ret_n)
{
	(void)ctx;
	*ret_n = countof(replay_slots);
	return table == 0 ? replay_slots : NULL;
}

/* Rows ascending by pc. */
static void replay_set_rows(const struct unwind_row *rows, size_t n)
{
	uint32_t row = 0;

	assert_true(n <= REPLAY_ROWS);
	memset(replay_slots, 0, sizeof(replay_slots));
	for (uint32_t page = 0; page < REPLAY_PAGES; page++) {
		struct unwind_page p = {.first = row};

		while (row < n && rows[row].pc >> UNWIND_PAGE_SHIFT == page)
			row++;
		p.end = row;
		memcpy(&replay_slots[page], &p, sizeof(p));
	}
	memcpy(&replay_slots[REPLAY_PAGES], rows, n * sizeof(*rows));
}

static struct profile_stack_copy *replay_stack(void)
{
	return (struct profile_stack_copy *)replay_copy;
}

static void replay_registers(uint64_t ip, uint64_t sp, uint64_t fp, uint64_t lr)
{
	memset(replay_copy, 0, sizeof(replay_copy));
	*replay_stack() = (struct profile_stack_copy){.ip = ip, .sp = sp, .fp = fp, .lr = lr};
}

/* After replay_registers(): what lies at an address of the stack. */
static void replay_put(uint64_t address, uint64_t word)
{
	size_t i = (address - replay_stack()->sp) / 8;

	assert_true(i < REPLAY_WORDS);
	replay_stack()->words[i] = word;
}

static void replay(size_t words)
{
	const struct unwind_replay in = {
		.mappings = replay_mappings,
		.mapping_count = countof(replay_mappings),
		.table = replay_table,
		.copy = replay_stack(),
		.copy_words = words,
	};

	unwind_replay(&in, &replay_result);
}

static void assert_walk(enum profile_end why, const uint64_t *ips, size_t n)
{
	for (size_t i = 0; i < n && i < replay_result.count; i++)
		assert_int_equal(replay_result.ips[i], ips[i]);
	assert_int_equal(replay_result.count, n);
	assert_int_equal(replay_result.why, why);
}

#endif
