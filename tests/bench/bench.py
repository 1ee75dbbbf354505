#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time and memory beside llvm-symbolizer, eu-addr2line and llvm-gsymutil, in one run; see run.sh.

Everything that is compared is run in turn, several rounds, and the medians are told. Output goes to
/dev/null; the page cache is warm. CPU and peak memory are the kernel's count for the process (rusage).
"""
import datetime
import gzip
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e")]

import pprof_writer  # noqa: E402
from harness import BUILD, ROOT, SUBJECTS, Case, program, run, wait_until  # noqa: E402
from measuring import (Job, Meter, Table, compete, cpu_seconds, find_tool, load_average, median, number,  # noqa: E402
                       peak_memory, settle, spread)

QUICK = bool(os.environ.get("BENCH_QUICK"))
SEED = 20260101
ADDRESSES = 100_000
SLOW_PART = 2_000 if QUICK else ADDRESSES  # for tools that take tens of seconds
NAMED_OF = 2_000
ROUNDS = 3 if QUICK else 7
SHF_EXECINSTR = 4
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
PUSH = "/push.v1.PusherService/Push"
START = time.monotonic()
MARK = "00000000-0000-4000-8000-000000000000"  # load.c counts its last digits up


def say(text):
    print(f"bench: {time.monotonic() - START:5.1f} s: {text}", file=sys.stderr, flush=True)


def bench_tool(name):
    return os.path.join(BUILD, "bench", name)


class Subject:
    """libc's debug file, random addresses inside its executable sections, our index of it."""

    def __init__(self, folder):
        ident = run(program("unhex"), "build-id", LIBC).stdout.split()[0]
        self.debug = f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug"
        if not os.path.exists(self.debug):
            sys.exit(f"bench: no {self.debug}; install libc6-dbg")
        self.ident = ident
        self.index = os.path.join(folder, "libc.uhx")
        self.gsym = os.path.join(folder, "libc.gsym")
        self.report = json.loads(run(program("unhex-indexer"), "-o", self.index, self.debug).stdout)
        self.addresses = self.pick(json.loads(run(program("unhex-indexer"), "--probe", self.debug).stdout))
        self.all = self.write(folder, "all", self.addresses)
        self.slow = self.write(folder, "slow", self.addresses[:SLOW_PART])
        self.first = self.write(folder, "first", self.addresses[:NAMED_OF])
        self.all_gsym = self.write(folder, "gsym", self.addresses, tail=" " + self.gsym)
        self.first_gsym = self.write(folder, "first-gsym", self.addresses[:NAMED_OF], tail=" " + self.gsym)
        self.all_options = self.write(folder, "options", self.addresses, head="--address=")
        self.first_options = self.write(folder, "first-options", self.addresses[:NAMED_OF], head="--address=")

    @staticmethod
    def pick(probe):
        code = [(s["addr"], s["size"]) for s in probe["sections"] if s["flags"] & SHF_EXECINSTR and s["size"]]
        chooser = random.Random(SEED)
        chosen = chooser.choices(code, weights=[size for _, size in code], k=ADDRESSES)
        return [start + chooser.randrange(size) for start, size in chosen]

    @staticmethod
    def write(folder, name, addresses, head="", tail=""):
        path = os.path.join(folder, f"addresses-{name}")
        with open(path, "w", encoding="ascii") as out:
            out.writelines(f"{head}{a:#x}{tail}\n" for a in addresses)
        return path


class Rivals:
    def __init__(self):
        self.symbolizer = find_tool("llvm-symbolizer")
        self.elfutils = find_tool("eu-addr2line")
        self.gsymutil = find_tool("llvm-gsymutil")
        self.valgrind = find_tool("valgrind")

    def absent(self):
        names = {"llvm-symbolizer": self.symbolizer, "eu-addr2line": self.elfutils, "llvm-gsymutil": self.gsymutil,
                 "valgrind": self.valgrind}
        return [name for name, path in names.items() if not path]

    def versions(self):
        found = []
        for path in filter(None, (self.symbolizer, self.gsymutil, self.elfutils)):
            text = run(path, "--version", check=False).stdout
            match = re.search(r"LLVM version (\S+)|\(elfutils\) (\S+)", text)
            found.append(f"{os.path.basename(path)} {match[1] or match[2] if match else '(version unknown)'}")
        return found


# ---- files ---------------------------------------------------------------------------------------------


