/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/sample/sampler.h"

#include "agent-lite/rights/privilege.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
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
	// Of an LRU map each CPU keeps up to 128 places free for itself (kernel/bpf/bpf_lru_list.c:
	// LOCAL_FREE_TARGET): with fewer, what was seen or has waited for long would be pushed out.
	LRU_ENTRIES_PER_CPU = 256,
	PARKED_THREADS_MIN = 1024, // of 2 KiB, with --off-cpu only
	PARKED_THREADS_MAX = 32 << 10,
	WALKS_PER_S = 100,		// of waiting threads, on each CPU
	KERNEL_STACK_BYTES = 16 << 10, // THREAD_SIZE of x86-64 and, with 4 KiB pages, of arm64
};

#define PROBABILITY_ONE 4294967296.0 // bpf/off_cpu.h
#define PROBABILITY_MIN (1.0 / (1 << 14))

struct sampler {
	struct profile *bpf;
	struct ring_buffer *ring;
	struct bpf_link **links; /* by CPU; NULL: not attached */
	size_t cpu_count;	 /* possible CPUs */
	enum sampler_unwinder unwinder; /* the one that was loaded */
	unsigned hz;
	struct bpf_link *switches; /* NULL: without --off-cpu */
	uint64_t paced_ms, parked;   /* when sampler_pace() last looked, and what it saw */
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

static struct bpf_program *entry_program(const struct sampler *s)
{
	switch (s->unwinder) {
	case SAMPLER_LOOP:
		return s->bpf->progs.profile_loop;
	case SAMPLER_TAIL:
		return s->bpf->progs.profile_tail;
	default:
		return s->bpf->progs.profile_frame_pointer;
	}
}

static int attach_cpu(struct sampler *s, size_t cpu, struct err *e)
{
	_cleanup_close_ int fd = open_event(s->hz, cpu);

	if (fd < 0 && errno == ENODEV)
		return 0; // went offline meanwhile
	if (fd < 0)
		return privilege_explain(errno, "opening a clock event with perf_event_open", e);
	s->links[cpu] = bpf_program__attach_perf_event(entry_program(s), fd);
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

/* Those of one unwinder; and without tables no maps for them, which old kernels do not know. */
static int choose_programs(struct sampler *s, const struct sampler_config *config)
{
	bool tables = s->unwinder != SAMPLER_FRAME_POINTER;
	bool tail = s->unwinder == SAMPLER_TAIL;
	int r = 0;

	r |= bpf_program__set_autoload(s->bpf->progs.profile_loop, s->unwinder == SAMPLER_LOOP);
	r |= bpf_program__set_autoload(s->bpf->progs.profile_tail, tail);
	r |= bpf_program__set_autoload(s->bpf->progs.profile_tail_step, tail);
	r |= bpf_program__set_autoload(s->bpf->progs.profile_frame_pointer, !tables);
	r |= bpf_program__set_autoload(s->bpf->progs.profile_switch, config->off_cpu);
	r |= bpf_map__set_autocreate(s->bpf->maps.parked_threads, config->off_cpu);
	r |= bpf_map__set_autocreate(s->bpf->maps.tail_programs, tail);
	r |= bpf_map__set_autocreate(s->bpf->maps.unwind_processes, tables);
	r |= bpf_map__set_autocreate(s->bpf->maps.unwind_mappings, tables);
	r |= bpf_map__set_autocreate(s->bpf->maps.unwind_tables, tables);
	return r;
}

static int connect_tail_call(struct sampler *s, struct err *e)
{
	int fd = bpf_program__fd(s->bpf->progs.profile_tail_step);
	const uint32_t zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(s->bpf->maps.tail_programs), &zero, &fd, BPF_ANY) < 0)
		return err_sys(e, errno, "connecting the BPF programs");
	return 0;
}

