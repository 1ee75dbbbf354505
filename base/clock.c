/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/str.h"
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static _Atomic int64_t shift_ns;

static int64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t now_ns(clockid_t id)
{
	return read_ns(id) + atomic_load(&shift_ns);
}

uint64_t clock_mono_ns(void)
{
	return (uint64_t)now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_thread_cpu_ns(void)
{
	return (uint64_t)read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_ns() / NS_PER_MS;
}

int64_t clock_unix_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

int64_t clock_unix_s(void)
{
	return clock_unix_ns() / NS_PER_S;
}

void clock_shift_ms(int64_t by)
{
	atomic_fetch_add(&shift_ns, by * NS_PER_MS);
}

void clock_rfc3339(int64_t unix_ns, char out[static 32])
{
	int64_t ms = (unix_ns % NS_PER_S + NS_PER_S) % NS_PER_S / NS_PER_MS;
	time_t s = unix_ns / NS_PER_S - (unix_ns % NS_PER_S < 0);
	char day[24];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 32, "%s.%03dZ", day, (int)ms);
}

// Exactly `digits` digits at the start of *s, in [lo, hi], cut off it.
static bool take_number(struct str *s, size_t digits, uint64_t lo, uint64_t hi, int *ret)
{
	uint64_t v;

	if (s->n < digits || !str_to_u64((struct str){s->p, digits}, hi, &v) || v < lo)
		return false;
	*ret = (int)v;
	*s = str_skip(*s, digits);
	return true;
}

static bool take_char(struct str *s, const char *any_of)
{
	if (!s->n || !s->p[0] || !strchr(any_of, s->p[0]))
		return false;
	*s = str_skip(*s, 1);
	return true;
}

// "", or "." and digits, as nanoseconds; what lies beyond a nanosecond is dropped.
static bool take_fraction_ns(struct str *s, int64_t *ret)
{
	int64_t scale = NS_PER_S;
	int64_t v = 0;

	*ret = 0;
	if (!take_char(s, "."))
		return true;
	if (!s->n || s->p[0] < '0' || s->p[0] > '9')
		return false;
	for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; *s = str_skip(*s, 1)) {
		scale /= 10;
		v += (s->p[0] - '0') * scale;
	}
	*ret = v;
	return true;
}

static bool take_date_time(struct str *s, struct tm *tm)
{
	bool ok = take_number(s, 4, 1970, 2261, &tm->tm_year) && take_char(s, "-") &&
		  take_number(s, 2, 1, 12, &tm->tm_mon) && take_char(s, "-") &&
		  take_number(s, 2, 1, 31, &tm->tm_mday) && take_char(s, "Tt ") &&
		  take_number(s, 2, 0, 23, &tm->tm_hour) && take_char(s, ":") &&
		  take_number(s, 2, 0, 59, &tm->tm_min) && take_char(s, ":") &&
		  take_number(s, 2, 0, 60, &tm->tm_sec);

	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return ok;
}

// "Z" or "+hh:mm": what to subtract to come to UTC.
static bool take_zone(struct str *s, int64_t *ret_s)
{
	int hours;
	int minutes;
	int sign;

	*ret_s = 0;
	if (take_char(s, "Zz"))
		return true;
	sign = s->n && s->p[0] == '-' ? -1 : 1;
	if (!take_char(s, "+-") || !take_number(s, 2, 0, 23, &hours) || !take_char(s, ":") ||
	    !take_number(s, 2, 0, 59, &minutes))
		return false;
	*ret_s = (int64_t)sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool parse_rfc3339(struct str s, int64_t *ret)
{
	struct tm tm = {0};
	struct tm asked;
	int64_t fraction;
	int64_t zone;
	time_t t;

	if (!take_date_time(&s, &tm) || !take_fraction_ns(&s, &fraction) ||
	    !take_zone(&s, &zone) || s.n)
		return false;
	asked = tm;
	t = timegm(&tm);
	// timegm() takes 30 February for 2 March; only a leap second may move the date.
	if (asked.tm_sec < 60 && (tm.tm_mday != asked.tm_mday || tm.tm_mon != asked.tm_mon))
		return false;
	*ret = ((int64_t)t - zone) * NS_PER_S + fraction;
	return true;
}

static bool parse_unix(struct str s, int64_t *ret)
{
	struct str whole = {s.p, 0};
	int64_t fraction;
	uint64_t v;

	while (whole.n < s.n && s.p[whole.n] != '.')
		whole.n++;
	s = str_skip(s, whole.n);
	if (!str_to_u64(whole, INT64_MAX / NS_PER_S - 1, &v) || !take_fraction_ns(&s, &fraction) ||
	    s.n)
		return false;
	*ret = (int64_t)v * NS_PER_S + fraction;
	return true;
}

bool clock_parse(const char *s, int64_t *ret_unix_ns)
{
	return parse_unix(str_from(s), ret_unix_ns) || parse_rfc3339(str_from(s), ret_unix_ns);
}
