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
    """Per address the frames as (names, file, line): both names, for GSYM has only one. A function whose start is all
    that is known has no name to export."""
    text = "".join(f"{a:#x}\n" for a in addresses)
    answers = case.unhex("addr2line", "--json", "--index", uhx, input=text, check=False).stdout
    chains = [json.loads(line) for line in answers.splitlines()]
    return [[({f["function"], f.get("system_name", f["function"])}, f.get("file", ""), f.get("line", 0))
             for f in chain["frames"] if chain["source"] != "eh_frame"] for chain in chains]


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


def places(chain):
    """Our paths are freed of "/./" and "/x/../"; in LLVM's own files they are as the compiler wrote them."""
    return [(os.path.normpath(file) if file else "", line) for _, file, line in chain]


def equal(ours, theirs):
    return places(ours) == places(theirs) and all(a[0] & b[0] for a, b in zip(ours, theirs))


def compare(addresses, ours, theirs, what):
    assert len(ours) == len(theirs) == len(addresses), (len(ours), len(theirs), len(addresses))
    different = [(hex(a), x, y) for a, x, y in zip(addresses, ours, theirs) if not equal(x, y)]
    named = sum(1 for x in ours if x)
    print(f"# {what}: {len(addresses)} addresses, {named} named, {sum(map(len, ours))} frames, "
          f"{len(different)} different")
    assert named > 900, "hardly anything was found: the test would prove nothing"
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


def gcc_subject(case):
    return case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++")


def clang_subject(case):
    return case.compile("shapes.cc", "shapes", "-O2", "-g", "-Wl,--build-id", compiler="clang++")


@test
def export_libc(case):
    """libc6-dbg's libc: names, files, lines and inline chains, as llvm-gsymutil reads them"""
    check_export(case, debian_libc())


@test
def export_gcc_cplusplus(case):
    """g++ -O2"""
    check_export(case, gcc_subject(case))


@test
def export_clang_cplusplus(case):
    """clang++ -O2"""
    check_export(case, clang_subject(case))


@test
def export_rust(case):
    """rustc -O -g, with the standard library's generics"""
    check_export(case, case.compile("shapes.rs", "shapes-rs", "-O", "-g", "-C", "link-arg=-Wl,--build-id",
                                    compiler="rustc"))


def doubled_rows(gsym):
    """Addresses at which line tables have several rows. The last one counts; llvm-gsymutil 14 takes the first at
    exactly that address, and the last at the next byte (LineTable::lookup; later versions take the last)."""
    rows = re.findall(r"^  (0x[0-9a-f]+) ", run(GSYMUTIL, gsym).stdout, re.M)
    return {int(a, 16) for a, b in zip(rows, rows[1:]) if a == b}


def check_import(case, elf):
    need(GSYMUTIL)
    gsym = convert(case, elf)
    imported, report = index(case, gsym)
    direct, _ = index(case, elf)
    assert report["quality"] == "g1" and report["sources"] == ["dwarf", "symtab"], report
    assert [i["text"] for i in report["ids"]] == [build_id(elf)], report
    doubled = doubled_rows(gsym)
    addresses = [a for a in random_addresses(elf, 2) if a not in doubled]
    ours = our_chains(case, imported, addresses)
    compare(addresses, ours, gsymutil_chains(case, gsym, addresses), "imported")
    check_same_places(addresses, ours, our_chains(case, direct, addresses))


def check_same_places(addresses, imported, direct):
    """Lines and depth are those of our own index, wherever llvm-gsymutil kept them; it gives the first bytes of a
    few cold parts (6 of 28,515 addresses of libc) a line that DWARF has before them. Names are not compared: each tool
    chooses among aliases by its own rule."""
    both = [(a, x, y) for a, x, y in zip(addresses, imported, direct) if x and y]
    kept = [(a, x, y) for a, x, y in both if x[0][1]]
    different = [(hex(a), x, y) for a, x, y in kept if places(x) != places(y)]
    print(f"# beside our own index: {len(both)} addresses named by both, {len(kept)} with a line, "
          f"{len(different)} at other places")
    assert len(kept) > len(both) // 2, "llvm-gsymutil kept hardly any line"
    assert len(different) <= len(kept) // 500, different[:5]


@test
def import_libc(case):
    """libc6-dbg's libc, converted by llvm-gsymutil: what it answers from its file, we do from our index"""
    check_import(case, debian_libc())


@test
def import_cplusplus(case):
    """g++ and clang++ -O2, converted by llvm-gsymutil"""
    for subject in (gcc_subject, clang_subject):
        check_import(case, subject(case))


@test
def round_trip(case):
    """index, GSYM, index: the same names, files, lines and inline chains"""
    elf = gcc_subject(case)
    uhx, _ = index(case, elf)
    back, report = index(case, export(case, uhx))
    assert [i["text"] for i in report["ids"]] == [build_id(elf)], report
    addresses = random_addresses(elf, 3)
    compare(addresses, our_chains(case, back, addresses), our_chains(case, uhx, addresses), "round trip")


@test
def import_alone(case):
    """a GSYM file is no ELF file: not for --probe, --extract or the server, and it has no second file"""
    elf = case.compile("busy.c", "busy", "-O2", "-g")
    gsym = export(case, index(case, elf)[0])
    out = case.path("x.uhx")
    for options, code, status in ((["--probe", gsym], "not_elf", 1),
                                  (["--extract", "-o", out, gsym], "not_elf", 1),
                                  (["-o", out, gsym, elf], "usage", 2),
                                  (["-o", out, elf, gsym], "not_elf", 1)):
        done = run(program("unhex-indexer"), *options, check=False)
        assert done.returncode == status and json.loads(done.stdout)["error"]["code"] == code, (options, done)
        assert not os.path.exists(out)
    with open(gsym, "rb") as whole, open(case.path("cut.gsym"), "wb") as half:
        half.write(whole.read()[:300])
    done = run(program("unhex-indexer"), "-o", out, case.path("cut.gsym"), check=False)
    assert json.loads(done.stdout)["error"]["code"] == "malformed_gsym" and not os.path.exists(out), done
    with open(gsym, "rb") as body:
        answer = case.server().request("PUT", f"/v1/debuginfo/{build_id(elf)}?type=debuginfo", body=body.read())
    assert answer.status == 415 and answer.json()["code"] == "not_elf", answer


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
    done = case.unhex("index", "--export-gsym", not_one, not_one, check=False)
    assert done.returncode == 2 and "is the index to read" in done.stderr, done


main()
