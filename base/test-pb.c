/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pb.h"

#include "base/testing.h"

static void writing_matches_the_specification(void **state)
{
	static const uint64_t packed[] = {3, 270, 86942};
	struct buf b = BUF_INIT(100);

	(void)state;
	// The examples of protobuf.dev/programming-guides/encoding.
	pb_put_u64(&b, 1, 150);
	assert_int_equal(b.n, 3);
	assert_memory_equal(b.p, "\x08\x96\x01", 3);
	buf_clear(&b);
	pb_put_bytes(&b, 2, STR("testing"));
	assert_int_equal(b.n, 9);
	assert_memory_equal(b.p, "\x12\x07testing", 9);
	buf_clear(&b);
	pb_put_packed(&b, 6, packed, countof(packed));
	assert_int_equal(b.n, 8);
	assert_memory_equal(b.p, "\x32\x06\x03\x8e\x02\x9e\xa7\x05", 8);
	buf_clear(&b);
	pb_put_u64(&b, 1, 0);
	pb_put_bytes(&b, 2, STR_EMPTY);
	pb_put_packed(&b, 3, packed, 0);
	assert_int_equal(b.n, 0);
	pb_put_bytes_always(&b, 2, STR_EMPTY);
	assert_memory_equal(b.p, "\x12\x00", 2);
	buf_deinit(&b);
}

static void nested_messages_get_their_length(void **state)
{
	struct buf b = BUF_INIT(1000);
	struct pb_reader r;
	struct pb_field f;
	struct err e = ERR_INIT;
	size_t outer;
	size_t inner;

	(void)state;
	outer = pb_open(&b, 3);
	inner = pb_open(&b, 4);
	for (unsigned i = 0; i < 200; i++)
		buf_append_c(&b, 'x');
	pb_close(&b, inner);
	pb_put_u64(&b, 1, 7);
	pb_close(&b, outer);
	r = pb_reader(buf_str(&b));
	assert_int_equal(pb_next(&r, &f, &e), 1);
	assert_int_equal(f.number, 3);
	assert_int_equal(f.raw.n, b.n);
	assert_int_equal(pb_next(&r, &f, &e), 0);
	r = pb_reader(f.bytes);
	assert_int_equal(pb_next(&r, &f, &e), 1);
	assert_int_equal(f.number, 4);
	assert_int_equal(f.bytes.n, 200);
	assert_int_equal(pb_next(&r, &f, &e), 1);
	assert_int_equal(f.value, 7);
	buf_deinit(&b);
}

static void every_varint_comes_back(void **state)
{
	struct buf b = BUF_INIT(100);
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t v = (UINT64_C(1) << bit) | (bit % 3 ? 0 : (UINT64_C(1) << bit) - 1);
		struct pb_reader r;
		struct pb_field f;

		buf_clear(&b);
		pb_put_u64(&b, 1000, v);
		r = pb_reader(buf_str(&b));
		assert_int_equal(pb_next(&r, &f, &e), 1);
		assert_int_equal(f.number, 1000);
		assert_true(f.value == v);
	}
	buf_deinit(&b);
}

// The quick way and the long one meet at these: each number exactly at the end of what may be read, and
// cut off at every byte before.
static void varints_are_read_to_the_last_byte(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit <= 64; bit++) {
		for (int less = 0; less < 2; less++) {
			uint64_t v = (bit < 64 ? UINT64_C(1) << bit : 0) - (uint64_t)less;
			uint8_t bytes[PB_VARINT_MAX];
			const uint8_t *end = pb_write_varint(bytes, v);
			const uint8_t *at = bytes;
			uint64_t back;

			assert_int_equal(end - bytes, pb_varint_size(v));
			assert_true(pb_take_varint(&at, end, &back));
			assert_true(back == v && at == end);
			for (const uint8_t *cut = bytes; cut < end; cut++) {
				at = bytes;
				assert_false(pb_take_varint(&at, cut, &back));
				assert_ptr_equal(at, bytes);
			}
		}
	}
}

static void varints_are_counted(void **state)
{
	struct buf b = BUF_INIT(10000);

	(void)state;
	assert_int_equal(pb_count_varints(STR_EMPTY), 0);
	for (size_t n = 1; n <= 64; n++) {
		pb_put_varint(&b, UINT64_C(1) << n % 64);
		assert_int_equal(pb_count_varints(buf_str(&b)), n);
		// A number that is cut off is none yet.
		pb_put_varint(&b, 1 << 20);
		assert_int_equal(pb_count_varints((struct str){b.p, b.n - 1}), n);
		b.n -= pb_varint_size(1 << 20);
	}
	buf_deinit(&b);
}

