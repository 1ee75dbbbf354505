/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sampler.h"

#include "agent-lite/privilege.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion" // bpftool's output is not ours to mend
#include "profile.skel.h"
#pragma GCC diagnostic pop

enum {
	RING_BYTES = 1 << 20, // seconds of 16 busy CPUs at 99 Hz
	RING_BYTES_BIG = 8 << 20,
	BIG_HOST_CPUS = 16,
	CPUS_MAX = 4096,
};

struct sampler {
	struct profile *bpf;
	struct ring_buffer *ring;
	struct bpf_link **links; /* by CPU; NULL: not attached */
	size_t cpu_count;	 /* possible CPUs */
	unsigned hz;
	sampler_fn *fn;
	void *ctx;
	struct err *drain_err; /* during sampler_drain() only */
	uint64_t malformed;
};

/* ---- CPUs ------------------------------------------------------------------------------------ */

bool sampler_parse_cpus(struct str list, bool *online, size_t n)
{
	struct str range;

	list = str_trim(list);
	while (str_next(&list, ',', &range)) {
		struct str first;
		uint64_t lo, hi;

		if (!str_next(&range, '-', &first) || !str_to_u64(first, CPUS_MAX, &lo))
			return false;
		hi = lo;
		if (range.p && !str_to_u64(range, CPUS_MAX, &hi))
			return false;
		for (uint64_t cpu = lo; cpu <= hi && cpu < n; cpu++)
			online[cpu] = true;
	}
	return true;
}

int sampler_online_cpus(bool *online, size_t n, struct err *e)
{
	static const char path[] = "/sys/devices/system/cpu/online";
	_cleanup_(buf_deinit) struct buf b = BUF_INIT(64 << 10);

	if (io_read_file(path, &b, e) < 0)
		return -1;
	if (!sampler_parse_cpus(buf_str(&b), online, n))
		return err_set(e, ERR_NO_KERNEL_SUPPORT, "%s is not a list of CPUs", path);
	return 0;
}

