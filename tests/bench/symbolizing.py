# SPDX-License-Identifier: Apache-2.0
"""Symbolizers beside each other over one subject: like with like. An index made before against indexes made
before, from the ELF file against those that read it, and what happens inside a process apart from start-up."""
import json
import os
import re
import subprocess

from harness import BUILD, program, run
from measuring import Gauge, Job, Table, compete, median, number, spread
from subjects import ADDRESSES, NAMED_OF

SHORT = 3  # times as many rounds of what takes milliseconds


def bench_tool(name):
    return os.path.join(BUILD, "bench", name)


def table_of(title, jobs, columns, more=None, note=""):
    table = Table(title, ["wall, ms", "CPU, ms", "peak memory, MB", *columns], note)
    for job in jobs:
        table.add_job(job, *(more(job) if more else ()))
    worst = max(jobs, key=spread)
    if len(worst.costs) > 1:
        table.remarks.append(f"Medians of {max(len(j.costs) for j in jobs)} rounds in turn; the middle half of the wall "
                             f"times lies within {spread(worst):.0%} of the median ({worst.label}).")
    return table


def named(argv, stdin):
    """Of the first addresses, how many got a function name. A count of `??` lines: an address without a
    name has exactly one."""
    with open(stdin, "rb") as source:
        out = subprocess.run(argv, stdin=source, capture_output=True, check=False).stdout.decode(errors="replace")
    unknown = sum(1 for line in out.splitlines() if line == "??" or ": error:" in line or "not in GSYM" in line)
    return f"{(NAMED_OF - unknown) / NAMED_OF:.1%}"


