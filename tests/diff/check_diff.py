#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""100,000 addresses of each large binary against llvm-symbolizer and eu-addr2line, and twice the same index.

usage: check_diff.py [-n 100000] [--only PATTERN] [--folder build/diff] [--results docs/DIFFERENCES-RESULTS.md]

UNHEX_KERNEL_IMAGE=FILE uses that kernel image. --results gets a table of the last run of each subject, which
FOLDER/results.json remembers; --only PATTERN runs some.
Exit 1 where a difference is not explained or an index is not the same twice.
"""
import argparse
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import subjects

TOP = subjects.TOP
BUILD = os.environ.get("UNHEX_BUILD", os.path.join(TOP, "build"))
INDEXER, UNHEX = os.path.join(BUILD, "unhex-indexer"), os.path.join(BUILD, "unhex")
HERE = os.path.dirname(os.path.abspath(__file__))


def index(elf, out):
    subprocess.run([INDEXER, "-o", out, elf], check=True, stdout=subprocess.DEVNULL)
    with open(out, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_twice(elf):
    """The same bytes out for the same file: under another name, in another place, at other addresses (ASLR)."""
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "another-name")
        os.symlink(os.path.abspath(elf), link)
        digests = {index(path, os.path.join(folder, "out.uhx")) for path in (elf, link, elf)}
    return len(digests) == 1


def compare(elf, n, options):
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        done = subprocess.run([sys.executable, os.path.join(HERE, "compare.py"), elf, "-n", str(n), "--result",
                               result.name, "--indexer", INDEXER, "--unhex", UNHEX, *options], capture_output=True, text=True, check=False)
        print(done.stdout + done.stderr, end="", flush=True)
        text = result.read()
    return (json.loads(text) if text else None), done.returncode


def check(name, build, options, args):
    print(f"== {name}", flush=True)
    try:
        elf = build(args.folder)
    except subjects.Missing as reason:
        print(f"  skipped: {reason}")
        return {"name": name, "skipped": str(reason)}, True
    result, code = compare(elf, args.n, options)
    same = same_twice(elf)
    print(f"  same bytes twice: {'yes' if same else 'NO'}", flush=True)
    return {"name": name, "size": os.path.getsize(elf), "twice": same, **(result or {"classes": {}})}, same and code == 0


def versions():
    found = []
    for tool in ("llvm-symbolizer", "eu-addr2line", "gcc", "clang", "rustc"):
        if shutil.which(tool):
            text = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
            number = re.search(r"\d+\.[\d.]+", text)
            found.append(f"{tool} {number[0] if number else '?'}")
    return ", ".join(found)


def commit():
    def git(*argv):
        return subprocess.run(["git", "-C", TOP, *argv], capture_output=True, text=True, check=False).stdout.strip()
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if git("status", "--porcelain", "-uno") else "")


def row(r):
    if "skipped" in r:
        return f"| {r['name']} | skipped: {r['skipped']} | | | | | | {r['when']} |"
    unexplained = sum(n for c, n in r["classes"].items() if c.startswith("UNEXPLAINED"))
    others = ", ".join(f"{c} {n:,}" for c, n in sorted(r["classes"].items(), key=lambda c: -c[1]) if c != "same")
    return (f"| {r['name']} | {r['size'] >> 10:,} | {r.get('addresses', 0):,} | {r.get('asked_elfutils', 0):,} | "
            f"{r['classes'].get('same', 0):,} | {unexplained} | {others} | {r['when']} |")


def remember(folder, results):
    """The last result of each subject, this run's and those before it."""
    path = os.path.join(folder, "results.json")
    known = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
    known.update({r["name"]: r for r in results})
    with open(path, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=1)
    return [known[name] for name, _, _ in subjects.subjects(folder) if name in known]


def write(results, path):
    head = f"""# The last runs of `make check-diff`

{versions()}.

Random addresses in sized functions and a tenth as many anywhere in code. The classes are explained in
[DIFFERENCES.md](DIFFERENCES.md); *same* means the number of frames, file and line of each, and their names up to
aliases. Each file was indexed three times, under two names: {"the same bytes each time" if
all(r.get("twice", True) for r in results) else "NOT THE SAME BYTES EACH TIME"}.

| subject | KiB | addresses | of these eu-addr2line was asked | same | unexplained | explained differences | date, commit |
|---|---|---|---|---|---|---|---|
"""
    with open(path, "w", encoding="utf-8") as out:
        out.write(head + "\n".join(map(row, results)) + "\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-n", type=int, default=100_000)
    p.add_argument("--only", default="")
    p.add_argument("--folder", default=os.path.join(TOP, "build/diff"))
    p.add_argument("--results")
    args = p.parse_args()
    results, good, begun = [], True, f"{datetime.date.today()}, {commit()}"
    for name, build, options in subjects.subjects(args.folder):
        if re.search(args.only, name):
            result, fine = check(name, build, options, args)
            results.append({**result, "when": begun})
            good = good and fine
    if args.results:
        write(remember(args.folder, results), args.results)
    compared = sum("skipped" not in r for r in results)
    print(f"{compared} compared, {len(results) - compared} skipped: {'as explained' if good else 'UNEXPLAINED DIFFERENCES'}")
    return 0 if good and compared else 1


if __name__ == "__main__":
    sys.exit(main())
