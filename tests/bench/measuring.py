# SPDX-License-Identifier: Apache-2.0
"""Programs beside each other: interleaved rounds, medians, tables with ratios, and what is worst."""
import glob
import os
import shutil
import statistics
import subprocess
import sys
import time

QUICK = bool(os.environ.get("BENCH_QUICK"))
START = time.monotonic()
DEADLINE = 600  # seconds, of one measured program


def say(text):
    print(f"bench: {time.monotonic() - START:5.1f} s: {text}", file=sys.stderr, flush=True)


class Cost:
    """What one run took. Memory is the peak of the largest process, anonymous without mapped files, in MB (10^6)."""

    def __init__(self, report):
        wall, user, system, kib, anonymous_kib, status = report.split()
        self.wall = float(wall)
        self.cpu = float(user) + float(system)
        self.user = float(user)
        self.memory = int(kib) * 1024 / 1e6
        self.anonymous = int(anonymous_kib) * 1024 / 1e6
        self.ok = status == "0"


class Meter:
    def __init__(self, build, folder):
        self.program = os.path.join(build, "bench", "measure")
        self.report = os.path.join(folder, "measured")

    def run(self, argv, stdin=None, stdout=subprocess.DEVNULL):
        """Cost of one run; raises when it fails. Its messages are kept beside the report."""
        talk_path = self.report + ".stderr"
        with open(stdin or os.devnull, "rb") as source, open(talk_path, "wb") as talk:
            subprocess.run([self.program, self.report, *map(str, argv)], stdin=source, stdout=stdout, stderr=talk,
                           timeout=DEADLINE, check=True)
        with open(self.report, encoding="ascii") as report:
            cost = Cost(report.read())
        if not cost.ok:
            with open(talk_path, encoding="utf-8", errors="replace") as talk:
                raise RuntimeError(f"{' '.join(map(str, argv))} failed: {talk.read()[-500:]}")
        return cost


