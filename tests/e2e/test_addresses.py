#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The five address rules, each with a profile from a real producer of that convention, through the server."""
import gzip
import os
import subprocess

import pprof_writer
from harness import build_id, main, need, run, skip, symbols, test


def subject(case, *flags):
    full = case.compile("busy.c", "busy", "-O2", "-g", *flags)
    debug = case.path("busy.debug")
    run("objcopy", "--only-keep-debug", full, debug)
    return full, debug


def running(full):
    """(mappings of the file as (start, limit, offset, executable), run-time address of inner), from the kernel."""
    mappings, inner = [], None
    for line in run(full, "0").stdout.splitlines():
        if line.startswith("inner "):
            inner = int(line.split()[1], 16)
        elif line.endswith(full):
            where, perms, offset = line.split()[:3]
            start, limit = (int(x, 16) for x in where.split("-"))
            mappings.append((start, limit, int(offset, 16), "x" in perms))
    return next(m for m in mappings if m[3]), inner


def resolve(server, ident, mapping, address, path="/opt/busy"):
    p = pprof_writer.Profile()
    m = p.mapping(path, ident, *mapping)
    p.sample([p.location(m, address)], 1)
    answer = server.post("/v1/symbolize", p.encode(), "application/octet-stream")
    assert answer.status == 200, answer
    out = pprof_writer.decode(gzip.decompress(answer.body))
    return out["locations"][1]["lines"][-1][0]


@test
def rule_1_virtual_addresses(case):
    """start = limit = offset = 0: the address is an ELF virtual address (our agent, OTLP)"""
    full, debug = subject(case)
    server = case.server()
    case.unhex("upload", "--wait", debug, server=server)
    assert resolve(server, build_id(full), (0, 0, 0), symbols(full)["inner"][0] + 4) == "inner"


@test
def rule_2_segment_start(case):
    """mapping start = page floor of the executable segment's p_vaddr (Alloy, the OpenTelemetry profiler)"""
    full, debug = subject(case)
    server = case.server()
    case.unhex("upload", "--wait", debug, server=server)
    for line in run("readelf", "-lW", full).stdout.splitlines():
        if "LOAD" in line and " E " in line:
            words = line.split()
            offset, vaddr, memsz = int(words[1], 16), int(words[2], 16), int(words[5], 16)
    start = vaddr & ~0xFFF
    assert resolve(server, build_id(full), (start, start + memsz, offset), symbols(full)["inner"][0] + 4) == "inner"


@test
def rule_3_file_offsets(case):
    """a running PIE, and one whose p_offset is not its p_vaddr: the kernel's own mappings, the executable uploaded"""
    for flags in ((), ("-no-pie",), ("-Wl,-z,noseparate-code",), ("-no-pie", "-Wl,-Ttext-segment=0x7000000")):
        full, _ = subject(case, *flags)
        server = case.server(name="data" + str(len(case.servers)))
        case.unhex("upload", "--wait", full, server=server)
        (start, limit, offset, _), inner = running(full)
        assert resolve(server, build_id(full), (start, limit, offset), inner + 4) == "inner", flags


@test
def rule_4_debug_file_only(case):
    """objcopy --only-keep-debug leaves p_offset = p_filesz = 0: the bias comes from the segment's size"""
    for flags in ((), ("-Wl,-z,noseparate-code",)):
        full, debug = subject(case, *flags)
        server = case.server(name="data" + str(len(case.servers)))
        case.unhex("upload", "--wait", debug, server=server)
        (start, limit, offset, _), inner = running(full)
        assert resolve(server, build_id(full), (start, limit, offset), inner + 4) == "inner", flags


@test
def rule_5_no_program_headers(case):
    """an index without program headers cannot place a run-time address: the stub says where, nothing is guessed"""
    server = case.server()
    name = resolve(server, "ab" * 20, (0x7F0000000000, 0x7F0000002000, 0x1000), 0x7F0000000123, "/opt/unknown.so")
    assert name.startswith("unknown.so+0x"), name


@test
def lld_layout(case):
    """lld sets p_offset and p_vaddr apart"""
    need("clang", "ld.lld")
    full = case.compile("busy.c", "busy", "-O2", "-g", "-fuse-ld=lld", compiler="clang")
    server = case.server()
    case.unhex("upload", "--wait", full, server=server)
    (start, limit, offset, _), inner = running(full)
    assert resolve(server, build_id(full), (start, limit, offset), inner + 4) == "inner"


@test
def go_runtime_pprof(case):
    """a CPU profile that Go's own runtime wrote, names removed: run-time addresses and mappings of a real producer"""
    need("go")
    source = case.path("burn.go")
    with open(source, "w", encoding="ascii") as out:
        out.write('package main\nimport ("os"; "runtime/pprof"; "time")\n//go:noinline\nfunc burn() (x uint64) {\n'
                  "\tfor end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); {\n"
                  "\t\tfor i := uint64(0); i < 1e6; i++ { x = x*31 + i }\n\t}\n\treturn\n}\n"
                  'func main() { f, _ := os.Create(os.Args[1]); pprof.StartCPUProfile(f); println(burn()); pprof.StopCPUProfile(); f.Close() }\n')
    exe = case.path("burn")
    run("go", "build", "-o", exe, source, env={**os.environ, "GO111MODULE": "off", "CGO_ENABLED": "0"}, cwd=case.folder)
    subprocess.run([exe, case.path("cpu.pb.gz")], check=True, capture_output=True)
    named = pprof_writer.message(gzip.decompress(open(case.path("cpu.pb.gz"), "rb").read()))
    bare = b""
    for number, values in named.items():
        for value in values:
            if number == 5:
                continue
            if number == 4:
                value = b"".join(pprof_writer.field(n, v) for n, v in pprof_writer.fields(value) if n != 4)
            bare += pprof_writer.field(number, value)
    server = case.server()
    case.unhex("upload", "--wait", exe, server=server)
    ident = case.unhex("build-id", exe).stdout.split()[0]
    strings = [s.decode() for s in named[6]]
    mapping = pprof_writer.message(named[3][0])
    if not strings[mapping.get(6, [0])[0]]:
        # Old runtimes write no build-ID: put the one the file has, as an agent would.
        bare = add_build_id(bare, ident, len(strings))
    answer = server.post("/v1/symbolize", gzip.compress(bare), "application/octet-stream")
    out = pprof_writer.decode(gzip.decompress(answer.body))
    names = [line[0] for l in out["locations"].values() for line in l["lines"]]
    assert "main.burn" in names, names
    if not any(l["lines"] and l["lines"][-1][3] for l in out["locations"].values()):
        skip("no lines")


def add_build_id(profile, ident, string_count):
    out, first = b"", True
    for number, value in pprof_writer.fields(profile):
        if number == 3 and first:
            first = False
            kept = b"".join(pprof_writer.field(n, v) for n, v in pprof_writer.fields(value) if n not in (6, 7, 8, 9, 10))
            value = kept + pprof_writer.field(6, string_count)
        elif number == 3:
            value = b"".join(pprof_writer.field(n, v) for n, v in pprof_writer.fields(value) if n not in (7, 8, 9, 10))
        out += pprof_writer.field(number, value)
    return out + pprof_writer.field(6, ident.encode())


main()
