/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/otel_env.h"

#include <string.h>

/* "%2C" is ','. A '%' without two digits is itself. */
static void copy_decoded(char to[static OTEL_NAME_SIZE], struct str from)
{
	size_t n = 0;

	for (size_t i = 0; i < from.n && n < OTEL_NAME_SIZE - 1; i++) {
		uint8_t byte;

		to[n] = from.p[i];
		if (str_percent_byte(str_skip(from, i), &byte)) {
			to[n] = (char)byte;
			i += 2;
		}
		n += to[n] != 0;
	}
	to[n] = 0;
}

static void copy_plain(char to[static OTEL_NAME_SIZE], struct str from)
{
	size_t n = MIN(from.n, (size_t)OTEL_NAME_SIZE - 1);

	memcpy(to, from.p, n);
	to[n] = 0;
}

static void read_attributes(struct str list, struct otel_env *ret, char service[static OTEL_NAME_SIZE])
{
	const struct {
		const char *key;
		char *to;
	} wanted[] = {
		{"service.name", service},
		{"k8s.namespace.name", ret->namespace},
		{"k8s.pod.name", ret->pod},
		{"k8s.container.name", ret->container},
	};
	struct str pair, key;

	while (str_next(&list, ',', &pair)) {
		if (!str_next(&pair, '=', &key) || !pair.p)
			continue;
		key = str_trim(key);
		for (size_t i = 0; i < countof(wanted); i++) {
			if (str_is(key, wanted[i].key))
				copy_decoded(wanted[i].to, str_trim(pair));
		}
	}
}

void otel_env_parse(struct str environment, struct otel_env *ret)
{
	const struct str name = STR("OTEL_SERVICE_NAME="), list = STR("OTEL_RESOURCE_ATTRIBUTES=");
	char service[OTEL_NAME_SIZE] = "";
	struct str variable;

	*ret = (struct otel_env){.service = ""};
	while (str_next(&environment, 0, &variable)) {
		if (str_has_prefix(variable, name))
			copy_plain(ret->service, str_trim(str_skip(variable, name.n)));
		else if (str_has_prefix(variable, list))
			read_attributes(str_skip(variable, list.n), ret, service);
	}
	if (!ret->service[0])
		copy_plain(ret->service, str_from(service));
}