def table_of(title, jobs, columns, more=None, note=""):
    table = Table(title, ["wall, ms", "CPU, ms", "peak memory, MB", *columns], note)
    for job in jobs:
        table.add_job(job, *(more(job) if more else ()))
    worst = max(jobs, key=spread)
    if len(worst.costs) > 1:
        table.remarks.append(f"Medians of {max(len(j.costs) for j in jobs)} rounds in turn; the middle half of the wall "
                             f"times lies within {spread(worst):.0%} of the median ({worst.label}).")
    return table


def bench_build(meter, subject, rivals, folder):
    jobs = [Job("unhex-indexer", [program("unhex-indexer"), "-o", subject.index, subject.debug], output=subject.index)]
    for threads in (1, 2) if rivals.gsymutil else ():
        out = subject.gsym if threads == 1 else os.path.join(folder, "two.gsym")
        jobs.append(Job(f"llvm-gsymutil --convert, {threads} thread{'s' * (threads - 1)}",
                        [rivals.gsymutil, "--convert", subject.debug, "-o", out, f"--num-threads={threads}"],
                        output=out))
    compete(meter, jobs, ROUNDS)
    table = table_of("Building an index", jobs, ["index, MB"], lambda job: [os.path.getsize(job.output) / 1e6])
    table.note = f"From libc's debug file ({os.path.getsize(subject.debug) / 1e6:.1f} MB, its DWARF compressed) to a file " \
        f"that can be looked up in: {subject.report['rows']:,} rows, {subject.report['functions']:,} functions."
    return table


def named(argv, stdin):
    """Of the first addresses, how many got a function name. A count of `??` lines: an address without a
    name has exactly one."""
    with open(stdin, "rb") as source:
        out = subprocess.run(argv, stdin=source, capture_output=True, check=False).stdout.decode(errors="replace")
    unknown = sum(1 for line in out.splitlines() if line == "??" or ": error:" in line or "not in GSYM" in line)
    return f"{(NAMED_OF - unknown) / NAMED_OF:.1%}"


def bench_from_elf(meter, subject, rivals):
    jobs = [Job("unhex addr2line -e", [program("unhex"), "addr2line", "-f", "-i", "-e", subject.debug], subject.all)]
    if rivals.symbolizer:
        jobs.append(Job("llvm-symbolizer", [rivals.symbolizer, "--inlines", "--functions=linkage", "--no-demangle",
                                            f"--obj={subject.debug}"], subject.all))
    if rivals.elfutils:
        jobs.append(Job("eu-addr2line", [rivals.elfutils, "-f", "-i", "-e", subject.debug], subject.slow, rounds=1,
                        scale=ADDRESSES / SLOW_PART))
    compete(meter, jobs, ROUNDS)
    table = table_of(f"{ADDRESSES:,} addresses, from the ELF file", jobs, ["named"],
                     lambda job: [named(job.argv, subject.first)])
    table.note = "Nothing prepared: read the debug file, then answer with function, file, line and inline chain. " \
        "Ours builds its whole index first."
    if rivals.elfutils:
        table.remarks.append("eu-addr2line: one round" + (f" of {SLOW_PART:,} addresses, times and CPU scaled up."
                                                          if QUICK else "."))
    return table


def bench_from_index(meter, subject, rivals):
    ours = [program("unhex"), "addr2line", "-f", "-i", "--index", subject.index]
    jobs = [Job("unhex addr2line --index", ours, subject.all)]
    firsts = [(ours, subject.first)]
    if rivals.gsymutil:
        jobs.append(Job("llvm-gsymutil --address=… in a response file",
                        [rivals.gsymutil, "@" + subject.all_options, subject.gsym]))
        firsts.append(([rivals.gsymutil, "@" + subject.first_options, subject.gsym], os.devnull))
        jobs.append(Job("llvm-gsymutil --addresses-from-stdin", [rivals.gsymutil, "--addresses-from-stdin"],
                        subject.all_gsym, rounds=1))
        firsts.append((jobs[-1].argv, subject.first_gsym))
    compete(meter, jobs, ROUNDS)
    by_label = dict(zip((job.label for job in jobs), firsts))
    table = table_of(f"{ADDRESSES:,} addresses, index ready", jobs, ["named"], lambda job: [named(*by_label[job.label])])
    if rivals.gsymutil:
        table.remarks.append("llvm-gsymutil is run both ways: as options, which it has to parse, and from standard "
                             "input, where it opens the index again for each address (one round).")
    return table


