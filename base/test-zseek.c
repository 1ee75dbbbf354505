/* SPDX-License-Identifier: Apache-2.0 */
#include "base/zseek.h"

#include "base/cleanup.h"
#include "base/compress.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/testing.h"

DEFINE_CLEANUP(struct zseek *, zseek_free)

static int temporary(void)
{
	int fd = io_tmpfile("/tmp", NULL);

	assert_true(fd >= 0);
	return fd;
}

// Pseudo-random words of few letters: shrinks by about half.
static char *content(size_t n)
{
	char *p = mem_alloc(n);
	uint32_t x = 99;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (char)('a' + (x >> 28));
	}
	return p;
}

static int pack(const char *p, size_t n, uint64_t *ret_stored)
{
	_cleanup_close_ int in = temporary();
	int out = temporary();
	struct err e = ERR_INIT;

	assert_ok(io_pwrite_all(in, p, n, 0, &e));
	assert_ok(zseek_compress(in, n, out, 3, ret_stored, &e));
	return out;
}

static void any_range_reads_back(void **state)
{
	static const size_t frame = ZSEEK_FRAME;
	const size_t n = 3 * frame + 1000;
	const size_t offs[] = {0, 1, frame - 1, frame, 2 * frame - 5, 3 * frame, n - 1, n};
	const size_t lens[] = {0, 1, 10, 1000, frame, 2 * frame + 7};
	_cleanup_free_ char *p = content(n);
	_cleanup_free_ char *back = mem_alloc(n);
	_cleanup_(zseek_freep) struct zseek *z = NULL;
	_cleanup_close_ int fd = -1;
	struct err e = ERR_INIT;
	uint64_t stored = 0;
	uint64_t size = 0;

	(void)state;
	fd = pack(p, n, &stored);
	assert_ok(io_file_size(fd, &size, &e));
	assert_int_equal(size, stored);
	assert_true(stored < n);
	assert_ok(zseek_open(fd, &z, &e));
	assert_int_equal(zseek_size(z), n);
	for (size_t i = 0; i < countof(offs); i++) {
		for (size_t k = 0; k < countof(lens); k++) {
			if (lens[k] > n - offs[i])
				continue;
			assert_ok(zseek_pread(z, back, lens[k], offs[i], &e));
			assert_memory_equal(back, p + offs[i], lens[k]);
		}
	}
	assert_int_equal(zseek_pread(z, back, 1, n, &e), -1);
	assert_err(&e, ERR_CORRUPT, "1 bytes at offset");
	assert_int_equal(zseek_pread(z, back, SIZE_MAX, 1, &e), -1);
}

static void the_whole_comes_out_again(void **state)
{
	const size_t n = 2 * ZSEEK_FRAME;
	_cleanup_free_ char *p = content(n);
	_cleanup_(buf_deinit) struct buf file = BUF_INIT(n);
	_cleanup_(buf_deinit) struct buf plain = BUF_INIT(n);
	_cleanup_(zseek_freep) struct zseek *z = NULL;
	_cleanup_close_ int out = temporary();
	_cleanup_close_ int fd = -1;
	struct err e = ERR_INIT;
	uint64_t stored;

	(void)state;
	fd = pack(p, n, &stored);
	assert_ok(zseek_open(fd, &z, &e));
	assert_ok(zseek_extract(z, out, &e));
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	assert_ok(io_read_fd(out, &plain, &e));
	assert_true(str_eq(buf_str(&plain), (struct str){p, n}));
	// Any other decoder reads it too, past the table.
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_ok(io_read_fd(fd, &file, &e));
	buf_clear(&plain);
	assert_ok(zstd_decompress(buf_str(&file), &plain, &e));
	assert_true(str_eq(buf_str(&plain), (struct str){p, n}));
}

static void the_zstd_program_reads_it(void **state)
{
	_cleanup_free_ char *p = content(ZSEEK_FRAME + 5);
	char command[256];
	char dir[64];
	char path[96];
	uint64_t stored;
	int fd;

	(void)state;
	if (system("zstd --version >/dev/null 2>&1") != 0) {
		print_message("the zstd program is not installed\n");
		skip();
	}
	test_dir_make(dir);
	fd = pack(p, ZSEEK_FRAME + 5, &stored);
	snprintf(command, sizeof(command), "cat /proc/%d/fd/%d >%s/x.zst && zstd -qd %s/x.zst",
		 getpid(), fd, dir, dir);
	assert_int_equal(system(command), 0);
	snprintf(path, sizeof(path), "%s/x", dir);
	{
		_cleanup_(buf_deinit) struct buf plain = BUF_INIT(ZSEEK_FRAME + 5);
		struct err e = ERR_INIT;

		assert_ok(io_read_file(path, &plain, &e));
		assert_true(str_eq(buf_str(&plain), (struct str){p, ZSEEK_FRAME + 5}));
	}
	close(fd);
	test_dir_remove(dir);
}

