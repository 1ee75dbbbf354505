/* SPDX-License-Identifier: Apache-2.0 */
#include "base/build_id.h"

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/io.h"
#include <string.h>

enum { HTL_SIZE = 16, HTL_PART = 4096 };

static const char *const prefixes[] = {
	[BUILD_ID_GNU] = "",
	[BUILD_ID_GO] = "go-",
	[BUILD_ID_HTL] = "htl-",
};

const char *build_id_kind_name(enum build_id_kind kind)
{
	static const char *const names[] = {
		[BUILD_ID_GNU] = "gnu",
		[BUILD_ID_GO] = "go",
		[BUILD_ID_HTL] = "htl",
	};

	return names[kind];
}

void build_id_text(const struct build_id *id, char out[static BUILD_ID_TEXT])
{
	size_t n = strlen(prefixes[id->kind]);

	memcpy(out, prefixes[id->kind], n);
	hex_encode(id->bytes, id->size, out + n);
}

bool build_id_eq(const struct build_id *a, const struct build_id *b)
{
	return a->kind == b->kind && a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static bool size_fits(enum build_id_kind kind, size_t n)
{
	if (kind == BUILD_ID_HTL)
		return n == HTL_SIZE;
	return n >= (kind == BUILD_ID_GNU ? BUILD_ID_MIN_GNU : 1) && n <= BUILD_ID_MAX;
}

int build_id_set(struct build_id *id, enum build_id_kind kind, const void *bytes, size_t n,
		 struct err *e)
{
	if ((unsigned)kind > BUILD_ID_HTL || !size_fits(kind, n))
		return err_set(e, ERR_BAD_BUILD_ID, "a build-ID of %zu bytes is not possible", n);
	*id = (struct build_id){.kind = kind, .size = (uint8_t)n};
	memcpy(id->bytes, bytes, n);
	return 0;
}

static bool from_hex(enum build_id_kind kind, struct str hex, struct build_id *ret)
{
	uint8_t bytes[BUILD_ID_MAX];
	size_t n;

	return hex_decode(hex, bytes, sizeof(bytes), &n) &&
	       build_id_set(ret, kind, bytes, n, NULL) == 0;
}

static bool take_prefix(struct str *text, const char *prefix)
{
	size_t n = strlen(prefix);

	if (text->n < n || !str_eq_nocase((struct str){text->p, n}, str_from(prefix)))
		return false;
	*text = str_skip(*text, n);
	return true;
}

// Hashes in URL-safe base64 joined by slashes (Go's cmd/internal/buildid); may well start with "go-".
static bool is_raw_go(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] <= ' ' || text.p[i] > '~')
			return false;
	}
	return text.n && memchr(text.p, '/', text.n);
}

int build_id_parse(struct str text, struct build_id ret[static 2], struct err *e)
{
	struct str rest = text;
	bool ok;

	if (is_raw_go(text))
		ok = build_id_set(&ret[0], BUILD_ID_GO, text.p, text.n, NULL) == 0;
	else if (take_prefix(&rest, prefixes[BUILD_ID_GO]))
		ok = from_hex(BUILD_ID_GO, rest, &ret[0]);
	else if (take_prefix(&rest, prefixes[BUILD_ID_HTL]))
		ok = from_hex(BUILD_ID_HTL, rest, &ret[0]);
	else
		ok = from_hex(BUILD_ID_GNU, text, &ret[0]);
	if (!ok)
		return err_set(e, ERR_BAD_BUILD_ID,
			       "not a build-ID: '%.*s' (expected hex of 2 to %d bytes, go-HEX, "
			       "htl-HEX, or a Go build ID)",
			       (int)MIN(text.n, 80U), text.p, BUILD_ID_MAX);
	if (ret[0].kind == BUILD_ID_GNU && ret[0].size == HTL_SIZE) {
		ret[1] = ret[0];
		ret[1].kind = BUILD_ID_HTL;
		return 2;
	}
	return 1;
}

DEFINE_CLEANUP(struct sha256 *, sha256_free)

// libpf/fileid.go of the profiler: head and tail may overlap, and shrink with a small file.
int build_id_htl(int fd, struct build_id *ret, struct err *e)
{
	_cleanup_(sha256_freep) struct sha256 *s = sha256_new();
	uint8_t digest[SHA256_SIZE];
	uint8_t part[HTL_PART];
	uint8_t length[8];
	uint64_t size;
	size_t n;

	if (!s)
		return err_nomem(e);
	if (io_file_size(fd, &size, e))
		return -1;
	n = (size_t)MIN(size, (uint64_t)HTL_PART);
	if (io_pread_all(fd, part, n, 0, e))
		return -1;
	sha256_update(s, part, n);
	if (io_pread_all(fd, part, n, size - n, e))
		return -1;
	sha256_update(s, part, n);
	for (unsigned i = 0; i < sizeof(length); i++)
		length[i] = (uint8_t)(size >> (56 - 8 * i));
	sha256_update(s, length, sizeof(length));
	sha256_final(steal_ptr(s), digest);
	return build_id_set(ret, BUILD_ID_HTL, digest, HTL_SIZE, e);
}
