#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions, counted by callgrind, of what has to stay fast: a regression shows on a busy machine, too. The
bounds leave room for another compiler and for a libc of another version; who makes things faster lowers them."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e")]

from harness import main, need, program, run, skip, test  # noqa: E402
from measuring import find_tool  # noqa: E402
from profiles import synthetic_profile  # noqa: E402
from subjects import NAMED_OF, Missing, Subject, libc_debug  # noqa: E402
from symbolizing import bench_tool, instructions, lookup_instructions  # noqa: E402

LOOKUP_MAX = {"chain": 900, "batch": 900, "strings": 1_150}
START_MAX = 4_500_000  # unhex addr2line, one address of an index
LINE_MAX = 2_400  # each further address, read and printed
ROW_MAX = 4_400  # building an index, a row
PROFILE_MAX = 250_000_000  # bench-pprof, all steps of one round
UNWIND_ROW_MAX = 650  # the agent's unwind table of libc, a row


def libc(case):
    need("valgrind")
    try:
        return Subject(case.folder, "libc", "libc's debug file", libc_debug(), 1), find_tool("valgrind")
    except Missing as why:
        return skip(str(why))


def at_most(what, count, limit):
    print(f"# {what}: {count:,.0f} instructions, at most {limit:,}")
    assert count <= limit, f"{what}: {count:,.0f} instructions, more than {limit:,}"


@test
def lookups(case):
    """one look-up, each way"""
    subject, valgrind = libc(case)
    for way, limit in LOOKUP_MAX.items():
        at_most(f"look-up, {way}", lookup_instructions(subject, valgrind, way), limit)


@test
def addr2line(case):
    """unhex addr2line: its start, and each address more"""
    subject, valgrind = libc(case)
    argv = [program("unhex"), "addr2line", "-f", "-i", "--index", subject.index]
    one, many = (instructions(*argv, stdin=path, valgrind=valgrind) for path in (subject.one, subject.first))
    at_most("start and one address", one, START_MAX)
    at_most("each further address", (many - one) / (NAMED_OF - 1), LINE_MAX)


@test
def build(case):
    """building an index"""
    subject, valgrind = libc(case)
    count = instructions(bench_tool("symbolizer/indexer/bench-index"), subject.debug, subject.path("again.uhx"),
                         valgrind=valgrind)
    at_most("a row of the index", count / subject.report["rows"], ROW_MAX)


@test
def profile(case):
    """a pprof profile, from gzip and zstd to gzip and zstd"""
    subject, valgrind = libc(case)
    path = synthetic_profile(subject, subject.path("synthetic.pb.gz"))
    once, twice = (instructions(bench_tool("symbolizer/bench-pprof"), path, rounds, subject.index, valgrind=valgrind)
                   for rounds in (1, 2))
    at_most("a profile", twice - once, PROFILE_MAX)


@test
def unwind_table(case):
    """the agent's unwind table of the libc in use"""
    need("valgrind")
    valgrind = find_tool("valgrind")
    with open("/proc/self/maps", encoding="utf-8") as maps:
        libc_path = next(line.split()[-1] for line in maps if "/libc.so" in line or "/libc-" in line)
    tool = bench_tool("agent-lite/elf/bench-unwind_table")
    rows = int(re.search(r": (\d+) rows", run(tool, libc_path).stdout)[1])
    once, twice = (instructions(tool, "-n", n, libc_path, valgrind=valgrind) for n in (1, 2))
    at_most("a row of an unwind table", (twice - once) / rows, UNWIND_ROW_MAX)


main()
