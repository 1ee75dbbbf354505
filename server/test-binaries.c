/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads, indexing, lookups, loss: without upstream servers. */
#include "base/mem.h"
#include "server/binaries_testing.h"

static struct answer upload_and_ask(struct life *l, const struct subject *s, enum file_type type)
{
	struct err e = ERR_INIT;

	assert_ok(put(l, made.id, s, type, &e));
	wait_landed(l, made.id);
	return ask(l, made.id, made.work);
}

static void start_alone(struct life *l)
{
	l->urls[0] = NULL;
	life_start(l);
}

static void an_upload_gives_names(void **state)
{
	struct life *l = LIFE(state);
	struct answer a;

	start_alone(l);
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_MISSING);
	assert_string_equal(a.reason, "not_found");
	assert_string_equal(a.detail, "not uploaded, and no upstream server is configured");
	a = upload_and_ask(l, &made.debug, FILE_DEBUGINFO);
	assert_work(&a);
	assert_false(a.headers_trusted);
	a = ask(l, made.id, 1);
	assert_int_equal(a.status, MODULE_OK);
	assert_int_equal(a.n, 0);
	assert_int_equal(row(l, made.id).generation, 1);
}

static void what_is_no_id_is_invalid(void **state)
{
	struct life *l = LIFE(state);
	struct answer a;

	start_alone(l);
	a = ask(l, "xyz", 1);
	assert_int_equal(a.status, MODULE_INVALID);
	assert_string_equal(a.reason, "bad_build_id");
	assert_string_equal(a.detail, "not a build-ID");
	a = ask(l, "htl-00112233445566778899aabbccddeeff", 1);
	assert_int_equal(a.status, MODULE_MISSING);
}

static void the_same_upload_again_changes_nothing(void **state)
{
	struct life *l = LIFE(state);
	struct err e = ERR_INIT;

	start_alone(l);
	upload_and_ask(l, &made.debug, FILE_DEBUGINFO);
	assert_int_equal(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e), BINARIES_ALREADY);
	wait_landed(l, made.id);
	assert_int_equal(row(l, made.id).generation, 1);
}

static void better_files_make_a_new_generation(void **state)
{
	struct life *l = LIFE(state);
	const struct resolver *r;
	static struct frames frames;
	struct err e = ERR_INIT;
	struct module m;
	struct answer a;

	start_alone(l);
	a = upload_and_ask(l, &made.stripped, FILE_EXECUTABLE);
	assert_int_equal(a.status, MODULE_OK);
	assert_true(a.headers_trusted);
	assert_int_not_equal(a.source, SOURCE_DWARF);

	// a request that is under way keeps the index it began with
	r = binaries_view_resolver(l->view);
	assert_ok(r->module(r->ctx, str_from(made.id), &m, &e));
	assert_ok(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e));
	wait_landed(l, made.id);
	assert_int_equal(row(l, made.id).generation, 2);
	assert_int_equal(indexes_on_disk(l), 1);
	assert_ok(r->lookup(r->ctx, &m, made.work, &frames, &e));
	assert_int_not_equal(frames.source, SOURCE_DWARF);
	r->release(r->ctx, &m);

	a = ask(l, made.id, made.work);
	assert_work(&a);
	assert_true(a.headers_trusted);
}

static void an_unstripped_file_is_both(void **state)
{
	struct life *l = LIFE(state);
	struct catalog_file file;
	struct err e = ERR_INIT;
	struct build_id ids[2];
	struct binaries_ask ask_for = {.ids = ids, .type = FILE_EXECUTABLE};
	struct answer a;

	start_alone(l);
	a = upload_and_ask(l, &made.full, FILE_DEBUGINFO);
	assert_work(&a);
	assert_true(a.headers_trusted);
	parse_id(made.id, ids, &ask_for.n);
	assert_int_equal(binaries_artifact(l->b, &ask_for, &file, &e), ARTIFACT_READY);
	assert_int_equal(file.size, made.full.size);
	ask_for.type = FILE_DEBUGINFO;
	assert_int_equal(binaries_artifact(l->b, &ask_for, &file, &e), ARTIFACT_READY);
	// a debug file alone is no better than the DWARF that is there
	assert_int_equal(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e), BINARIES_WORSE);
}

