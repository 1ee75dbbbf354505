#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Upload, then ask: the JSON and the pprof form of /v1/symbolize, on a C++ binary that is stripped."""
import gzip
import json
import os
import shutil
import subprocess

import pprof_writer
from harness import Case, build_id, main, need, program, run, symbols, test


def stripped_subject(case: Case):
    """(stripped, debug, full) of tests/subjects/shapes.cc."""
    full = case.compile("shapes.cc", "shapes.full", "-O2", "-g", "-gdwarf-5", compiler="g++")
    debug, stripped = case.path("shapes.debug"), case.path("shapes")
    run("objcopy", "--only-keep-debug", full, debug)
    run("strip", "-o", stripped, full)
    return stripped, debug, full


def oracle(full, address):
    need("llvm-symbolizer")
    out = run("llvm-symbolizer", "--inlines", "--functions=linkage", "--no-demangle", "--output-style=JSON", f"--obj={full}",
              hex(address)).stdout
    return json.loads(out)[0]["Symbol"]


def assert_frames(frames, truth):
    assert len(frames) == len(truth), (frames, truth)
    for mine, theirs in zip(frames, truth):
        assert mine["line"] == theirs["Line"], (mine, theirs)
        assert mine["system_name"] == theirs["FunctionName"], (mine, theirs)
        assert os.path.basename(mine["file"]) == os.path.basename(theirs["FileName"]), (mine, theirs)


@test
def upload_then_json(case):
    """every address of a function has the frames llvm-symbolizer gives from the unstripped twin"""
    stripped, debug, full = stripped_subject(case)
    server = case.server()
    done = case.unhex("upload", "--wait", debug, server=server)
    assert build_id(full) in done.stdout, done.stdout
    address, size = symbols(full)["main"]
    addresses = [address + i for i in range(0, size, 3)]
    module = server.symbolize([{"build_id": build_id(full), "addresses": [hex(a) for a in addresses]}])[0]
    assert module["status"] == "ok", module["status"]
    for asked, answer in zip(addresses, module["addresses"]):
        assert int(answer["address"], 16) == asked
        assert answer["source"] == "dwarf", answer
        assert_frames(answer["frames"], oracle(full, asked))
        assert [f["inlined"] for f in answer["frames"]] == [True] * (len(answer["frames"]) - 1) + [False], answer
    names = {f["function"] for a in module["addresses"] for f in a["frames"]}
    assert any("std::" in n for n in names), names


@test
def missing_and_invalid_modules(case):
    """an unknown ID is missing, an unresolved address has a reason, a bad ID is invalid: not a failed request"""
    server = case.server()
    modules = server.symbolize([{"build_id": "00" * 20, "addresses": ["0x10"]},
                                {"build_id": "not hex!", "addresses": ["0x10"]}], wait=0)
    assert [m["status"] for m in modules] == ["missing", "invalid"], modules
    for m, code in zip(modules, ("not_found", "bad_build_id")):
        assert m["addresses"][0]["frames"] == [] and m["addresses"][0]["reason"] == m["reason"] == code, m
    assert modules[0]["detail"] == "not uploaded, and no upstream server is configured", modules


