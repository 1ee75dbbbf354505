/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk for aarch64, compiled on whatever this is, over stacks that a program for aarch64 had, at
 * each of its instructions: tests/subjects/aarch64/record.sh made them. The tables are those of the
 * program's file, so what is tested is everything from .eh_frame to the last caller.
 */
#define UNWIND_AARCH64 1
#define unwind_replay unwind_replay_aarch64
#include "agent-lite/sample/unwind_replay.c"

#include "agent-lite/elf/unwind_table.h"
#include "base/testing.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define RECORDED "tests/subjects/aarch64/recorded/"

enum { SLOTS = 4096, FUNCTIONS = 64, STACK_WORDS = 4096 };

static struct {
	uint64_t slots[SLOTS];
	struct unwind_table table;
	struct function {
		uint64_t start, size;
		char name[32];
	} functions[FUNCTIONS];
	size_t function_count;
	uint64_t load, top;
	uint64_t stack[STACK_WORDS]; /* up to top */
} recorded;

static struct err e;

/* Who calls whom; the first ones have their chain's name before theirs. */
static const char *const callers[] = {
	"handled", "handler",	   "restorer",	 "leaf",   "inner", "middle", "wide",
	"outer",   "record_range", "record_all", "_start",
};

// ---- what was recorded -------------------------------------------------------------------------

static FILE *open_recorded(const char *path)
{
	FILE *f = fopen(path, "re");

	if (!f)
		fail_msg("%s cannot be read", path);
	return f;
}

static void load_functions(void)
{
	FILE *f = open_recorded(RECORDED "functions.txt");
	struct function *to = recorded.functions;

	while (fscanf(f, "%" SCNx64 " %" SCNx64 " %31s", &to->start, &to->size, to->name) == 3) {
		recorded.function_count++;
		to++;
		assert_true(recorded.function_count < FUNCTIONS);
	}
	assert_true(feof(f));
	fclose(f);
}

