/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For unit tests: at every few bytes of every function of a file, our inline chain must be the one that
 * llvm-symbolizer prints. Header-only.
 */
#ifndef TESTS_UNIT_LLVM_REFERENCE_H
#define TESTS_UNIT_LLVM_REFERENCE_H

#include "symbolizer/indexer/path.h"
#include "tests/unit/indexing.h"

enum { ADDRESSES_MAX = 20000, STEP = 3, LINE_MAX_BYTES = 8192 };

static struct frames frames; /* of the look-up at hand */

/* The addresses to ask about, into asked.txt. */
UNUSED static void choose_addresses(const char *file)
{
	FILE *out;
	char *text;
	char *save = NULL;
	char path[256];

	assert_int_equal(toolbox_run("nm -S --defined-only %s | awk '$3 ~ /[tTW]/ && NF == 4' >nm.txt", file), 0);
	text = toolbox_read("nm.txt", NULL);
	snprintf(path, sizeof(path), "%s/asked.txt", toolbox_dir);
	out = fopen(path, "we");
	assert_non_null(out);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long start, size;

		assert_int_equal(sscanf(line, "%llx %llx", &start, &size), 2);
		for (unsigned long long at = start; at < start + size; at += STEP)
			fprintf(out, "0x%llx\n", at);
	}
	fclose(out);
	free(text);
}

UNUSED static FILE *open_output(const char *name)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, name);
	f = fopen(path, "re");
	assert_non_null(f);
	return f;
}

/* "/a/./b.c:12:5" against a frame of ours. */
UNUSED static bool same_place(const struct frame *ours, char *place)
{
	struct buf path = BUF_INIT(4096);
	struct str file;
	char *column = strrchr(place, ':');
	char *line;
	bool same;

	assert_non_null(column);
	*column = '\0';
	line = strrchr(place, ':');
	assert_non_null(line);
	*line = '\0';
	file = strcmp(place, "??") == 0 ? STR_EMPTY : str_from(place);
	path_join(STR_EMPTY, file, &path);
	same = str_eq(buf_str(&path), ours->file) && (uint32_t)strtoul(line + 1, NULL, 10) == ours->line;
	buf_deinit(&path);
	return same;
}

/* What llvm calls a function is the symbol's name; ours may be an alias of it (two constructors). */
UNUSED static bool same_stem(struct str a, const char *b)
{
	size_t n = strcspn(b, ".");

	return a.n >= n && memcmp(a.p, b, n) == 0;
}

struct tally {
	unsigned addresses;
	unsigned frames;
	unsigned names; /* the same */
};

/* One answer: pairs of lines up to an empty one. */
UNUSED static void compare_chain(FILE *reference, uint64_t address, struct tally *t)
{
	char name[LINE_MAX_BYTES];
	char place[LINE_MAX_BYTES];
	size_t depth = 0;

	while (fgets(name, sizeof(name), reference) && name[0] != '\n') {
		assert_non_null(fgets(place, sizeof(place), reference));
		name[strcspn(name, "\n")] = '\0';
		place[strcspn(place, "\n")] = '\0';
		if (depth == 0 && strcmp(name, "??") == 0)
			continue;
		if (depth >= frames.n)
			fail_msg("at 0x%llx: %zu frames, llvm-symbolizer has %s %s too",
				 (unsigned long long)address, frames.n, name, place);
		if (!same_place(&frames.frame[depth], place))
			fail_msg("at 0x%llx: " STR_FMT ":%u, llvm-symbolizer says %s:…",
				 (unsigned long long)address, STR_ARG(frames.frame[depth].file),
				 frames.frame[depth].line, place);
		t->names += same_stem(frames.frame[depth].system_name, name);
		depth++;
	}
	assert_int_equal(depth, frames.n);
	t->addresses++;
	t->frames += (unsigned)depth;
}

/* The index of some files against what llvm-symbolizer says of one that has the same code. */
UNUSED static void compare_files(const char *file, const struct indexing_files *files)
{
	struct tally t = {0};
	struct indexing x;
	char line[64];
	FILE *asked;
	FILE *answers;

	choose_addresses(file);
	assert_int_equal(toolbox_run("llvm-symbolizer --inlines --functions=linkage --no-demangle "
				     "--obj=%s <asked.txt >llvm.txt", file), 0);
	indexing_run_files(&x, files);
	if (!x.index)
		fail_msg("%s", x.error.msg);
	asked = open_output("asked.txt");
	answers = open_output("llvm.txt");
	while (t.addresses < ADDRESSES_MAX && fgets(line, sizeof(line), asked)) {
		uint64_t address = strtoull(line, NULL, 16);

		uhx_lookup(x.index, address, &frames);
		compare_chain(answers, address, &t);
	}
	print_message("%s: %u addresses, %u frames, %u names alike\n", file, t.addresses, t.frames, t.names);
	assert_true(t.addresses > 50 && t.frames > t.addresses / 2);
	assert_true(t.names * 100 >= t.frames * 90); /* the rest: D1 and D2 of one destructor */
	fclose(asked);
	fclose(answers);
	assert_non_null(strstr(x.report.p, "\"warnings\":[]"));
	indexing_deinit(&x);
}

UNUSED static void compare(const char *file)
{
	compare_files(file, &(struct indexing_files){.elf = file});
}

#endif
