/* SPDX-License-Identifier: Apache-2.0 */
#include "store/catalog.h"

#include "base/json.h"
#include "store/test-catalog_fixture.h"
#include <pthread.h>
#include <stdio.h>

static void reopen(void **state)
{
	catalog_close(catalog);
	open_catalog_in(*state);
}

#define HTL_ONE "htl-00112233445566778899aabbccddeeff"

struct file_spec {
	const char *ids[3];
	enum file_type type;
	enum trust trust;
	int quality;
	char content; // the SHA-256 is made of it
	bool force;
	const char *headers;
	bool headers_trusted;
	struct err *why; // where it may be refused
};

static int add(const struct file_spec *spec, struct binary *ret)
{
	struct build_id ids[3];
	struct catalog_new_file f = {.ids = ids, .name = "prog", .machine = "x86_64"};
	struct err e = ERR_INIT;
	int rc;

	while (f.id_count < 3 && spec->ids[f.id_count]) {
		ids[f.id_count] = id_of(spec->ids[f.id_count]);
		f.id_count++;
	}
	f.file.type = spec->type ? spec->type : FILE_DEBUGINFO;
	f.file.trust = spec->trust ? spec->trust : TRUST_UPLOAD;
	f.file.quality = spec->quality;
	memset(f.file.sha256, spec->content, SHA256_HEX - 1);
	f.file.size = 100;
	f.file.stored_size = 10;
	snprintf(f.file.origin, sizeof(f.file.origin), "ci-%c", spec->content);
	f.headers = spec->headers;
	f.headers_size = spec->headers ? strlen(spec->headers) : 0;
	f.headers_trusted = spec->headers_trusted;
	f.force = spec->force;
	rc = catalog_add_file(catalog, &f, ret, &e);
	if (rc < 0 && !spec->why)
		fail_msg("%s", e.msg);
	if (spec->why)
		*spec->why = e;
	return rc;
}

static int find(const char *id, struct binary *ret)
{
	struct build_id ids[2];
	struct err e = ERR_INIT;
	int n = build_id_parse(str_from(id), ids, &e);
	int rc = catalog_find(catalog, ids, (size_t)n, ret, &e);

	if (n < 1 || rc < 0)
		fail_msg("%s", e.msg);
	return rc;
}

static json_t *story(const char *id)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(MIB(1));
	struct build_id one = id_of(id);
	struct err e = ERR_INIT;
	json_t *json = NULL;
	int rc = catalog_story_json(catalog, &one, 1, &out, &e);

	if (rc == CATALOG_NOT_FOUND)
		return NULL;
	if (rc || json_parse(buf_str(&out), &json, &e))
		fail_msg("%s: %.*s", e.msg, STR_ARG(buf_str(&out)));
	return json;
}

