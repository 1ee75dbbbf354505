# SPDX-License-Identifier: Apache-2.0
"""What is looked up in: a kernel's debug image, libc's debug file; random addresses in them; an index of ours."""
import json
import os
import random
import subprocess

from harness import ROOT, program, run
from measuring import number

SEED = 20260101
ADDRESSES = 100_000
NAMED_OF = 2_000
SHF_EXECINSTR = 4
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"


class Missing(Exception):
    """What is not on this machine, and why."""


def kernel_image():
    done = subprocess.run([os.path.join(ROOT, "ci", "kernel-image.sh")], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(done.stderr.strip().splitlines()[-1])
    return done.stdout.strip()


def libc_debug():
    ident = run(program("unhex"), "build-id", LIBC).stdout.split()[0]
    path = f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug"
    if not os.path.exists(path):
        raise Missing(f"no {path}; install libc6-dbg")
    return path


class Subject:
    """slow: how many of the addresses are asked of eu-addr2line, which takes minutes for all."""

    def __init__(self, folder, name, title, debug, slow):
        self.name, self.title, self.debug, self.slow_part = name, title, debug, slow
        self.megabytes = os.path.getsize(debug) / 1e6
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        self.index = self.path("index.uhx")
        self.gsym = self.path("index.gsym")
        self.symcache = self.path("index.symcache")
        self.report = json.loads(run(program("unhex-indexer"), "-o", self.index, debug).stdout)
        self.ident = self.report["ids"][0]["text"]
        self.addresses = self.pick(json.loads(run(program("unhex-indexer"), "--probe", debug).stdout))
        self.all = self.write("all", self.addresses)
        self.slow = self.write("slow", self.addresses[:slow])
        self.first = self.write("first", self.addresses[:NAMED_OF])
        self.one = self.write("one", self.addresses[:1])

    @staticmethod
    def pick(probe):
        code = [(s["addr"], s["size"]) for s in probe["sections"] if s["flags"] & SHF_EXECINSTR and s["size"]]
        code = [(int(start, 16) if isinstance(start, str) else start, size) for start, size in code]
        chooser = random.Random(SEED)
        chosen = chooser.choices(code, weights=[size for _, size in code], k=ADDRESSES)
        return [start + chooser.randrange(size) for start, size in chosen]

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, addresses, head="", tail=""):
        path = self.path(f"addresses-{name}")
        with open(path, "w", encoding="ascii") as out:
            out.writelines(f"{head}{a:#x}{tail}\n" for a in addresses)
        return path

    def hot_megabytes(self):
        """The part of the index that lookups read."""
        return (self.report["bytes"] - self.report["cold_bytes"]) / 1e6

    def described(self):
        return f"{self.title} ({number(self.megabytes)} MB; {self.report['rows']:,} rows and " \
            f"{self.report['functions']:,} functions in our index)"