static void what_is_not_what_it_claims_is_refused(void **state)
{
	struct life *l = LIFE(state);
	struct subject text = {(char *)"#!/bin/sh\n", 10};
	struct subject cut = {made.debug.bytes, 100};
	struct err e = ERR_INIT;

	start_alone(l);
	assert_int_equal(put(l, made.id, &made.other_debug, FILE_DEBUGINFO, &e), -1);
	assert_err(&e, ERR_ID_MISMATCH, made.other_id);
	assert_int_equal(put(l, made.id, &text, FILE_DEBUGINFO, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_ELF);
	assert_int_equal(put(l, made.id, &cut, FILE_DEBUGINFO, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_ELF);
	assert_int_equal(put(l, made.id, &made.debug, FILE_EXECUTABLE, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "type=debuginfo");
	assert_int_equal(put(l, made.id, &made.debug, FILE_SOURCES, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "sources are not taken yet");
	assert_false(known(l, made.id));
	assert_false(known(l, made.other_id));
}

// Another file of the folder of subjects, under the ID that is given; aliases may be NULL.
static int put_file(struct life *l, const char *name, const struct build_id *id,
		    const struct build_id *alias, struct err *e)
{
	struct binaries_put_result ret = {.probe_json = NULL};
	_cleanup_close_ int fd = -1;
	struct binaries_upload u = {.claimed = id, .claimed_count = 1, .aliases = alias,
				    .alias_count = alias ? 1 : 0,
				    .trust = TRUST_UPLOAD, .origin = "ci", .force = alias != NULL};
	char path[256];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	u.fd = fd;
	rc = binaries_put(l->b, &u, &ret, e);
	free(ret.probe_json);
	return rc;
}

static struct build_id id_from(const char *text)
{
	struct build_id ids[2];
	size_t n;

	parse_id(text, ids, &n);
	return ids[0];
}

static struct build_id hash_of(const char *name)
{
	_cleanup_close_ int fd = -1;
	struct build_id id = {.size = 0};
	struct err e = ERR_INIT;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", toolbox_dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_ok(build_id_htl(fd, &id, &e));
	return id;
}

// A file of two IDs that were two binaries makes them one; who asked by the other ID learns of it.
static void joined_binaries_share_names(void **state)
{
	struct life *l = LIFE(state);
	struct build_id id = id_from(made.id);
	struct build_id hash;
	char text[BUILD_ID_TEXT];
	struct err e = ERR_INIT;
	struct answer a;

	start_alone(l);
	assert_int_equal(toolbox_run("objcopy --remove-section=.note.gnu.build-id one.stripped bare"), 0);
	hash = hash_of("bare");
	build_id_text(&hash, text);
	assert_ok(put(l, made.id, &made.stripped, FILE_EXECUTABLE, &e));
	assert_ok(put_file(l, "bare", &hash, NULL, &e));
	wait_landed(l, made.id);
	wait_landed(l, text);
	a = ask(l, text, made.work);
	assert_int_equal(a.status, MODULE_OK);
	assert_ok(put_file(l, "one.debug", &id, &hash, &e));
	wait_landed(l, made.id);
	a = ask(l, text, made.work);
	assert_work(&a);
	a = ask(l, made.id, made.work);
	assert_work(&a);
	assert_int_equal(row(l, text).id, row(l, made.id).id);
}

// Whoever asks for it, and with force: two binaries with different build-IDs stay two.
static void other_binaries_are_not_taken_over(void **state)
{
	struct life *l = LIFE(state);
	struct build_id one = id_from(made.id);
	struct build_id other = id_from(made.other_id);
	struct build_id hash;
	struct err e = ERR_INIT;

	start_alone(l);
	assert_ok(put(l, made.id, &made.stripped, FILE_EXECUTABLE, &e));
	assert_int_equal(put_file(l, "other.debug", &other, &one, &e), -1);
	assert_err(&e, ERR_ID_MISMATCH, "alias: ");
	assert_non_null(strstr(e.msg, made.id));
	assert_non_null(strstr(e.msg, made.other_id));
	hash = hash_of("one.stripped");
	assert_int_equal(put_file(l, "other.debug", &other, &hash, &e), -1);
	assert_err(&e, ERR_ID_MISMATCH, "they are not the same binary");
	assert_false(known(l, made.other_id));
	// what has no build-ID of its own can name a new one, but not take over what is there
	assert_int_equal(toolbox_run("objcopy --remove-section=.note.gnu.build-id other.debug bare"), 0);
	hash = hash_of("bare");
	assert_int_equal(put_file(l, "bare", &hash, &one, &e), -1);
	assert_err(&e, ERR_ID_MISMATCH, "this file's is none");
	assert_ok(put_file(l, "bare", &hash, &other, &e));
	assert_int_not_equal(row(l, made.other_id).id, row(l, made.id).id);
}

// What is no better is not taken, but profiles of it come with its own file hash.
static void what_is_no_better_tells_its_ids(void **state)
{
	struct life *l = LIFE(state);
	struct build_id hash = hash_of("one.stripped");
	char text[BUILD_ID_TEXT];
	struct err e = ERR_INIT;
	struct answer a;

	start_alone(l);
	build_id_text(&hash, text);
	assert_ok(put(l, made.id, &made.full, FILE_DEBUGINFO, &e));
	a = ask(l, text, made.work); // remembered as unknown
	assert_int_equal(a.status, MODULE_MISSING);
	assert_int_equal(put(l, made.id, &made.stripped, FILE_EXECUTABLE, &e), BINARIES_WORSE);
	wait_landed(l, made.id);
	a = ask(l, text, made.work);
	assert_work(&a);
}

static void objects_without_build_id_are_refused(void **state)
{
	struct life *l = LIFE(state);
	struct build_id hash;
	struct err e = ERR_INIT;

	start_alone(l);
	assert_int_equal(toolbox_run("gcc -g -c -o one.o one.c"), 0);
	hash = hash_of("one.o");
	assert_int_equal(put_file(l, "one.o", &hash, NULL, &e), -1);
	assert_err(&e, ERR_UNSUPPORTED, "this is a relocatable object");
}

// ---- indexers that fail ---------------------------------------------------------------------------------------

static void indexing_fails(struct life *l, const char *line, const char *code, const char *part)
{
	struct err e = ERR_INIT;
	struct answer a;

	fake_indexer(l, line);
	start_alone(l);
	assert_ok(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e));
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_INVALID);
	assert_string_equal(a.reason, code);
	assert_non_null(strstr(a.detail, part));
	assert_string_equal(row(l, made.id).reason_code, code);
	assert_int_equal(indexes_on_disk(l), 0);
	// nothing else is disturbed, and it is not tried again
	assert_int_equal(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e), BINARIES_ALREADY);
	assert_int_equal(ask_once(l, made.id, made.work).status, MODULE_INVALID);
}

static void a_crashed_indexer_is_a_reason(void **state)
{
	indexing_fails(LIFE(state), "kill -SEGV $$", "indexer_crashed", "killed by signal 11");
}

// What may have been the machine's fault is no reason until it has come twice.
static void indexing_fails_twice(struct life *l, const char *line, const char *code, const char *part)
{
	struct err e = ERR_INIT;
	struct answer a;

	fake_indexer(l, line);
	l->cfg.error_s = 1; // then it is tried again
	start_alone(l);
	assert_ok(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e));
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_MISSING);
	assert_string_equal(a.reason, code);
	assert_non_null(strstr(a.detail, part));
	assert_string_equal(row(l, made.id).reason_code, "");
	assert_true(row(l, made.id).needs_index);
	sleep(1);
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_INVALID);
	assert_string_equal(a.reason, code);
	assert_non_null(strstr(a.detail, part));
	assert_string_equal(row(l, made.id).reason_code, code);
	assert_int_equal(ask_once(l, made.id, made.work).status, MODULE_INVALID);
}

