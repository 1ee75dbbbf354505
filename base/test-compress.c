/* SPDX-License-Identifier: Apache-2.0 */
#include "base/compress.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/testing.h"

typedef int codec(struct str in, struct buf *out, struct err *e);

// In the shape of the others, which have levels.
static int pack_fast(struct str in, int level UNUSED, struct buf *out, struct err *e)
{
	return gzip_compress_fast(in, out, e);
}

// Text that shrinks, but not to nothing.
static void fill(struct buf *b, size_t n)
{
	uint32_t x = 12345;

	while (b->n < n) {
		x = x * 1664525 + 1013904223;
		buf_printf(b, "line %u of the same old text\n", x >> 20);
	}
}

static void check_round_trip(int (*pack)(struct str, int, struct buf *, struct err *),
			     codec *unpack, size_t n)
{
	_cleanup_(buf_deinit) struct buf in = BUF_INIT(n + 100);
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(n * 2 + 1000);
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(n + 100);
	struct err e = ERR_INIT;

	fill(&in, n);
	assert_ok(pack(buf_str(&in), 3, &packed, &e));
	assert_ok(unpack(buf_str(&packed), &out, &e));
	assert_true(str_eq(buf_str(&in), buf_str(&out)));
	buf_clear(&out);
	assert_ok(decompress_any(buf_str(&packed), &out, &e));
	assert_true(str_eq(buf_str(&in), buf_str(&out)));
}

static void what_is_packed_unpacks(void **state)
{
	static const size_t sizes[] = {0, 1, 1000, 64 * 1024, 5 << 20};

	(void)state;
	for (size_t i = 0; i < countof(sizes); i++) {
		check_round_trip(gzip_compress, gzip_decompress, sizes[i]);
		check_round_trip(pack_fast, gzip_decompress, sizes[i]);
		check_round_trip(zstd_compress, zstd_decompress, sizes[i]);
	}
}

