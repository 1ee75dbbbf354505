#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time and memory beside the symbolizers that this machine has, in one run; see run.sh.

Everything that is compared is run in turn, several rounds, and the medians are told. Output goes to
/dev/null; the page cache is warm, where a table does not say otherwise. CPU and peak memory are the kernel's
count for the process (rusage).
"""
import datetime
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e")]

from agent import bench_agent  # noqa: E402
from harness import BUILD, ROOT, Case, run  # noqa: E402
from measuring import QUICK, Meter, load_average, number, say  # noqa: E402
from profiles import bench_pprof  # noqa: E402
from rivals import Rivals  # noqa: E402
from serving import bench_server  # noqa: E402
from subjects import ADDRESSES, NAMED_OF, Missing, Subject, kernel_image, libc_debug  # noqa: E402
from symbolizing import Comparison, bench_build_instructions  # noqa: E402

PARTS = ("kernel", "libc", "pprof", "server", "agent")
ROUNDS = {"kernel": 1 if QUICK else 5, "libc": 3 if QUICK else 7}


def chosen_parts():
    words = re.split(r"[\s,]+", os.environ.get("ONLY", "").strip())
    wrong = [word for word in words if word and word not in PARTS]
    if wrong:
        sys.exit(f"bench: no part '{wrong[0]}'; ONLY may name {', '.join(PARTS)}")
    return [part for part in PARTS if part in words] or list(PARTS)


class Bench:
    """One run; its subjects are made when first asked for."""

    def __init__(self, folder):
        self.parts = chosen_parts()
        self.folder = folder
        self.load = load_average()
        self.case, self.meter = Case(folder), Meter(BUILD, folder)
        say("looking for rivals (the first time cargo fetches and builds those in Rust: minutes)")
        self.rivals = Rivals(want_crates="kernel" in self.parts or "libc" in self.parts)
        self.missing = []
        self.subjects = {}
        self.comparisons = []
        self.own = []

    def subject(self, name):
        if name not in self.subjects:
            self.subjects[name] = self.make_subject(name)
        return self.subjects[name]

    def make_subject(self, name):
        say(f"{name}: preparing")
        if name == "kernel":
            path = kernel_image()
            return Subject(self.folder, name, f"the kernel's debug image, {os.path.basename(path)}", path, slow=2_000)
        return Subject(self.folder, name, "libc's debug file, its DWARF compressed", libc_debug(), slow=20_000)

    def compare(self, name):
        try:
            subject = self.subject(name)
        except Missing as why:
            self.missing.append(f"{name}: {why}")
            return say(f"{name} left out: {why}")
        return self.comparisons.append(Comparison(self.meter, subject, self.rivals, ROUNDS[name], say))

    def alone(self, part, make_table):
        if part not in self.parts:
            return
        say(f"{part}: ours alone")
        try:
            made = make_table()
            self.own += made if isinstance(made, list) else [made]
        except Missing as why:
            self.missing.append(f"{part}: {why}")

    def run(self):
        for name in ("kernel", "libc"):
            if name in self.parts:
                self.compare(name)
        if self.rivals.valgrind:
            self.alone("libc", lambda: bench_build_instructions(self.subject("libc"), self.rivals))
        self.alone("pprof", lambda: bench_pprof(self.subject("libc"), self.rivals))
        self.alone("server", lambda: bench_server(self.case, self.subject("libc")))
        self.alone("agent", lambda: bench_agent(self.case))


# ---- report --------------------------------------------------------------------------------------------


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown CPU")


def worst(comparison):
    against = sorted((w for table in comparison.all() for w in table.against_us()), reverse=True)
    lines = [f"Where a rival is ahead on {comparison.subject.title}:", ""]
    lines += [f"- {sentence}" for _, sentence in against] or ["- In no figure compared here."]
    nearest = min((lead for table in comparison.all() for lead in table.lead()), default=None)
    return [*lines, "", *([f"The nearest rival in time: {nearest[1]} as ours.", ""] if nearest else [])]


def heading(bench):
    commit = run("git", "-C", ROOT, "rev-parse", "--short", "HEAD", check=False).stdout.strip() or "unknown"
    changed = run("git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no", check=False).stdout.strip()
    loads = (bench.load, load_average())
    how = [f"`{name}={os.environ[name]}`" for name in ("BENCH_QUICK", "ONLY") if os.environ.get(name)]
    lines = ["# Measured", "",
             "Written by `make bench`" + (f" with {' '.join(how)}" if how else "") + "; run it to have your own figures.", "",
             f"{datetime.date.today()}, commit {commit}{' with changes' if changed else ''}, {cpu_model()}, "
             f"{os.cpu_count()} CPUs, Linux {os.uname().release}. Beside {', '.join(bench.rivals.versions())}.",
             f"Load average {loads[0]:.1f} at the start, {loads[1]:.1f} at the end"
             + (": other work ran, so trust CPU time more than wall time, instructions more than both."
                if loads[0] > 0.7 else "."), "",
             "How: competitors run in turn, warm page cache, output to /dev/null; medians. CPU (user + "
             "system) and peak memory as the kernel counts them for the process and its children (wait4). "
             f"{ADDRESSES:,} random addresses (fixed seed) inside the executable sections, the same for all. In brackets: "
             f"times ours; below 1 the other is better. Named: the share of the first {NAMED_OF:,} addresses that got a "
             "function.", ""]
    left_out = bench.missing + bench.rivals.absent
    return lines + ([f"Left out: {'; '.join(left_out)}.", ""] if left_out else [])


def report_text(bench):
    lines = heading(bench)
    for number_of, comparison in enumerate(bench.comparisons):
        lines += [f"## {comparison.subject.name.capitalize()}", ""]
        lines += comparison.targets() if number_of == 0 else []
        lines += worst(comparison)
        lines += [line for table in comparison.all() for line in table.markdown()]
    if bench.own:
        lines += ["## Ours alone", ""] + [line for table in bench.own for line in table.markdown(with_ratios=False)]
    return "\n".join(lines).rstrip() + "\n"


def main():
    os.environ.pop("DEBUGINFOD_URLS", None)
    folder = os.path.join(BUILD, "bench", "work")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    bench = Bench(folder)
    try:
        bench.run()
    finally:
        bench.case.close()
    say("done")
    report = report_text(bench)
    print(report)
    # A part, or a rough run, is no new state of the document.
    partly = len(bench.parts) < len(PARTS) or QUICK
    default = os.path.join(BUILD, "bench", "BENCH.md") if partly else os.path.join(ROOT, "docs", "BENCH.md")
    with open(os.environ.get("BENCH_REPORT", default), "w", encoding="utf-8") as out:
        out.write(report)


main()
