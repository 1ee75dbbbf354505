/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/testing.h"

// FIPS 180-2, appendix B.
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MILLION "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void sha256_matches_the_standard(void **state)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX];
	struct sha256 *s;

	(void)state;
	sha256_of("abc", 3, digest);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex, ABC);
	s = sha256_new();
	sha256_update(s, "a", 1);
	sha256_update(s, "", 0);
	sha256_update(s, "bc", 2);
	sha256_final(s, digest);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex, ABC);
	sha256_free(sha256_new());
	sha256_free(NULL);
}

static void files_are_hashed_whole(void **state)
{
	_cleanup_close_ int fd = io_tmpfile("/tmp", NULL);
	char hex[SHA256_HEX];
	struct err e = ERR_INIT;
	char many[10000];

	(void)state;
	assert_ok(sha256_fd_hex(fd, hex, &e));
	assert_string_equal(hex, EMPTY);
	memset(many, 'a', sizeof(many));
	for (unsigned i = 0; i < 100; i++)
		assert_ok(io_write_all(fd, many, sizeof(many), &e));
	assert_ok(sha256_fd_hex(fd, hex, &e));
	assert_string_equal(hex, MILLION);
	assert_int_equal(sha256_fd_hex(-1, hex, &e), -1);
	assert_err(&e, ERR_IO, "Bad file descriptor");
}

static void xxh3_is_stable_and_seeded(void **state)
{
	(void)state;
	// XXH3_64bits of nothing, as the reference implementation's sanity checks state it.
	assert_true(xxh3("", 0) == UINT64_C(0x2d06800538d394c2));
	assert_true(xxh3("abc", 3) == xxh3_seeded("abc", 3, 0));
	assert_true(xxh3("abc", 3) != xxh3_seeded("abc", 3, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_matches_the_standard),
		cmocka_unit_test(files_are_hashed_whole),
		cmocka_unit_test(xxh3_is_stable_and_seeded),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