@test
def pprof_in_pprof_out(case):
    """the same profile comes back with names, inline frames, a stub where nothing is known, flags truthful"""
    _, debug, full = stripped_subject(case)
    server = case.server()
    case.unhex("upload", "--wait", debug, server=server)
    address, size = symbols(full)["main"]
    p = pprof_writer.Profile()
    known = p.mapping("/opt/shapes", build_id(full))
    unknown = p.mapping("/usr/lib/libsecret.so.1", "ab" * 20)
    first = p.location(known, address + size // 2)
    other = p.location(unknown, 0x4242)
    p.sample([first, other], 10_000_000, thread="worker")
    for body in (p.encode(), gzip.compress(p.encode())):
        answer = server.post("/v1/symbolize?wait=0", body, "application/octet-stream")
        assert answer.status == 200, answer
        assert answer.headers.get("Unhex-Pending", "0") == "0", answer.headers.items()
        out = pprof_writer.decode(gzip.decompress(answer.body))
        lines = out["locations"][first]["lines"]
        truth = oracle(full, address + size // 2)
        assert [l[3] for l in lines] == [t["Line"] for t in truth], (lines, truth)
        assert [l[1] for l in lines] == [t["FunctionName"] for t in truth], (lines, truth)
        assert out["locations"][other]["lines"][0][0] == "libsecret.so.1+0x4242", out["locations"][other]
        assert out["mappings"][known]["has_functions"] and out["mappings"][unknown]["has_functions"]
        assert not out["mappings"][unknown]["has_filenames"]
        assert out["samples"] == [([first, other], [10_000_000])]
        assert "worker" in out["strings"]


@test
def go_pprof_reads_it(case):
    """go tool pprof shows the function names"""
    need("go")
    _, debug, full = stripped_subject(case)
    server = case.server()
    case.unhex("upload", "--wait", debug, server=server)
    p = pprof_writer.Profile()
    mapping = p.mapping("/opt/shapes", build_id(full))
    p.sample([p.location(mapping, symbols(full)["plain_c_function"][0] + 4)], 990_000_000)
    with open(case.path("raw.pb.gz"), "wb") as raw:
        raw.write(gzip.compress(p.encode()))
    case.unhex("symbolize", case.path("raw.pb.gz"), "-o", case.path("named.pb.gz"), server=server)
    top = run("go", "tool", "pprof", "-top", case.path("named.pb.gz")).stdout
    assert "plain_c_function" in top, top
    ours = case.unhex("top", case.path("named.pb.gz")).stdout
    assert "plain_c_function" in ours and "shapes.cc:" in ours, ours


@test
def upload_answers(case):
    """201, then 200 for the same bytes, 409 for no better ones, 415 for another ID or no ELF, 404 after DELETE"""
    stripped, debug, full = stripped_subject(case)
    server = case.server()
    body = open(debug, "rb").read()
    ident = build_id(full)
    first = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo", body=body)
    assert first.status == 201, first
    again = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo", body=body)
    assert again.status == 200, again
    poorer = case.path("poorer.debug")
    run("objcopy", "--strip-debug", full, poorer)
    worse = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo", body=open(poorer, "rb").read())
    assert worse.status == 409 and worse.json()["code"] == "conflict", worse
    wrong = server.request("PUT", f"/v1/debuginfo/{'12' * 20}?type=debuginfo", body=body)
    assert wrong.status == 415 and wrong.json()["code"] == "build_id_mismatch", wrong
    foreign = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo", body=b"#!/bin/sh\n" * 500)
    assert foreign.status == 415 and foreign.json()["code"] == "not_elf", foreign
    packed = run("zstd", "-q", "-c", stripped, text=False).stdout
    exe = server.request("PUT", f"/v1/debuginfo/{ident}?type=executable", body=packed,
                         headers={"Content-Encoding": "zstd"})
    assert exe.status == 201, exe
    story = server.get(f"/v1/debuginfo/{ident}").json()
    assert sorted(f["type"] for f in story["files"]) == ["debuginfo", "executable"], story
    got = server.get(f"/buildid/{ident}/executable")
    assert got.status == 200 and got.body == open(stripped, "rb").read()
    assert server.request("DELETE", f"/v1/debuginfo/{ident}").status in (200, 204)
    assert server.get(f"/v1/debuginfo/{ident}").status == 404
    assert server.get(f"/buildid/{ident}/debuginfo").status == 404


@test
def real_clients_fetch(case):
    """debuginfod-find and gdb get from /buildid what was uploaded"""
    need("debuginfod-find", "gdb")
    stripped, debug, full = stripped_subject(case)
    server = case.server()
    case.unhex("upload", debug, server=server)
    env = {**os.environ, "DEBUGINFOD_URLS": server.url, "DEBUGINFOD_CACHE_PATH": case.path("cache"), "HOME": case.folder}
    found = run("debuginfod-find", "debuginfo", build_id(full), env=env).stdout.strip()
    assert open(found, "rb").read() == open(debug, "rb").read()
    missing = run("debuginfod-find", "debuginfo", "77" * 20, env=env, check=False)
    assert missing.returncode != 0 and "No such file" in missing.stderr, missing.stderr
    env["DEBUGINFOD_CACHE_PATH"] = case.path("cache2")
    talk = run("gdb", "-nx", "-batch", "-iex", "set debuginfod enabled on", "-ex", "info line plain_c_function", stripped, env=env)
    assert "shapes.cc" in talk.stdout, talk.stdout + talk.stderr


@test
def local_addr2line(case):
    """unhex addr2line -e prints the chains llvm-symbolizer prints, and --json the same frames"""
    need("llvm-symbolizer")
    full = case.compile("shapes.cc", "shapes.full", "-O2", "-g", compiler="g++")
    address, size = symbols(full)["main"]
    addresses = [hex(address + i) for i in range(0, size, 7)]
    mine = case.unhex("addr2line", "-f", "-i", "-e", full, *addresses).stdout
    theirs = run("llvm-symbolizer", "--inlines", "--no-demangle", "--output-style=LLVM", f"--obj={full}", *addresses).stdout
    # An unknown column is :0 there, and left out by us and by eu-addr2line.
    strip = lambda text: [l.strip().removesuffix(":0") for l in text.splitlines() if l.strip()]
    assert strip(mine) == strip(theirs), (strip(mine)[:20], strip(theirs)[:20])
    index = case.path("shapes.uhx")
    run(program("unhex-indexer"), "-o", index, full)
    by_stdin = subprocess.run([program("unhex"), "addr2line", "--json", "--index", index], input="\n".join(addresses),
                              capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(by_stdin) == len(addresses)
    first = json.loads(by_stdin[0])
    assert first["frames"] and first["source"] == "dwarf", first
    assert shutil.which("addr2line")


@test
def extract_keeps_answers(case):
    """a file made by unhex extract answers like the unstripped one, holds no code, and is smaller"""
    full = case.compile("shapes.cc", "shapes.full", "-O2", "-g", compiler="g++")
    debug = case.path("shapes.debug")
    case.unhex("extract", full, "-o", debug)
    assert build_id(debug) == build_id(full)
    code = run("readelf", "-WS", debug).stdout
    assert any(".text" in l and "NOBITS" in l for l in code.splitlines()), code
    address, size = symbols(full)["main"]
    addresses = [hex(address + i) for i in range(0, size, 5)]
    a = case.unhex("addr2line", "-f", "-i", "-e", full, *addresses).stdout
    b = case.unhex("addr2line", "-f", "-i", "-e", debug, *addresses).stdout
    assert a == b
    assert os.path.getsize(debug) < os.path.getsize(full)


main()
