/* SPDX-License-Identifier: Apache-2.0 */
/* The page at "/": plain HTML, no scripts, nothing fetched from elsewhere. */
#ifndef WEB_INDEX_PAGE_H
#define WEB_INDEX_PAGE_H

#define INDEX_PAGE                                                                                 \
	"<!doctype html>\n"                                                                        \
	"<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Unhex</title>\n"                   \
	"<meta name=\"viewport\" content=\"width=device-width\">\n"                                \
	"<style>body{font:16px/1.5 system-ui,sans-serif;max-width:42em;margin:3em auto;"           \
	"padding:0 1em;color:#222}code{background:#f2f2f2;padding:.1em .3em}"                      \
	"footer{margin-top:2em;color:#777}</style></head>\n"                                       \
	"<body><h1>Unhex</h1>\n"                                                                   \
	"<p>This server turns the hex addresses in profiles into names: functions, files, lines, " \
	"inline chains. It is a debuginfod server as well.</p>\n"                                  \
	"<ul>\n"                                                                                   \
	"<li><a href=\"/v1/missing\">What is missing</a>: binaries without debug info, by the "    \
	"profile weight lost to them</li>\n"                                                       \
	"<li><a href=\"/v1/debuginfo\">What is here</a>: binaries, their IDs and files</li>\n"     \
	"<li><a href=\"/metrics\">Metrics</a>, <a href=\"/readyz\">readiness</a></li>\n"           \
	"</ul>\n"                                                                                  \
	"<p>To add debug info: <code>unhex upload build/</code>. To use it from gdb: "             \
	"<code>DEBUGINFOD_URLS=http://this-server</code>.</p>\n"                                   \
	"<footer>unhexd " UNHEX_VERSION "</footer></body></html>\n"

#endif