def bench_one_address(meter, subject, rivals):
    address = f"{subject.addresses[0]:#x}"
    jobs = [Job("unhex addr2line --index", [program("unhex"), "addr2line", "-f", "-i", "--index", subject.index, address])]
    if rivals.gsymutil:
        jobs.append(Job("llvm-gsymutil --address", [rivals.gsymutil, f"--address={address}", subject.gsym]))
    if rivals.symbolizer:
        jobs.append(Job("llvm-symbolizer, from the ELF file", [rivals.symbolizer, "--functions=linkage", "--no-demangle",
                                                               f"--obj={subject.debug}", address]))
    if rivals.elfutils:
        jobs.append(Job("eu-addr2line, from the ELF file", [rivals.elfutils, "-f", "-i", "-e", subject.debug, address]))
    compete(meter, jobs, 3 * ROUNDS)
    return table_of("One address, process start included", jobs, [])


def bench_lookup(subject, rivals):
    """Inside one process, without printing."""
    def lookup(rounds, *wrapper):
        with open(subject.slow if wrapper else subject.all, "rb") as source:
            return run(*wrapper, bench_tool("symbolizer/bench-lookup"), subject.index, rounds, stdin=source)

    text = lookup(5 if QUICK else 21).stdout
    figures = re.search(r"first ([\d.]+) fastest ([\d.]+) median ([\d.]+)", text)
    hits = re.search(r"hits (\d+) frames (\d+)", text)
    values = [float(figures[3]), float(figures[2]), float(figures[1])]
    columns = ["ns/lookup, median", "fastest round", "first round"]
    if rivals.valgrind:
        few, more = (int(re.search(r"Collected : (\d+)", lookup(
            rounds, rivals.valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null").stderr)[1])
            for rounds in (1, 2))
        columns.append("instructions/lookup")
        values.append((more - few) / SLOW_PART)
    table = Table("In one process", columns, "Random addresses, the whole inline chain with names, files and lines, "
                  f"without printing: {int(hits[1]) / ADDRESSES:.1%} found, {int(hits[2]) / int(hits[1]):.2f} frames each.")
    table.add("uhx_lookup", *values)
    return table


# ---- profiles ------------------------------------------------------------------------------------------


def synthetic_profile(subject, path, samples=20_000, locations=5_000, depth=20):
    profile = pprof_writer.Profile(time_nanos=time.time_ns())
    mapping = profile.mapping(LIBC, subject.ident)
    for address in subject.addresses[:locations]:
        profile.location(mapping, address)
    chooser = random.Random(SEED)
    for _ in range(samples):
        profile.sample([chooser.randrange(locations) + 1 for _ in range(depth)], 10_000_000)
    with open(path, "wb") as out:
        out.write(gzip.compress(profile.encode()))
    return path


def bench_pprof(subject, folder):
    path = synthetic_profile(subject, os.path.join(folder, "synthetic.pb.gz"))
    text = run(bench_tool("symbolizer/bench-pprof"), path, 3 if QUICK else 10).stdout
    best = dict(re.findall(r"^(\w+)\s+best\s+([\d.]+) ms", text, re.M))
    table = Table("A pprof profile", [f"{step}, ms" for step in best], "20,000 samples of 20 frames over 5,000 "
                  f"locations, {os.path.getsize(path) / 1e6:.1f} MB gzip; best of several rounds, one thread.")
    table.add("decode and encode", *map(float, best.values()))
    return table


def ebpf_lacks():
    done = run(program("unhex-agent"), "--check", check=False)
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    return next((l.strip() for l in lines if "missing" in l), "not permitted") if done.returncode else None


def real_profile(case, subject):
    """(path, what it is): the whole host for some seconds at 99 Hz while a C++ compiler runs."""
    path = case.path("real.pb.gz")
    lacks = ebpf_lacks()
    if lacks:
        return synthetic_profile(subject, path, 2_000, 1_500), f"a synthetic profile (no eBPF here: {lacks})"
    seconds = 3 if QUICK else 6
    agent = case.spawn(program("unhex-agent"), "--once", f"{seconds}s", "--hz", "99", "-o", path,
                       stderr=subprocess.DEVNULL)
    source = os.path.join(ROOT, "tests", "demo", "cpp", "matrix.cc")
    while agent.poll() is None:
        run("g++", "-O2", "-g", "-c", "-o", case.path("matrix.o"), source)
    raw = pprof_writer.message(gzip.decompress(open(path, "rb").read()))
    return path, f"a real profile: this host at 99 Hz for {seconds} s while a C++ compiler runs, " \
        f"{len(raw[2]):,} stacks, {len(raw[4]):,} locations, {len(raw[3])} mappings, " \
        f"{os.path.getsize(path) / 1e3:.1f} kB gzip"


# ---- server --------------------------------------------------------------------------------------------


def http_request(path, body, kind):
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def push_request(profile):
    labels = {"__name__": "process_cpu", "service_name": "bench"}
    field = pprof_writer.field
    series = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
    with open(profile, "rb") as raw:
        sample = field(1, raw.read()) + field(2, MARK.encode())
    return http_request(PUSH, field(1, series + field(2, sample)), "application/proto")


def symbolize_request(subject):
    module = {"build_id": subject.ident, "addresses": [f"{a:#x}" for a in subject.addresses[:100]]}
    return http_request("/v1/symbolize", json.dumps({"modules": [module]}).encode(), "application/json")


def load(server, request, connections, seconds):
    """What load.c reports."""
    say(f"server: {request[:request.index(b' HTTP')].decode()}, {connections} connections")
    port = server.url.rsplit(":", 1)[1]
    done = subprocess.run([bench_tool("load"), port, str(connections), str(seconds)], input=request,
                          capture_output=True, timeout=seconds + 60, check=True)
    answer = json.loads(done.stdout)
    if answer["failed"]:
        say(f"{answer['failed']} of {connections} connections failed: {answer['failure']} ({answer['status']})")
    return answer


def server_row(answer, busy_after, cpu):
    count = answer["answered"] or 1
    return [answer["answered"] / answer["seconds"], answer["answered"] / (answer["seconds"] + busy_after),
            answer["p50_ms"], answer["p99_ms"], answer["max_ms"], cpu * 1e3 / count, str(answer["failed"])]


def life_cpu(server):
    """CPU seconds of the running server and of the indexers it has waited for."""
    return cpu_seconds(server.process.pid, with_children=True)


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def taken_in(server, count):
    """Seconds until the server has put that many profiles into its store."""
    def kept():
        found = re.search(r'^unhex_profiles_total{outcome="kept"} (\d+)', server.get("/metrics").body.decode(), re.M)
        return found and int(found[1]) >= count

    start = time.monotonic()
    wait_until(kept, seconds=90, what=f"{count} profiles taken in")
    return time.monotonic() - start


def start_server(case, subject, name):
    server = case.server(name=name)
    case.unhex("upload", "--wait", subject.debug, LIBC, server=server)
    settle(server.process.pid)
    return server


def add_push_rows(case, subject, table, request, seconds):
    """Each on a server of its own, stopped afterwards, so that all that a push costs is in its row."""
    for connections in (1, 8):
        server = start_server(case, subject, f"push-{connections}")
        before = life_cpu(server)
        answer = load(server, request, connections, seconds)
        busy_after = taken_in(server, answer["answered"])
        peak, reaped, began = peak_memory(server.process.pid), children_cpu(), time.monotonic()
        server.stop()
        table.add(f"push; {connections} connection{'s' * (connections > 1)}",
                  *server_row(answer, busy_after, children_cpu() - reaped - before))
        table.remarks.append(f"{answer['answered']:,} pushes over {connections} connection{'s' * (connections > 1)}: "
                             f"unhexd's peak memory {number(peak)} MB; stopping, which symbolizes and writes them, "
                             f"{time.monotonic() - began:.1f} s.")


def add_query_rows(case, subject, table, seconds):
    server = start_server(case, subject, "symbolize")
    requests = {"symbolize, 100 addresses": symbolize_request(subject),
                "GET /healthz (the floor)": b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"}
    for name, request in requests.items():
        for connections in (1, 8):
            before = life_cpu(server)
            answer = load(server, request, connections, seconds)
            busy_after = settle(server.process.pid)
            table.add(f"{name}; {connections} connection{'s' * (connections > 1)}",
                      *server_row(answer, busy_after, life_cpu(server) - before))


def bench_server(case, subject):
    seconds = 1 if QUICK else 4
    say("recording a real profile")
    profile, described = real_profile(case, subject)
    table = Table("The server", ["answers/s", "sustained/s", "median, ms", "99th, ms", "longest, ms", "server CPU, ms each",
                                 "connections lost"],
                  "Over loopback, keep-alive, one request in flight a connection; the load generator shares the CPUs. "
                  f"Push: {described}; each with an ID of its own, answered when it is on disk. Sustained counts the "
                  "time until the server had also taken everything into its store; a push's CPU includes that, naming "
                  "and writing the window. libc's debug file is uploaded, the other binaries are unknown to the server.")
    add_push_rows(case, subject, table, push_request(profile), seconds)
    add_query_rows(case, subject, table, seconds)
    return table


# ---- agent ---------------------------------------------------------------------------------------------


def bench_agent(case, meter):
    lacks = ebpf_lacks()
    seconds = 5 if QUICK else 20
    table = Table("The agent", ["CPU, s", "user, s", "share of one CPU, %", "BPF program, s", "peak memory, MB", "samples"],
                  f"{seconds} s at 19 Hz, all {os.cpu_count()} CPUs busy, whole host. CPU is the agent's own (rusage), "
                  "start and shipping included; the BPF program runs in the interrupted processes' time.")
    if lacks:
        table.remarks.append(f"Left out: eBPF sampling is not permitted here: {lacks}.")
        return table
    busy = case.compile(os.path.join(SUBJECTS, "busy.c"), "busy", "-O2", "-g", "-fno-omit-frame-pointer")
    for _ in range(os.cpu_count()):
        case.spawn(busy, seconds + 4, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cost = meter.run([program("unhex-agent"), "--once", f"{seconds}s", "--hz", "19", "-o", case.path("agent.pb.gz")])
    with open(meter.report + ".stderr", encoding="utf-8") as talk:
        stats = dict(re.findall(r"(\w+)=(\S+)", talk.read()))
    table.add("unhex-agent", cost.cpu, cost.user, cost.cpu / seconds * 100, float(stats.get("bpf_s", 0)), cost.memory,
              float(stats.get("samples", 0)))
    return table


# ---- report --------------------------------------------------------------------------------------------


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown CPU")


def worst(compared):
    against = sorted((w for t in compared for w in t.against_us()), reverse=True)
    lines = ["## What is worst", ""]
    lines += [f"- {sentence}" for _, sentence in against] or ["- In no figure compared here is a rival ahead."]
    nearest = min((lead for t in compared for lead in t.lead()), default=None)
    if nearest:
        lines += ["", f"The nearest rival in time: {nearest[1]} as ours."]
    return [*lines, ""]


def write_report(compared, own, rivals, loads):
    commit = run("git", "-C", ROOT, "rev-parse", "--short", "HEAD", check=False).stdout.strip() or "unknown"
    changed = run("git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no", check=False).stdout.strip()
    lines = ["# Measured", "",
             "Written by `make bench`" + (" with `BENCH_QUICK=1`" if QUICK else "") + "; run it to have your own figures.", "",
             f"{datetime.date.today()}, commit {commit}{' with changes' if changed else ''}, {cpu_model()}, "
             f"{os.cpu_count()} CPUs, Linux {os.uname().release}. Beside {', '.join(rivals.versions())}.",
             f"Load average {loads[0]:.1f} at the start, {loads[1]:.1f} at the end"
             + (": other work ran, so trust CPU time more than wall time." if loads[0] > 0.7 else "."), "",
             "How: competitors run in turn, warm page cache, output to /dev/null; medians. CPU (user + "
             "system) and peak memory as the kernel counts them for the process and its children (wait4). "
             f"{ADDRESSES:,} random addresses (fixed seed) inside the executable sections of Debian's libc. In brackets: "
             "times ours; below 1 the other is better. Named: the share of the first "
             f"{NAMED_OF:,} addresses that got a function.", ""]
    lines += [f"Not installed, left out: {', '.join(rivals.absent())}.", ""] if rivals.absent() else []
    lines += worst(compared)
    lines += ["## Beside others", ""] + [line for t in compared for line in t.markdown()]
    lines += ["## Ours alone", ""] + [line for t in own for line in t.markdown(with_ratios=False)]
    return "\n".join(lines).rstrip() + "\n"


def main():
    os.environ.pop("DEBUGINFOD_URLS", None)
    folder = os.path.join(BUILD, "bench", "work")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    case, meter, rivals, load_before = Case(folder), Meter(BUILD, folder), Rivals(), load_average()
    try:
        subject = Subject(folder)
        say("building indexes")
        compared = [bench_build(meter, subject, rivals, folder)]
        say("addresses")
        compared += [bench_from_elf(meter, subject, rivals), bench_from_index(meter, subject, rivals),
                     bench_one_address(meter, subject, rivals)]
        say("in one process")
        own = [bench_lookup(subject, rivals), bench_pprof(subject, folder), bench_server(case, subject)]
        say("the agent")
        own.append(bench_agent(case, meter))
    finally:
        case.close()
    say("done")
    report = write_report(compared, own, rivals, (load_before, load_average()))
    print(report)
    with open(os.environ.get("BENCH_REPORT", os.path.join(ROOT, "docs", "BENCH.md")), "w", encoding="utf-8") as out:
        out.write(report)


main()