def instructions(*argv, valgrind, stdin=None):
    """Of one run of a program under callgrind."""
    with open(stdin or os.devnull, "rb") as source:
        done = run(valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", *argv, stdin=source, timeout=600)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


# ---- building an index -----------------------------------------------------------------------------------


def bench_build(meter, subject, rivals, rounds):
    jobs = [Job("unhex-indexer", [program("unhex-indexer"), "-o", subject.index, subject.debug], output=subject.index)]
    for threads in (1, 2) if rivals.gsymutil else ():
        out = subject.gsym if threads == 1 else subject.path("two.gsym")
        jobs.append(Job(f"llvm-gsymutil --convert, {threads} thread{'s' * (threads - 1)}",
                        [rivals.gsymutil, "--convert", subject.debug, "-o", out, f"--num-threads={threads}"],
                        output=out))
    if rivals.crates:
        jobs.append(Job("SymCache", [rivals.crates, "build-symcache", subject.debug, subject.symcache],
                        output=subject.symcache))
    compete(meter, jobs, rounds)
    table = table_of("Building an index", jobs, ["of it anonymous, MB", "index, MB"],
                     lambda job: [median(job, "anonymous"), os.path.getsize(job.output) / 1e6])
    table.note = f"From {subject.described()} to a file that can be looked up in."
    hot, whole = subject.hot_megabytes(), subject.report["bytes"] / 1e6
    table.remarks.append(f"Of our {number(whole)} MB, {number(hot)} MB are what lookups read (hot), {number(whole - hot)} MB "
                         "are read on request only (cold).")
    return table


def bench_build_instructions(subject, rivals):
    table = Table("Instructions of a build", ["million instructions", "a row of the index"],
                  "The same work as unhex-indexer's, without the sandbox (bench-index), counted by callgrind.")
    count = instructions(bench_tool("symbolizer/indexer/bench-index"), subject.debug, subject.path("counted.uhx"),
                         valgrind=rivals.valgrind)
    table.add(f"index of {subject.name}", count / 1e6, count / subject.report["rows"])
    return table


# ---- whole processes -------------------------------------------------------------------------------------


def from_elf_jobs(subject, rivals):
    """(job, its command for counting names)"""
    elf = subject.debug
    jobs = [Job("unhex addr2line -e", [program("unhex"), "addr2line", "-f", "-i", "-e", elf], subject.all)]
    if rivals.symbolizer:
        jobs.append(Job("llvm-symbolizer", [rivals.symbolizer, "--inlines", "--functions=linkage", "--no-demangle",
                                            f"--obj={elf}"], subject.all))
    if rivals.binutils:
        jobs.append(Job("binutils addr2line", [rivals.binutils, "-f", "-i", "-e", elf], subject.all, rounds=1))
    if rivals.elfutils:
        jobs.append(Job("eu-addr2line", [rivals.elfutils, "-f", "-i", "-e", elf], subject.slow, rounds=1,
                        scale=ADDRESSES / subject.slow_part))
    return jobs


def bench_from_elf(meter, subject, rivals, rounds):
    jobs = compete(meter, from_elf_jobs(subject, rivals), rounds)
    table = table_of(f"{ADDRESSES:,} addresses, from the ELF file", jobs, ["named"],
                     lambda job: [named(job.argv, subject.first)])
    table.note = "Nothing prepared: read the debug file, then answer with function, file, line and inline chain. " \
        "Ours builds its whole index first."
    if rivals.elfutils and subject.slow_part < ADDRESSES:
        table.remarks.append(f"eu-addr2line: {subject.slow_part:,} addresses, times and CPU scaled up.")
    return table


def bench_from_index(meter, subject, rivals, rounds):
    ours = [program("unhex"), "addr2line", "-f", "-i", "--index", subject.index]
    jobs = [Job("unhex addr2line --index", ours, subject.all)]
    firsts = {jobs[0].label: (ours, subject.first)}
    if rivals.gsymutil:
        def options(name, addresses):
            return "@" + subject.write(name, addresses, head="--address=")

        whole, part = options("options", subject.addresses), options("first-options", subject.addresses[:NAMED_OF])
        jobs.append(Job("llvm-gsymutil --address=… in a response file", [rivals.gsymutil, whole, subject.gsym]))
        firsts[jobs[-1].label] = ([rivals.gsymutil, part, subject.gsym], os.devnull)
        argv, tail = [rivals.gsymutil, "--addresses-from-stdin"], " " + subject.gsym
        jobs.append(Job("llvm-gsymutil --addresses-from-stdin", argv,
                        subject.write("gsym", subject.addresses, tail=tail), rounds=1))
        firsts[jobs[-1].label] = (argv, subject.write("first-gsym", subject.addresses[:NAMED_OF], tail=tail))
    compete(meter, jobs, rounds)
    table = table_of(f"{ADDRESSES:,} addresses, index ready", jobs, ["named"], lambda job: [named(*firsts[job.label])])
    if rivals.gsymutil:
        table.remarks.append("llvm-gsymutil is run both ways: as options, which it has to parse, and from standard "
                             "input, where it opens the index again for each address (one round).")
    if rivals.valgrind:
        one, many = (instructions(*ours, stdin=path, valgrind=rivals.valgrind) for path in (subject.one, subject.first))
        table.remarks.append(f"unhex under callgrind: {one / 1e6:.2f} million instructions for one address, start included, "
                             f"and {(many - one) / (NAMED_OF - 1):,.0f} for each further one.")
    return table


def one_address_jobs(subject, rivals, cold):
    address = f"{subject.addresses[0]:#x}"

    def job(label, argv, file):
        return Job(label, argv, cold=file if cold else None)

    jobs = [job("unhex addr2line --index", [program("unhex"), "addr2line", "-f", "-i", "--index", subject.index, address],
                subject.index)]
    if rivals.gsymutil:
        jobs.append(job("llvm-gsymutil --address", [rivals.gsymutil, f"--address={address}", subject.gsym], subject.gsym))
    if rivals.symbolizer:
        jobs.append(job("llvm-symbolizer, from the ELF file",
                        [rivals.symbolizer, "--functions=linkage", "--no-demangle", f"--obj={subject.debug}", address],
                        subject.debug))
    for label, tool in (("eu-addr2line", rivals.elfutils), ("binutils addr2line", rivals.binutils)):
        if tool:
            jobs.append(job(f"{label}, from the ELF file", [tool, "-f", "-i", "-e", subject.debug, address], subject.debug))
    return jobs


def bench_one_address(meter, subject, rivals, rounds):
    warm = compete(meter, one_address_jobs(subject, rivals, False), SHORT * rounds)
    cold = compete(meter, one_address_jobs(subject, rivals, True), rounds)
    cold_wall = {job.label: median(job, "wall") * 1e3 for job in cold}
    return table_of("One address, process start included", warm, ["wall with a cold file, ms"],
                    lambda job: [cold_wall[job.label]],
                    "Cold: the index or ELF file is dropped from the page cache before each run; the program is not.")


# ---- in one process --------------------------------------------------------------------------------------


def read_lookups(text):
    """What bench-lookup tells: a line for each way of looking up, with its median round."""
    ways = {way: float(ns) for way, ns in re.findall(r"^(.+?) ns/lookup: .*?median ([\d.]+)", text, re.M)}
    found = re.search(r"hits (\d+) frames (\d+)", text)
    return {"chain": ways["chain"], "names": ways["strings"], "batch": ways["batch"], "hits": float(found[1]), "frames": float(found[2])}


def read_rival(text):
    told = json.loads(text)
    return {"chain": told["chain_ns"], "names": told["names_ns"], "paths": told["paths_ns"], "batch": told["batch_ns"],
            "hits": told["hits"], "frames": told["frames"], "first": told["first_ms"]}


def read_open(text):
    return {"first": float(re.search(r"first answer ([\d.]+) ms", text)[1])}


def engine_jobs(subject, rivals, stdin, rounds, cold=False):
    """The engines that answer inside a process, over their file."""
    base = ""
    if rivals.crates:
        base = run(rivals.crates, "build-symcache", subject.debug, subject.symcache).stdout.strip()
    engines = [("SymCache", "symcache", subject.symcache, [base]),
               ("gimli addr2line, from the ELF file", "addr2line", subject.debug, []),
               ("blazesym, from the ELF file", "blazesym", subject.debug, [])]
    if rivals.gsymutil:
        engines.append(("blazesym, over GSYM", "gsym", subject.gsym, []))
    return [Gauge(label, [rivals.crates, kind, file, rounds, *more], read_rival, stdin=stdin, cold=file if cold else None,
                  rounds=3 if file == subject.debug else 99)
            for label, kind, file, more in engines] if rivals.crates else []


def lookup_instructions(subject, valgrind, way):
    once, twice = (instructions(bench_tool("symbolizer/bench-lookup"), subject.index, rounds, way, stdin=subject.first,
                                valgrind=valgrind) for rounds in (1, 2))
    return (twice - once) / NAMED_OF


def bench_lookups(meter, subject, rivals, rounds):
    ours = Gauge("unhex, .uhx", [bench_tool("symbolizer/bench-lookup"), subject.index, 5], read_lookups, stdin=subject.all)
    jobs = compete(meter, [ours, *engine_jobs(subject, rivals, subject.all, 3)], rounds)
    table = Table("Lookups inside one process", ["chain, ns", "with all strings, ns", "batched, ns", "found", "frames each"],
                  f"CPU time of one of {ADDRESSES:,} random addresses, warm, one thread, nothing printed. Chain: the frames "
                  "with their lines, functions and files by reference. All strings: names in hand. Batched: all "
                  "addresses given in one call, ours as a chain, blazesym's with all strings. A dash: the engine "
                  "has no such way.")
    for job in jobs:
        hits, frames = job.median("hits"), job.median("frames")
        table.add(job.label, *map(job.median, ("chain", "names", "batch")), f"{hits / ADDRESSES:.1%}", f"{frames / hits:.2f}")
    paths = [(job.label, job.median("paths")) for job in jobs[1:] if job.median("paths")]
    table.remarks += [f"{label} leaves paths in parts; with each in one piece, as ours are, {number(ns)} ns."
                      for label, ns in paths]
    table.remarks.append("Engines differ in what they find: padding between functions is a hole for us, SymCache and GSYM; "
                         "those that read the line table print the line before it.")
    if rivals.valgrind:
        counts = [f"{lookup_instructions(subject, rivals.valgrind, way):,.0f} {name}"
                  for way, name in (("chain", "for the chain"), ("batch", "batched"), ("strings", "with all strings"))]
        table.remarks.append(f"Ours under callgrind, instructions a lookup: {', '.join(counts)}.")
    return table


def bench_first_answer(meter, subject, rivals, rounds):
    ours = [bench_tool("symbolizer/bench-open"), subject.index, f"{subject.addresses[0]:#x}"]
    warm = compete(meter, [Gauge("unhex, .uhx", ours, read_open),
                           *engine_jobs(subject, rivals, subject.one, 1)], rounds)
    cold = compete(meter, [Gauge("unhex, .uhx", ours, read_open, cold=subject.index),
                           *engine_jobs(subject, rivals, subject.one, 1, cold=True)], rounds)
    table = Table("Opening and the first answer, inside one process", ["cold file, ms", "warm file, ms"],
                  "Wall time from nothing to one address answered with its strings.")
    for one, other in zip(cold, warm):
        table.add(one.label, one.median("first"), other.median("first"))
    return table


# ---- all of it -------------------------------------------------------------------------------------------


class Comparison:
    """The tables of one subject."""

    def __init__(self, meter, subject, rivals, rounds, say):
        self.subject = subject
        steps = (("build", bench_build), ("lookups", bench_lookups), ("first", bench_first_answer),
                 ("one", bench_one_address), ("from_index", bench_from_index), ("from_elf", bench_from_elf))
        self.tables = {}
        for name, step in steps:
            say(f"{subject.name}: {name.replace('_', ' ')}")
            self.tables[name] = step(meter, subject, rivals, rounds)

    def all(self):
        return list(self.tables.values())

    def targets(self):
        """The figures that were aimed at, the nearest rival beside them."""
        def line(what, name, column, limit, unit):
            table = self.tables[name]
            ours, others = table.ours(column), table.rivals(column)
            met = "–" if ours is None else "met" if ours <= limit else "missed"
            beside = f"{others[0][1]}: {number(others[0][0])} ({number(others[0][0] / ours)}×)" \
                if others and ours else "–"
            return f"| {what} | {number(ours)} {unit} | {limit:g} {unit} | {met} | {beside} |"

        lines = [f"### In short, on {self.subject.described()}", "",
                 "| | ours | target | | nearest rival |", "|---|--:|--:|---|---|",
                 line("One address, full chain, in process, warm", "lookups", "chain, ns", 130, "ns"),
                 line("The same, batched", "lookups", "batched, ns", 60, "ns"),
                 line("One address with all strings", "lookups", "with all strings, ns", 200, "ns"),
                 line("Build: CPU", "build", "CPU, ms", 2200, "ms"),
                 line("Build: peak memory", "build", "peak memory, MB", 500, "MB"),
                 line("Build: of it anonymous", "build", "of it anonymous, MB", 250, "MB"),
                 self.hot_line(),
                 line("Open a cold index, first answer, in process", "first", "cold file, ms", 2, "ms"),
                 line(f"{ADDRESSES:,} addresses as text, index ready: wall", "from_index", "wall, ms", 150, "ms"),
                 line(f"{ADDRESSES:,} addresses as text, index ready: CPU", "from_index", "CPU, ms", 150, "ms"),
                 line(f"{ADDRESSES:,} addresses as text, index ready: memory", "from_index", "peak memory, MB", 60, "MB"),
                 line("The same from the ELF file, index built on the way: wall", "from_elf", "wall, ms", 4700, "ms"), ""]
        return lines + ([] if self.subject.name == "kernel" else ["The targets were set for a kernel's image.", ""])

    def hot_line(self):
        hot, others = self.subject.hot_megabytes(), self.tables["build"].rivals("index, MB")
        beside = f"{others[0][1]}: {number(others[0][0])} ({number(others[0][0] / hot)}×)" if others else "–"
        return f"| Index: hot part | {number(hot)} MB | 10 MB | {'met' if hot <= 10 else 'missed'} | {beside} |"
