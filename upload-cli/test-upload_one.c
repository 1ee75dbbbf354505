/* SPDX-License-Identifier: Apache-2.0 */
/* One file against a server of two answers: the first to "do you have it?", the second to the upload. */
#include "upload-cli/upload_one.h"

#include "tests/unit/sibling.h"
#include "tests/unit/toolbox.h"
#include "base/compress.h"
#include "base/testing.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

enum { ANSWERS = 2, REQUEST_MAX = 1 << 20 };

struct answer {
	const char *head; /* status line's rest and headers; NULL: none is expected */
	const char *body;
};

static struct {
	int fd;
	pthread_t thread;
	struct server_options options;
	char url[64];
	struct answer answers[ANSWERS];
	struct buf requests[ANSWERS];
	size_t body_at[ANSWERS];
	unsigned asked;
} server;

static bool built;

/* ---- the server ---------------------------------------------------------------------------------- */

static size_t body_size(const char *request)
{
	const char *at = strcasestr(request, "\r\nContent-Length:");

	return at ? strtoul(at + 17, NULL, 10) : 0;
}

static void read_request(int fd, struct buf *in, size_t *ret_body)
{
	const char *end = NULL;
	char chunk[4096];
	ssize_t n;

	while (!end || in->n - *ret_body < body_size(in->p)) {
		n = read(fd, chunk, sizeof(chunk));
		if (n <= 0)
			return;
		buf_append(in, chunk, (size_t)n);
		end = memmem(in->p, in->n, "\r\n\r\n", 4);
		*ret_body = end ? (size_t)(end - in->p) + 4 : 0;
	}
}

static void *serve(void *arg)
{
	(void)arg;
	for (; server.asked < ANSWERS && server.answers[server.asked].head; server.asked++) {
		const struct answer *a = &server.answers[server.asked];
		int fd = accept(server.fd, NULL, NULL);

		if (fd < 0)
			break;
		read_request(fd, &server.requests[server.asked], &server.body_at[server.asked]);
		dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", a->head,
			strlen(a->body), a->body);
		close(fd);
	}
	return NULL;
}

static void start(struct answer first, struct answer second)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);

	server.asked = 0;
	server.answers[0] = first;
	server.answers[1] = second;
	for (size_t i = 0; i < ANSWERS; i++)
		server.requests[i] = BUF_INIT(REQUEST_MAX);
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&at, &size), 0);
	assert_int_equal(listen(server.fd, 8), 0);
	snprintf(server.url, sizeof(server.url), "http://127.0.0.1:%u/", ntohs(at.sin_port));
	server.options.url = server.url;
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop(void)
{
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
	for (size_t i = 0; i < ANSWERS; i++)
		buf_deinit(&server.requests[i]);
}

/* ---- the file ------------------------------------------------------------------------------------ */

static const struct answer unknown = {"404 Not Found", "{\"code\":\"not_found\"}"};
static char file[256], id[64], sha256[80];

static void take_text(const char *name, char *out, size_t size)
{
	char *text = toolbox_read(name, NULL);

	snprintf(out, size, "%s", text);
	free(text);
}

static int setup(void **state)
{
	built = sibling_indexer();
	if (toolbox_setup(state) ||
	    toolbox_run("echo 'int main(void) { return 0; }' >a.c && gcc -g -Wl,--build-id a.c -o 'a b' && "
			"strip -o bare 'a b' && sha256sum 'a b' | cut -c1-64 | tr -d '\\n' >sha && "
			"readelf -n 'a b' | sed -n 's/.*Build ID: //p' | tr -d '\\n' >id"))
		return -1;
	snprintf(file, sizeof(file), "%s/a b", toolbox_dir);
	take_text("id", id, sizeof(id));
	take_text("sha", sha256, sizeof(sha256));
	return 0;
}

static void need_indexer(void)
{
	if (built)
		return;
	print_message("unhex-indexer is not built\n");
	skip();
}

static int upload(const struct upload_options *o, struct upload_result *ret, struct err *e)
{
	struct remote remote = REMOTE_INIT;
	int r;

	assert_int_equal(remote_open(&server.options, &remote, e), 0);
	r = upload_one(&remote, file, o, ret, e);
	remote_close(&remote);
	return r;
}

