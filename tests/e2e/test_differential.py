#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand addresses each of real binaries: where llvm-symbolizer and eu-addr2line agree, so do we, and every
difference falls into a class that docs/DIFFERENCES.md explains. `make check-diff` asks about 100,000 each."""
import os
import subprocess
import sys

from harness import ROOT, build_id, main, need, program, run, skip, test

DIFF = os.path.join(ROOT, "tests", "diff")
sys.path.insert(0, DIFF)
import cxx_source  # pylint: disable=wrong-import-position


def compare(elf, *options, count=1000):
    need("llvm-symbolizer", "llvm-dwarfdump", "eu-addr2line")
    done = subprocess.run([sys.executable, os.path.join(DIFF, "compare.py"), elf, "-n", str(count), "--indexer",
                           program("unhex-indexer"), "--unhex", program("unhex"), *options],
                          capture_output=True, text=True, check=False, timeout=280)
    for line in done.stdout.splitlines():
        print("# " + line)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@test
def every_class_is_documented(case):
    """the classes that compare.py may put a difference into stand in docs/DIFFERENCES.md"""
    import classes  # pylint: disable=import-outside-toplevel
    with open(os.path.join(ROOT, "docs", "DIFFERENCES.md"), encoding="utf-8") as text:
        documented = text.read()
    titles = [v for k, v in vars(classes).items() if k.isupper() and k not in ("SAME", "UNEXPLAINED")]
    missing = [t for t in titles if f"- **{t}**" not in documented]
    assert len(titles) > 5 and not missing, missing


@test
def debian_libc(case):
    """libc6-dbg's libc: gcc, DWARF 5, compressed sections"""
    ident = build_id(os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6"))
    debug = f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug"
    if not os.path.exists(debug):
        skip("libc6-dbg is not installed, or of another version than libc6")
    compare(debug, count=2000)


@test
def gcc_cplusplus(case):
    """g++ -O2: templates and deep inlining"""
    compare(case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++"))


@test
def clang_cplusplus(case):
    """clang++ -O2, DWARF 5"""
    compare(case.compile("shapes.cc", "shapes", "-O2", "-g", "-gdwarf-5", compiler="clang++"), "--add-aranges")


@test
def dwarf_4(case):
    """g++ -O3 -gdwarf-4"""
    compare(case.compile("shapes.cc", "shapes", "-O3", "-g", "-gdwarf-4", compiler="g++"))


@test
def no_aranges(case):
    """clang++ as it is: eu-addr2line finds no unit"""
    compare(case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="clang++"), count=300)


@test
def removed_code(case):
    """-ffunction-sections --gc-sections: line sequences of functions that are gone"""
    for compiler in ("g++", "clang++"):
        elf = case.compile("shapes.cc", "gone-" + compiler, "-O2", "-g", "-ffunction-sections", "-Wl,--gc-sections",
                           compiler=compiler)
        compare(elf, "--add-aranges", count=500)


@test
def local_classes(case):
    """members of local classes and lambdas, whose code is described inside entries that have none"""
    for flags in (["-O2"], ["-O2", "-flto"], ["-O2", "-gdwarf-4"]):
        compare(case.compile("local_class.cc", "local", "-g", *flags, compiler="g++"), count=300)


@test
def link_time_optimization(case):
    """what hurts: heavy templates, -O3 -flto, code inlined from unit to unit"""
    folder = case.path("hurt")
    os.mkdir(folder)
    files = cxx_source.files(1)
    for name, text in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(text)
    need("g++")
    run("g++", "-std=c++17", "-O3", "-g", "-flto", "-o", "hurt", *(f for f in files if f.endswith(".cc")), cwd=folder)
    compare(os.path.join(folder, "hurt"), "--eu", "500", count=3000)


@test
def rust(case):
    """rustc -O -g, with the standard library's generics"""
    compare(case.compile("shapes.rs", "shapes-rs", "-O", "-g", compiler="rustc"), "--add-aranges", "--eu", "300")


@test
def go(case):
    """the distribution's Go, with DWARF: gofmt"""
    need("/usr/bin/go")
    out = case.path("gofmt")
    run("/usr/bin/go", "build", "-o", out, "cmd/gofmt", env={**os.environ, "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    compare(out, "--add-aranges", "--eu", "300", count=2000)


@test
def our_own_server(case):
    """unhexd itself: a C program of some size, as gcc builds it here"""
    compare(program("unhexd"))


main()
