/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/cgroup_name.h"

#include <ctype.h>
#include <string.h>

enum {
	LINES_MAX = 64,
	COMPONENTS_MAX = 64,
	ID_DIGITS = 64,
	TASK_DIGITS = 32, // ECS on Fargate: 32 digits, '-', a decimal number
	TASK_NUMBER_MAX = 20,
	UID_DASHED = 36,
	UID_PLAIN = 32,
	LXC_NAME_MAX = 64,
};

/* ---- forms ----------------------------------------------------------------------------------- */

static bool all_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!isxdigit((unsigned char)s.p[i]))
			return false;
	}
	return s.n > 0;
}

static bool all_decimal(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	}
	return s.n > 0;
}

/* As a host's name or a label may be. */
static bool is_plain_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!isalnum(c) && c != '-' && c != '_' && c != '.')
			return false;
	}
	return s.n > 0 && s.n <= LXC_NAME_MAX;
}

static void copy(char *to, size_t size, struct str from)
{
	size_t n = MIN(from.n, size - 1);

	memcpy(to, from.p, n);
	to[n] = 0;
}

static void copy_lower(char *to, size_t size, struct str from)
{
	copy(to, size, from);
	for (; *to; to++)
		*to = (char)tolower((unsigned char)*to);
}

static struct str without_suffix(struct str s, struct str suffix)
{
	if (str_has_suffix(s, suffix))
		s.n -= suffix.n;
	return s;
}

static struct str last(struct str s, size_t n)
{
	return (struct str){s.p + s.n - n, n};
}

/* ---- one component --------------------------------------------------------------------------- */

/* "<id>", "docker-<id>", "cri-containerd-<id>", "crio-<id>", "libpod-<id>", "nerdctl-<id>", … */
static bool find_id(struct str c, struct str *ret)
{
	// The monitor outside of the container that is named like it.
	if (str_has_prefix(c, STR("crio-conmon-")) || str_has_prefix(c, STR("libpod-conmon-")))
		return false;
	if (c.n < ID_DIGITS || (c.n > ID_DIGITS && c.p[c.n - ID_DIGITS - 1] != '-'))
		return false;
	*ret = last(c, ID_DIGITS);
	return all_hex(*ret);
}

/* "<32 digits>-<number>", as ECS names the containers of a Fargate task. */
static bool is_task(struct str c)
{
	return c.n > TASK_DIGITS + 1 && c.n <= TASK_DIGITS + 1 + TASK_NUMBER_MAX &&
	       c.p[TASK_DIGITS] == '-' && all_hex((struct str){c.p, TASK_DIGITS}) &&
	       all_decimal(str_skip(c, TASK_DIGITS + 1));
}

static bool is_uid(struct str s)
{
	static const size_t dashes[] = {8, 13, 18, 23};

	if (s.n == UID_PLAIN)
		return all_hex(s);
	if (s.n != UID_DASHED)
		return false;
	for (size_t i = 0, next = 0; i < s.n; i++) {
		bool dash = next < countof(dashes) && i == dashes[next];

		next += dash;
		// The systemd driver cannot have '-' there: it separates parent slices.
		if (dash ? s.p[i] != '-' && s.p[i] != '_' : !isxdigit((unsigned char)s.p[i]))
			return false;
	}
	return true;
}

/* "pod<uid>", "kubepods-burstable-pod<uid>". */
static bool find_uid(struct str c, struct str *ret)
{
	for (size_t n = UID_PLAIN; n <= UID_DASHED; n += UID_DASHED - UID_PLAIN) {
		if (c.n < n + 3 || memcmp(c.p + c.n - n - 3, "pod", 3) != 0)
			continue;
		if (c.n > n + 3 && c.p[c.n - n - 4] != '-')
			continue;
		*ret = last(c, n);
		return is_uid(*ret);
	}
	return false;
}

static void set_pod(struct cgroup_name *ret, struct str uid)
{
	copy_lower(ret->pod_uid, sizeof(ret->pod_uid), uid);
	for (char *p = ret->pod_uid; *p; p++)
		*p = *p == '_' ? '-' : *p;
}

/* parent: the component before. */
static bool find_lxc(struct str c, struct str parent, struct str *ret)
{
	static const struct str payload = {"lxc.payload.", sizeof("lxc.payload.") - 1};

	*ret = str_has_prefix(c, payload) ? str_skip(c, payload.n) : c;
	return (ret->n < c.n || str_is(parent, "lxc")) && is_plain_name(*ret);
}

/* A user's manager is nobody's service; what it started has a unit of its own further down. */
static bool is_unit(struct str c)
{
	return str_has_suffix(c, STR(".service")) && !str_has_prefix(c, STR("user@")) &&
	       c.n < CGROUP_UNIT_SIZE;
}

static void read_part(struct str c, struct str parent, struct cgroup_name *ret)
{
	struct str bare = without_suffix(without_suffix(c, STR(".scope")), STR(".slice"));
	struct str found;

	if (find_id(bare, &found))
		copy_lower(ret->container_id, sizeof(ret->container_id), found);
	else if (is_task(bare))
		copy_lower(ret->container_id, sizeof(ret->container_id), bare);
	else if (find_uid(bare, &found))
		set_pod(ret, found);
	else if (find_lxc(c, parent, &found))
		copy(ret->container_id, sizeof(ret->container_id), found);
	else if (is_unit(c))
		copy(ret->systemd_unit, sizeof(ret->systemd_unit), c);
}

/* ---- a path, and all of them ----------------------------------------------------------------- */

/* The innermost of each kind: containers may hold containers. */
static void read_path(struct str path, struct cgroup_name *ret)
{
	struct str rest = path, component, parent = STR(""), part;

	*ret = (struct cgroup_name){.path = ""};
	copy(ret->path, sizeof(ret->path), path);
	for (int i = 0; i < COMPONENTS_MAX && str_next(&rest, '/', &component); i++) {
		struct str parts = component;

		// containerd with the wrong driver configured: "kubepods-….slice:cri-containerd:<id>".
		while (str_next(&parts, ':', &part))
			read_part(part, parent, ret);
		parent = component;
	}
	if (ret->container_id[0])
		ret->systemd_unit[0] = 0;
}

/* How much a hierarchy's path is to be believed; which one runtimes use differs by host. */
static int rank_of(struct str number, struct str controllers)
{
	if (str_is(number, "0") && controllers.n == 0)
		return 3;
	if (str_is(controllers, "name=systemd"))
		return 2;
	return str_is(controllers, "memory") ? 1 : 0;
}

/* A container is worth most, then a pod, a unit, any path but the root. */
static int worth(const struct cgroup_name *n)
{
	return n->container_id[0]     ? 4
	       : n->pod_uid[0]	      ? 3
	       : n->systemd_unit[0]   ? 2
	       : strcmp(n->path, "/") ? 1
				      : 0;
}

void cgroup_name_parse(struct str text, struct cgroup_name *ret)
{
	struct str line, number, controllers;
	int best = -1;

	*ret = (struct cgroup_name){.path = ""};
	for (int i = 0; i < LINES_MAX && str_next(&text, '\n', &line); i++) {
		struct cgroup_name found;
		int value;

		if (!str_next(&line, ':', &number) || !str_next(&line, ':', &controllers) || !line.p)
			continue;
		read_path(line, &found);
		value = worth(&found) * 4 + rank_of(number, controllers);
		if (value > best) {
			best = value;
			*ret = found;
		}
	}
}
