#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare our inline chains with llvm-symbolizer's and eu-addr2line's over random addresses.

usage: compare.py ELF [-n 1000] [--seed 42] [--indexer build/unhex-indexer]
                      [--unhex build/unhex] [--show 5] [INDEXER-OPTION...]

Addresses lie in functions that have a size. What the two references agree on is what we are measured
against: number of frames, file:line of each, name of each up to aliases of one address and suffixes of
clones. Prints counts by class of difference, with examples; exit 1 where we differ from what both say.
"""
import argparse
import collections
import json
import os
import posixpath
import random
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(argv, text=None, may_fail=False):
    p = subprocess.run(argv, input=text, capture_output=True, text=True, errors="replace")
    if p.returncode and not may_fail:
        sys.exit(f"{argv[0]}: exit {p.returncode}: {p.stderr.strip()[:500]}{p.stdout.strip()[:500]}")
    return p.stdout


def functions(elf):
    """[(start, size)] of sized code symbols, and names by start."""
    sized, names = set(), collections.defaultdict(set)
    out = run(["nm", "-S", "--defined-only", elf]) or run(["nm", "-D", "-S", "--defined-only", elf])
    for line in out.splitlines():
        f = line.split(" ", 3)
        if len(f) == 4 and f[2] in "tTwWi" and not f[3].startswith("$"):
            start, size = int(f[0], 16), int(f[1], 16)
            if size:
                sized.add((start, size))
                names[start].add(f[3].split("@")[0])
    return sorted(sized), names


def place(file, line):
    """file:line, comparable; unknown parts are empty and 0."""
    file = "" if not file or file.startswith("??") else posixpath.normpath(file)
    return file, int(line or 0)


def ours(elf, addresses, args):
    with tempfile.NamedTemporaryFile(suffix=".uhx") as index:
        report = json.loads(run([args.indexer, "-o", index.name, *args.options, elf]))
        if report["warnings"]:
            print("  warnings:", *report["warnings"], sep="\n    ")
        out = run([args.unhex, "addr2line", "--json", "--index", index.name], "".join(f"{a:#x}\n" for a in addresses))
    chains = {}
    for answer in map(json.loads, out.splitlines()):
        chains[int(answer["address"], 16)] = [(f.get("system_name") or f["function"], place(f.get("file"), f.get("line")))
                                              for f in answer["frames"]]
    return chains


def llvm(elf, addresses):
    out = run(["llvm-symbolizer", "--inlines", "--functions=linkage", "--no-demangle", "--output-style=JSON",
               f"--obj={elf}"], "".join(f"{a:#x}\n" for a in addresses))
    chains = {}
    for a, line in zip(addresses, filter(None, out.splitlines())):
        frames = json.loads(line)["Symbol"]
        chains[a] = [(s["FunctionName"], place(s["FileName"], s["Line"])) for s in frames
                     if s["FunctionName"] or s["FileName"]]
    return chains


def elfutils(elf, addresses):
    out = run(["eu-addr2line", "-a", "-f", "-i", "--pretty-print", "-e", elf], "".join(f"{a:#x}\n" for a in addresses),
              may_fail=True)  # it does so for a single address without a line
    chains, current = {}, None
    for line in out.splitlines():
        m = re.match(r"(0x[0-9a-f]+): (.*)", line)
        if m:
            current, line = int(m[1], 16), m[2]
            chains[current] = []
        line = line.strip().removeprefix("(inlined by) ")
        m = re.match(r"(.*) at (.*?):(\d+)(?::\d+)?$", line) or re.match(r"(.*) at (.*)()$", line)
        if m:
            chains[current].append((m[1], place(m[2], m[3])))
    return {a: [f for f in c if f[0] != "??" or f[1][0]] for a, c in chains.items()}


def stem(name):
    return re.split(r"@|\.(?:cold|part|isra|constprop|localalias|lto_priv|llvm)\b", name)[0]


class Names:
    def __init__(self, sized, names):
        self.sized, self.names = sized, names

    def aliases(self, address):
        found = set()
        for start, size in self.sized:
            if start <= address < start + size:
                found |= self.names[start]
        return {stem(n) for n in found}

    def same(self, address, a, b):
        if stem(a) == stem(b):
            return True
        both = self.aliases(address)
        return stem(a) in both and stem(b) in both


def places(chain):
    return [p for _, p in chain]


def classify(address, mine, ref, names):
    if not mine:
        return "unresolved"
    if len(mine) != len(ref):
        return "depth"
    if places(mine) != places(ref):
        return "file:line of the leaf" if mine[0][1] != ref[0][1] else "file:line of a caller"
    for (a, _), (b, _) in zip(mine, ref):
        if not names.same(address, a, b):
            return "name"
    return "same"


def show(chain):
    return " < ".join(f"{n} {p[0]}:{p[1]}" for n, p in chain) or "-"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("elf")
    p.add_argument("-n", type=int, default=1000)
    p.add_argument("--seed", type=int, default=42)
    p.add_argument("--show", type=int, default=5)
    p.add_argument("--indexer", default=f"{TOP}/build/unhex-indexer")
    p.add_argument("--unhex", default=f"{TOP}/build/unhex")
    args, args.options = p.parse_known_args()
    sized, by_start = functions(args.elf)
    rng = random.Random(args.seed)
    chosen = rng.choices(sized, weights=[s for _, s in sized], k=args.n)
    addresses = sorted({start + rng.randrange(size) for start, size in chosen})
    names = Names(sized, by_start)
    mine, a, b = ours(args.elf, addresses, args), llvm(args.elf, addresses), elfutils(args.elf, addresses)
    counts, examples, disputed = collections.Counter(), collections.defaultdict(list), collections.Counter()
    for x in addresses:
        between = classify(x, a[x], b[x], names)
        if not b[x] and not a[x]:
            between = "neither knows"
        if between != "same":
            side = ("llvm" if classify(x, mine[x], a[x], names) == "same" else
                    "elfutils" if classify(x, mine[x], b[x], names) == "same" else "neither")
            disputed[f"references differ ({between}); we are with {side}"] += 1
            if side != "llvm":
                examples["with " + side].append(x)
            if between != "name" or places(mine[x]) == places(a[x]):
                continue
        c = classify(x, mine[x], a[x], names)
        counts[c] += 1
        examples[c].append(x)
    print(f"{args.elf}: {len(addresses)} addresses")
    for k, v in counts.most_common():
        print(f"  both say: {v:5} {k}")
    for k, v in disputed.most_common():
        print(f"            {v:5} {k}")
    for c, xs in examples.items():
        for x in xs[:args.show if c != "same" else 0]:
            print(f"  {c} at {x:#x}\n    ours {show(mine[x])}\n    llvm {show(a[x])}\n    eu   {show(b[x])}")
    return 0 if set(counts) <= {"same"} else 1


sys.exit(main())
