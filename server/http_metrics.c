/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_metrics.h"

#include "base/metrics.h"

enum { ROUTES_MAX = METRIC_LABELS_MAX / HTTP_CLASS_COUNT - 1 };

static const char *route_names[ROUTES_MAX + 2];
static const char *const class_names[] = {"2xx", "3xx", "4xx", "5xx", "reset", "aborted", NULL};
static const char *const lane_names[] = {"work", "ingest", NULL};
static const char *const error_codes[] = {
#define X(kind, code, http, exit_code, retry) code,
	ERR_KINDS(X)
#undef X
		NULL,
};
static const double second_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
				       0.25,   0.5,   1,      2.5,   5,	   10,	  30,	60};

static struct metric requests = {
	.name = "unhex_http_requests_total",
	.help = "Requests by route and class of the answer; reset: refused by a TCP reset, "
		"aborted: "
		"the connection ended first.",
	.type = METRIC_COUNTER,
	.label = "route",
	.values = route_names,
	.label2 = "class",
	.values2 = class_names,
};
static struct metric request_seconds = {
	.name = "unhex_http_request_seconds",
	.help = "Time from request line to the end of the answer.",
	.type = METRIC_HISTOGRAM,
	.label = "route",
	.values = route_names,
	.buckets = second_bounds,
	.bucket_count = countof(second_bounds),
};
static struct metric errors = {
	.name = "unhex_http_errors_total",
	.help = "Error answers by their stable code.",
	.type = METRIC_COUNTER,
	.label = "code",
	.values = error_codes,
};
static struct metric active = {
	.name = "unhex_http_requests_active",
	.help = "Requests under way.",
	.type = METRIC_GAUGE,
};
static struct metric suspended = {
	.name = "unhex_http_requests_suspended",
	.help = "Requests on a worker, queued for one, or parked.",
	.type = METRIC_GAUGE,
};
static struct metric parked = {
	.name = "unhex_http_requests_parked",
	.help = "Requests that wait for something without holding a thread.",
	.type = METRIC_GAUGE,
};
static struct metric lane_waiting = {
	.name = "unhex_http_lane_waiting",
	.help = "Requests queued for a worker.",
	.type = METRIC_GAUGE,
	.label = "lane",
	.values = lane_names,
};
static struct metric lane_busy = {
	.name = "unhex_http_lane_busy",
	.help = "Workers with a request.",
	.type = METRIC_GAUGE,
	.label = "lane",
	.values = lane_names,
};
static struct metric body_memory = {
	.name = "unhex_http_body_memory_bytes",
	.help = "Memory that request bodies hold.",
	.type = METRIC_GAUGE,
};

void http_metrics_register(const struct route *routes)
{
	struct metric *const all[] = {&requests,     &request_seconds, &errors,
				      &active,	     &suspended,       &parked,
				      &lane_waiting, &lane_busy,       &body_memory};
	size_t n = 0;

	for (; routes[n].name && n < ROUTES_MAX; n++)
		route_names[n] = routes[n].name;
	route_names[n] = "other";
	route_names[n + 1] = NULL;
	for (size_t i = 0; i < countof(all); i++)
		metric_register(all[i]);
}

void http_metrics_request(unsigned route, enum http_class class, enum err_kind kind, double seconds)
{
	unsigned r = MIN(route, (unsigned)ROUTES_MAX);

	metric_add(&requests, r * HTTP_CLASS_COUNT + class, 1);
	metric_observe(&request_seconds, r, seconds);
	if (kind != ERR_NONE)
		metric_add(&errors, kind, 1);
}

void http_metrics_gauges(const struct http_gauges *g)
{
	metric_set(&active, 0, (int64_t)g->active);
	metric_set(&suspended, 0, (int64_t)g->suspended);
	metric_set(&parked, 0, (int64_t)g->parked);
	metric_set(&body_memory, 0, (int64_t)g->body_memory);
	for (enum lane l = LANE_WORK; l < LANE_COUNT; l++) {
		metric_set(&lane_waiting, l - LANE_WORK, (int64_t)g->waiting[l]);
		metric_set(&lane_busy, l - LANE_WORK, (int64_t)g->busy[l]);
	}
}
