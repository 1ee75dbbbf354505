#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare our inline chains with llvm-symbolizer's and eu-addr2line's over random addresses.

usage: compare.py ELF [-n 1000] [--eu 1000] [--seed 42] [--indexer build/unhex-indexer] [--unhex build/unhex]
                      [--show 3] [--result FILE] [--add-aranges] [INDEXER-OPTION...]

-n addresses lie in functions that have a size, and a tenth as many anywhere in code. eu-addr2line is asked
about --eu of them at most (it is slow). --add-aranges gives it a copy of the file with the .debug_aranges
it needs. Each address falls into a class (classes.py, docs/DIFFERENCES.md). Exit 1 where a difference has
no explanation; --result writes the counts as JSON.
"""
import argparse
import collections
import json
import os
import random
import sys
import tempfile
import time

import classes
import elf_facts
import oracles

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ANYWHERE = 10  # one address anywhere in code for so many in functions


def pick(rng, spans, n):
    weights = [s[1] - s[0] for s in spans]
    return {s[0] + rng.randrange(s[1] - s[0]) for s in rng.choices(spans, weights=weights, k=n)} if spans else set()


def choose(elf, subject, n, seed):
    rng = random.Random(seed)
    inside = pick(rng, subject.symbols.sized.spans, n)
    return sorted(inside | pick(rng, elf_facts.code_sections(elf), n // ANYWHERE))


def ask_elfutils(elf, subject, addresses, args):
    asked = sorted(random.Random(args.seed).sample(addresses, min(args.eu, len(addresses))))
    if not args.add_aranges:
        return oracles.elfutils(elf, asked)
    with tempfile.TemporaryDirectory() as folder:
        return oracles.elfutils(elf_facts.with_aranges(elf, subject.units, os.path.join(folder, "elf")), asked)


def ask_all(elf, subject, addresses, args):
    ours = oracles.Ours(elf, args.indexer, args.unhex, args.options)
    try:
        for warning in ours.report["warnings"]:
            print("  warning:", warning)
        mine = ours.chains(addresses)
    finally:
        ours.close()
    return mine, oracles.llvm(elf, addresses), ask_elfutils(elf, subject, addresses, args)


def show(chain):
    return " < ".join(f"{n} {p[0]}:{p[1]}" for n, p in chain) or "-"


def explain(found, answers, limit):
    mine, llvm, eu = answers
    for name, addresses in found.items():
        if name == classes.SAME:
            continue
        for x in addresses[:limit if name.startswith(classes.UNEXPLAINED) else min(limit, 1)]:
            print(f"  {name} at {x:#x}\n    ours {show(mine[x])}\n    llvm {show(llvm[x])}\n"
                  f"    eu   {show(eu[x]) if x in eu else 'not asked'}")


def report(elf, found, asked, total):
    print(f"{elf}: {total} addresses, eu-addr2line asked about {asked}")
    for name, addresses in sorted(found.items(), key=lambda f: -len(f[1])):
        print(f"  {len(addresses):7} {name}")
    return {"addresses": total, "asked_elfutils": asked, "classes": {n: len(a) for n, a in found.items()}}


def options():
    p = argparse.ArgumentParser()
    p.add_argument("elf")
    p.add_argument("-n", type=int, default=1000)
    p.add_argument("--eu", type=int, default=10 ** 9)
    p.add_argument("--seed", type=int, default=42)
    p.add_argument("--show", type=int, default=3)
    p.add_argument("--result")
    p.add_argument("--add-aranges", action="store_true")
    p.add_argument("--indexer", default=f"{TOP}/build/unhex-indexer")
    p.add_argument("--unhex", default=f"{TOP}/build/unhex")
    args, args.options = p.parse_known_args()
    return args


def main():
    args, start = options(), time.monotonic()
    units = elf_facts.Units(args.elf)
    subject = classes.Subject(elf_facts.Symbols(args.elf), units,
                              units.spans if args.add_aranges else elf_facts.aranges(args.elf))
    addresses = choose(args.elf, subject, args.n, args.seed)
    mine, llvm, eu = answers = ask_all(args.elf, subject, addresses, args)
    found = collections.defaultdict(list)
    for x in addresses:
        found[classes.judge(subject, x, mine[x], llvm[x], eu.get(x))].append(x)
    result = report(args.elf, found, len(eu), len(addresses))
    explain(found, answers, args.show)
    if args.result:
        with open(args.result, "w", encoding="utf-8") as out:
            json.dump({**result, "seconds": round(time.monotonic() - start)}, out)
    return 1 if any(name.startswith(classes.UNEXPLAINED) for name in found) else 0


if __name__ == "__main__":
    sys.exit(main())