static void an_indexer_killed_twice_is_a_reason(void **state)
{
	indexing_fails_twice(LIFE(state), "kill -KILL $$", "indexer_killed", "killed by signal 9");
}

static void an_indexer_slow_twice_is_a_reason(void **state)
{
	struct life *l = LIFE(state);

	l->cfg.indexer_deadline_ms = 1000;
	indexing_fails_twice(l, "sleep 20", "indexer_timeout", "not done after 1 s");
}

static void an_indexer_killed_once_is_tried_again(void **state)
{
	struct life *l = LIFE(state);
	struct err e = ERR_INIT;
	struct answer a;

	fake_indexer(l, "mark=$(dirname \"$0\")/killed; test -e $mark || { touch $mark; kill -KILL $$; }");
	l->cfg.error_s = 1;
	start_alone(l);
	assert_ok(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e));
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_MISSING);
	sleep(1);
	a = ask(l, made.id, made.work);
	assert_work(&a);
}

static void a_lack_of_memory_is_a_reason(void **state)
{
	indexing_fails(LIFE(state),
		       "echo '{\"error\":{\"code\":\"out_of_memory\",\"detail\":\"no more\"}}'; exit 1",
		       "indexer_out_of_memory", "no more");
}

static void a_report_that_is_none_is_a_reason(void **state)
{
	indexing_fails(LIFE(state), "echo '{\"format\":\"unhex-index/1\"'; exit 0", "indexer_crashed",
		       "report makes no sense");
}

