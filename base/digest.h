/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (libcrypto) for content identity, XXH3 for checksums of our own files. Thread-safe. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/base.h"
#include "base/err.h"

enum { SHA256_SIZE = 32, SHA256_HEX = 65 };

struct sha256; /* incremental */
struct sha256 *sha256_new(void);
void sha256_update(struct sha256 *s, const void *p, size_t n);
/* Finishes and frees. */
void sha256_final(struct sha256 *s, uint8_t out[static SHA256_SIZE]);
void sha256_free(struct sha256 *s);
void sha256_of(const void *p, size_t n, uint8_t out[static SHA256_SIZE]);
/* The whole file by pread; hex, NUL-terminated. */
int sha256_fd_hex(int fd, char out[static SHA256_HEX], struct err *e) MUST_CHECK;

uint64_t xxh3(const void *p, size_t n);
uint64_t xxh3_seeded(const void *p, size_t n, uint64_t seed);

#endif