static const char *text_at(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

static void test_first_file(void **state)
{
	struct binary b;
	struct binary again;

	assert_int_equal(find("aabbcc", &b), CATALOG_NOT_FOUND);
	assert_int_equal(
		add(&(struct file_spec){{"aabbcc", "htl-00112233445566778899aabbccddeeff"}, .quality = 6,
					.content = '1', .headers = "HEADERS", .headers_trusted = true},
		    &b),
		0);
	assert_true(b.needs_index);
	assert_false(b.index_current);
	assert_int_equal(b.generation, 0);
	assert_string_equal(b.name, "prog");
	assert_string_equal(b.machine, "x86_64");
	assert_int_equal(b.headers_size, 7);
	assert_memory_equal(b.headers, "HEADERS", 7);
	assert_true(b.headers_trusted);
	reopen(state);
	// 32 bare digits may be a file hash
	assert_int_equal(find("00112233445566778899aabbccddeeff", &again), 0);
	assert_int_equal(again.id, b.id);
	assert_int_equal(find("AABBCC", &again), 0);
	assert_int_equal(again.id, b.id);
}

static void test_same_bytes_exist(void **state)
{
	struct binary b;
	struct catalog_file f;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(add(&(struct file_spec){{"aa11"}, .trust = TRUST_UPSTREAM, .content = '1'}, &b),
			 0);
	assert_int_equal(
		add(&(struct file_spec){{"aa11", "go-6162"}, .trust = TRUST_UPLOAD, .content = '1'}, &b),
		CATALOG_EXISTS);
	assert_int_equal(find("go-6162", &b), 0);
	assert_int_equal(catalog_best_file(catalog, b.id, FILE_DEBUGINFO, &f, &e), 0);
	assert_int_equal(f.trust, TRUST_UPLOAD);
	assert_string_equal(f.origin, "ci-1");
}

static void test_trust_then_quality(void **state)
{
	struct binary b;
	struct catalog_file f;
	struct err e = ERR_INIT;
	struct file_spec s = {{"aa11"}, .quality = 3, .trust = TRUST_UPSTREAM, .content = '1'};

	(void)state;
	assert_int_equal(add(&s, &b), 0);
	s = (struct file_spec){{"aa11"}, .quality = 6, .trust = TRUST_AGENT, .content = '2'};
	assert_int_equal(add(&s, &b), CATALOG_WORSE);
	s = (struct file_spec){{"aa11"}, .quality = 3, .trust = TRUST_UPSTREAM, .content = '3'};
	assert_int_equal(add(&s, &b), CATALOG_WORSE);
	s = (struct file_spec){{"aa11"}, .quality = 5, .trust = TRUST_UPSTREAM, .content = '4'};
	assert_int_equal(add(&s, &b), 0);
	s = (struct file_spec){{"aa11"}, .quality = 1, .trust = TRUST_UPLOAD, .content = '5'};
	assert_int_equal(add(&s, &b), 0);
	assert_int_equal(catalog_best_file(catalog, b.id, FILE_DEBUGINFO, &f, &e), 0);
	assert_int_equal(f.sha256[0], '5');
	s = (struct file_spec){{"aa11"}, .trust = TRUST_AGENT, .content = '6', .type = FILE_EXECUTABLE};
	assert_int_equal(add(&s, &b), 0); // fills a gap
	s = (struct file_spec){{"aa11"}, .trust = TRUST_UPLOAD, .content = '7', .force = true};
	assert_int_equal(add(&s, &b), 0);
	assert_int_equal(catalog_best_file(catalog, b.id, FILE_DEBUGINFO, &f, &e), 0);
	assert_int_equal(f.sha256[0], '7');
	s = (struct file_spec){{"aa11"}, .trust = TRUST_UPLOAD, .content = '5', .force = true};
	assert_int_equal(add(&s, &b), CATALOG_EXISTS);
	assert_int_equal(catalog_best_file(catalog, b.id, FILE_DEBUGINFO, &f, &e), 0);
	assert_int_equal(f.sha256[0], '5');
}

static void test_lost_file_is_replaced(void **state)
{
	_cleanup_free_ struct catalog_file *files = NULL;
	struct file_spec s = {{"aa11"}, .quality = 6, .content = '1'};
	struct binary b;
	struct err e = ERR_INIT;
	size_t n;

	(void)state;
	assert_int_equal(add(&s, &b), 0);
	assert_int_equal(catalog_files(catalog, b.id, &files, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(catalog_file_lost(catalog, files[0].id, &e), 0);
	assert_int_equal(catalog_best_file(catalog, b.id, FILE_DEBUGINFO, files, &e), CATALOG_NOT_FOUND);
	assert_int_equal(add(&s, &b), 0);
}

static void test_headers(void **state)
{
	struct binary b;

	(void)state;
	add(&(struct file_spec){{"aa11"}, .content = '1', .headers = "weak"}, &b);
	assert_memory_equal(b.headers, "weak", 4);
	add(&(struct file_spec){{"aa11"}, .content = '2', .quality = 6, .headers = "other"}, &b);
	assert_memory_equal(b.headers, "weak", 4);
	add(&(struct file_spec){{"aa11"}, .type = FILE_EXECUTABLE, .content = '3', .headers = "strong",
				.headers_trusted = true},
	    &b);
	assert_int_equal(b.headers_size, 6);
	assert_memory_equal(b.headers, "strong", 6);
	// what was not taken does not describe the binary
	assert_int_equal(add(&(struct file_spec){{"aa11"}, .type = FILE_EXECUTABLE, .content = '4',
						 .trust = TRUST_AGENT, .headers = "forged",
						 .headers_trusted = true},
			     &b),
			 CATALOG_WORSE);
	assert_memory_equal(b.headers, "strong", 6);
}

static void set_index(int64_t binary, uint32_t generation, uint32_t files_version, int expect)
{
	struct catalog_index ix = {.generation = generation, .quality = 6, .size = 1234,
				   .report_json = "{\"rows\":7}", .files_version = files_version};
	struct err e = ERR_INIT;

	assert_int_equal(catalog_set_index(catalog, binary, &ix, &e), expect);
	if (expect < 0)
		assert_int_equal(e.kind, ERR_CONFLICT);
}

static void test_join(void **state)
{
	struct binary old;
	struct binary young;
	struct binary both;
	struct err e = ERR_INIT;
	_cleanup_free_ struct build_id *ids = NULL;
	_cleanup_free_ struct catalog_file *files = NULL;
	size_t n;

	(void)state;
	add(&(struct file_spec){{"aa11"}, .content = '1', .quality = 3}, &old);
	set_index(old.id, 1, old.files_version, 0);
	add(&(struct file_spec){{"htl-00112233445566778899aabbccddeeff"}, .content = '2',
				.type = FILE_EXECUTABLE},
	    &young);
	assert_true(young.id > old.id);
	set_index(young.id, 5, young.files_version, 0);
	assert_int_equal(add(&(struct file_spec){{"htl-00112233445566778899aabbccddeeff", "aa11"},
						 .content = '2', .type = FILE_EXECUTABLE},
			     &both),
			 CATALOG_EXISTS);
	assert_int_equal(both.id, old.id);
	assert_true(both.needs_index); // over the files of both
	assert_true(both.index_current);
	assert_int_equal(both.generation, 1); // its own index is served until then
	assert_int_equal(catalog_get(catalog, young.id, &young, &e), CATALOG_NOT_FOUND);
	assert_int_equal(catalog_ids(catalog, both.id, &ids, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(catalog_files(catalog, both.id, &files, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(files[0].type, FILE_DEBUGINFO);
	set_index(young.id, 6, 0, CATALOG_NOT_FOUND); // a late indexer
	set_index(both.id, 1, 0, -1);
	set_index(both.id, 2, both.files_version, 0);
	assert_int_equal(find("aa11", &both), 0);
	assert_false(both.needs_index);
}

static void test_agent_joins_nothing_others_registered(void **state)
{
	struct binary one;
	struct binary two;
	struct binary b;

	(void)state;
	add(&(struct file_spec){{"aa11"}, .content = '1'}, &one);
	add(&(struct file_spec){{HTL_ONE}, .content = '2'}, &two);
	add(&(struct file_spec){{HTL_ONE, "aa11"}, .content = '3', .trust = TRUST_AGENT,
				.type = FILE_EXECUTABLE},
	    &b);
	assert_int_equal(b.id, two.id);
	assert_int_equal(find("aa11", &b), 0);
	assert_int_equal(b.id, one.id);
}

// Else it could bind somebody's binary to another's, and have all later files of that refused.
static void test_agent_binds_no_id(void **state)
{
	struct binary theirs;
	struct binary forged;
	struct binary b;

	(void)state;
	add(&(struct file_spec){{"aa11"}, .content = '1'}, &theirs);
	add(&(struct file_spec){{"aa11", "go-61"}, .content = '2', .trust = TRUST_AGENT,
				.type = FILE_EXECUTABLE},
	    &b);
	assert_int_equal(b.id, theirs.id);
	assert_int_equal(find("go-61", &b), CATALOG_NOT_FOUND);
	add(&(struct file_spec){{"bb22", "go-62"}, .content = '3', .trust = TRUST_AGENT}, &forged);
	add(&(struct file_spec){{"bb22", "go-63"}, .content = '4', .trust = TRUST_UPSTREAM}, &b);
	assert_int_not_equal(b.id, forged.id);
	assert_int_equal(find("bb22", &b), 0);
	assert_int_not_equal(b.id, forged.id);
	assert_int_equal(find("go-62", &b), 0);
	assert_int_equal(b.id, forged.id);
	// what agents say of two binaries joins them only while nobody else has sent files of either
	add(&(struct file_spec){{"go-62", "aa11"}, .content = '5', .trust = TRUST_AGENT}, &b);
	assert_int_equal(b.id, forged.id);
	assert_int_equal(find("aa11", &b), 0);
	assert_int_equal(b.id, theirs.id);
}

// Neither trust nor force nor a shared file hash makes one of two binaries with different build-IDs.
static void test_different_build_ids_never_join(void **state)
{
	struct err why;
	struct file_spec both = {{"aa11", "bb22"}, .content = '3', .force = true, .why = &why};
	struct binary one;
	struct binary two;
	struct binary b;

	(void)state;
	add(&(struct file_spec){{"aa11", "go-61", HTL_ONE}, .content = '1'}, &one);
	add(&(struct file_spec){{"bb22"}, .content = '2'}, &two);
	assert_int_equal(add(&both, &b), -1);
	assert_int_equal(why.kind, ERR_ID_MISMATCH);
	assert_non_null(strstr(why.msg, "aa11 and bb22 are the GNU build-IDs of two binaries"));
	// by its own ID it is found, what it shares stays with whom it belongs to
	assert_int_equal(add(&(struct file_spec){{"bb22", HTL_ONE, "go-61"}, .content = '4', .quality = 6,
						 .force = true},
			     &b),
			 0);
	assert_int_equal(b.id, two.id);
	assert_int_equal(find(HTL_ONE, &b), 0);
	assert_int_equal(b.id, one.id);
	assert_int_equal(find("go-61", &b), 0);
	assert_int_equal(b.id, one.id);
	// whose it is by the first ID is another binary's: refused, for Go build-IDs, too
	assert_int_equal(add(&(struct file_spec){{HTL_ONE, "bb22"}, .content = '5', .why = &why}, &b), -1);
	assert_int_equal(why.kind, ERR_ID_MISMATCH);
	assert_int_equal(add(&(struct file_spec){{"aa11", "go-62"}, .content = '6', .why = &why}, &b), -1);
	assert_non_null(strstr(why.msg, "Go build-ID go-61, and this file's is go-62"));
	assert_int_equal(find("go-62", &b), CATALOG_NOT_FOUND);
}

// A third file that shares something with both does not make one of them.
static void test_different_build_ids_are_not_bridged(void **state)
{
	struct binary one;
	struct binary two;
	struct binary b;

	(void)state;
	add(&(struct file_spec){{"aa11", HTL_ONE}, .content = '1'}, &one);
	add(&(struct file_spec){{"bb22", "go-61"}, .content = '2'}, &two);
	assert_int_equal(add(&(struct file_spec){{"go-61", HTL_ONE}, .content = '3', .force = true}, &b), 0);
	assert_int_equal(b.id, two.id);
	assert_int_equal(find("aa11", &b), 0);
	assert_int_equal(b.id, one.id);
	assert_int_equal(find(HTL_ONE, &b), 0);
	assert_int_equal(b.id, one.id);
}

static int add_ids(const char *one, const char *two, struct binary *ret, struct err *e)
{
	struct build_id ids[] = {id_of(one), id_of(two)};
	struct catalog_new_file f = {.ids = ids, .id_count = 2, .file = {.trust = TRUST_UPLOAD}};

	return catalog_add_ids(catalog, &f, ret, e);
}

static void test_ids_alone(void **state)
{
	struct build_id other[] = {id_of(HTL_ONE), id_of("bb22")};
	struct binary known;
	struct binary b;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(add_ids("aa11", HTL_ONE, &b, &e), CATALOG_NOT_FOUND);
	assert_int_equal(find(HTL_ONE, &b), CATALOG_NOT_FOUND);
	add(&(struct file_spec){{"aa11"}, .content = '1'}, &known);
	assert_int_equal(add_ids("aa11", HTL_ONE, &b, &e), 0);
	assert_int_equal(b.id, known.id);
	assert_int_equal(find(HTL_ONE, &b), 0);
	assert_int_equal(b.id, known.id);
	assert_int_equal(b.files_version, known.files_version);
	assert_int_equal(catalog_home(catalog, other, 2, &b, &e), -1);
	assert_int_equal(e.kind, ERR_ID_MISMATCH);
	assert_int_equal(catalog_home(catalog, other + 1, 1, &b, &e), CATALOG_NOT_FOUND);
	assert_int_equal(catalog_home(catalog, other, 1, &b, &e), 0);
	assert_int_equal(b.id, known.id);
}

static void test_files_that_come_while_indexing(void **state)
{
	struct binary b;
	struct binary later;

	(void)state;
	add(&(struct file_spec){{"aa11"}, .content = '1', .quality = 3}, &b);
	add(&(struct file_spec){{"aa11"}, .content = '2', .quality = 6}, &later);
	set_index(b.id, 1, b.files_version, 0);
	assert_int_equal(find("aa11", &b), 0);
	assert_true(b.needs_index);
	assert_true(b.index_current);
	set_index(b.id, 2, later.files_version, 0);
	assert_int_equal(find("aa11", &b), 0);
	assert_false(b.needs_index);
}

static void test_failure(void **state)
{
	struct binary b;
	struct err e = ERR_INIT;

	(void)state;
	add(&(struct file_spec){{"aa11"}, .content = '1'}, &b);
	assert_int_equal(catalog_set_failure(catalog, b.id, "malformed_elf", "no sections", &e), 0);
	assert_int_equal(find("aa11", &b), 0);
	assert_string_equal(b.reason_code, "malformed_elf");
	assert_string_equal(b.reason, "no sections");
	assert_false(b.needs_index);
	add(&(struct file_spec){{"aa11"}, .content = '2', .quality = 6}, &b);
	assert_string_equal(b.reason_code, "");
	assert_true(b.needs_index);
	// the failure of the former file comes late
	assert_int_equal(catalog_set_failure_at(catalog, b.id, b.files_version - 1, "x", "y", &e), 0);
	assert_int_equal(find("aa11", &b), 0);
	assert_string_equal(b.reason_code, "");
	assert_int_equal(catalog_set_failure(catalog, 999, "x", "y", &e), CATALOG_NOT_FOUND);
}

static void test_story(void **state)
{
	struct err e = ERR_INIT;
	struct build_id id = id_of("aa11");
	struct binary b;
	json_t *s;
	json_t *file;

	(void)state;
	assert_null(story("aa11"));
	assert_int_equal(catalog_upstream_put(catalog, &id, FILE_DEBUGINFO, UPSTREAM_ABSENT,
					      clock_unix_s() + 600, "404", &e),
			 0);
	s = story("aa11");
	assert_string_equal(text_at(s, "state"), "seen");
	assert_string_equal(text_at(json_object_get(s, "reason"), "detail"),
			    "not uploaded, and no upstream server has it");
	assert_string_equal(text_at(json_array_get(json_object_get(s, "upstream"), 0), "answer"),
			    "absent");
	json_decref(s);
	add(&(struct file_spec){{"aa11", "go-6162"}, .content = '1', .quality = 6}, &b);
	s = story("go-6162");
	assert_string_equal(text_at(s, "build_id"), "aa11");
	assert_string_equal(text_at(s, "state"), "indexing");
	assert_string_equal(text_at(s, "name"), "prog");
	assert_int_equal(json_array_size(json_object_get(s, "ids")), 2);
	file = json_array_get(json_object_get(s, "files"), 0);
	assert_string_equal(text_at(file, "type"), "debuginfo");
	assert_string_equal(text_at(file, "trust"), "upload");
	assert_string_equal(text_at(file, "origin"), "ci-1");
	assert_string_equal(text_at(file, "quality"), "dwarf");
	assert_int_equal(json_integer_value(json_object_get(file, "size")), 100);
	assert_null(json_object_get(s, "index"));
	json_decref(s);
	set_index(b.id, 1, 0, 0);
	s = story("aa11");
	assert_string_equal(text_at(s, "state"), "indexed");
	assert_string_equal(text_at(s, "quality"), "dwarf");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(s, "index"), "size")), 1234);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(json_object_get(s, "index"), "report"), "rows")),
			 7);
	json_decref(s);
}

static void test_report_must_be_json(void **state)
{
	struct catalog_index ix = {.generation = 1, .report_json = "\"},{"};
	struct err e = ERR_INIT;
	struct binary b;

	(void)state;
	add(&(struct file_spec){{"aa11"}, .content = '1'}, &b);
	assert_int_equal(catalog_set_index(catalog, b.id, &ix, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_JSON);
	assert_non_null(strstr(e.msg, "index report: JSON line 1"));
}

static json_t *list(const char *after, size_t limit)
{
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(MIB(1));
	struct err e = ERR_INIT;
	json_t *json;

	if (catalog_list_json(catalog, str_from(after), limit, &out, &e) ||
	    json_parse(buf_str(&out), &json, &e))
		fail_msg("%s", e.msg);
	return json;
}

static void test_list_pages(void **state)
{
	struct binary b;
	json_t *page;
	char id[32];
	_cleanup_(buf_deinit) struct buf out = BUF_INIT(MIB(1));
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "aa%02d", i);
		add(&(struct file_spec){{id}, .content = (char)('a' + i)}, &b);
	}
	page = list("", 2);
	assert_int_equal(json_array_size(json_object_get(page, "binaries")), 2);
	assert_string_equal(text_at(json_array_get(json_object_get(page, "binaries"), 0), "build_id"),
			    "aa04");
	snprintf(id, sizeof(id), "%s", text_at(page, "next"));
	json_decref(page);
	page = list(id, 3);
	assert_int_equal(json_array_size(json_object_get(page, "binaries")), 3);
	assert_string_equal(text_at(json_array_get(json_object_get(page, "binaries"), 0), "build_id"),
			    "aa02");
	assert_true(json_is_null(json_object_get(page, "next")));
	json_decref(page);
	assert_int_equal(catalog_list_json(catalog, STR("x'--"), 2, &out, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_REQUEST);
	assert_string_equal(e.msg, "'x'--' is not a cursor of this list");
}

static void test_delete(void **state)
{
	char(*sha)[SHA256_HEX] = NULL;
	struct binary one;
	struct binary two;
	struct err e = ERR_INIT;
	bool used = false;
	size_t n;

	(void)state;
	add(&(struct file_spec){{"aa11"}, .content = '1'}, &one);
	add(&(struct file_spec){{"aa11"}, .content = '2', .type = FILE_EXECUTABLE}, &one);
	add(&(struct file_spec){{"bb22"}, .content = '2'}, &two); // shares a blob
	assert_int_equal(catalog_delete(catalog, one.id, &sha, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(sha[0][0], '1');
	assert_int_equal(catalog_blob_used(catalog, sha[0], &used, &e), 0);
	assert_false(used);
	add(&(struct file_spec){{"dd44"}, .content = '1'}, &one);
	assert_int_equal(catalog_blob_used(catalog, sha[0], &used, &e), 0);
	assert_true(used);
	free(sha);
	assert_int_equal(find("aa11", &one), CATALOG_NOT_FOUND);
	assert_int_equal(catalog_delete(catalog, two.id, &sha, &n, &e), 0);
	assert_int_equal(n, 1);
	free(sha);
	assert_int_equal(catalog_delete(catalog, two.id, &sha, &n, &e), CATALOG_NOT_FOUND);
	// numbers do not come back: results go by them
	add(&(struct file_spec){{"cc33"}, .content = '3'}, &one);
	assert_true(one.id > two.id);
}

static void test_upstream_answers_expire(void **state)
{
	struct build_id id = id_of("aa11");
	enum upstream_answer answer;
	struct err e = ERR_INIT;
	int64_t until = clock_unix_s() + 60;

	(void)state;
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_DEBUGINFO, &answer, &e),
			 CATALOG_NOT_FOUND);
	assert_int_equal(catalog_upstream_put(catalog, &id, FILE_DEBUGINFO, UPSTREAM_ERROR, until,
					      "connection refused", &e),
			 0);
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_DEBUGINFO, &answer, &e), 0);
	assert_int_equal(answer, UPSTREAM_ERROR);
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_EXECUTABLE, &answer, &e),
			 CATALOG_NOT_FOUND);
	clock_shift_ms(61000);
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_DEBUGINFO, &answer, &e),
			 CATALOG_NOT_FOUND);
	clock_shift_ms(0);
	assert_int_equal(catalog_upstream_forget(catalog, &id, 1, &e), 0);
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_DEBUGINFO, &answer, &e),
			 CATALOG_NOT_FOUND);
}