static void an_index_that_is_none_is_a_reason(void **state)
{
	indexing_fails(LIFE(state),
		       "echo '{\"format\":\"unhex-index/1\",\"quality\":\"dwarf\"}';"
		       " echo nonsense >/proc/self/fd/3; exit 0",
		       "bad_index", "");
}

static void another_version_tries_again(void **state)
{
	struct life *l = LIFE(state);
	struct err e = ERR_INIT;
	char path[128];
	struct answer a;

	indexing_fails(l, "kill -SEGV $$", "indexer_crashed", "signal");
	life_stop(l);
	l->cfg.indexer_path = made.indexer;
	start_alone(l); // the same version: the reason holds
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_INVALID);
	life_stop(l);
	snprintf(path, sizeof(path), "%s/version", l->index_dir);
	assert_ok(io_write_file(path, "0.0 before\n", 11, 0644, &e));
	start_alone(l);
	a = ask(l, made.id, made.work);
	assert_work(&a);
}

static void a_new_file_tries_again(void **state)
{
	struct life *l = LIFE(state);
	struct err e = ERR_INIT;
	struct answer a;

	// two inputs make it crash no more
	indexing_fails(l, "case \"$*\" in *fd:5*) ;; *) kill -SEGV $$;; esac", "indexer_crashed", "signal");
	assert_ok(put(l, made.id, &made.stripped, FILE_EXECUTABLE, &e));
	a = ask(l, made.id, made.work);
	assert_work(&a);
	assert_string_equal(row(l, made.id).reason_code, "");
}

// ---- loss ---------------------------------------------------------------------------------------------------------

static void answers_survive_the_loss_of_everything(void **state)
{
	struct life *l = LIFE(state);
	struct answer before[3];
	struct answer a;

	start_alone(l);
	before[0] = upload_and_ask(l, &made.full, FILE_DEBUGINFO);
	before[1] = ask(l, made.id, made.main);
	before[2] = ask(l, made.id, 1);
	life_stop(l);
	wipe(l, "index");
	wipe(l, "blobs");
	start_alone(l);
	a = ask(l, made.id, made.work);
	assert_memory_equal(&a, &before[0], sizeof(a));
	a = ask(l, made.id, made.main);
	assert_memory_equal(&a, &before[1], sizeof(a));
	a = ask_once(l, made.id, 1); // "nothing there" is an answer, too: nobody is sent for
	assert_int_equal(binaries_view_pending(l->view), 0);
	assert_memory_equal(&a, &before[2], sizeof(a));
	a = ask(l, made.id, made.work + 1); // never asked for before, and not to be had any more
	assert_int_equal(a.n, 0);
	a = ask(l, made.id, made.work);
	assert_memory_equal(&a, &before[0], sizeof(a));
}

// What only an older generation was asked for is still answered, as it was, when nothing better can come.
static void older_answers_survive_too(void **state)
{
	struct life *l = LIFE(state);
	struct err e = ERR_INIT;
	struct answer before;
	struct answer a;

	start_alone(l);
	assert_ok(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e));
	before = ask(l, made.id, made.main);
	assert_true(before.n > 0);
	a = upload_and_ask(l, &made.stripped, FILE_EXECUTABLE);
	assert_work(&a);
	assert_int_equal(row(l, made.id).generation, 2);
	life_stop(l);
	wipe(l, "index");
	wipe(l, "blobs");
	start_alone(l);
	a = ask(l, made.id, made.main);
	assert_int_equal(a.status, MODULE_OK);
	assert_int_equal(a.n, before.n);
	assert_int_equal(a.source, before.source);
	assert_string_equal(a.leaf, before.leaf);
	assert_int_equal(a.line, before.line);
}

