/* SPDX-License-Identifier: Apache-2.0 */
/* Flights that fetch from an upstream server. */
#include "server/binaries_testing.h"

enum { MINUTE_MS = 60 * 1000 };

static struct fake_route *serve(struct life *l, const char *path, const struct subject *s)
{
	return fake_upstream_route(l->server, path, 200, s->bytes, s->size);
}

static unsigned asked(struct fake_route *r)
{
	return atomic_load(&r->asked);
}

static unsigned refusals(struct life *l)
{
	return atomic_load(&l->server->unknown);
}

static void debuginfo_comes_then_the_executable(void **state)
{
	struct life *l = LIFE(state);
	struct fake_route *debuginfo = serve(l, made.debuginfo_path, &made.debug);
	struct fake_route *executable = serve(l, made.executable_path, &made.stripped);
	struct answer a;

	life_start(l);
	a = ask_once(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_PENDING);
	a = ask(l, made.id, made.work);
	assert_work(&a);
	assert_true(a.headers_trusted);
	wait_landed(l, made.id);
	assert_int_equal(asked(debuginfo), 1);
	assert_int_equal(asked(executable), 1);
	assert_int_equal(row(l, made.id).generation, 1); // indexed together, once
}

static void an_unstripped_file_needs_no_executable(void **state)
{
	struct life *l = LIFE(state);
	struct fake_route *debuginfo = serve(l, made.debuginfo_path, &made.full);
	struct answer a;

	life_start(l);
	a = ask(l, made.id, made.work);
	assert_work(&a);
	assert_true(a.headers_trusted);
	assert_int_equal(asked(debuginfo), 1);
	assert_int_equal(refusals(l), 0);
}

static void the_executable_alone_is_better_than_nothing(void **state)
{
	struct life *l = LIFE(state);
	struct answer a;

	serve(l, made.executable_path, &made.stripped);
	life_start(l);
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_OK);
	assert_true(a.headers_trusted);
	assert_int_equal(refusals(l), 1);
	// names could be better, but upstream has said no just now
	wait_landed(l, made.id);
	clock_shift_ms(2 * MINUTE_MS);
	ask(l, made.id, made.work);
	wait_landed(l, made.id);
	assert_int_equal(refusals(l), 1);
}

static void an_absence_is_remembered_for_a_while(void **state)
{
	struct life *l = LIFE(state);
	struct answer a;

	life_start(l);
	a = ask(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_MISSING);
	assert_string_equal(a.reason, "not_found");
	assert_string_equal(a.detail, "not uploaded, and no upstream server has it");
	assert_int_equal(refusals(l), 2);
	ask(l, made.id, made.work);
	assert_int_equal(refusals(l), 2);
	life_stop(l); // a restart does not forget
	life_start(l);
	a = ask_once(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_MISSING);
	assert_int_equal(refusals(l), 2);
	clock_shift_ms(ABSENT_S * 1000 + 2 * MINUTE_MS);
	ask(l, made.id, made.work);
	assert_int_equal(refusals(l), 4);
}

static void an_upload_ends_an_absence(void **state)
{
	struct life *l = LIFE(state);
	struct err e = ERR_INIT;
	struct answer a;

	life_start(l);
	assert_int_equal(ask(l, made.id, made.work).status, MODULE_MISSING);
	assert_ok(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e));
	a = ask(l, made.id, made.work);
	assert_work(&a);
}

static void refused(struct life *l, const char *part)
{
	struct answer a = ask(l, made.id, made.work);

	assert_int_equal(a.status, MODULE_MISSING);
	assert_string_equal(a.reason, "upstream_failed");
	assert_non_null(strstr(a.detail, part));
	assert_false(known(l, made.id));
	assert_false(known(l, made.other_id));
	// not asked again at once, but again later
	ask(l, made.id, made.work);
	assert_int_equal(asked(&l->server->routes[0]), 1);
	clock_shift_ms(ERROR_S * 1000 + 2 * MINUTE_MS);
	ask(l, made.id, made.work);
	assert_int_equal(asked(&l->server->routes[0]), 2);
}

/*
 * What did not answer has not said no: neither at once, nor after a restart, nor when the verdict in
 * memory is gone and only the catalog remembers.
 */
