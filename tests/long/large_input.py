#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A debug file of 2 GiB is indexed within the default limit of address space, and its answers are right.

usage: large_input.py [--gib 2] [--folder build/large] [--results docs/LARGE.md]

A generated C unit, all of whose functions are static, is linked with itself as often as it takes: each copy
brings its own code, line table and entries. The indexer's peak of resident memory, anonymous and in all, is
read from /proc while it runs; then addresses from all over the file are compared with llvm-symbolizer.
"""
import argparse
import datetime
import os
import random
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "diff"))
import oracles  # pylint: disable=wrong-import-position

BUILD = os.environ.get("UNHEX_BUILD", os.path.join(TOP, "build"))
FUNCTIONS = 1500
DISK_FACTOR = 3  # of the file: itself, its index, the linker's room
SAMPLES = 300
HEAD = "typedef struct { long a[8]; int n; } box;\nstatic int used;\n"
BODY = """static inline int in@(box *b, int n) { for (int i = 0; i < n; i++) b->a[i & 7] += i * @ ^ b->n; return (int)b->a[n & 7]; }
static inline int mid@(box *b, int n) { int x = in@(b, n) + 1; if (x % 3 == @ % 3) x += in@(b, n / 2 + @); return x; }
static __attribute__((used, noinline)) int out@(box *b, int n)
{
	int x = mid@(b, n), y = mid@(b, x);
	for (int i = 0; i < n; i++) { box c = *b; c.n = i; y += in@(&c, x) * mid@(b, i); if (y > 1 << 20) { y -= used; } }
	return x ^ y;
}
"""


def run(argv, **kw):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **kw)
    if done.returncode:
        sys.exit(f"{argv[0]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def make_object(folder):
    source, out = os.path.join(folder, "unit.c"), os.path.join(folder, "unit.o")
    if not os.path.exists(out):
        with open(source, "w", encoding="ascii") as file:
            file.write(HEAD + "".join(BODY.replace("@", str(i)) for i in range(FUNCTIONS)))
        run(["gcc", "-O2", "-g", "-c", "-o", out + ".new", source])
        os.rename(out + ".new", out)
    return out


def debug_bytes(path):
    """Of the sections that a link keeps for each copy."""
    out = run(["size", "-A", path])
    return sum(int(n) for n in re.findall(r"^\.(?:debug_(?!str)\w+|text) +(\d+)", out, re.M))


def link(folder, unit, size):
    copies = size // debug_bytes(unit) + 1
    start = os.path.join(folder, "start.o")
    run(["gcc", "-c", "-x", "c", "-o", start, "-"], input="void _start(void) { for (;;); }\n")
    out = os.path.join(folder, f"large-{copies}")
    if not os.path.exists(out):
        run(["ld.lld", "--build-id=sha1", "-o", out + ".new", start, *[unit] * copies])
        os.rename(out + ".new", out)
    return out, copies


def watch(pid):
    """Highest RssAnon and VmRSS in KiB until the process ends."""
    anon = total = 0
    while True:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                status = dict(line.split(":", 1) for line in file)
        except (OSError, ValueError):
            return anon, total
        if "RssAnon" not in status:
            return anon, total
        anon = max(anon, int(status["RssAnon"].split()[0]))
        total = max(total, int(status["VmHWM"].split()[0]))
        time.sleep(0.02)


def index(elf, out):
    before = os.times()
    with subprocess.Popen([os.path.join(BUILD, "unhex-indexer"), "-o", out, elf], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        memory = watch_tree(process.pid)
        text, errors = process.communicate()
    after = os.times()
    if process.returncode:
        sys.exit(f"unhex-indexer ended with {process.returncode}: {text[-300:]} {errors[-300:]}")
    return memory, after.children_user - before.children_user


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(n) for n in file.read().split()]


def watch_tree(pid):
    """The process that reads: the indexer publishes from a parent that only waits."""
    time.sleep(0.1)
    try:
        inner = children(pid)
    except OSError:
        inner = []
    return watch(inner[0] if inner else pid)


def wrong_answers(elf, out):
    text = run(["nm", "-S", elf])
    spans = [(int(a, 16), int(s, 16)) for a, s in re.findall(r"^(\w{16}) (\w{16}) t out\d+$", text, re.M)]
    rng = random.Random(5)
    addresses = sorted({a + rng.randrange(s) for a, s in (rng.choice(spans) for _ in range(SAMPLES))})
    asked = oracles.Ours.__new__(oracles.Ours)
    asked.unhex, asked.index = os.path.join(BUILD, "unhex"), out
    mine, theirs = asked.chains(addresses), oracles.llvm(elf, addresses)
    return [hex(a) for a in addresses if mine[a] != theirs[a]], len(addresses)


def commit():
    return run(["git", "-C", TOP, "rev-parse", "--short=12", "HEAD"]).strip()


def report(elf, copies, memory, seconds, out, asked):
    return (f"{datetime.date.today()}, commit {commit()}: a debug file of {os.path.getsize(elf) / 2**30:.2f} GiB ({copies} units, "
            f"{copies * FUNCTIONS:,} functions with inlined calls) was indexed within the default 4 GiB of address space: "
            f"{seconds:.0f} s of CPU, peak of resident memory {memory[1] >> 10:,} MiB in all, {memory[0] >> 10:,} MiB of it anonymous, "
            f"an index of {os.path.getsize(out) / 2**20:.0f} MiB. {asked} addresses from all over the file: inline chains as "
            f"llvm-symbolizer's.\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--gib", type=float, default=2)
    p.add_argument("--folder", default=os.path.join(TOP, "build/large"))
    p.add_argument("--results")
    args = p.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    size = int(args.gib * 2**30)
    if shutil.disk_usage(args.folder).free < size * DISK_FACTOR:
        print(f"skipped: less than {size * DISK_FACTOR >> 30} GiB of disk are free")
        return 0
    elf, copies = link(args.folder, make_object(args.folder), size)
    out = os.path.join(args.folder, "large.uhx")
    memory, seconds = index(elf, out)
    wrong, asked = wrong_answers(elf, out)
    text = report(elf, copies, memory, seconds, out, asked)
    print(text if not wrong else f"WRONG at {wrong[:5]} ({len(wrong)} of {asked})")
    if args.results and not wrong:
        with open(args.results, "w", encoding="utf-8") as file:
            file.write("# A large input: the last run of `make check-long`\n\n" + text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
