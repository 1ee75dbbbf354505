/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PROC_TEXT_MAX = 4096 };

static struct metric *registered;
static struct metric **last = &registered;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER; // guards both

static unsigned count_values(const char *const *values)
{
	unsigned n = 0;

	while (values && n < METRIC_LABELS_MAX && values[n])
		n++;
	return n;
}

static unsigned label_count(const struct metric *m)
{
	unsigned n = m->label ? count_values(m->values) : 1;

	if (m->label2)
		n *= count_values(m->values2);
	return MIN(n, (unsigned)METRIC_LABELS_MAX);
}

// Registered metrics live as long as the process, and so do their buckets.
void metric_register(struct metric *m)
{
	pthread_mutex_lock(&registry_lock);
	if (!m->next && last != &m->next) {
		m->bucket_count = MIN(m->bucket_count, (unsigned)METRIC_BUCKETS_MAX);
		if (m->type == METRIC_HISTOGRAM && !m->hist)
			m->hist = mem_calloc(label_count(m), sizeof(*m->hist));
		*last = m;
		last = &m->next;
	}
	pthread_mutex_unlock(&registry_lock);
}

void metric_add(struct metric *m, unsigned label, uint64_t n)
{
	if (label < METRIC_LABELS_MAX)
		atomic_fetch_add_explicit(&m->cells[label], n, memory_order_relaxed);
}

void metric_set(struct metric *m, unsigned label, int64_t value)
{
	if (label < METRIC_LABELS_MAX)
		atomic_store_explicit(&m->cells[label], (uint64_t)value, memory_order_relaxed);
}

void metric_gauge_add(struct metric *m, unsigned label, int64_t by)
{
	metric_add(m, label, (uint64_t)by); // wraps to the right result
}

