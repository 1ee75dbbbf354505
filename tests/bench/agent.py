# SPDX-License-Identifier: Apache-2.0
"""The agent: how much it sees, and what that costs, beside the figures that were aimed at.

CPU and memory are the kernel's count for a control group that the agent and its children have to themselves (memory with
the BPF maps, as the kernel charges these to who made them). BPF time is the kernel's own (kernel.bpf_stats_enabled).
"""
import contextlib
import glob
import os
import re
import shutil
import statistics
import subprocess
import time

import agent_runs
import agent_victims
from agent_victims import NATIVE, RUNTIMES, Victim, c_program, compiled
from harness import BUILD, Skip, program, run
from measuring import QUICK, Table, number, say
from serving import ebpf_lacks

HZ = 19
PHASE = 10 if QUICK else 30  # seconds
STATS = "/proc/sys/kernel/bpf_stats_enabled"
FILES_OF_ONE = 22  # with those of the others, a good 35
SHOWN = ("with_fp", "without_fp", "callback", "thread", "signal", "vdso", "plt", "static", "realign", "exceptions",
         "exceptions_often", "rust", "go", "python", "node", "node_named")


class Sheet:
    """Figures with what was aimed at beside them."""

    def __init__(self, title, note):
        self.title, self.note, self.rows, self.remarks = title, note, [], []

    def add(self, what, value, unit, most=None, least=None):
        aim, met = "–", "–"
        if value is not None and (most is not None or least is not None):
            good = value <= most if most is not None else value >= least
            aim, met = f"{'≤' if most is not None else '≥'} {most if most is not None else least} {unit}", "met" if good else "missed"
        self.rows.append((what, f"{number(value)} {unit}" if value is not None else "–", aim, met))

    def markdown(self, with_ratios=False):  # pylint: disable=unused-argument
        lines = [f"### {self.title}", "", self.note, "", "| | measured | target | |", "|---|--:|--:|---|"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return [*lines, "", *(part for remark in self.remarks for part in (remark, ""))]


# ---- what the kernel counts -------------------------------------------------------------------------------


class Box:
    """A control group for the agent and its children."""

    FOLDERS = {"cpu": ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup"), "memory": ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")}

    def __init__(self):
        self.paths = {}
        for what, tops in self.FOLDERS.items():
            top = next((t for t in tops if os.path.exists(os.path.join(t, "cgroup.procs"))), None)
            if not top:
                raise Skip("no control groups here")
            self.paths[what] = os.path.join(top, f"unhex-bench-{os.getpid()}")
            os.makedirs(self.paths[what], exist_ok=True)

    def command(self, *argv):
        enter = "".join(f"echo $$ >{path}/cgroup.procs && " for path in sorted(set(self.paths.values())))
        return ["sh", "-ec", enter + 'exec "$@"', "sh", *map(str, argv)]

    def read(self, what, *names):
        for name in names:
            path = os.path.join(self.paths[what], name)
            if os.path.exists(path):
                with open(path, encoding="ascii") as file:
                    return name, file.read()
        raise Skip(f"no {names[0]} in {self.paths[what]}")

    def cpu(self):
        """Seconds, of all that ran in it."""
        name, text = self.read("cpu", "cpuacct.usage", "cpu.stat")
        return int(text) / 1e9 if name == "cpuacct.usage" else int(re.search(r"usage_usec (\d+)", text)[1]) / 1e6

    def memory(self):
        """MB, and the kernel's part of it (BPF maps are there)."""
        _, whole = self.read("memory", "memory.usage_in_bytes", "memory.current")
        kernel = 0
        with contextlib.suppress(Skip):
            kernel = int(self.read("memory", "memory.kmem.usage_in_bytes")[1])
        return int(whole) / 1e6, kernel / 1e6

    def pids(self):
        return [int(word) for word in self.read("memory", "cgroup.procs")[1].split()]

    def remove(self):
        for path in set(self.paths.values()):
            with contextlib.suppress(OSError):
                os.rmdir(path)


@contextlib.contextmanager
def bpf_statistics():
    with open(STATS, encoding="ascii") as file:
        before = file.read()
    with open(STATS, "w", encoding="ascii") as file:
        file.write("1")
    try:
        yield
    finally:
        with open(STATS, "w", encoding="ascii") as file:
            file.write(before)