static void a_lost_index_is_built_again(void **state)
{
	struct life *l = LIFE(state);
	struct answer before;
	struct answer a;

	start_alone(l);
	before = upload_and_ask(l, &made.full, FILE_DEBUGINFO);
	life_stop(l);
	wipe(l, "index");
	start_alone(l);
	a = ask_once(l, made.id, made.work);
	assert_memory_equal(&a, &before, sizeof(a));
	assert_int_equal(binaries_view_pending(l->view), 0);
	assert_int_equal(indexes_on_disk(l), 0); // nobody needed it
	a = ask(l, made.id, made.work + 1);
	assert_work(&a);
	assert_int_equal(row(l, made.id).generation, 1);
	assert_int_equal(indexes_on_disk(l), 1);
}

static void a_damaged_index_is_built_again(void **state)
{
	struct life *l = LIFE(state);
	char command[256];
	struct answer a;

	start_alone(l);
	upload_and_ask(l, &made.full, FILE_DEBUGINFO);
	life_stop(l);
	snprintf(command, sizeof(command), "for f in %s/*.uhx; do echo garbage >$f; done", l->index_dir);
	assert_int_equal(system(command), 0);
	start_alone(l);
	a = ask(l, made.id, made.work + 1);
	assert_work(&a);
}

static void a_worse_index_does_not_take_a_lost_ones_place(void **state)
{
	struct life *l = LIFE(state);
	char command[256];
	struct err e = ERR_INIT;
	struct answer before;
	struct answer a;

	start_alone(l);
	assert_ok(put(l, made.id, &made.stripped, FILE_EXECUTABLE, &e));
	before = upload_and_ask(l, &made.debug, FILE_DEBUGINFO);
	life_stop(l);
	wipe(l, "index");
	wipe(l, "blobs/identity");
	// the debug file is lost, the executable is not
	snprintf(command, sizeof(command),
		 "cd %s && rm blobs/*/$(sha256sum <%s/one.debug | cut -d' ' -f1).zst", l->dir, toolbox_dir);
	assert_int_equal(system(command), 0);
	start_alone(l);
	a = ask(l, made.id, made.work + 1);
	assert_int_equal(a.n, 0);
	assert_int_equal(indexes_on_disk(l), 0);
	a = ask(l, made.id, made.work);
	assert_memory_equal(&a, &before, sizeof(a));
}

// Between store and index the server was killed.
static void what_was_not_indexed_is_queued_at_the_start(void **state)
{
	struct life *l = LIFE(state);
	struct err e = ERR_INIT;
	struct answer a;

	fake_indexer(l, "sleep 20");
	start_alone(l);
	assert_ok(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e));
	usleep(100000);
	life_stop(l); // ends the indexer, which is no failure of the file's
	assert_int_equal(indexes_on_disk(l), 0);
	l->cfg.indexer_path = made.indexer;
	start_alone(l);
	assert_string_equal(row(l, made.id).reason_code, "");
	wait_landed(l, made.id);
	assert_int_equal(row(l, made.id).generation, 1);
	a = ask_once(l, made.id, made.work);
	assert_work(&a);
}

static void leftovers_are_swept_at_the_start(void **state)
{
	struct life *l = LIFE(state);
	char command[256];
	struct answer a;

	start_alone(l);
	upload_and_ask(l, &made.debug, FILE_DEBUGINFO);
	life_stop(l);
	snprintf(command, sizeof(command), "cd %s && touch 1-2.uhx 77-1.uhx x.uhx .tmp-abcdef",
		 l->index_dir);
	assert_int_equal(system(command), 0);
	start_alone(l);
	assert_int_equal(indexes_on_disk(l), 1);
	a = ask_once(l, made.id, made.work);
	assert_work(&a);
}

static uint64_t blobs_in(struct life *l)
{
	struct blob_usage usage;

	blob_store_usage(l->blobs, &usage);
	return usage.blobs;
}

