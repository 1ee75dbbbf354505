#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""To LLVM's symbol format and back: llvm-gsymutil says about our exports what we say about our indexes."""
import json
import os
import random
import re

from harness import build_id, main, need, program, run, skip, test

GSYMUTIL = "llvm-gsymutil-14"
ADDRESSES = 3000
FRAME = re.compile(r"^(?P<name>.+?)(?: \+ \d+)?(?: @ (?P<file>.*):(?P<line>\d+))?(?: \[inlined\])?$")


def index(case, source, *options):
    """An index, and what the indexer reports of it."""
    out = case.path(os.path.basename(source) + ".uhx")
    report = run(program("unhex-indexer"), *options, "-o", out, source).stdout
    return out, json.loads(report)


def export(case, uhx):
    out = uhx + ".gsym"
    case.unhex("index", "--export-gsym", out, uhx)
    return out


def convert(case, elf):
    out = case.path(os.path.basename(elf) + ".llvm.gsym")
    run(GSYMUTIL, f"--convert={elf}", f"--out-file={out}", "--num-threads=1", "--quiet")
    return out


def random_addresses(elf, seed, count=ADDRESSES):
    """In executable sections, as readelf sees them: functions, and what is between them."""
    sections = []
    for line in run("readelf", "-SW", elf).stdout.splitlines():
        words = line.partition("]")[2].split()
        if len(words) > 6 and words[1] in ("PROGBITS", "NOBITS") and "X" in words[6]:
            sections.append((int(words[2], 16), int(words[4], 16)))
    source = random.Random(seed)
    chosen = source.choices(sections, [size for _, size in sections], k=count)
    return [start + source.randrange(size) for start, size in chosen]


def our_chains(case, uhx, addresses):
    """Per address the frames as (names, file, line): both names, for GSYM has only one."""
    text = "".join(f"{a:#x}\n" for a in addresses)
    answers = case.unhex("addr2line", "--json", "--index", uhx, input=text, check=False).stdout
    return [[({f["function"], f.get("system_name", f["function"])}, f.get("file", ""), f.get("line", 0))
             for f in json.loads(line)["frames"]] for line in answers.splitlines()]


def gsymutil_frame(text):
    found = FRAME.match(text.strip())
    assert found, text
    return {found["name"]}, found["file"] or "", int(found["line"] or 0)


def gsymutil_chains(case, gsym, addresses):
    wanted = case.path("wanted")
    with open(wanted, "w", encoding="utf-8") as out:
        out.write("".join(f"--address={a:#x}\n" for a in addresses))
    chains = []
    for line in run(GSYMUTIL, gsym, "@" + wanted).stdout.splitlines()[1:]:
        if line.startswith("0x"):
            first = line.partition(": ")[2]
            chains.append([] if first.startswith("error:") else [gsymutil_frame(first)])
        elif line.strip():
            chains[-1].append(gsymutil_frame(line))
    return chains


def equal(ours, theirs):
    return len(ours) == len(theirs) and all(
        a[0] & b[0] and a[1:] == b[1:] for a, b in zip(ours, theirs))


def compare(addresses, ours, theirs, what):
    assert len(ours) == len(theirs) == len(addresses), (len(ours), len(theirs), len(addresses))
    different = [(hex(a), x, y) for a, x, y in zip(addresses, ours, theirs) if not equal(x, y)]
    named = sum(1 for x in ours if x)
    print(f"# {what}: {len(addresses)} addresses, {named} named, {sum(map(len, ours))} frames, "
          f"{len(different)} different")
    assert named > len(addresses) // 3, "hardly anything was found: the test would prove nothing"
    assert not different, different[:5]


def check_export(case, elf):
    need(GSYMUTIL)
    uhx, report = index(case, elf)
    gsym = export(case, uhx)
    addresses = random_addresses(elf, 1)
    compare(addresses, our_chains(case, uhx, addresses), gsymutil_chains(case, gsym, addresses), "exported")
    listing = run(GSYMUTIL, gsym).stdout
    infos = [line for line in listing.splitlines() if line.startswith("FunctionInfo")]
    assert infos and all(re.match(r'FunctionInfo @ 0x[0-9a-f]+: \[0x[0-9a-f]+ - 0x[0-9a-f]+\) ".', line)
                         for line in infos), [line for line in infos if '"' not in line][:5]
    uuid = re.search(r"UUID += ([0-9a-f]+)", listing).group(1)
    assert uuid == build_id(elf) == report["ids"][0]["text"], uuid
    again = case.path("again.gsym")
    case.unhex("index", "--export-gsym", again, uhx)
    with open(gsym, "rb") as a, open(again, "rb") as b:
        assert a.read() == b.read(), "the same index gave other bytes"


def debian_libc():
    ident = build_id(os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6"))
    debug = f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug"
    if not os.path.exists(debug):
        skip("libc6-dbg is not installed, or of another version than libc6")
    return debug


@test
def export_libc(case):
    """libc6-dbg's libc: names, files, lines and inline chains, as llvm-gsymutil reads them"""
    check_export(case, debian_libc())


@test
def export_gcc_cplusplus(case):
    """g++ -O2"""
    check_export(case, case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++"))


@test
def export_clang_cplusplus(case):
    """clang++ -O2"""
    check_export(case, case.compile("shapes.cc", "shapes", "-O2", "-g", "-Wl,--build-id", compiler="clang++"))


@test
def export_rust(case):
    """rustc -O -g, with the standard library's generics"""
    check_export(case, case.compile("shapes.rs", "shapes-rs", "-O", "-g", "-C", "link-arg=-Wl,--build-id",
                                    compiler="rustc"))


@test
def export_refuses(case):
    """what is not an index is not exported, and nothing is left behind"""
    not_one = case.path("text")
    with open(not_one, "w", encoding="utf-8") as out:
        out.write("no index\n" * 100)
    done = case.unhex("index", "--export-gsym", case.path("out.gsym"), not_one, check=False)
    assert done.returncode == 1 and "not a sound index" in done.stderr, done
    assert not os.path.exists(case.path("out.gsym"))
    done = case.unhex("index", "--export-gsym", case.path("out.gsym"), check=False)
    assert done.returncode == 2, done


main()