static void who_cannot_be_reached_has_not_said_no(void **state)
{
	static char url[] = "http://eve:secret@127.0.0.2:1";
	struct life *l = LIFE(state);
	struct build_id ids[2];
	struct binaries_ask ask_for = {.ids = ids, .type = FILE_DEBUGINFO};
	struct catalog_file file;
	struct err e = ERR_INIT;
	struct answer a;

	l->urls[0] = url;
	life_start(l);
	a = ask(l, made.id, made.work);
	assert_string_equal(a.reason, "upstream_failed");
	assert_non_null(strstr(a.detail, "http://127.0.0.2:1: "));
	assert_null(strstr(a.detail, "secret"));
	a = ask_once(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_MISSING);
	assert_string_equal(a.reason, "upstream_failed");
	life_stop(l);
	life_start(l);
	a = ask_once(l, made.id, made.work);
	assert_int_equal(a.status, MODULE_MISSING);
	assert_string_equal(a.reason, "upstream_failed");
	assert_non_null(strstr(a.detail, "whether they have it is not known"));
	parse_id(made.id, ids, &ask_for.n);
	assert_int_equal(binaries_artifact(l->b, &ask_for, &file, &e), -1);
	assert_int_equal(e.kind, ERR_UPSTREAM);
}

static void another_binarys_file_is_refused(void **state)
{
	struct life *l = LIFE(state);
	char part[2 * BUILD_ID_TEXT + 64];

	serve(l, made.debuginfo_path, &made.other_debug);
	life_start(l);
	snprintf(part, sizeof(part), "the file's build-ID is %s, not %s", made.other_id, made.id);
	refused(l, part);
}

static void a_page_is_no_debuginfo(void **state)
{
	struct life *l = LIFE(state);
	static const struct subject page = {(char *)"<html>parked</html>", 19};

	serve(l, made.debuginfo_path, &page);
	life_start(l);
	refused(l, "sent as debuginfo was refused");
}

static void a_truncated_file_is_not_stored(void **state)
{
	struct life *l = LIFE(state);
	struct subject half = {made.full.bytes, made.full.size / 2};

	serve(l, made.debuginfo_path, &half)->promise = made.full.size;
	life_start(l);
	refused(l, "cut off after");
}

static void two_askers_make_one_request(void **state)
{
	struct life *l = LIFE(state);
	struct fake_route *debuginfo = serve(l, made.debuginfo_path, &made.full);
	struct binaries_waiting w = {.wait_ms = PATIENCE_MS, .wake = on_wake, .ctx = &l->woken};
	struct binaries_view *other;
	struct err e = ERR_INIT;
	struct answer a;

	debuginfo->delay_ms = 200;
	life_start(l);
	assert_ok(binaries_view_new(l->b, &other, &e));
	assert_int_equal(ask_view(other, made.id, made.work).status, MODULE_PENDING);
	assert_int_equal(ask_once(l, made.id, made.work).status, MODULE_PENDING);
	assert_int_equal(binaries_view_pending(other), 1);
	assert_int_equal(binaries_wait(l->b, other, &w, &e), 0);
	assert_int_equal(binaries_wait(l->b, l->view, &w, &e), 0);
	wait_woken(&l->woken, 2);
	a = ask_view(other, made.id, made.work);
	assert_work(&a);
	a = ask_once(l, made.id, made.work);
	assert_work(&a);
	assert_int_equal(asked(debuginfo), 1);
	binaries_view_free(other);
}

static void a_hanging_fetch_disturbs_nobody(void **state)
{
	struct life *l = LIFE(state);
	struct err e = ERR_INIT;
	uint64_t began;

	serve(l, made.debuginfo_path, &made.full)->hang = true;
	serve(l, made.other_debuginfo_path, &made.other_debug);
	life_start(l);
	assert_int_equal(ask_once(l, made.id, made.work).status, MODULE_PENDING);
	began = clock_mono_ms();
	assert_int_equal(ask(l, made.other_id, 1).status, MODULE_OK);
	assert_true(clock_mono_ms() - began < 5000);

	// neither does an upload wait for it
	assert_ok(put(l, made.id, &made.full, FILE_DEBUGINFO, &e));
	assert_work(&(struct answer[]){ask(l, made.id, made.work)}[0]);
	assert_true(clock_mono_ms() - began < 10000);
}

