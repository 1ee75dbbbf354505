/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a process's environment names it for OpenTelemetry: OTEL_SERVICE_NAME, and of
 * OTEL_RESOURCE_ATTRIBUTES (opentelemetry.io/docs/specs, "Environment Variable Specification") a few
 * keys. No other variable is looked at. The text is that of /proc/PID/environ, i.e. as the process
 * was started: hostile, of any length. No state; thread-safe.
 */
#ifndef AGENT_OTEL_ENV_H
#define AGENT_OTEL_ENV_H

#include "base/base.h"
#include "base/str.h"

enum { OTEL_NAME_SIZE = 256 };

/* Texts are empty where there is none; longer ones are cut. */
struct otel_env {
	char service[OTEL_NAME_SIZE];	/* OTEL_SERVICE_NAME, else service.name */
	char namespace[OTEL_NAME_SIZE]; /* k8s.namespace.name */
	char pod[OTEL_NAME_SIZE];	/* k8s.pod.name */
	char container[OTEL_NAME_SIZE]; /* k8s.container.name */
};

void otel_env_parse(struct str environment, struct otel_env *ret);

#endif
