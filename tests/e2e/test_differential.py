#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand addresses each of real binaries: where llvm-symbolizer and eu-addr2line agree, so do we."""
import os
import subprocess

from harness import ROOT, build_id, main, need, program, skip, test


def compare(elf, count=1000):
    need("llvm-symbolizer", "eu-addr2line")
    done = subprocess.run(["python3", os.path.join(ROOT, "tests", "diff", "compare.py"), elf, "-n", str(count),
                           "--indexer", program("unhex-indexer"), "--unhex", program("unhex")],
                          capture_output=True, text=True, check=False, timeout=280)
    for line in done.stdout.splitlines():
        print("# " + line)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@test
def debian_libc(case):
    """libc6-dbg's libc: gcc, DWARF 5, compressed sections, 1,000 addresses"""
    ident = build_id(os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6"))
    debug = f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug"
    if not os.path.exists(debug):
        skip("libc6-dbg is not installed, or of another version than libc6")
    compare(debug)


@test
def gcc_cplusplus(case):
    """g++ -O2: templates and deep inlining"""
    compare(case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++"))


@test
def clang_cplusplus(case):
    """clang++ -O2, DWARF 5 with .debug_aranges, so that elfutils has something to say"""
    compare(case.compile("shapes.cc", "shapes", "-O2", "-g", "-gdwarf-5", "-gdwarf-aranges", compiler="clang++"))


@test
def dwarf_4(case):
    """g++ -O3 -gdwarf-4"""
    compare(case.compile("shapes.cc", "shapes", "-O3", "-g", "-gdwarf-4", compiler="g++"))


@test
def rust(case):
    """rustc -O -g, with the standard library's generics"""
    compare(case.compile("shapes.rs", "shapes-rs", "-O", "-g", compiler="rustc"))


@test
def our_own_server(case):
    """unhexd itself: a C program of some size, as gcc builds it here"""
    compare(program("unhexd"))


main()