// Around 127 bytes, where a length takes a second one, and up to the very end of the bytes.
static void texts_of_all_lengths_come_back(void **state)
{
	struct buf b = BUF_INIT(10000);
	char text[300];
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t n = 0; n <= sizeof(text); n++) {
		struct pb_reader r;
		struct pb_field f;

		buf_clear(&b);
		pb_put_bytes_always(&b, n % 2 ? 15 : 16, (struct str){text, n});
		r = pb_reader(buf_str(&b));
		assert_int_equal(pb_next(&r, &f, &e), 1);
		assert_int_equal(f.number, n % 2 ? 15 : 16);
		assert_int_equal(f.wire, PB_BYTES);
		assert_int_equal(f.bytes.n, n);
		assert_true(str_eq(f.raw, buf_str(&b)));
		assert_int_equal(pb_next(&r, &f, &e), 0);
		r = pb_reader((struct str){b.p, b.n - 1});
		assert_int_equal(pb_next(&r, &f, &e), -1);
		assert_int_equal(e.kind, ERR_BAD_PROTOBUF);
	}
	buf_deinit(&b);
}

static void fixed_fields_are_little_endian(void **state)
{
	struct pb_reader r = pb_reader(STR("\x0d\x01\x02\x03\x04\x11\x01\x02\x03\x04\x05\x06\x07\x08"));
	struct err e = ERR_INIT;
	struct pb_field f;

	(void)state;
	assert_int_equal(pb_next(&r, &f, &e), 1);
	assert_int_equal(f.wire, PB_FIXED32);
	assert_int_equal(f.value, 0x04030201);
	assert_int_equal(pb_next(&r, &f, &e), 1);
	assert_int_equal(f.wire, PB_FIXED64);
	assert_true(f.value == UINT64_C(0x0807060504030201));
	assert_int_equal(pb_next(&r, &f, &e), 0);
}

static void repeated_scalars_packed_or_not(void **state)
{
	struct pb_reader r = pb_reader(STR("\x32\x03\x03\x8e\x02\x30\x07"));
	struct pb_packed values;
	struct err e = ERR_INIT;
	struct pb_field f;
	uint64_t v;

	(void)state;
	assert_int_equal(pb_next(&r, &f, &e), 1);
	values = pb_packed(&f);
	assert_int_equal(pb_packed_next(&values, &v, &e), 1);
	assert_int_equal(v, 3);
	assert_int_equal(pb_packed_next(&values, &v, &e), 1);
	assert_int_equal(v, 270);
	assert_int_equal(pb_packed_next(&values, &v, &e), 0);
	assert_int_equal(pb_next(&r, &f, &e), 1);
	values = pb_packed(&f);
	assert_int_equal(pb_packed_next(&values, &v, &e), 1);
	assert_int_equal(v, 7);
	assert_int_equal(pb_packed_next(&values, &v, &e), 0);
}

static void check_malformed(struct str bytes, const char *part)
{
	struct pb_reader r = pb_reader(bytes);
	struct err e = ERR_INIT;
	struct pb_field f;
	int rc;

	do
		rc = pb_next(&r, &f, &e);
	while (rc == 1);
	assert_int_equal(rc, -1);
	assert_err(&e, ERR_BAD_PROTOBUF, part);
}

static void damage_names_the_byte(void **state)
{
	(void)state;
	check_malformed(STR("\x08\x96"), "a varint is cut off at byte 1");
	check_malformed(STR("\x08\x01\x12\x05testing"), "an unknown wire type (or a group) at byte");
	check_malformed(STR("\x12\x08testing"), "a length runs past the end at byte 1");
	check_malformed(STR("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "runs past the end");
	check_malformed(STR("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "longer than 64 bits");
	check_malformed(STR("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "longer than 64 bits");
	check_malformed(STR("\x00"), "an impossible field number at byte 0");
	check_malformed(STR("\x0d\x01\x02\x03"), "a fixed-size field is cut off at byte 1");
	check_malformed(STR("\x0b"), "an unknown wire type (or a group) at byte 1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writing_matches_the_specification),
		cmocka_unit_test(nested_messages_get_their_length),
		cmocka_unit_test(every_varint_comes_back),
		cmocka_unit_test(varints_are_read_to_the_last_byte),
		cmocka_unit_test(varints_are_counted),
		cmocka_unit_test(texts_of_all_lengths_come_back),
		cmocka_unit_test(fixed_fields_are_little_endian),
		cmocka_unit_test(repeated_scalars_packed_or_not),
		cmocka_unit_test(damage_names_the_byte),
	};

	return cmocka_run_group_tests_name("pb", tests, NULL, NULL);
}
