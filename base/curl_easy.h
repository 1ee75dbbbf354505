/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's easy interface and its reader of URLs, loaded with the first HTTP client (base/lazy_library.h says why). For
 * http_client.c alone. The functions are libcurl's own, thread-safe as it says.
 */
#ifndef BASE_CURL_EASY_H
#define BASE_CURL_EASY_H

#include "base/err.h"
#include <curl/curl.h>

struct curl_easy {
	typeof(curl_easy_init) *init;
	typeof(curl_easy_reset) *reset;
	typeof(curl_easy_setopt) *setopt;
	typeof(curl_easy_perform) *perform;
	typeof(curl_easy_getinfo) *getinfo;
	typeof(curl_easy_strerror) *strerror;
	typeof(curl_easy_cleanup) *cleanup;
	typeof(curl_slist_append) *slist_append;
	typeof(curl_slist_free_all) *slist_free_all;
	typeof(curl_url) *url;
	typeof(curl_url_set) *url_set;
	typeof(curl_url_cleanup) *url_cleanup;
};

/* Not to be touched before curl_easy_load() was successful. */
extern struct curl_easy curl_easy;

/* Loads and sets up libcurl, once. ERR_INTERNAL. */
int curl_easy_load(struct err *e) MUST_CHECK;

#endif