// A crash came between the blob and its row. Without any row it is the catalog that was lost.
static void orphans_are_swept_at_the_start(void **state)
{
	struct life *l = LIFE(state);
	struct blob_info info;
	struct err e = ERR_INIT;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/other", toolbox_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	start_alone(l);
	assert_int_equal(blob_put(l->blobs, fd, &info, &e), 0);
	close(fd);
	life_stop(l);
	start_alone(l);
	assert_int_equal(blobs_in(l), 1);
	upload_and_ask(l, &made.debug, FILE_DEBUGINFO);
	assert_int_equal(blobs_in(l), 2);
	life_stop(l);
	start_alone(l);
	assert_int_equal(blobs_in(l), 1);
	assert_int_equal(blob_stat(l->blobs, info.sha256, &info, &e), -1);
}

static void what_is_deleted_is_gone(void **state)
{
	struct life *l = LIFE(state);
	struct blob_usage usage;
	struct err e = ERR_INIT;
	struct build_id ids[2];
	struct answer a;
	size_t n;

	start_alone(l);
	upload_and_ask(l, &made.debug, FILE_DEBUGINFO);
	parse_id(made.id, ids, &n);
	assert_ok(binaries_delete(l->b, ids, n, &e));
	assert_int_equal(indexes_on_disk(l), 0);
	blob_store_usage(l->blobs, &usage);
	assert_int_equal(usage.blobs, 0);
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_MISSING);
	assert_int_equal(binaries_delete(l->b, ids, n, &e), -1);
	assert_err(&e, ERR_NOT_FOUND, "no such binary");
	a = upload_and_ask(l, &made.debug, FILE_DEBUGINFO);
	assert_work(&a);
}

// Some allocation fails, in whatever thread: an error, perhaps, but no crash, and no harm that stays.
static void running_out_of_memory_does_no_lasting_harm(void **state)
{
	struct life *l = LIFE(state);
	struct build_id ids[2];
	struct err e = ERR_INIT;
	struct answer a;
	size_t n;

	start_alone(l);
	parse_id(made.id, ids, &n);
	for (unsigned long nth = 1; nth < 120; nth += 3) {
		struct module m;
		const struct resolver *r = binaries_view_resolver(l->view);

		mem_fault_at(nth, 2);
		(void)put(l, made.id, &made.debug, FILE_DEBUGINFO, &e);
		if (r->module(r->ctx, str_from(made.id), &m, &e) == 0)
			r->release(r->ctx, &m);
		usleep(20000); // for the flight to have its share
		mem_fault_off();
		wait_landed(l, made.id);
		binaries_view_reset(l->view);
		assert_true(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e) >= 0);
		wait_landed(l, made.id);
		a = ask(l, made.id, made.work);
		assert_work(&a);
		assert_ok(binaries_delete(l->b, ids, n, &e));
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, life_setup, life_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_upload_gives_names),
		T(what_is_no_id_is_invalid),
		T(the_same_upload_again_changes_nothing),
		T(better_files_make_a_new_generation),
		T(an_unstripped_file_is_both),
		T(what_is_not_what_it_claims_is_refused),
		T(joined_binaries_share_names),
		T(other_binaries_are_not_taken_over),
		T(what_is_no_better_tells_its_ids),
		T(objects_without_build_id_are_refused),
		T(a_crashed_indexer_is_a_reason),
		T(an_indexer_killed_twice_is_a_reason),
		T(an_indexer_killed_once_is_tried_again),
		T(an_indexer_slow_twice_is_a_reason),
		T(a_lack_of_memory_is_a_reason),
		T(a_report_that_is_none_is_a_reason),
		T(an_index_that_is_none_is_a_reason),
		T(another_version_tries_again),
		T(a_new_file_tries_again),
		T(answers_survive_the_loss_of_everything),
		T(older_answers_survive_too),
		T(a_lost_index_is_built_again),
		T(a_damaged_index_is_built_again),
		T(a_worse_index_does_not_take_a_lost_ones_place),
		T(what_was_not_indexed_is_queued_at_the_start),
		T(leftovers_are_swept_at_the_start),
		T(orphans_are_swept_at_the_start),
		T(what_is_deleted_is_gone),
		T(running_out_of_memory_does_no_lasting_harm),
	};

	return cmocka_run_group_tests(tests, life_group_setup, life_group_teardown);
}