static double double_of(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static uint64_t bits_of(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

static void add_to_sum(_Atomic uint64_t *sum, double value)
{
	uint64_t old = atomic_load_explicit(sum, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(sum, &old, bits_of(double_of(old) + value),
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void metric_observe(struct metric *m, unsigned label, double value)
{
	unsigned i = 0;

	if (label >= METRIC_LABELS_MAX || !m->hist || label >= label_count(m))
		return;
	while (i < m->bucket_count && value > m->buckets[i])
		i++;
	if (i < m->bucket_count)
		atomic_fetch_add_explicit(&m->hist[label][i], 1, memory_order_relaxed);
	add_to_sum(&m->sums[label], value);
	metric_add(m, label, 1);
}

uint64_t metric_get(const struct metric *m, unsigned label)
{
	return label < METRIC_LABELS_MAX
		       ? atomic_load_explicit(&m->cells[label], memory_order_relaxed)
		       : 0;
}

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s ", name);
	for (; *help; help++) {
		if (*help == '\n' || *help == '\\')
			buf_append_c(out, '\\');
		buf_append_c(out, *help == '\n' ? 'n' : *help);
	}
	buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

// {label="value",label2="value",le="bound"}, any part or all absent.
static void put_labels(struct buf *out, const struct metric *m, unsigned label, const char *le)
{
	unsigned seconds = m->label2 ? MAX(count_values(m->values2), 1U) : 1;

	if (!m->label && !le)
		return;
	buf_append_c(out, '{');
	if (m->label)
		buf_printf(out, "%s=\"%s\"", m->label, m->values[label / seconds]);
	if (m->label2)
		buf_printf(out, ",%s=\"%s\"", m->label2, m->values2[label % seconds]);
	if (le)
		buf_printf(out, "%sle=\"%s\"", m->label ? "," : "", le);
	buf_append_c(out, '}');
}

static void put_bucket(struct buf *out, const struct metric *m, unsigned label, const char *le,
		       uint64_t count)
{
	buf_printf(out, "%s_bucket", m->name);
	put_labels(out, m, label, le);
	buf_printf(out, " %" PRIu64 "\n", count);
}

// The count is taken from the buckets where it can be, so that one exposition agrees with itself.
static void put_histogram(struct buf *out, const struct metric *m, unsigned label)
{
	uint64_t total = metric_get(m, label);
	uint64_t below = 0;
	char le[32];

	for (unsigned i = 0; m->hist && i < m->bucket_count; i++) {
		below += atomic_load_explicit(&m->hist[label][i], memory_order_relaxed);
		snprintf(le, sizeof(le), "%.15g", m->buckets[i]);
		put_bucket(out, m, label, le, below);
	}
	total = MAX(total, below);
	put_bucket(out, m, label, "+Inf", total);
	buf_printf(out, "%s_sum", m->name);
	put_labels(out, m, label, NULL);
	buf_printf(out, " %.15g\n%s_count",
		   double_of(atomic_load_explicit(&m->sums[label], memory_order_relaxed)), m->name);
	put_labels(out, m, label, NULL);
	buf_printf(out, " %" PRIu64 "\n", total);
}

static void put_scalar(struct buf *out, const struct metric *m, unsigned label)
{
	uint64_t v = metric_get(m, label);

	buf_puts(out, m->name);
	put_labels(out, m, label, NULL);
	if (m->type == METRIC_GAUGE)
		buf_printf(out, " %" PRId64 "\n", (int64_t)v);
	else
		buf_printf(out, " %" PRIu64 "\n", v);
}

static void put_metric(struct buf *out, const struct metric *m)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};
	unsigned n = label_count(m);

	put_head(out, m->name, types[m->type], m->help);
	for (unsigned i = 0; i < n; i++) {
		if (m->type == METRIC_HISTOGRAM)
			put_histogram(out, m, i);
		else
			put_scalar(out, m, i);
	}
}

static void put_process(struct buf *out, const char *name, const char *type, const char *help,
			double value)
{
	put_head(out, name, type, help);
	buf_printf(out, "%s %.15g\n", name, value);
}

// The words of /proc/self/stat from the third on (proc(5)); the second may hold anything.
static bool read_stat_words(struct buf *text, struct str words[], size_t n)
{
	const char *after;
	struct str rest;

	if (io_read_file("/proc/self/stat", text, NULL) || !text->n)
		return false;
	after = memrchr(text->p, ')', text->n);
	if (!after || after + 2 > text->p + text->n)
		return false;
	rest = str_skip(buf_str(text), (size_t)(after + 2 - text->p));
	for (size_t i = 0; i < n; i++) {
		if (!str_next(&rest, ' ', &words[i]))
			return false;
	}
	return true;
}

static double boot_unix_s(void)
{
	struct timespec up;

	if (clock_gettime(CLOCK_BOOTTIME, &up))
		return 0;
	return (double)clock_unix_ns() / 1e9 - ((double)up.tv_sec + (double)up.tv_nsec / 1e9);
}

// proc(5) counts from 1: starttime is word 22, vsize 23, rss 24; words[0] is word 3.
static void put_memory_and_start(struct buf *out)
{
	enum { STARTTIME = 22 - 3, VSIZE = 23 - 3, RSS = 24 - 3 };
	struct buf text = BUF_INIT(PROC_TEXT_MAX);
	struct str words[RSS + 1];
	uint64_t ticks;
	uint64_t bytes;
	uint64_t pages;

	if (read_stat_words(&text, words, countof(words)) &&
	    str_to_u64(words[STARTTIME], UINT64_MAX, &ticks) &&
	    str_to_u64(words[VSIZE], UINT64_MAX, &bytes) &&
	    str_to_u64(words[RSS], UINT64_MAX, &pages)) {
		put_process(out, "process_start_time_seconds", "gauge",
			    "Start time of the process since the Unix epoch.",
			    boot_unix_s() + (double)ticks / (double)sysconf(_SC_CLK_TCK));
		put_process(out, "process_virtual_memory_bytes", "gauge",
			    "Virtual memory size.", (double)bytes);
		put_process(out, "process_resident_memory_bytes", "gauge",
			    "Resident memory size.", (double)pages * (double)sysconf(_SC_PAGESIZE));
	}
	buf_deinit(&text);
}

static void put_cpu(struct buf *out)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru))
		return;
	put_process(out, "process_cpu_seconds_total", "counter",
		    "User and system CPU time spent.",
		    (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
			    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
}

static void put_fds(struct buf *out)
{
	struct rlimit limit;
	DIR *dir = opendir("/proc/self/fd");
	double n = 0;

	if (dir) {
		while (readdir(dir))
			n++;
		closedir(dir);
		// ".", ".." and the descriptor of the listing itself
		put_process(out, "process_open_fds", "gauge", "Open file descriptors.", n - 3);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		put_process(out, "process_max_fds", "gauge",
			    "Largest number of open file descriptors.", (double)limit.rlim_cur);
}

void metrics_write(struct buf *out, const char *version)
{
	const struct metric *m;

	pthread_mutex_lock(&registry_lock);
	m = registered;
	pthread_mutex_unlock(&registry_lock);
	for (; m; m = m->next)
		put_metric(out, m);
	put_head(out, "unhex_build_info", "gauge", "The version that is running; always 1.");
	buf_printf(out, "unhex_build_info{version=\"%s\"} 1\n", version);
	put_cpu(out);
	put_memory_and_start(out);
	put_fds(out);
}