def forget(path):
    """Drops a file from the page cache, so that the next to read it has to go to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


class Job:
    """One competitor: how to run it, how often at most, over how many items (its figures are scaled to all);
    cold: the file that each run has to read from disk."""

    def __init__(self, label, argv, stdin=None, rounds=99, scale=1, output=None, cold=None):
        self.label, self.argv, self.stdin = label, argv, stdin
        self.rounds, self.scale, self.output, self.cold = rounds, scale, output, cold
        self.costs = []

    def run(self, meter):
        if self.cold:
            forget(self.cold)
        self.costs.append(meter.run(self.argv, self.stdin))

    def warm_up(self, meter):
        meter.run(self.argv, self.stdin)


class Gauge(Job):
    """A program that measures inside itself and tells on stdout; read: from that text to {name: number}."""

    def __init__(self, label, argv, read, **more):
        super().__init__(label, argv, **more)
        self.read = read
        self.told = []

    def run(self, meter):
        if self.cold:
            forget(self.cold)
        with open(self.stdin or os.devnull, "rb") as source:
            done = subprocess.run(list(map(str, self.argv)), stdin=source, capture_output=True, text=True,
                                  timeout=DEADLINE, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, self.argv))} failed: {done.stderr[-500:]}")
        self.told.append(self.read(done.stdout))

    def warm_up(self, meter):
        """It does so itself."""

    def median(self, name):
        values = [told[name] for told in self.told if told.get(name) is not None]
        return statistics.median(values) if values else None


def compete(meter, jobs, rounds):
    """Runs the jobs in turn, `rounds` times, after one unmeasured run of those that are quick."""
    for job in jobs:
        if job.rounds > 1 and not job.cold:
            job.warm_up(meter)
    for number in range(rounds):
        for job in jobs:
            if number < job.rounds:
                job.run(meter)
    return jobs


def median(job, what):
    return statistics.median(getattr(cost, what) for cost in job.costs) * (1 if what in ("memory", "anonymous") else job.scale)


def spread(job):
    """How far the middle half of the wall times lies apart, as a share of the median."""
    walls = sorted(cost.wall for cost in job.costs)
    return (walls[-1 - len(walls) // 4] - walls[len(walls) // 4]) / statistics.median(walls)


def find_tool(name):
    """The tool, or its newest version with a number in its name; None when there is none."""
    if shutil.which(name):
        return shutil.which(name)
    numbered = [p for d in os.environ.get("PATH", "").split(":") for p in glob.glob(os.path.join(d, name + "-[0-9]*"))]
    return max(numbered, key=lambda p: float(p.rsplit("-", 1)[1]), default=None)


class Table:
    """Rows of numbers; the first row is ours, the others carry their ratio to it; less is better. What
    is text is not compared."""

    def __init__(self, title, columns, note=""):
        self.title, self.columns, self.note = title, columns, note
        self.rows = []  # (label, values)
        self.remarks = []

    def add(self, label, *values):
        self.rows.append((label, values))

    def add_job(self, job, *more):
        self.add(job.label, median(job, "wall") * 1e3, median(job, "cpu") * 1e3, median(job, "memory"), *more)

    def ours(self, column):
        return self.rows[0][1][self.columns.index(column)]

    def rivals(self, column):
        """(value, label) of the others, best first."""
        values = [(values[self.columns.index(column)], label) for label, values in self.rows[1:]]
        return sorted(pair for pair in values if isinstance(pair[0], float))

    def ratio(self, values, column):
        ours = self.rows[0][1][column]
        both = isinstance(ours, float) and isinstance(values[column], float)
        return values[column] / ours if both and ours else None

    def cell(self, index, values, column):
        ratio = self.ratio(values, column) if index else None
        return number(values[column]) + (f" ({number(ratio)}×)" if ratio is not None else "")

    def markdown(self, with_ratios=True):
        lines = [f"### {self.title}", "", *([self.note, ""] if self.note else [])]
        lines += ["| | " + " | ".join(self.columns) + " |", "|---" + "|--:" * len(self.columns) + "|"]
        for index, (label, values) in enumerate(self.rows):
            cells = [self.cell(index if with_ratios else 0, values, c) for c in range(len(self.columns))]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
        lines += ["", *(remark for r in self.remarks for remark in (r, ""))]
        return lines

    def against_us(self):
        """(how many times worse we are, sentence) of each figure in which a competitor is better."""
        found = []
        for label, values in self.rows[1:]:
            for column, title in enumerate(self.columns):
                ratio = self.ratio(values, column)
                if ratio and ratio < 0.98:
                    found.append((1 / ratio, f"{self.title}: {title}: {number(1 / ratio)} times what {label} needs"))
        return found

    def lead(self):
        """(ratio, sentence) of the nearest competitor's time, which is the first column."""
        ratios = [(self.ratio(values, 0), label) for label, values in self.rows[1:]]
        return [(ratio, f"{self.title}: {label} takes {number(ratio)} times as long") for ratio, label in ratios if ratio]


def number(value):
    """Three digits that count; text as it is; a dash where there is nothing to tell."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def load_average():
    return os.getloadavg()[0]


def cpu_seconds(pid, with_children=False):
    """CPU seconds of a running process, with_children: and of those it has waited for."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        words = stat.read().rsplit(")", 1)[1].split()
    return sum(map(int, words[11:15 if with_children else 13])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid):
    """MB, of a running process."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        line = next(l for l in status if l.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def settle(pid, seconds=60):
    """Waits until a process has nothing to do, so that its CPU time belongs to what was asked of it; seconds
    that took, to a quarter."""
    start = time.monotonic()
    before = cpu_seconds(pid)
    while time.monotonic() - start < seconds:
        time.sleep(0.25)
        after = cpu_seconds(pid)
        if after - before < 0.02:
            break
        before = after
    return max(0, time.monotonic() - start - 0.25)
