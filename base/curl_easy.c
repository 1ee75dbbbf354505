/* SPDX-License-Identifier: Apache-2.0 */
#include "base/curl_easy.h"

#include "base/lazy_library.h"

struct curl_easy curl_easy;

static typeof(curl_global_init) *global_init;

static const struct lazy_symbol symbols[] = {
	{"curl_global_init", &global_init},
	{"curl_easy_init", &curl_easy.init},
	{"curl_easy_reset", &curl_easy.reset},
	{"curl_easy_setopt", &curl_easy.setopt},
	{"curl_easy_perform", &curl_easy.perform},
	{"curl_easy_getinfo", &curl_easy.getinfo},
	{"curl_easy_strerror", &curl_easy.strerror},
	{"curl_easy_cleanup", &curl_easy.cleanup},
	{"curl_slist_append", &curl_easy.slist_append},
	{"curl_slist_free_all", &curl_easy.slist_free_all},
	{"curl_url", &curl_easy.url},
	{"curl_url_set", &curl_easy.url_set},
	{"curl_url_cleanup", &curl_easy.url_cleanup},
	{0},
};
static struct lazy_library library = {"libcurl.so.4", "libcurl4", symbols, PTHREAD_MUTEX_INITIALIZER, false};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode ready;

static void set_up(void)
{
	ready = global_init(CURL_GLOBAL_DEFAULT);
}

int curl_easy_load(struct err *e)
{
	if (lazy_library_load(&library, e) < 0)
		return -1;
	pthread_once(&once, set_up);
	if (ready != CURLE_OK)
		return err_set(e, ERR_INTERNAL, "setting up libcurl: %s", curl_easy.strerror(ready));
	return 0;
}
