/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON into a buf. Reading is jansson's job (json_loadb with JSON_REJECT_DUPLICATES, behind
 * json_parse() below, which caps size and depth and turns its error into ours).
 *
 * The writer puts commas by itself; strings are escaped, and bytes that are not UTF-8 become U+FFFD.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include <jansson.h>

struct json_out {
	struct buf *b;
	bool comma;
};

#define JSON_OUT(buf_ptr) ((struct json_out){(buf_ptr), false})

void json_obj(struct json_out *j);
void json_end_obj(struct json_out *j);
void json_arr(struct json_out *j);
void json_end_arr(struct json_out *j);
void json_key(struct json_out *j, const char *key); /* key must be plain ASCII */
void json_str_(struct json_out *j, struct str s);
void json_u64(struct json_out *j, uint64_t v);
void json_i64(struct json_out *j, int64_t v);
void json_f64(struct json_out *j, double v);
void json_bool(struct json_out *j, bool v);
void json_null_(struct json_out *j); /* json_null() is jansson's */
void json_hex(struct json_out *j, uint64_t v); /* "0x1139" */
/* key and value in one step */
void json_kv_str(struct json_out *j, const char *key, struct str s);
void json_kv_cstr(struct json_out *j, const char *key, const char *s);
void json_kv_u64(struct json_out *j, const char *key, uint64_t v);
void json_kv_i64(struct json_out *j, const char *key, int64_t v);
void json_kv_bool(struct json_out *j, const char *key, bool v);
/*
 * An address, offset or size of a binary: a number as far as INT64_MAX, the largest integer that jansson
 * reads, else text like "0xffffffff81000000" (kernels live up there). json_get_u64() reads both.
 */
void json_kv_address(struct json_out *j, const char *key, uint64_t v);

/* Parses one document; ERR_BAD_JSON with line and column. The result is the caller's (json_decref). */
int json_parse(struct str text, json_t **ret, struct err *e) MUST_CHECK;
/* Typed members with a default; borrowed strings live as long as obj. */
struct str json_get_str(const json_t *obj, const char *key);
/* A number that is not negative, or text of "0x" and up to 16 hex digits. */
uint64_t json_get_u64(const json_t *obj, const char *key, uint64_t fallback);
bool json_get_bool(const json_t *obj, const char *key, bool fallback);

#endif