/* Many more may be possible: virtual machines are ready for what they could be given. */
static uint32_t count_online(const struct sampler *s)
{
	_cleanup_free_ bool *online = mem_calloc(s->cpu_count, sizeof(*online));
	struct err ignored;
	uint32_t n = 0;

	if (!online || sampler_online_cpus(online, s->cpu_count, &ignored) < 0)
		return (uint32_t)s->cpu_count;
	for (size_t cpu = 0; cpu < s->cpu_count; cpu++)
		n += online[cpu];
	return n;
}

static int set_map_sizes(struct sampler *s, struct err *e)
{
	uint32_t cpus = count_online(s), entries = cpus * LRU_ENTRIES_PER_CPU;
	uint32_t ring = cpus > BIG_HOST_CPUS ? RING_BYTES_BIG : RING_BYTES;
	uint32_t parked = MIN(MAX(entries, (uint32_t)PARKED_THREADS_MIN),
			      (uint32_t)PARKED_THREADS_MAX);

	s->bpf->rodata->ring_bytes = ring;
	if (bpf_map__set_max_entries(s->bpf->maps.ring, ring) < 0 ||
	    bpf_map__set_max_entries(s->bpf->maps.seen_processes,
				     MAX(entries, (uint32_t)PROFILE_SEEN_MIN)) < 0 ||
	    bpf_map__set_max_entries(s->bpf->maps.parked_threads, parked) < 0)
		return err_sys(e, errno, "setting the size of BPF maps");
	return 0;
}

static int load_programs(struct sampler *s, const struct sampler_config *config, struct err *e)
{
	char release[65];

	s->bpf = profile__open();
	if (!s->bpf)
		return privilege_explain(errno, "opening the BPF object", e);
	if (choose_programs(s, config) < 0)
		return err_sys(e, errno, "choosing the BPF programs to load");
	s->bpf->rodata->self_tgid = config->skip_self ? (uint32_t)getpid() : 0;
	s->bpf->rodata->pid_filter = config->pid_count > 0;
	s->bpf->rodata->cgroup_count = (uint32_t)config->cgroup_count;
	s->bpf->rodata->off_cpu_min_ns = config->off_cpu_min_ns;
	if (set_map_sizes(s, e) < 0)
		return -1;
	// Since 5.15 there is a helper for the registers that a thread left user space with.
	s->bpf->rodata->kernel_stack_bytes =
		privilege_kernel_is(5, 15, release) ? 0 : KERNEL_STACK_BYTES;
	if (profile__load(s->bpf) < 0)
		return privilege_explain(errno, "loading the BPF program", e);
	return s->unwinder == SAMPLER_TAIL ? connect_tail_call(s, e) : 0;
}