class Programs:
    """The BPF programs that a process holds, as its fdinfo tells."""

    def __init__(self, pid):
        self.paths = [p for p in glob.glob(f"/proc/{pid}/fdinfo/*") if "prog_type" in self.text(p) and "link_type" not in self.text(p)]

    @staticmethod
    def text(path):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    @staticmethod
    def numbers(path):
        found = dict(re.findall(r"^(\w+):\s*(\d+)", Programs.text(path), re.M))
        return {name: int(found.get(name, 0)) for name in ("prog_type", "run_time_ns", "run_cnt", "verified_insns", "prog_id")}

    def all(self):
        return list({p["prog_id"]: p for p in map(self.numbers, self.paths)}.values())

    def time(self):
        """(seconds, runs) of all of them."""
        each = self.all()
        return sum(p["run_time_ns"] for p in each) / 1e9, sum(p["run_cnt"] for p in each)

    def busiest(self):
        return max(self.paths, key=lambda path: self.numbers(path)["run_cnt"])


def rss(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return int(re.search(r"VmRSS:\s*(\d+)", status.read())[1]) * 1024 / 1e6
    except (OSError, TypeError):
        return 0.0


def elf_files(pids):
    """Distinct files with code that these processes have mapped."""
    found = set()
    for pid in pids:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            found |= {tuple(line.split()[3:5]) for line in maps if " r-xp " in line and "/" in line}
    return len(found)


def start_boxed(case, box, server, *options):
    agent = agent_runs.Agent.__new__(agent_runs.Agent)
    where = ("--server", server.url) if server else ()
    agent.process = case.spawn(*box.command(program("unhex-agent"), *where, *options), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    agent.talk = ""
    deadline = time.monotonic() + 10
    while not Programs(agent.process.pid).paths and time.monotonic() < deadline:
        time.sleep(0.05)
    return agent


# ---- how much it sees -------------------------------------------------------------------------------------


def bench_completeness(case):
    table = Table("Stacks complete to their root", ["samples", "complete, %", "depth-capped", "expected chain, %"],
                  f"By workload (tests/subjects/victims), all at once on {os.cpu_count()} CPUs at 499 Hz, once the tables are "
                  "made, named by the server; complete: the outermost frame is `_start`, `clone3`, or one of the Go run-time's. "
                  "Target: 99 % of those that are not depth-capped.")
    for group in (NATIVE, RUNTIMES):
        verdicts = agent_runs.observe(case, [v for v in group if v.name in SHOWN], 499, 5 if QUICK else 15)
        for victim in group:
            verdict = verdicts.get(victim.name)
            if isinstance(verdict, Skip):
                table.remarks.append(f"Left out: {victim.what}: {verdict}.")
            elif verdict:
                chain = sum(verdict.chains) if victim.name in ("callback", "thread") else max(verdict.chains, default=None)
                table.add(victim.what, f"{verdict.samples:,}", f"{verdict.complete:.1%}", f"{verdict.capped}",
                          f"{chain:.1%}" if chain is not None else "–")
    return table


def bench_churn(case, sheet):
    exe = compiled(case, "crowd.c", "crowd", *agent_victims.C)
    crowd = case.spawn(exe, 60, stdout=subprocess.DEVNULL)
    out = case.path("churn.pb.gz")
    run(program("unhex-agent"), "--once", f"{PHASE // 2}s", "--hz", 99, "-o", out)
    crowd.kill()
    with open(out, "rb") as raw:
        mine = [s for s in agent_runs.stacks(raw.read(), 99) if s.labels.get("comm") == "crowd" and s.user]
    total = sum(s.weight for s in mine)
    known = sum(s.weight for s in mine if s.user[0].mapping["filename"] != "[unknown]")
    pids = len({s.labels["pid"] for s in mine})
    sheet.add(f"leaf mapping known while processes of some milliseconds come and go ({total:,} samples of {pids:,} processes)",
              known / max(1, total) * 100, "%", least=98)


# ---- what it costs ----------------------------------------------------------------------------------------


def start_load(case):
    """Programs of several kinds that keep all CPUs busy, with many ELF files; their PIDs."""
    libraries = Victim("libraries", "", lambda _c, _v: ["/usr/bin/python3", agent_victims.source("libraries.py"), 600, FILES_OF_ONE])
    chosen = [libraries, *(v for v in NATIVE + RUNTIMES if v.name in ("callback", "exceptions", "rust", "go", "node"))]
    running = []
    for victim in chosen:
        with contextlib.suppress(Skip):
            victim.prepare(case)
            victim.start(case)
            running.append(victim)
    return running


class Reading:
    def __init__(self, box, programs):
        self.at = time.monotonic()
        self.cpu = box.cpu()
        self.bpf, self.runs = programs.time()


def share(later, earlier, sheet, what, most=None):
    seconds = later.at - earlier.at
    own, bpf = (later.cpu - earlier.cpu) / seconds * 100, (later.bpf - earlier.bpf) / seconds * 100
    sheet.add(f"{what}: all in, of a core", own + bpf, "%", most=most)
    sheet.add(f"{what}: of it the agent and its child", own, "%")
    sheet.add(f"{what}: of it BPF, in the interrupted processes' time", bpf, "%")


def bench_cost(case, box, sheet):
    load = start_load(case)
    server = case.server(name="agent-data")
    agent = start_boxed(case, box, server, "--hz", HZ)
    programs = Programs(agent.process.pid)
    first = Reading(box, programs)
    first.cpu = first.bpf = first.runs = 0
    time.sleep(PHASE)
    middle = Reading(box, programs)
    time.sleep(PHASE)
    last = Reading(box, programs)
    whole, _ = box.memory()
    each = programs.all()
    stats = agent.stop()
    for victim in load:
        victim.end()
    share(middle, first, sheet, f"CPU at {HZ} Hz, {os.cpu_count()} CPUs busy, first {PHASE} s (start, tables made)")
    share(last, middle, sheet, f"CPU at {HZ} Hz, {os.cpu_count()} CPUs busy, next {PHASE} s", most=0.1)
    sheet.add(f"memory, whole host, {stats.get('tables', '?')} tables: control group, BPF maps included", whole, "MB")
    sheet.remarks.append(f"While CPU was measured, {stats.get('events', '?')} events of processes and mappings came from the whole host.")
    sampler = max(each, key=lambda p: p["run_cnt"])
    sheet.add("BPF program: verified instructions", sampler["verified_insns"], "")


def bench_load_alone(case, box, sheet):
    """Memory and bytes where only these programs are sampled, so that the machine's other work does not count."""
    load = start_load(case)
    files = elf_files([v.process.pid for v in load])
    server = case.server(name="alone-data")
    chosen = [word for v in load for word in ("--pid", v.process.pid)]
    agent = start_boxed(case, box, server, "--hz", HZ, "--interval", f"{PHASE // 3}s", *chosen)
    programs = Programs(agent.process.pid)
    time.sleep(PHASE / 3)
    middle = Reading(box, programs)
    time.sleep(PHASE * 2 / 3 - 0.5)
    last = Reading(box, programs)
    whole, kernel = box.memory()
    resident = [rss(pid) for pid in box.pids()]
    stats = agent.stop()
    for victim in load:
        victim.end()
    share(last, middle, sheet, f"CPU at {HZ} Hz, {os.cpu_count()} CPUs busy, these alone shipped")
    sheet.add(f"memory with {files} ELF files in use, {stats.get('tables', '?')} tables: control group, BPF maps included", whole,
              "MB", most=40)
    if kernel:
        sheet.add("of it the kernel's (BPF maps, stacks, sockets)", kernel, "MB")
    sheet.add("the same: resident, agent and child, mapped BPF maps and program text included", sum(resident), "MB")
    sheet.add(f"bytes shipped in {PHASE} s at {HZ} Hz, {stats['pushes']} batches, {stats['samples']} samples, {stats['stacks']} "
              "stacks", float(stats["push_bytes"]) / 1e3, "KB", most=20)


def single_runs(path, seconds):
    """Nanoseconds of single runs of a program: its counters, read so often that few runs lie between two looks, often one on
    each CPU, as their clocks tick together."""
    found, before = [], Programs.numbers(path)
    end = time.monotonic() + seconds
    os.setpriority(os.PRIO_PROCESS, 0, -15)  # the CPUs are busy; it has to come in time
    while time.monotonic() < end:
        time.sleep(0.003)
        now = Programs.numbers(path)
        runs = now["run_cnt"] - before["run_cnt"]
        if 0 < runs <= os.cpu_count():
            found.append((now["run_time_ns"] - before["run_time_ns"]) / runs)
        before = now
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    return found


def bench_sample(case, box, sheet):
    """What one sample of 20 frames without frame pointers costs in the kernel."""
    deep = Victim("twenty", "", c_program("deep.c", *agent_victims.WITHOUT_FP, args=(15,)))
    deep.prepare(case)
    for _ in range(os.cpu_count()):
        deep.start(case)
    agent = start_boxed(case, box, None, "--once", "10m", "--hz", 49, "-o", case.path("sample.pb.gz"))
    time.sleep(3)
    path = Programs(agent.process.pid).busiest()
    before = Programs.numbers(path)
    runs = single_runs(path, PHASE / 2)
    after = Programs.numbers(path)
    agent.process.kill()
    agent.process.wait()
    mean = (after["run_time_ns"] - before["run_time_ns"]) / max(1, after["run_cnt"] - before["run_cnt"]) / 1e3
    sheet.add(f"BPF per sample of 20 frames: median of {len(runs)} looks at one or two runs", statistics.median(runs or [0]) / 1e3, "µs", most=6)
    sheet.add("BPF per sample of 20 frames: mean", mean, "µs")


def switches():
    with open("/proc/stat", encoding="ascii") as stat:
        return int(re.search(r"^ctxt (\d+)", stat.read(), re.M)[1])


def bench_off_cpu(case, box, sheet):
    """The cost of looking at each switch."""
    if "--off-cpu " not in run(program("unhex-agent"), "--help").stdout.replace("\n", " "):
        return
    players = [Victim(f"pingpong{i}", "", c_program("pingpong.c", *agent_victims.WITHOUT_FP, "-pthread")) for i in range(2)]
    for player in players:
        player.prepare(case)
        player.start(case)
    agent = start_boxed(case, box, None, "--once", "10m", "--off-cpu", "--hz", HZ, "-o", case.path("off.pb.gz"))
    time.sleep(2)
    programs = Programs(agent.process.pid)
    before, switched, start = {p["prog_id"]: p for p in programs.all()}, switches(), time.monotonic()
    time.sleep(PHASE / 3)
    seconds, switched = time.monotonic() - start, switches() - switched
    grown = [(p["run_time_ns"] - before[p["prog_id"]]["run_time_ns"], p["run_cnt"] - before[p["prog_id"]]["run_cnt"])
             for p in programs.all() if p["prog_id"] in before]
    agent.process.kill()
    agent.process.wait()
    for player in players:
        player.end()
    # The sampler runs some dozen times a second; these run with every switch.
    spent = sum(ns for ns, runs in grown if runs > 10 * HZ * os.cpu_count() * seconds)
    sheet.add(f"--off-cpu: BPF per switch, at {switched / seconds:,.0f} switches a second", spent / max(1, switched), "ns")
    sheet.add("--off-cpu: the same, of a core", spent / 1e7 / seconds, "%")


def bench_tables(sheet):
    tool = os.path.join(BUILD, "bench", "agent-lite", "elf", "bench-unwind_table")
    node = shutil.which("node")
    wanted = [os.path.realpath(node)] if node else []
    wanted += [p for p in ("/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
                           "/usr/bin/python3.11", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6") if os.path.exists(p)]
    for path in wanted:
        told = re.search(r": (\d+) rows.*?([\d.]+) ms CPU, ([\d.]+) ns/row", run(tool, path).stdout)
        rows, ms, per_row = int(told[1]), float(told[2]), float(told[3])
        sheet.add(f"table of {os.path.basename(path)} ({rows:,} rows): CPU", ms, "ms", most=30)
        sheet.add(f"table of {os.path.basename(path)}: per row", per_row, "ns", most=60)


def bench_perf(case, sheet):
    """What Linux brings along for the same: perf, which copies 8 KiB of each stack instead of walking it."""
    if not shutil.which("perf"):
        sheet.remarks.append("Left out: perf (not on this machine).")
        return
    load = start_load(case)
    out = case.path("perf.data")
    box = Box()
    seconds = PHASE
    try:
        done = subprocess.run(box.command("perf", "record", "-q", "-a", "-B", "-N", "-F", HZ, "-e", "cpu-clock", "--call-graph", "dwarf", "-o", out,
                                          "sleep", seconds), capture_output=True, text=True, check=False)
        if done.returncode:
            sheet.remarks.append("Left out: perf record: " + done.stderr.strip()[-200:])
        else:
            sheet.add(f"beside it: perf record --call-graph dwarf, {seconds} s: CPU of a core, without the kernel's share",
                      box.cpu() / seconds * 100, "%")
            sheet.add("beside it: perf record: bytes", os.path.getsize(out) / 1e3, "KB")
    finally:
        box.remove()
        for victim in load:
            victim.end()


def bench_agent(case):
    lacks = ebpf_lacks()
    sheet = Sheet("The agent: figures", "Whole host, the agent's defaults; how each is measured: tests/bench/agent.py.")
    if lacks or os.geteuid() != 0:
        sheet.remarks.append(f"Left out: {lacks or 'needs root, for control groups and BPF statistics'}.")
        return [sheet]
    say("agent: completeness")
    tables = [bench_completeness(case)]
    say("agent: churn")
    bench_churn(case, sheet)
    box = Box()
    try:
        with bpf_statistics():
            for part in (bench_load_alone, bench_cost, bench_sample, bench_off_cpu):
                say("agent: " + part.__name__)
                part(case, box, sheet)
    finally:
        for process in case.processes:
            process.kill()
            process.wait()
        box.remove()
    bench_tables(sheet)
    sheet.add("BPF object", os.path.getsize(os.path.join(BUILD, "bpf", "profile.bpf.o")) / 1e3, "KB")
    bench_perf(case, sheet)
    sheet.remarks.append("Not beside it: Parca's and OpenTelemetry's agents: neither is a package here, nor was their source to be had.")
    return [*tables, sheet]