// What would hold longer than was ever given was noted by a clock that was ahead.
static void test_upstream_answers_of_a_fast_clock(void **state)
{
	struct build_id id = id_of("aa11");
	enum upstream_answer answer = UPSTREAM_ERROR;
	struct err e = ERR_INIT;

	(void)state;
	clock_shift_ms(3600 * 1000);
	assert_int_equal(catalog_upstream_put(catalog, &id, FILE_DEBUGINFO, UPSTREAM_ABSENT,
					      clock_unix_s() + 60, "", &e),
			 0);
	assert_int_equal(catalog_upstream_put(catalog, &id, FILE_EXECUTABLE, UPSTREAM_FOUND, INT64_MAX,
					      "", &e),
			 0);
	catalog_upstream_longest(catalog, 60);
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_DEBUGINFO, &answer, &e), 0);
	clock_shift_ms(-3600 * 1000);
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_DEBUGINFO, &answer, &e),
			 CATALOG_NOT_FOUND);
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_EXECUTABLE, &answer, &e), 0);
	assert_int_equal(answer, UPSTREAM_FOUND);
	catalog_upstream_longest(catalog, 2 * 3600);
	assert_int_equal(catalog_upstream_get(catalog, &id, FILE_DEBUGINFO, &answer, &e), 0);
	assert_int_equal(answer, UPSTREAM_ABSENT);
}