static void check_caps(int (*pack)(struct str, int, struct buf *, struct err *), codec *unpack)
{
	_cleanup_free_ char *zeros = mem_calloc(50 << 20, 1);
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(60 << 20);
	_cleanup_(buf_deinit) struct buf exact = BUF_INIT(50 << 20);
	_cleanup_(buf_deinit) struct buf less = BUF_INIT((50 << 20) - 1);
	_cleanup_(buf_deinit) struct buf none = BUF_INIT(0);
	struct err e = ERR_INIT;

	assert_ok(pack((struct str){zeros, 50 << 20}, 3, &packed, &e));
	assert_true(packed.n < 100000);
	assert_ok(unpack(buf_str(&packed), &exact, &e));
	assert_int_equal(exact.n, 50 << 20);
	assert_int_equal(unpack(buf_str(&packed), &less, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "decompresses to more than the limit of 52428799 bytes");
	assert_int_equal(unpack(buf_str(&packed), &none, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
}

static void bombs_stop_at_the_cap(void **state)
{
	(void)state;
	check_caps(gzip_compress, gzip_decompress);
	check_caps(pack_fast, gzip_decompress);
	check_caps(zstd_compress, zstd_decompress);
}

static void compressing_has_a_cap_too(void **state)
{
	struct buf small = BUF_INIT(20);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(gzip_compress(STR("twenty-one bytes, no repetition"), 6, &small, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "compressed gzip data is larger than the limit of 20 bytes");
	buf_clear(&small);
	assert_int_equal(gzip_compress_fast(STR("twenty-one bytes, no repetition"), &small, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "compressed gzip data is larger than the limit of 20 bytes");
	buf_clear(&small);
	assert_int_equal(zstd_compress(STR("twenty-one bytes, no repetition"), 6, &small, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "compressed zstd data is larger than the limit of 20 bytes");
	assert_ok(zstd_compress(STR("fits"), 6, &small, &e));
	buf_deinit(&small);
}

static void check_several(int (*pack)(struct str, int, struct buf *, struct err *), codec *unpack)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(1000);
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(11);
	struct err e = ERR_INIT;

	assert_ok(pack(STR("hello "), 3, &packed, &e));
	assert_ok(pack(STR_EMPTY, 3, &packed, &e));
	assert_ok(pack(STR("world"), 3, &packed, &e));
	assert_ok(pack(STR_EMPTY, 3, &packed, &e)); // at the cap, with nothing more to write
	assert_ok(unpack(buf_str(&packed), &out, &e));
	assert_str(buf_str(&out), "hello world");
}

// Data without any pattern, which grows: more comes out than was first made room for.
static void noise_packs_too(void **state)
{
	enum { SIZE = 3 << 20 };
	_cleanup_free_ uint32_t *noise = mem_alloc(SIZE);
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(SIZE + SIZE / 8);
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(SIZE);
	_cleanup_(buf_deinit) struct buf small = BUF_INIT(SIZE / 2);
	struct err e = ERR_INIT;
	uint64_t x = 88172645463325252;

	(void)state;
	assert_non_null(noise);
	for (size_t i = 0; i < SIZE / sizeof(*noise); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		noise[i] = (uint32_t)(x >> 16);
	}
	assert_ok(gzip_compress_fast((struct str){(char *)noise, SIZE}, &packed, &e));
	assert_ok(gzip_decompress(buf_str(&packed), &out, &e));
	assert_int_equal(out.n, SIZE);
	assert_memory_equal(out.p, noise, SIZE);
	assert_int_equal(gzip_compress_fast((struct str){(char *)noise, SIZE}, &small, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
}

// A frame may lie about its size: more is announced than comes, or less, or more than there can be.
static void a_frame_that_lies_about_its_size_is_refused(void **state)
{
	_cleanup_(buf_deinit) struct buf in = BUF_INIT(1 << 20);
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;

	(void)state;
	fill(&in, 70000);
	assert_ok(zstd_compress(buf_str(&in), 3, &packed, &e));
	// RFC 8878, 3.1.1.1: four bytes of content size after magic and descriptor of a single segment.
	assert_int_equal((unsigned char)packed.p[4] & 0xe0, 0xa0);
	for (int shift = 0; shift < 32; shift += 7) {
		_cleanup_(buf_deinit) struct buf out = BUF_INIT(MIB(256));
		unsigned char *at = (unsigned char *)packed.p + 5 + shift / 8;

		*at ^= (unsigned char)(1 << shift % 8);
		assert_int_equal(zstd_decompress(buf_str(&packed), &out, &e), -1);
		assert_int_equal(e.kind, ERR_BAD_ENCODING);
		assert_true(out.cap < 32 << 20);
		*at ^= (unsigned char)(1 << shift % 8);
	}
}

static void members_and_frames_are_joined(void **state)
{
	(void)state;
	check_several(gzip_compress, gzip_decompress);
	check_several(pack_fast, gzip_decompress);
	check_several(zstd_compress, zstd_decompress);
}

// Every cut and every flipped byte either fails or, where the format does not care, gives the content.
static void check_damage(int (*pack)(struct str, int, struct buf *, struct err *), codec *unpack)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(1000);
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(1000);
	struct err e = ERR_INIT;

	assert_ok(pack(STR("some text, some more text, and text again"), 3, &packed, &e));
	for (size_t n = 0; n < packed.n; n++) {
		buf_clear(&out);
		assert_int_equal(unpack((struct str){packed.p, n}, &out, &e), -1);
		assert_int_equal(e.kind, ERR_BAD_ENCODING);
	}
	for (size_t i = 0; i < packed.n * 8; i++) {
		packed.p[i / 8] = (char)(packed.p[i / 8] ^ 1 << i % 8);
		buf_clear(&out);
		if (unpack(buf_str(&packed), &out, &e))
			assert_true(e.kind == ERR_BAD_ENCODING || e.kind == ERR_TOO_LARGE);
		packed.p[i / 8] = (char)(packed.p[i / 8] ^ 1 << i % 8);
	}
}

static void damage_is_told(void **state)
{
	struct buf out = BUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	check_damage(gzip_compress, gzip_decompress);
	check_damage(zstd_compress, zstd_decompress);
	assert_int_equal(gzip_decompress(STR("not gzip at all, by far"), &out, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "gzip data is damaged");
	assert_int_equal(zstd_decompress(STR("not zstd at all"), &out, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "zstd data is damaged: Unknown frame descriptor");
	buf_deinit(&out);
}

static void gzip_sizes_that_lie_are_no_matter(void **state)
{
	_cleanup_(buf_deinit) struct buf in = BUF_INIT(300000);
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(300000);
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(300000);
	struct err e = ERR_INIT;

	(void)state;
	fill(&in, 200000);
	assert_ok(gzip_compress(buf_str(&in), 6, &packed, &e));
	// As the last member's size is small: the hint for the first is wrong.
	assert_ok(gzip_compress(STR("x"), 6, &packed, &e));
	assert_ok(gzip_decompress(buf_str(&packed), &out, &e));
	assert_int_equal(out.n, in.n + 1);
	buf_append(&packed, "\0\0\0", 3); // padding
	buf_clear(&out);
	assert_ok(gzip_decompress(buf_str(&packed), &out, &e));
	assert_int_equal(out.n, in.n + 1);
	buf_puts(&packed, "trailing bytes of another kind");
	buf_clear(&out);
	assert_int_equal(gzip_decompress(buf_str(&packed), &out, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_ENCODING);
}

static void encodings_are_known_by_magic(void **state)
{
	struct buf out = BUF_INIT(5);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(encoding_sniff(STR("\x1f\x8b\x08")), ENCODING_GZIP);
	assert_int_equal(encoding_sniff(STR("\x28\xb5\x2f\xfd")), ENCODING_ZSTD);
	assert_int_equal(encoding_sniff(STR("\x5e\x2a\x4d\x18")), ENCODING_ZSTD);
	assert_int_equal(encoding_sniff(STR("\x7f" "ELF")), ENCODING_IDENTITY);
	assert_int_equal(encoding_sniff(STR("\x1f")), ENCODING_IDENTITY);
	assert_ok(decompress_any(STR("plain"), &out, &e));
	assert_str(buf_str(&out), "plain");
	assert_int_equal(decompress_any(STR("more"), &out, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "data is larger than the limit of 5 bytes");
	buf_deinit(&out);
}

static void streams_are_fed_in_pieces(void **state)
{
	_cleanup_(buf_deinit) struct buf in = BUF_INIT(2 << 20);
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(2 << 20);
	_cleanup_free_ char *back = mem_alloc(2 << 20);
	_cleanup_close_ int fd = io_tmpfile("/tmp", NULL);
	struct zstd_in *z = NULL;
	struct err e = ERR_INIT;
	uint64_t total = 0;

	(void)state;
	fill(&in, 1 << 20);
	assert_ok(zstd_compress(buf_str(&in), 3, &packed, &e));
	assert_ok(zstd_compress(STR("tail"), 3, &packed, &e));
	assert_ok(zstd_in_new(fd, in.n + 4, &z, &e));
	for (size_t off = 0; off < packed.n; off += 777)
		assert_ok(zstd_in_feed(z, (struct str){packed.p + off, MIN(packed.n - off, 777U)}, &e));
	assert_ok(zstd_in_finish(z, &total, &e));
	zstd_in_free(z);
	assert_int_equal(total, in.n + 4);
	assert_ok(io_pread_all(fd, back, total, 0, &e));
	assert_memory_equal(back, in.p, in.n);
	assert_memory_equal(back + in.n, "tail", 4);
}

static int feed_all(struct str packed, uint64_t max, struct err *e)
{
	_cleanup_close_ int fd = io_tmpfile("/tmp", NULL);
	struct zstd_in *z = NULL;
	uint64_t total;
	int rc;

	rc = zstd_in_new(fd, max, &z, e);
	if (!rc)
		rc = zstd_in_feed(z, packed, e);
	if (!rc)
		rc = zstd_in_finish(z, &total, e);
	zstd_in_free(z);
	return rc;
}

static void streams_have_caps_and_ends(void **state)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_INIT(1000);
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(zstd_compress(STR("hello"), 3, &packed, &e));
	assert_ok(feed_all(buf_str(&packed), 5, &e));
	assert_int_equal(feed_all(buf_str(&packed), 4, &e), -1);
	assert_err(&e, ERR_TOO_LARGE, "more than the limit of 4 bytes");
	assert_int_equal(feed_all((struct str){packed.p, packed.n - 1}, 5, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "zstd data is cut off");
	assert_int_equal(feed_all(STR_EMPTY, 5, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "cut off after 0 bytes");
	assert_int_equal(feed_all(STR("junk"), 5, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "zstd data is damaged");
}

// RFC 1950: header, one stored block (RFC 1951, 3.2.4), Adler-32.
static void zlib_gives_what_was_announced(void **state)
{
	static const char bytes[] = "\x78\x01\x01\x05\x00\xfa\xffhello\x06\x2c\x02\x15";
	struct str stream = {bytes, sizeof(bytes) - 1};
	struct err e = ERR_INIT;
	char out[8] = "";

	(void)state;
	assert_ok(zlib_decompress(stream, out, 5, &e));
	assert_string_equal(out, "hello");
	assert_int_equal(zlib_decompress(stream, out, 6, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "zlib data is shorter than the 6 bytes announced");
	assert_int_equal(zlib_decompress(stream, out, 4, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "zlib data is longer than the 4 bytes announced");
	assert_int_equal(zlib_decompress((struct str){bytes, stream.n - 1}, out, 5, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "zlib data is damaged or cut off");
	assert_int_equal(zlib_decompress(STR_EMPTY, out, 0, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_unpacks),
		cmocka_unit_test(bombs_stop_at_the_cap),
		cmocka_unit_test(compressing_has_a_cap_too),
		cmocka_unit_test(noise_packs_too),
		cmocka_unit_test(a_frame_that_lies_about_its_size_is_refused),
		cmocka_unit_test(members_and_frames_are_joined),
		cmocka_unit_test(damage_is_told),
		cmocka_unit_test(zlib_gives_what_was_announced),
		cmocka_unit_test(gzip_sizes_that_lie_are_no_matter),
		cmocka_unit_test(encodings_are_known_by_magic),
		cmocka_unit_test(streams_are_fed_in_pieces),
		cmocka_unit_test(streams_have_caps_and_ends),
	};

	return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}
