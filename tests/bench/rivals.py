# SPDX-License-Identifier: Apache-2.0
"""Which rivals this machine has: tools by their name, Rust libraries through the program in rivals/."""
import os
import re
import shutil
import subprocess

from harness import BUILD, run
from measuring import find_tool

HERE = os.path.dirname(os.path.abspath(__file__))
CARGO_SECONDS = 900
CRATES = ("addr2line", "blazesym", "symbolic-symcache")


class Rivals:
    """Paths, None where there is none; absent: what is left out and why."""

    def __init__(self, want_crates=True):
        self.symbolizer = find_tool("llvm-symbolizer")
        self.elfutils = find_tool("eu-addr2line")
        self.binutils = find_tool("addr2line")
        self.gsymutil = find_tool("llvm-gsymutil")
        self.valgrind = find_tool("valgrind")
        tools = {"llvm-symbolizer": self.symbolizer, "eu-addr2line": self.elfutils, "addr2line": self.binutils,
                 "llvm-gsymutil": self.gsymutil, "valgrind (counts instructions)": self.valgrind}
        self.absent = [f"{name}: not installed" for name, path in tools.items() if not path]
        self.crates = self.build_crates() if want_crates else None

    def build_crates(self):
        if not shutil.which("cargo"):
            self.absent.append(f"Rust libraries ({', '.join(CRATES)}): no cargo")
            return None
        target = os.path.join(BUILD, "bench", "cargo")
        done = subprocess.run(["cargo", "build", "--quiet", "--release", "--manifest-path",
                               os.path.join(HERE, "rivals", "Cargo.toml")], capture_output=True, text=True, check=False,
                              timeout=CARGO_SECONDS, env=dict(os.environ, CARGO_TARGET_DIR=target))
        if done.returncode:
            why = next((line for line in done.stderr.splitlines() if line.startswith("error")), "cargo failed")
            self.absent.append(f"Rust libraries ({', '.join(CRATES)}): {why}")
            return None
        return os.path.join(target, "release", "rivals")

    def versions(self):
        found = []
        for path in filter(None, (self.symbolizer, self.gsymutil, self.elfutils, self.binutils)):
            text = run(path, "--version", check=False).stdout
            match = re.search(r"LLVM version (\S+)|\(elfutils\) (\S+)|\(GNU Binutils.*\) (\S+)", text)
            version = next(filter(None, match.groups())) if match else "(version unknown)"
            found.append(f"{os.path.basename(path)} {version}")
        return found + (self.crate_versions() if self.crates else [])

    @staticmethod
    def crate_versions():
        with open(os.path.join(HERE, "rivals", "Cargo.toml"), encoding="utf-8") as manifest:
            text = manifest.read()
        return [f"{name} {version} (crate)"
                for name, version in re.findall(r'^([\w-]+) = (?:\{ version = )?"=([\d.]+)', text, re.M) if name in CRATES]