/* The best that the kernel takes: its version tells less than a trial. */
static int load(struct sampler *s, const struct sampler_config *config, struct err *e)
{
	bool any = config->unwinder == SAMPLER_ANY;
	enum sampler_unwinder last = any ? SAMPLER_FRAME_POINTER : config->unwinder;
	int r = -1;

	if (config->off_cpu)
		last = SAMPLER_LOOP;
	libbpf_set_print(ignore_libbpf);
	s->unwinder = any ? SAMPLER_LOOP : config->unwinder;
	for (; r < 0 && s->unwinder <= last; s->unwinder++) {
		profile__destroy(s->bpf);
		r = load_programs(s, config, e);
	}
	s->unwinder--;
	return r;
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
	if (c->off_cpu && c->unwinder != SAMPLER_ANY && c->unwinder != SAMPLER_LOOP)
		return err_set(e, ERR_USAGE, "--off-cpu walks stacks by bpf_loop only");
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

static int attach_switches(struct sampler *s, struct err *e)
{
	s->switches = bpf_program__attach_trace(s->bpf->progs.profile_switch);
	if (!s->switches)
		return privilege_explain(errno, "attaching to context switches (--off-cpu)", e);
	s->paced_ms = clock_mono_ms();
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
	if (config->off_cpu && attach_switches(s, e) < 0)
		return -1;
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
	bpf_link__destroy(s->switches); // accepts NULL
	s->switches = NULL;
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

/* ---- pace ----------------------------------------------------------------------------------- */

/* The probability that would have given WALKS_PER_S on each CPU, moved to by half. */
static uint32_t next_probability(uint32_t now, uint64_t parked, uint64_t aim)
{
	double p = ((double)now + 1) / PROBABILITY_ONE;
	double better = parked > 0 ? p * (double)aim / (double)parked : 2 * p;

	p = (p + better) / 2;
	p = p > 1 ? 1 : p < PROBABILITY_MIN ? PROBABILITY_MIN : p;
	return (uint32_t)(p * PROBABILITY_ONE - 1);
}

void sampler_pace(struct sampler *s)
{
	uint64_t now = clock_mono_ms(), ms = now - s->paced_ms;
	struct sampler_stats stats;
	uint32_t *p;

	if (!s->switches || ms == 0)
		return;
	sampler_stats(s, &stats);
	p = &s->bpf->data->off_cpu_probability;
	*p = next_probability(*p, stats.parked - s->parked, WALKS_PER_S * stats.cpus * ms / 1000);
	s->paced_ms = now;
	s->parked = stats.parked;
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
		ret->parked += all[cpu].parked;
		ret->lost += all[cpu].lost;
		ret->filtered += all[cpu].filtered;
	}
}

/* A run that went on in another program counts there. */
static void add_tail_steps(const struct sampler *s, struct sampler_stats *ret)
{
	int fd = bpf_program__fd(s->bpf->progs.profile_tail_step);
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return;
	ret->run_ns += info.run_time_ns;
	ret->verified_instructions += info.verified_insns;
}

static const char *const unwinder_names[SAMPLER_UNWINDER_COUNT] = {
	[SAMPLER_ANY] = "auto",
	[SAMPLER_LOOP] = "bpf_loop",
	[SAMPLER_TAIL] = "tail_call",
	[SAMPLER_FRAME_POINTER] = "frame_pointer",
};

int sampler_parse_unwinder(const char *name, enum sampler_unwinder *ret, struct err *e)
{
	for (int i = 0; i < SAMPLER_UNWINDER_COUNT; i++) {
		if (strcmp(name, unwinder_names[i]) == 0) {
			*ret = (enum sampler_unwinder)i;
			return 0;
		}
	}
	return err_set(e, ERR_USAGE,
		       "--unwinder %s: give auto, bpf_loop, tail_call or frame_pointer", name);
}

enum sampler_unwinder sampler_unwinder(const struct sampler *s, const char **ret_name)
{
	*ret_name = unwinder_names[s->unwinder];
	return s->unwinder;
}

bool sampler_unwind_maps(const struct sampler *s, struct unwind_maps *ret)
{
	if (s->unwinder == SAMPLER_FRAME_POINTER)
		return false;
	*ret = (struct unwind_maps){
		.processes = bpf_map__fd(s->bpf->maps.unwind_processes),
		.mappings = bpf_map__fd(s->bpf->maps.unwind_mappings),
		.tables = bpf_map__fd(s->bpf->maps.unwind_tables),
	};
	return true;
}

void sampler_stats(const struct sampler *s, struct sampler_stats *ret)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	*ret = (struct sampler_stats){.malformed = s->malformed};
	sum_counters(s, ret);
	for (size_t cpu = 0; cpu < s->cpu_count; cpu++)
		ret->cpus += s->links[cpu] != NULL;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(entry_program(s)), &info, &size) == 0) {
		ret->timed = info.run_cnt > 0;
		ret->run_count = info.run_cnt;
		ret->run_ns = info.run_time_ns;
		ret->verified_instructions = info.verified_insns;
	}
	if (s->unwinder == SAMPLER_TAIL)
		add_tail_steps(s, ret);
}