static void test_too_many_ids(void **state)
{
	struct build_id ids[17];
	struct catalog_new_file f = {.ids = ids, .id_count = 17};
	struct err e = ERR_INIT;
	struct binary b;

	(void)state;
	assert_int_equal(catalog_add_file(catalog, &f, &b, &e), -1);
	assert_string_equal(e.msg, "a file has 17 build-IDs; 1 to 16 are possible");
}

static void test_names(void **state)
{
	enum file_type t;

	(void)state;
	assert_true(file_type_parse(STR("executable"), &t));
	assert_int_equal(t, FILE_EXECUTABLE);
	assert_false(file_type_parse(STR("exe"), &t));
	assert_string_equal(file_type_name(FILE_KALLSYMS), "kallsyms");
	assert_string_equal(file_type_name((enum file_type)77), "unknown");
	assert_string_equal(trust_name(TRUST_UPSTREAM), "upstream");
}

enum { THREADS = 6, EACH = 20 };

// Every file has the ID all share and one of its own, so that all of them end as one binary.
static void *add_many(void *arg)
{
	int thread = *(int *)arg;

	for (int i = 0; i < EACH; i++) {
		struct build_id ids[] = {id_of("aa11"), id_of(HTL_ONE)};
		struct catalog_new_file f = {.ids = ids, .id_count = 2};
		struct binary b;
		struct err e = ERR_INIT;

		ids[1].bytes[0] = (uint8_t)(thread * EACH + i);
		f.file.type = FILE_DEBUGINFO;
		f.file.trust = TRUST_UPLOAD;
		f.file.quality = thread * EACH + i;
		snprintf(f.file.sha256, sizeof(f.file.sha256), "%064d", f.file.quality);
		if (catalog_add_file(catalog, &f, &b, &e) < 0 || catalog_find(catalog, ids + 1, 1, &b, &e))
			return arg;
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	_cleanup_free_ struct build_id *ids = NULL;
	pthread_t threads[THREADS];
	int numbers[THREADS];
	struct catalog_file best;
	struct binary b;
	struct err e = ERR_INIT;
	void *bad;
	size_t n;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(find("aa11", &b), 0);
	assert_int_equal(catalog_ids(catalog, b.id, &ids, &n, &e), 0);
	assert_int_equal(n, THREADS * EACH + 1);
	assert_int_equal(catalog_best_file(catalog, b.id, FILE_DEBUGINFO, &best, &e), 0);
	assert_int_equal(best.quality, THREADS * EACH - 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_file),
		TEST(test_same_bytes_exist),
		TEST(test_trust_then_quality),
		TEST(test_lost_file_is_replaced),
		TEST(test_headers),
		TEST(test_join),
		TEST(test_agent_joins_nothing_others_registered),
		TEST(test_agent_binds_no_id),
		TEST(test_different_build_ids_never_join),
		TEST(test_different_build_ids_are_not_bridged),
		TEST(test_ids_alone),
		TEST(test_files_that_come_while_indexing),
		TEST(test_failure),
		TEST(test_story),
		TEST(test_report_must_be_json),
		TEST(test_list_pages),
		TEST(test_delete),
		TEST(test_upstream_answers_expire),
		TEST(test_upstream_answers_of_a_fast_clock),
		TEST(test_too_many_ids),
		TEST(test_names),
		TEST(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