static void expect_line(unsigned request, const char *want)
{
	const char *got = server.requests[request].p;

	if (strncmp(got, want, strlen(want)) != 0)
		fail_msg("expected '%s', got '%.300s'", want, got);
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void what_is_new_is_sent_as_it_is(void **state)
{
	struct upload_result result;
	struct err e = ERR_INIT;
	struct buf back = BUF_INIT(REQUEST_MAX);
	char line[512];
	size_t n;
	char *bytes;

	(void)state;
	need_indexer();
	start(unknown, (struct answer){"201 Created", "{\"status\":\"indexing\"}"});
	assert_ok(upload(&(struct upload_options){.wait_s = 7, .force = false}, &result, &e));
	assert_int_equal(result.outcome, UPLOAD_SENT);
	assert_string_equal(result.build_id, id);
	assert_string_equal(result.type, "debuginfo");
	assert_string_equal(result.quality, "dwarf");
	assert_string_equal(result.status, "indexing");
	snprintf(line, sizeof(line), "GET /v1/debuginfo/%s HTTP/1.1\r\n", id);
	expect_line(0, line);
	snprintf(line, sizeof(line), "PUT /v1/debuginfo/%s?type=debuginfo&name=a%%20b&wait=7 HTTP/1.1\r\n", id);
	expect_line(1, line);
	assert_non_null(strstr(server.requests[1].p, "\r\nContent-Encoding: zstd\r\n"));
	bytes = toolbox_read("a b", &n);
	assert_ok(decompress_any(str_skip(buf_str(&server.requests[1]), server.body_at[1]), &back, &e));
	assert_int_equal(back.n, n);
	assert_memory_equal(back.p, bytes, n);
	assert_int_equal(result.size, n);
	assert_int_equal(result.sent, server.requests[1].n - server.body_at[1]);
	free(bytes);
	buf_deinit(&back);
	stop();
}

static void what_is_there_is_not_sent(void **state)
{
	struct upload_result result;
	struct err e = ERR_INIT;
	char story[256];

	(void)state;
	need_indexer();
	snprintf(story, sizeof(story), "{\"files\":[{\"sha256\":\"%s\",\"type\":\"debuginfo\"}]}", sha256);
	start((struct answer){"200 OK", story}, (struct answer){NULL, NULL});
	assert_ok(upload(&(struct upload_options){0}, &result, &e));
	assert_int_equal(result.outcome, UPLOAD_ALREADY);
	assert_int_equal(result.sent, 0);
	stop();
}

static void the_same_bytes_as_another_type_are_sent(void **state)
{
	struct upload_result result;
	struct err e = ERR_INIT;
	char story[256];

	(void)state;
	need_indexer();
	snprintf(story, sizeof(story), "{\"files\":[{\"sha256\":\"%s\",\"type\":\"executable\"}]}", sha256);
	start((struct answer){"200 OK", story}, (struct answer){"200 OK", "{}"});
	assert_ok(upload(&(struct upload_options){0}, &result, &e));
	assert_int_equal(result.outcome, UPLOAD_ALREADY); // it says so only now
	stop(); // the server counts when it has answered
	assert_int_equal(server.asked, 2);
}

static void a_deployed_file_lends_its_ids(void **state)
{
	struct upload_options o = {.force = true};
	struct upload_result result;
	struct err e = ERR_INIT;
	char deployed[256], want[256];

	(void)state;
	need_indexer();
	snprintf(deployed, sizeof(deployed), "%s/bare", toolbox_dir);
	o.deployed = deployed;
	start((struct answer){"409 Conflict", "{\"code\":\"conflict\"}"}, (struct answer){NULL, NULL});
	assert_ok(upload(&o, &result, &e));
	assert_int_equal(result.outcome, UPLOAD_NOT_BETTER);
	snprintf(want, sizeof(want), "PUT /v1/debuginfo/%s?type=debuginfo&alias=%s&alias=htl-", id, id);
	expect_line(0, want);
	assert_non_null(strstr(server.requests[0].p, "&name=a%20b&force=1 HTTP"));
	stop();
}

static void refusals_keep_their_kind(void **state)
{
	static const char problem[] = "Content-Type: application/problem+json";
	char refused[128], full[128];
	struct upload_result result = {.size = 77};
	struct err e = ERR_INIT;

	(void)state;
	need_indexer();
	snprintf(refused, sizeof(refused), "401 Unauthorized\r\n%s", problem);
	start((struct answer){refused, "{\"code\":\"unauthorized\",\"detail\":\"no token\"}"},
	      (struct answer){NULL, NULL});
	assert_int_equal(upload(&(struct upload_options){0}, &result, &e), -1);
	assert_err(&e, ERR_UNAUTHORIZED, "no token");
	stop();
	snprintf(full, sizeof(full), "507 Insufficient Storage\r\n%s", problem);
	start(unknown, (struct answer){full, "{\"code\":\"quota_exceeded\",\"detail\":\"10 GiB are used\"}"});
	assert_int_equal(upload(&(struct upload_options){0}, &result, &e), -1);
	assert_err(&e, ERR_QUOTA, "10 GiB are used");
	assert_int_equal(result.size, 77); // written only on success
	stop();
}

static void an_answer_that_is_no_json_is_told(void **state)
{
	struct upload_result result;
	struct err e = ERR_INIT;

	(void)state;
	need_indexer();
	start(unknown, (struct answer){"201 Created", "<html>"});
	assert_int_equal(upload(&(struct upload_options){0}, &result, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_JSON);
	stop();
}

static void a_dry_run_asks_nobody(void **state)
{
	struct remote nobody = REMOTE_INIT;
	struct upload_result result;
	struct err e = ERR_INIT;

	(void)state;
	need_indexer();
	assert_ok(upload_one(&nobody, file, &(struct upload_options){.dry_run = true, .type = "executable"},
			     &result, &e));
	assert_int_equal(result.outcome, UPLOAD_WOULD);
	assert_string_equal(result.type, "executable");
	assert_string_equal(upload_outcome_name(result.outcome), "would upload");
}

static void objects_of_a_folder_are_left_out(void **state)
{
	const struct upload_options found = {.from_folder = true}, named = {.dry_run = true};
	struct remote nobody = REMOTE_INIT;
	struct upload_result result;
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	need_indexer();
	snprintf(path, sizeof(path), "%s/a.o", toolbox_dir);
	assert_int_equal(toolbox_run("gcc -g -c -o a.o a.c"), 0);
	assert_ok(upload_one(&nobody, path, &found, &result, &e));
	assert_int_equal(result.outcome, UPLOAD_LEFT_OUT);
	assert_ok(upload_one(&nobody, path, &named, &result, &e));
	assert_int_equal(result.outcome, UPLOAD_WOULD);
}

static void a_file_that_is_no_elf_goes_nowhere(void **state)
{
	struct remote nobody = REMOTE_INIT;
	struct upload_result result;
	struct err e = ERR_INIT;
	char path[256];

	(void)state;
	need_indexer();
	snprintf(path, sizeof(path), "%s/a.c", toolbox_dir);
	assert_int_equal(upload_one(&nobody, path, &(struct upload_options){0}, &result, &e), -1);
	assert_err(&e, ERR_NOT_ELF, "/a.c: not an ELF file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_new_is_sent_as_it_is),
		cmocka_unit_test(what_is_there_is_not_sent),
		cmocka_unit_test(the_same_bytes_as_another_type_are_sent),
		cmocka_unit_test(a_deployed_file_lends_its_ids),
		cmocka_unit_test(refusals_keep_their_kind),
		cmocka_unit_test(an_answer_that_is_no_json_is_told),
		cmocka_unit_test(a_dry_run_asks_nobody),
		cmocka_unit_test(objects_of_a_folder_are_left_out),
		cmocka_unit_test(a_file_that_is_no_elf_goes_nowhere),
	};

	return cmocka_run_group_tests_name("upload_one", tests, setup, toolbox_teardown);
}
