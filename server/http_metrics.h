/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HTTP core counts. Label values come from the route table and fixed lists. Thread-safe.
 */
#ifndef SERVER_HTTP_METRICS_H
#define SERVER_HTTP_METRICS_H

#include "base/err.h"
#include "server/router.h"

enum http_class {
	HTTP_2XX,
	HTTP_3XX,
	HTTP_4XX,
	HTTP_5XX,
	HTTP_RESET,
	HTTP_ABORTED,
	HTTP_CLASS_COUNT
};

struct http_gauges {
	size_t active;
	size_t suspended;
	size_t parked;
	size_t waiting[LANE_COUNT];
	size_t busy[LANE_COUNT];
	uint64_t body_memory;
};

/*
 * Before requests come. The table's names become label values; it must outlive the process's
 * metrics.
 */
void http_metrics_register(const struct route *routes);
/* `route` is the index in the table; one past its end: no route matched. */
void http_metrics_request(unsigned route, enum http_class class, enum err_kind kind,
			  double seconds);
void http_metrics_gauges(const struct http_gauges *g);

#endif
