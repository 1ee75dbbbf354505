/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof_positions.h"

#include "base/mem.h"
#include "base/pb.h"
#include "tests/unit/toolbox.h"

enum { MANY = 64, AT_ONCE = 4 };

// xorshift64, so that a failure comes back.
static uint64_t random_state = 88172645463325252;

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

// What the plain wire reader makes of it.
static bool read_plainly(struct str packed, uint32_t n, uint32_t *to, size_t *ret_n)
{
	struct pb_reader r = pb_reader(packed);
	uint64_t id;
	int more;

	*ret_n = 0;
	while ((more = pb_next_packed(&r, &id, NULL)) > 0) {
		if (id < 1 || id > n)
			return false;
		to[(*ret_n)++] = (uint32_t)(id - 1);
	}
	return more == 0;
}

static void check_read(struct str packed, uint32_t n)
{
	uint32_t got[10 * MANY], want[10 * MANY];
	size_t got_n, want_n;
	char *exact = mem_dup(packed.p, packed.n); // so that ASan sees what is read beyond
	bool good;

	assert_non_null(exact);
	good = read_plainly((struct str){exact, packed.n}, n, want, &want_n);
	assert_int_equal(pprof_read_positions((struct str){exact, packed.n}, n, got, &got_n), good);
	if (good) {
		assert_int_equal(got_n, want_n);
		assert_memory_equal(got, want, want_n * sizeof(*want));
	}
	free(exact);
}

// Numbers of all sizes, mixed in every way that matters to four at a time.
static uint64_t pick(void)
{
	static const uint64_t edges[] = {0,	 1,	 0x7f,	 0x80,	   0x81,       0x3ffe,
					 0x3fff, 0x4000, 0x4001, 0x1fffff, UINT32_MAX, UINT64_MAX};
	uint64_t kind = random_below(20);

	if (kind == 0)
		return edges[random_below(countof(edges))];
	return kind < 16 ? 0x80 + random_below(0x3f80) : 1 + random_below(0x9000);
}

static void what_is_read_is_what_any_reader_reads(void **state)
{
	static const uint32_t limits[] = {0, 1, 100, 0x80, 0x3ffe, 0x3fff, 0x4000, 0x8000, 1 << 22};
	struct buf b = BUF_INIT(KIB(64));

	(void)state;
	for (size_t round = 0; round < 20000; round++) {
		size_t n = random_below(MANY);

		buf_clear(&b);
		for (size_t i = 0; i < n; i++)
			pb_put_varint(&b, pick());
		check_read(buf_str(&b), limits[random_below(countof(limits))]);
		check_read((struct str){b.p, b.n - MIN(b.n, (size_t)1)}, 1 << 22);
	}
	buf_deinit(&b);
}

// Each of four at each limit: 0 in two bytes, the last that is allowed, the first that is not.
static void every_lane_is_checked(void **state)
{
	static const uint32_t limits[] = {0x80, 0x81, 5000, 0x3ffe, 0x3fff};

	(void)state;
	for (size_t i = 0; i < countof(limits) * AT_ONCE; i++) {
		uint32_t n = limits[i / AT_ONCE];

		for (uint32_t id = n - 1; id <= MIN(n + 1, 0x3fffU); id++) {
			uint8_t bytes[8] = {0x80, 1, 0x80, 1, 0x80, 1, 0x80, 1};

			bytes[2 * (i % AT_ONCE)] = (uint8_t)(id | 0x80);
			bytes[2 * (i % AT_ONCE) + 1] = (uint8_t)(id >> 7);
			check_read((struct str){(char *)bytes, sizeof(bytes)}, n);
		}
	}
	check_read(STR("\x80\x01\x80\x00\x80\x01\x80\x01"), 5000);
	check_read(STR("\x80\x00\x80\x00\x80\x00\x80\x00"), 5000);
}

static void what_is_written_is_read_back(void **state)
{
	(void)state;
	for (size_t round = 0; round < 20000; round++) {
		size_t n = random_below(MANY);
		uint32_t *positions = mem_calloc(n, sizeof(*positions));
		uint8_t bytes[MANY * PPROF_POSITION_SIZE_MAX];
		uint32_t back[sizeof(bytes)];
		struct buf want = BUF_INIT(KIB(64));
		size_t got;

		assert_non_null(positions);
		for (size_t i = 0; i < n; i++) {
			positions[i] = (uint32_t)(pick() % (UINT32_MAX - 1));
			pb_put_varint(&want, (uint64_t)positions[i] + 1);
		}
		got = (size_t)(pprof_write_positions(bytes, positions, n) - bytes);
		assert_int_equal(got, want.n);
		assert_memory_equal(bytes, want.p, n ? want.n : 0);
		assert_true(pprof_read_positions((struct str){(char *)bytes, got}, UINT32_MAX, back,
						 &got));
		assert_int_equal(got, n);
		assert_memory_equal(back, positions, n * sizeof(*positions));
		buf_deinit(&want);
		free(positions);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_what_any_reader_reads),
		cmocka_unit_test(every_lane_is_checked),
		cmocka_unit_test(what_is_written_is_read_back),
	};

	return cmocka_run_group_tests_name("pprof_positions", tests, NULL, NULL);
}
