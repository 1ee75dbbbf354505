/* SPDX-License-Identifier: Apache-2.0 */
/* Text as /proc/PID/cgroup and as /proc/PID/environ: names within their bounds and of their form. */
#include "agent-lite/ship/cgroup_name.h"
#include "agent-lite/ship/otel_env.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t size)
{
	if (strnlen(s, size) == size)
		abort();
}

static void check_cgroup(struct str text)
{
	struct cgroup_name n;

	cgroup_name_parse(text, &n);
	check_text(n.path, sizeof(n.path));
	check_text(n.container_id, sizeof(n.container_id));
	check_text(n.pod_uid, sizeof(n.pod_uid));
	check_text(n.systemd_unit, sizeof(n.systemd_unit));
	for (const char *p = n.pod_uid; *p; p++) {
		if (!isxdigit((unsigned char)*p) && *p != '-')
			abort();
	}
	for (const char *p = n.container_id; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			abort();
	}
	if (n.container_id[0] && n.systemd_unit[0])
		abort();
}

static void check_environment(struct str text)
{
	struct otel_env env;

	otel_env_parse(text, &env);
	check_text(env.service, sizeof(env.service));
	check_text(env.namespace, sizeof(env.namespace));
	check_text(env.pod, sizeof(env.pod));
	check_text(env.container, sizeof(env.container));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str text = {(const char *)data, size};

	check_cgroup(text);
	check_environment(text);
	return 0;
}