static void nothing_is_a_content_too(void **state)
{
	_cleanup_(zseek_freep) struct zseek *z = NULL;
	_cleanup_close_ int fd = -1;
	struct err e = ERR_INIT;
	uint64_t stored = 0;
	char none[1];

	(void)state;
	fd = pack("", 0, &stored);
	assert_int_equal(stored, 17);
	assert_ok(zseek_open(fd, &z, &e));
	assert_int_equal(zseek_size(z), 0);
	assert_ok(zseek_pread(z, none, 0, 0, &e));
	assert_ok(zseek_extract(z, fd, &e));
}

static int open_bytes(struct str bytes, struct err *e)
{
	_cleanup_(zseek_freep) struct zseek *z = NULL;
	_cleanup_close_ int fd = temporary();

	if (io_pwrite_all(fd, bytes.p, bytes.n, 0, e))
		return -1;
	return zseek_open(fd, &z, e);
}

// The table of one empty-looking file, and what becomes of it when bytes change.
static void tables_are_validated(void **state)
{
	// one frame of 13 stored bytes for "hello", then the table
	char file[64];
	struct buf frame = BUF_INIT(sizeof(file));
	struct err e = ERR_INIT;
	size_t n;

	(void)state;
	assert_ok(zstd_compress(STR("hello"), 3, &frame, &e));
	n = frame.n;
	memcpy(file, frame.p, n);
	memcpy(file + n, "\x5e\x2a\x4d\x18\x11\0\0\0", 8);
	memcpy(file + n + 8, (char[]){(char)n, 0, 0, 0, 5, 0, 0, 0}, 8);
	memcpy(file + n + 16, "\x01\0\0\0\0\xb1\xea\x92\x8f", 9);
	assert_ok(open_bytes((struct str){file, n + 25}, &e));

	assert_int_equal(open_bytes((struct str){file, n + 24}, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "zstd seek table: not found at the end");
	assert_int_equal(open_bytes((struct str){file, 5}, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "too small to hold one");
	file[n + 20] = 4;
	assert_int_equal(open_bytes((struct str){file, n + 25}, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "reserved flags");
	file[n + 20] = 0;
	file[n + 16] = 9;
	assert_int_equal(open_bytes((struct str){file, n + 25}, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "larger than the file");
	file[n + 19] = 9;
	assert_int_equal(open_bytes((struct str){file, n + 25}, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "too many frames");
	file[n + 19] = 0;
	file[n + 16] = 2;
	assert_int_equal(open_bytes((struct str){file, n + 25}, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "its two ends disagree");
	file[n + 16] = 1;
	file[n + 8]++;
	assert_int_equal(open_bytes((struct str){file, n + 25}, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "do not fill the file");
	file[n + 8]--;
	file[n + 15] = 1;
	assert_int_equal(open_bytes((struct str){file, n + 25}, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "impossible size");
	buf_deinit(&frame);
}

static void damaged_frames_are_told(void **state)
{
	_cleanup_free_ char *p = content(2 * ZSEEK_FRAME);
	_cleanup_(zseek_freep) struct zseek *z = NULL;
	_cleanup_close_ int fd = -1;
	struct err e = ERR_INIT;
	uint64_t stored;
	char byte[1];

	(void)state;
	fd = pack(p, 2 * ZSEEK_FRAME, &stored);
	assert_ok(zseek_open(fd, &z, &e));
	assert_ok(io_pread_all(fd, byte, 1, 5000, &e));
	byte[0] ^= 0x10;
	assert_ok(io_pwrite_all(fd, byte, 1, 5000, &e));
	assert_int_equal(zseek_pread(z, byte, 1, 0, &e), -1);
	assert_err(&e, ERR_BAD_ENCODING, "zstd frame 0 is damaged");
	assert_ok(zseek_pread(z, byte, 1, ZSEEK_FRAME, &e)); // the other is untouched
	assert_int_equal(byte[0], p[ZSEEK_FRAME]);
}

static void running_out_of_memory_or_space_leaks_nothing(void **state)
{
	_cleanup_free_ char *p = content(1000);
	_cleanup_close_ int in = temporary();
	struct err e = ERR_INIT;
	unsigned failures = 0;

	(void)state;
	assert_ok(io_pwrite_all(in, p, 1000, 0, &e));
	for (unsigned long nth = 1;; nth++) {
		_cleanup_(zseek_freep) struct zseek *z = NULL;
		_cleanup_close_ int out = temporary();
		uint64_t stored;
		int rc;

		mem_fault_at(nth, 1);
		rc = zseek_compress(in, 1000, out, 3, &stored, &e);
		if (!rc)
			rc = zseek_open(out, &z, &e);
		if (!mem_fault_off())
			break;
		assert_int_equal(rc, -1);
		assert_int_equal(e.kind, ERR_NOMEM);
		failures++;
	}
	assert_true(failures >= 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_range_reads_back),
		cmocka_unit_test(the_whole_comes_out_again),
		cmocka_unit_test(the_zstd_program_reads_it),
		cmocka_unit_test(nothing_is_a_content_too),
		cmocka_unit_test(tables_are_validated),
		cmocka_unit_test(damaged_frames_are_told),
		cmocka_unit_test(running_out_of_memory_or_space_leaks_nothing),
	};

	return cmocka_run_group_tests_name("zseek", tests, NULL, NULL);
}
