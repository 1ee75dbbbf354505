/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <xxhash.h>

enum { FILE_CHUNK = 128 * 1024 };

struct sha256 {
	EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->ctx = EVP_MD_CTX_new();
	if (!s->ctx || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1) {
		sha256_free(s);
		return NULL;
	}
	return s;
}

// An EVP digest fails only when misused; a wrong digest must never get out of here.
static void must(int openssl_result)
{
	if (openssl_result != 1)
		abort();
}

void sha256_update(struct sha256 *s, const void *p, size_t n)
{
	must(EVP_DigestUpdate(s->ctx, p, n));
}

void sha256_final(struct sha256 *s, uint8_t out[static SHA256_SIZE])
{
	must(EVP_DigestFinal_ex(s->ctx, out, NULL));
	sha256_free(s);
}

void sha256_free(struct sha256 *s)
{
	if (!s)
		return;
	EVP_MD_CTX_free(s->ctx);
	free(s);
}

void sha256_of(const void *p, size_t n, uint8_t out[static SHA256_SIZE])
{
	must(EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL));
}

DEFINE_CLEANUP(struct sha256 *, sha256_free)

int sha256_fd_hex(int fd, char out[static SHA256_HEX], struct err *e)
{
	_cleanup_(sha256_freep) struct sha256 *s = sha256_new();
	_cleanup_free_ char *chunk = mem_alloc(FILE_CHUNK);
	uint8_t digest[SHA256_SIZE];
	uint64_t off = 0;

	if (!s || !chunk)
		return err_nomem(e);
	for (;;) {
		ssize_t n = pread(fd, chunk, FILE_CHUNK, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "reading at offset %ju", (uintmax_t)off);
		if (n == 0)
			break;
		sha256_update(s, chunk, (size_t)n);
		off += (uint64_t)n;
	}
	sha256_final(steal_ptr(s), digest);
	hex_encode(digest, sizeof(digest), out);
	return 0;
}

uint64_t xxh3(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

uint64_t xxh3_seeded(const void *p, size_t n, uint64_t seed)
{
	return XXH3_64bits_withSeed(p, n, seed);
}
