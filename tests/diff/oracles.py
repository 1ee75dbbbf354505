# SPDX-License-Identifier: Apache-2.0
"""What llvm-symbolizer, eu-addr2line and our own index say about addresses of an ELF file.

A chain is a list of (name, (file, line)), innermost first; unknown parts are empty and 0. All three are
asked in order of address, which spares the references from reading a unit twice; eu-addr2line, which is
slow, by two processes.
"""
import concurrent.futures
import json
import os
import posixpath
import re
import subprocess
import sys
import tempfile

EU_PROCESSES = 2


def run(argv, text=None, may_fail=False):
    p = subprocess.run(argv, input=text, capture_output=True, text=True, errors="replace", check=False)
    if p.returncode and not may_fail:
        sys.exit(f"{argv[0]}: exit {p.returncode}: {p.stderr.strip()[:500]}{p.stdout.strip()[:500]}")
    return p.stdout


def listed(addresses):
    return "".join(f"{a:#x}\n" for a in addresses)


def place(file, line):
    """file:line, comparable: /./ and /x/../ taken out."""
    file = "" if not file or file.startswith("??") else posixpath.normpath(file)
    return file, int(line or 0)


class Ours:
    """An index made once, and asked as often as one likes."""

    def __init__(self, elf, indexer, unhex, options):
        self.unhex = unhex
        with tempfile.NamedTemporaryFile(suffix=".uhx", delete=False) as index:
            self.index = index.name
        self.report = json.loads(run([indexer, "-o", self.index, *options, elf]))

    def chains(self, addresses):
        out = run([self.unhex, "addr2line", "--json", "--index", self.index], listed(addresses))
        chains = {}
        for answer in map(json.loads, out.splitlines()):
            chains[int(answer["address"], 16)] = [
                (f.get("system_name") or f["function"], place(f.get("file"), f.get("line"))) for f in answer["frames"]]
        return chains

    def close(self):
        os.unlink(self.index)


def llvm(elf, addresses):
    out = run(["llvm-symbolizer", "--inlines", "--functions=linkage", "--no-demangle", "--output-style=JSON",
               f"--obj={elf}"], listed(addresses))
    chains = {}
    for a, line in zip(addresses, filter(None, out.splitlines())):
        chains[a] = [(s["FunctionName"], place(s["FileName"], s["Line"])) for s in json.loads(line)["Symbol"]
                     if s["FunctionName"] or s["FileName"]]
    return chains


def elfutils_part(elf, addresses):
    out = run(["eu-addr2line", "-a", "-f", "-i", "--pretty-print", "-e", elf], listed(addresses),
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


def elfutils(elf, addresses):
    size = -(-len(addresses) // EU_PROCESSES) or 1
    parts = [addresses[i:i + size] for i in range(0, len(addresses), size)]
    chains = {}
    with concurrent.futures.ThreadPoolExecutor(EU_PROCESSES) as pool:
        for part in pool.map(lambda p: elfutils_part(elf, p), parts):
            chains.update(part)
    return chains