static void waiting_has_an_end(void **state)
{
	struct life *l = LIFE(state);
	struct binaries_waiting w = {.wait_ms = 200, .wake = on_wake, .ctx = &l->woken};
	struct err e = ERR_INIT;
	uint64_t began;
	uint64_t ms;

	serve(l, made.debuginfo_path, &made.full)->hang = true;
	life_start(l);
	ask_once(l, made.id, made.work);
	began = clock_mono_ms();
	assert_int_equal(binaries_wait(l->b, l->view, &w, &e), 0);
	wait_woken(&l->woken, 1);
	ms = clock_mono_ms() - began;
	assert_true(ms >= 200 && ms < 5000);
	assert_int_equal(ask_once(l, made.id, made.work).status, MODULE_PENDING);

	// and the end of the server is one, too
	w.wait_ms = 10 * MINUTE_MS;
	assert_int_equal(binaries_wait(l->b, l->view, &w, &e), 0);
	life_stop(l);
	wait_woken(&l->woken, 1);
}

// ---- /buildid -----------------------------------------------------------------------------------------------

// Asks, waits once, asks again.
static int settled_artifact(struct life *l, const struct binaries_ask *what, struct catalog_file *ret,
			    struct err *e)
{
	struct binaries_waiting w = {.wait_ms = PATIENCE_MS, .wake = on_wake, .ctx = &l->woken};

	assert_int_equal(binaries_artifact(l->b, what, ret, e), ARTIFACT_PENDING);
	if (binaries_wait_id(l->b, what->ids, what->n, UNTIL_FILES, &w, e) == 0)
		wait_woken(&l->woken, 1);
	return binaries_artifact(l->b, what, ret, e);
}

static void files_are_fetched_for_those_who_ask(void **state)
{
	struct life *l = LIFE(state);
	struct fake_route *executable = serve(l, made.executable_path, &made.stripped);
	struct catalog_file file;
	struct build_id ids[2];
	struct binaries_ask what = {.ids = ids, .type = FILE_EXECUTABLE, .local_only = true};
	struct err e = ERR_INIT;

	parse_id(made.id, ids, &what.n);
	life_start(l);
	assert_int_equal(binaries_artifact(l->b, &what, &file, &e), ARTIFACT_ABSENT);
	assert_int_equal(asked(executable), 0);
	what.local_only = false;
	what.forwarded = "10.9.8.7";
	assert_int_equal(settled_artifact(l, &what, &file, &e), ARTIFACT_READY);
	assert_int_equal(file.size, made.stripped.size);
	assert_int_equal(file.trust, TRUST_UPSTREAM);
	assert_string_equal(file.origin, l->server->url);
	assert_int_equal(refusals(l), 0); // debuginfo was not asked for
	assert_holds(str_from(l->server->last_request), "X-Forwarded-For: 10.9.8.7, unhex-");
}

static void what_upstream_lacks_is_absent(void **state)
{
	struct life *l = LIFE(state);
	struct catalog_file file;
	struct build_id ids[2];
	struct binaries_ask what = {.ids = ids, .type = FILE_DEBUGINFO};
	struct err e = ERR_INIT;

	parse_id(made.id, ids, &what.n);
	life_start(l);
	assert_int_equal(settled_artifact(l, &what, &file, &e), ARTIFACT_ABSENT);
	assert_int_equal(refusals(l), 1);
}

static void what_could_not_be_asked_is_not_absent(void **state)
{
	struct life *l = LIFE(state);
	struct catalog_file file;
	struct build_id ids[2];
	struct binaries_ask what = {.ids = ids, .type = FILE_DEBUGINFO};
	struct err e = ERR_INIT;

	parse_id(made.id, ids, &what.n);
	fake_upstream_route(l->server, made.debuginfo_path, 503, "", 0);
	life_start(l);
	assert_int_equal(settled_artifact(l, &what, &file, &e), -1);
	for (unsigned restart = 0; restart < 2; restart++) {
		assert_int_equal(binaries_artifact(l->b, &what, &file, &e), -1);
		assert_err(&e, ERR_UPSTREAM, "whether they have it is not known");
		life_stop(l);
		life_start(l);
	}
	what.local_only = true;
	assert_int_equal(binaries_artifact(l->b, &what, &file, &e), ARTIFACT_ABSENT);
}

// ---- loss -----------------------------------------------------------------------------------------------------