static int setup(void **state)
{
	int fd = open(RECORDED "chains", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_ok(unwind_table_build(fd, recorded.slots, SLOTS, &recorded.table, &e));
	close(fd);
	load_functions();
	return 0;
}

static const char *function_at(uint64_t pc)
{
	for (size_t i = 0; i < recorded.function_count; i++) {
		const struct function *f = &recorded.functions[i];

		if (pc - recorded.load >= f->start && pc - recorded.load - f->start < f->size)
			return f->name;
	}
	return "?";
}

/* Its place among the callers; their number: none of the chain's. */
static size_t caller_at(const char *chain, uint64_t pc)
{
	const char *name = function_at(pc);
	size_t n = strlen(chain), i = 0;

	if (strncmp(name, chain, n) == 0 && name[n] == '_')
		name += n + 1;
	while (i < countof(callers) && strcmp(name, callers[i]) != 0)
		i++;
	return i;
}

/* What a line that begins with `w` says. */
static void change_stack(char *p)
{
	uint64_t address = strtoull(p, &p, 16);

	while (*p == ' ') {
		size_t from_top = (recorded.top - address) / 8;

		assert_in_range(from_top, 1, STACK_WORDS);
		recorded.stack[STACK_WORDS - from_top] = strtoull(p, &p, 16);
		address += 8;
	}
}

// ---- the walk ----------------------------------------------------------------------------------

struct tally {
	const char *chain;
	struct profile_stack_copy at; /* registers of the record that is being read */
	bool is_open;
	size_t records, exact, signatures;
	bool is_described; /* at each instruction */
};

static const uint64_t *the_table(void *ctx, uint32_t table, size_t *ret_n)
{
	(void)ctx;
	assert_int_equal(table, 0);
	*ret_n = recorded.table.pages + recorded.table.rows;
	return recorded.slots;
}

static void walk(const struct profile_stack_copy *at, struct unwind_result *ret)
{
	static uint64_t room[PROFILE_COPY_HEAD + STACK_WORDS];
	struct profile_stack_copy *copy = (struct profile_stack_copy *)room;
	const struct unwind_mapping mapping = {
		.start = recorded.load,
		.end = recorded.load + 0x2000,
		.bias = recorded.load + recorded.table.base,
		.pages = recorded.table.pages,
	};
	size_t words = (recorded.top - at->sp) / 8;
	const struct unwind_replay in = {
		.mappings = &mapping,
		.mapping_count = 1,
		.table = the_table,
		.copy = copy,
		.copy_words = words,
	};

	assert_true(words <= STACK_WORDS);
	*copy = *at;
	memcpy(copy->words, &recorded.stack[STACK_WORDS - words], words * 8);
	unwind_replay(&in, ret);
}

/* Whether it goes over every caller to _start. */
static bool is_exact(const struct tally *t, const struct unwind_result *walked)
{
	size_t leaf = caller_at(t->chain, t->at.ip);
	bool exact = walked->why == PROFILE_END_ROOT && walked->count == countof(callers) - leaf;

	for (size_t i = 0; exact && i < walked->count; i++)
		exact = caller_at(t->chain, walked->ips[i] - (i ? 1 : 0)) == leaf + i;
	return exact;
}

static void complain(const struct tally *t, const struct unwind_result *walked)
{
	print_message("chain %s at %#" PRIx64 ": ends for reason %d\n", t->chain,
		      (uint64_t)t->at.ip - recorded.load, (int)walked->why);
	for (size_t i = 0; i < walked->count; i++)
		print_message("  %#" PRIx64 " %s\n", walked->ips[i] - recorded.load,
			      function_at(walked->ips[i] - (i ? 1 : 0)));
}

/*
 * Where the compiler does not describe prologues and epilogues, a walk is exact when it begins in a
 * function that has neither.
 */
static bool must_be_exact(const struct tally *t)
{
	const char *name = callers[caller_at(t->chain, t->at.ip)];

	return t->is_described || strcmp(name, "handled") == 0 || strcmp(name, "leaf") == 0 ||
	       strcmp(name, "restorer") == 0;
}

static void end_record(struct tally *t)
{
	struct unwind_result walked;

	if (!t->is_open)
		return;
	t->is_open = false;
	t->records++;
	t->signatures += t->at.lr >> 48 != 0;
	if (caller_at(t->chain, t->at.ip) >= countof(callers))
		fail_msg("a record at %#" PRIx64 ", which is none of %s", (uint64_t)t->at.ip, t->chain);
	walk(&t->at, &walked);
	if (is_exact(t, &walked)) {
		t->exact++;
	} else if (must_be_exact(t)) {
		complain(t, &walked);
		fail_msg("not each caller was found");
	}
}

static void read_record(struct tally *t, char *line, bool is_ours)
{
	if (sscanf(line, "load %" SCNx64, &recorded.load) == 1 ||
	    sscanf(line, "top %" SCNx64, &recorded.top) == 1)
		return;
	if (line[0] == 'w') {
		change_stack(line + 1);
		return;
	}
	end_record(t);
	if (!is_ours)
		return;
	t->at = (struct profile_stack_copy){0};
	if (sscanf(line, "at %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, (uint64_t *)&t->at.ip,
		   (uint64_t *)&t->at.sp, (uint64_t *)&t->at.fp, (uint64_t *)&t->at.lr) != 4)
		fail_msg("no record: %s", line);
	t->is_open = true;
}

static void replay_chain(struct tally *t)
{
	FILE *f = open_recorded(RECORDED "stacks.txt");
	char line[1024], chain[32];
	bool is_ours = false;

	memset(recorded.stack, 0, sizeof(recorded.stack));
	while (fgets(line, sizeof(line), f)) {
		assert_non_null(strchr(line, '\n'));
		if (sscanf(line, "chain %31s", chain) == 1) {
			end_record(t);
			is_ours = strcmp(chain, t->chain) == 0;
		} else {
			read_record(t, line, is_ours);
		}
	}
	fclose(f);
	end_record(t);
	print_message("%s: %zu of %zu walks are exact\n", t->chain, t->exact, t->records);
}

/* Of the chain's own code and of the two that end a signal. */
static size_t instructions_of(const char *chain)
{
	size_t n = 2;

	for (size_t i = 0; i < recorded.function_count; i++) {
		const struct function *f = &recorded.functions[i];

		if (strncmp(f->name, chain, strlen(chain)) == 0 &&
		    caller_at(chain, recorded.load + f->start) < countof(callers))
			n += f->size / 4;
	}
	return n;
}

// ---- the chains --------------------------------------------------------------------------------

/* GCC describes where things are at each instruction. */
static void every_instruction_of(const char *chain, size_t *ret_signatures)
{
	struct tally t = {.chain = chain, .is_described = true};

	replay_chain(&t);
	assert_int_equal(t.records, instructions_of(chain));
	assert_int_equal(t.exact, t.records);
	*ret_signatures = t.signatures;
}

static void with_frame_records(void **state)
{
	size_t signatures;

	(void)state;
	every_instruction_of("gcc", &signatures);
	assert_int_equal(signatures, 0);
}

static void without_frame_records(void **state)
{
	size_t signatures;

	(void)state;
	every_instruction_of("gcc_bare", &signatures);
	assert_int_equal(signatures, 0);
}

static void with_signed_return_addresses(void **state)
{
	size_t signatures;

	(void)state;
	every_instruction_of("gcc_signed", &signatures);
	assert_true(signatures > 0);
}

/* clang 14 says nothing of epilogues, and of prologues only what holds after them. */
static void as_clang_makes_them(void **state)
{
	struct tally with = {.chain = "clang"}, without = {.chain = "clang_bare"};

	(void)state;
	replay_chain(&with);
	assert_int_equal(with.records, instructions_of("clang"));
	assert_true(with.exact > with.records / 2);
	replay_chain(&without);
	assert_int_equal(without.records, instructions_of("clang_bare"));
	assert_true(without.exact > without.records / 2);
	assert_true(without.signatures > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_frame_records),
		cmocka_unit_test(without_frame_records),
		cmocka_unit_test(with_signed_return_addresses),
		cmocka_unit_test(as_clang_makes_them),
	};

	return cmocka_run_group_tests_name("unwind_recorded_aarch64", tests, setup, NULL);
}
