#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Code in the upper half of the address space, as kernels have it: 0xffffffff81000000 is no JSON number
that every reader takes, so it has to come through probe, upload, index and both forms of symbolizing."""
import gzip
import json
import os

import pprof_writer
from harness import build_id, main, program, run, skip, symbols, test

LINKED_AT = 0xFFFFFFFF81000000
# Where KASLR might have moved it.
MOVED_BY = 0x1D400000
SOURCE = """
int counter;
static inline __attribute__((always_inline)) void bump(int by) { counter += by; }
__attribute__((noinline)) int do_syscall(int n) { bump(n); return counter; }
void _start(void) { do_syscall(1); for (;;) bump(2); }
"""


def kernel(case):
    with open(case.path("kernel.c"), "w", encoding="ascii") as source:
        source.write(SOURCE)
    elf = case.compile(case.path("kernel.c"), "vmlinux", "-O1", "-g", "-nostdlib", "-static", "-no-pie", "-fno-pic",
                       "-mcmodel=kernel", f"-Wl,-Ttext-segment={LINKED_AT:#x}", "-Wl,--build-id")
    if symbols(elf)["do_syscall"][0] < LINKED_AT:
        skip("this linker does not link that high")
    return elf


def probe(elf):
    return json.loads(run(program("unhex-indexer"), "--probe", elf).stdout)


def code_segment(report):
    """(offset, vaddr, memsz) of the executable PT_LOAD."""
    for header in report["program_headers"]:
        if header["flags"] & 1:
            return [value if isinstance(value, int) else int(value, 16)
                    for value in (header["offset"], header["vaddr"], header["memsz"])]
    raise AssertionError(report)


@test
def probe_and_local_names(case):
    """the report spells such addresses as text; addr2line names them with the inline chain"""
    elf = kernel(case)
    report = probe(elf)
    text = [s for s in report["sections"] if s["name"] == ".text"][0]
    assert isinstance(text["addr"], str) and int(text["addr"], 16) >= LINKED_AT, text
    assert isinstance(text["size"], int), text
    assert code_segment(report)[1] >= LINKED_AT, report
    index = json.loads(run(program("unhex-indexer"), "-o", case.path("vmlinux.uhx"), elf).stdout)
    assert index["quality"] == "dwarf" and index["functions"] >= 3, index
    start = symbols(elf)["do_syscall"][0]
    said = case.unhex("addr2line", "-f", "-i", "-e", elf, hex(start)).stdout
    assert "do_syscall" in said and "bump" in said and "kernel.c:3" in said, said


@test
def served_by_json_and_pprof(case):
    """uploaded, then named: by virtual address, by a mapping at the linked place, by one that KASLR moved"""
    elf = kernel(case)
    ident = build_id(elf)
    server = case.server()
    done = case.unhex("upload", "--wait", elf, server=server)
    assert "ready" in done.stdout or "uploaded" in done.stdout, done.stdout
    start, size = symbols(elf)["do_syscall"]
    module = server.symbolize([{"build_id": ident, "addresses": [hex(start)]}])[0]
    assert module["status"] == "ok" and int(module["addresses"][0]["address"], 16) == start, module
    assert [f["function"] for f in module["addresses"][0]["frames"]] == ["bump", "do_syscall"], module
    offset, vaddr, memsz = code_segment(probe(elf))
    begin, end = vaddr & ~0xFFF, (vaddr + memsz + 0xFFF) & ~0xFFF
    profile = pprof_writer.Profile()
    places = [
        profile.location(profile.mapping("[kernel]", ident), start),
        profile.location(profile.mapping("[kernel.kallsyms]_text", ident, begin, end, 0), start),
        profile.location(profile.mapping("[kernel.kallsyms]_stext", ident, begin, end, offset & ~0xFFF), start),
        profile.location(profile.mapping("vmlinux", ident, begin + MOVED_BY, end + MOVED_BY, offset & ~0xFFF),
                         start + MOVED_BY),
    ]
    for place in places:
        profile.sample([place], 1)
    answer = server.post("/v1/symbolize?wait=30", gzip.compress(profile.encode()), "application/octet-stream")
    assert answer.status == 200, answer
    out = pprof_writer.decode(gzip.decompress(answer.body))
    for place in places:
        assert [line[0] for line in out["locations"][place]["lines"]] == ["bump", "do_syscall"], (place, out["locations"][place])
    story = server.get(f"/v1/debuginfo/{ident}").json()
    assert story["files"][0]["size"] == os.path.getsize(elf), story
    assert size > 0


main()