static void lost_files_are_fetched_again(void **state)
{
	struct life *l = LIFE(state);
	struct fake_route *debuginfo = serve(l, made.debuginfo_path, &made.full);
	struct answer before;
	struct answer a;

	life_start(l);
	before = ask(l, made.id, made.work);
	wait_landed(l, made.id);
	life_stop(l);
	wipe(l, "index");
	wipe(l, "blobs");
	life_start(l);
	a = ask_once(l, made.id, made.work);
	assert_memory_equal(&a, &before, sizeof(a));
	assert_int_equal(asked(debuginfo), 1);
	a = ask(l, made.id, made.work + 1);
	assert_work(&a);
	assert_int_equal(asked(debuginfo), 2);
}

static void an_upload_is_improved_from_upstream(void **state)
{
	struct life *l = LIFE(state);
	struct fake_route *executable = serve(l, made.executable_path, &made.stripped);
	struct err e = ERR_INIT;
	struct answer a;

	life_start(l);
	assert_ok(put(l, made.id, &made.debug, FILE_DEBUGINFO, &e));
	wait_landed(l, made.id);
	a = ask_once(l, made.id, made.work);
	assert_work(&a); // at once; program headers follow
	assert_int_equal(binaries_view_pending(l->view), 0);
	wait_landed(l, made.id);
	a = ask_once(l, made.id, made.work);
	assert_work(&a);
	assert_true(a.headers_trusted);
	assert_int_equal(asked(executable), 1);
	assert_int_equal(row(l, made.id).generation, 2);
	assert_int_equal(refusals(l), 0);
}

// ---- many at once ------------------------------------------------------------------------------------------------

struct crowd {
	struct life *l;
	pthread_t thread;
	unsigned seed;
};

static void *ask_and_upload(void *arg)
{
	struct crowd *c = arg;
	struct binaries_view *view;
	struct err e = ERR_INIT;

	if (binaries_view_new(c->l->b, &view, &e))
		return NULL;
	for (unsigned i = 0; i < 60; i++) {
		unsigned what = (i * 7 + c->seed) % 10;

		if (what == 0)
			(void)put(c->l, made.id, &made.debug, FILE_DEBUGINFO, &e);
		else if (what == 1)
			(void)put(c->l, made.id, &made.stripped, FILE_EXECUTABLE, &e);
		else
			ask_view(view, what % 2 ? made.id : made.other_id, made.work + i);
		binaries_view_reset(view);
	}
	binaries_view_free(view);
	return NULL;
}

static void a_crowd_finds_the_same_names(void **state)
{
	struct life *l = LIFE(state);
	struct crowd crowd[4];
	struct answer a;

	serve(l, made.debuginfo_path, &made.full)->delay_ms = 20;
	serve(l, made.other_debuginfo_path, &made.other_debug);
	l->cfg.open_indexes = 1;
	life_start(l);
	for (unsigned i = 0; i < countof(crowd); i++) {
		crowd[i] = (struct crowd){.l = l, .seed = i};
		assert_int_equal(pthread_create(&crowd[i].thread, NULL, ask_and_upload, &crowd[i]), 0);
	}
	for (unsigned i = 0; i < countof(crowd); i++)
		pthread_join(crowd[i].thread, NULL);
	wait_landed(l, made.id);
	wait_landed(l, made.other_id);
	a = ask(l, made.id, made.work);
	assert_work(&a);
	assert_int_equal(indexes_on_disk(l), 2);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, life_setup, life_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(debuginfo_comes_then_the_executable),
		T(an_unstripped_file_needs_no_executable),
		T(the_executable_alone_is_better_than_nothing),
		T(an_absence_is_remembered_for_a_while),
		T(an_upload_ends_an_absence),
		T(who_cannot_be_reached_has_not_said_no),
		T(another_binarys_file_is_refused),
		T(a_page_is_no_debuginfo),
		T(a_truncated_file_is_not_stored),
		T(two_askers_make_one_request),
		T(a_hanging_fetch_disturbs_nobody),
		T(waiting_has_an_end),
		T(files_are_fetched_for_those_who_ask),
		T(what_upstream_lacks_is_absent),
		T(what_could_not_be_asked_is_not_absent),
		T(lost_files_are_fetched_again),
		T(an_upload_is_improved_from_upstream),
		T(a_crowd_finds_the_same_names),
	};

	return cmocka_run_group_tests(tests, life_group_setup, life_group_teardown);
}