static int open_event(unsigned hz, size_t cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.freq = 1,
		.sample_freq = hz,
	};

	return (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static int attach_cpu(struct sampler *s, size_t cpu, struct err *e)
{
	_cleanup_close_ int fd = open_event(s->hz, cpu);

	if (fd < 0 && errno == ENODEV)
		return 0; // went offline meanwhile
	if (fd < 0)
		return privilege_explain(errno, "opening a clock event with perf_event_open", e);
	s->links[cpu] = bpf_program__attach_perf_event(s->bpf->progs.profile_sample, fd);
	if (!s->links[cpu])
		return privilege_explain(errno, "attaching the BPF program to a clock event", e);
	fd = -1; // the link owns it now
	return 0;
}

int sampler_follow_cpus(struct sampler *s, struct err *e)
{
	_cleanup_free_ bool *online = mem_calloc(s->cpu_count, sizeof(*online));

	if (!online)
		return err_nomem(e);
	if (sampler_online_cpus(online, s->cpu_count, e) < 0)
		return -1;
	for (size_t cpu = 0; cpu < s->cpu_count; cpu++) {
		if (!online[cpu] && s->links[cpu]) {
			bpf_link__destroy(s->links[cpu]);
			s->links[cpu] = NULL;
		}
		if (online[cpu] && !s->links[cpu] && attach_cpu(s, cpu, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- loading --------------------------------------------------------------------------------- */

static int ignore_libbpf(enum libbpf_print_level level UNUSED, const char *fmt UNUSED,
			 va_list ap UNUSED)
{
	return 0; // we say what is wrong in our own words
}

static int set_pids(struct sampler *s, const struct sampler_config *config, struct err *e)
{
	int map = bpf_map__fd(s->bpf->maps.target_pids);
	const uint8_t one = 1;

	for (size_t i = 0; i < config->pid_count; i++) {
		if (bpf_map_update_elem(map, &config->pids[i], &one, BPF_ANY) < 0)
			return err_sys(e, errno, "setting the processes to sample");
	}
	return 0;
}

static int set_cgroups(struct sampler *s, const struct sampler_config *config, struct err *e)
{
	int map = bpf_map__fd(s->bpf->maps.target_cgroups);

	for (uint32_t i = 0; i < config->cgroup_count; i++) {
		const char *path = config->cgroups[i];
		_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return err_sys(e, errno, "--cgroup %s", path);
		if (bpf_map_update_elem(map, &i, &fd, BPF_ANY) < 0)
			return err_sys(e, errno, "--cgroup %s", path);
	}
	return 0;
}

static int load(struct sampler *s, const struct sampler_config *config, struct err *e)
{
	uint32_t ring = s->cpu_count > BIG_HOST_CPUS ? RING_BYTES_BIG : RING_BYTES;

	libbpf_set_print(ignore_libbpf);
	s->bpf = profile__open();
	if (!s->bpf)
		return privilege_explain(errno, "opening the BPF object", e);
	s->bpf->rodata->self_tgid = config->skip_self ? (uint32_t)getpid() : 0;
	s->bpf->rodata->pid_filter = config->pid_count > 0;
	s->bpf->rodata->cgroup_count = (uint32_t)config->cgroup_count;
	s->bpf->rodata->ring_bytes = ring;
	if (bpf_map__set_max_entries(s->bpf->maps.ring, ring) < 0)
		return err_sys(e, errno, "setting the size of the ring buffer");
	if (profile__load(s->bpf) < 0)
		return privilege_explain(errno, "loading the BPF program", e);
	return 0;
}

static int take_record(void *ctx, void *data, size_t size)
{
	struct sampler *s = ctx;
	struct record r;
	struct err bad;

	if (record_parse(data, size, &r, &bad) < 0) {
		s->malformed++;
		return 0;
	}
	return s->fn(s->ctx, &r, s->drain_err);
}

/* What is sampled is told by the v2 hierarchy; many hosts still mount v1, whose folders look alike. */
static int check_cgroup(const char *path, struct err *e)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return err_sys(e, errno, "--cgroup %s", path);
	if (fs.f_type == CGROUP2_SUPER_MAGIC)
		return 0;
	return err_set(e, ERR_NO_KERNEL_SUPPORT,
		       "--cgroup %s is not in a cgroup v2 hierarchy, which is required", path);
}

static int check_config(const struct sampler_config *c, struct err *e)
{
	if (c->hz < 1 || c->hz > SAMPLER_HZ_MAX)
		return err_set(e, ERR_USAGE, "--hz must be 1 to %d", SAMPLER_HZ_MAX);
	if (c->pid_count > PROFILE_PIDS_MAX)
		return err_set(e, ERR_USAGE, "at most %d --pid", PROFILE_PIDS_MAX);
	if (c->cgroup_count > PROFILE_CGROUPS_MAX)
		return err_set(e, ERR_USAGE, "at most %d --cgroup", PROFILE_CGROUPS_MAX);
	for (uint32_t i = 0; i < c->cgroup_count; i++) {
		if (check_cgroup(c->cgroups[i], e) < 0)
			return -1;
	}
	return 0;
}

static int start(struct sampler *s, const struct sampler_config *config, struct err *e)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 1 || cpus > CPUS_MAX)
		return err_set(e, ERR_NO_KERNEL_SUPPORT, "cannot tell the number of CPUs");
	s->cpu_count = (size_t)cpus;
	s->links = mem_calloc(s->cpu_count, sizeof(struct bpf_link *));
	if (!s->links)
		return err_nomem(e);
	if (load(s, config, e) < 0 || set_pids(s, config, e) < 0 || set_cgroups(s, config, e) < 0)
		return -1;
	s->ring = ring_buffer__new(bpf_map__fd(s->bpf->maps.ring), take_record, s, NULL);
	if (!s->ring)
		return err_sys(e, errno, "mapping the ring buffer");
	return sampler_follow_cpus(s, e);
}

int sampler_new(const struct sampler_config *config, sampler_fn *fn, void *ctx,
		struct sampler **ret, struct err *e)
{
	struct sampler *s;

	if (check_config(config, e) < 0)
		return -1;
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return err_nomem(e);
	s->hz = config->hz;
	s->fn = fn;
	s->ctx = ctx;
	if (start(s, config, e) < 0) {
		sampler_free(s);
		return -1;
	}
	*ret = s;
	return 0;
}

void sampler_stop(struct sampler *s)
{
	for (size_t cpu = 0; s->links && cpu < s->cpu_count; cpu++) {
		bpf_link__destroy(s->links[cpu]); // accepts NULL
		s->links[cpu] = NULL;
	}
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	sampler_stop(s);
	free(s->links);
	ring_buffer__free(s->ring);
	profile__destroy(s->bpf);
	free(s);
}

int sampler_fd(const struct sampler *s)
{
	return ring_buffer__epoll_fd(s->ring);
}

int sampler_drain(struct sampler *s, struct err *e)
{
	int r;

	s->drain_err = e;
	r = ring_buffer__consume(s->ring);
	s->drain_err = NULL;
	return r < 0 ? -1 : 0;
}

/* ---- figures --------------------------------------------------------------------------------- */

static void sum_counters(const struct sampler *s, struct sampler_stats *ret)
{
	_cleanup_free_ struct profile_counters *all = mem_calloc(s->cpu_count, sizeof(*all));
	const uint32_t zero = 0;

	if (!all || bpf_map_lookup_elem(bpf_map__fd(s->bpf->maps.counters), &zero, all) < 0)
		return;
	for (size_t cpu = 0; cpu < s->cpu_count; cpu++) {
		ret->samples += all[cpu].samples;
		ret->lost += all[cpu].lost;
		ret->filtered += all[cpu].filtered;
	}
}

void sampler_stats(const struct sampler *s, struct sampler_stats *ret)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	*ret = (struct sampler_stats){.malformed = s->malformed};
	sum_counters(s, ret);
	for (size_t cpu = 0; cpu < s->cpu_count; cpu++)
		ret->cpus += s->links[cpu] != NULL;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(s->bpf->progs.profile_sample), &info, &size) ==
	    0) {
		ret->timed = info.run_cnt > 0;
		ret->run_count = info.run_cnt;
		ret->run_ns = info.run_time_ns;
	}
}
