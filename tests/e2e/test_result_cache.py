#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers survive the loss of everything they were made from."""
import gzip
import os
import shutil
import struct

import pprof_writer
from harness import build_id, main, run, symbols, test


def wipe(data_dir, keep):
    """Remove every file of the data folder but the databases."""
    gone = []
    for folder, _, names in os.walk(data_dir):
        for name in names:
            if not name.startswith(keep):
                os.unlink(os.path.join(folder, name))
                gone.append(name)
    return gone


@test
def answers_survive(case):
    """with every index, ELF and blob deleted and the server restarted, the same addresses give the same bytes"""
    full = case.compile("shapes.cc", "shapes.full", "-O2", "-g", compiler="g++")
    server = case.server()
    case.unhex("upload", "--wait", full, server=server)
    address, size = symbols(full)["main"]
    asked = [hex(address + i) for i in range(0, size, 2)] + ["0x3"]
    before = server.symbolize([{"build_id": build_id(full), "addresses": asked}])
    assert before[0]["status"] in ("ok", "partial"), before
    p = pprof_writer.Profile()
    # A run-time mapping: the arithmetic needs program headers, which must survive, too.
    text = next(l.split() for l in run("readelf", "-lW", full).stdout.splitlines() if "LOAD" in l and " E " in l)
    offset, vaddr = int(text[1], 16), int(text[2], 16)
    base = 0x555500000000
    mapping = p.mapping("/opt/shapes", build_id(full), base + vaddr, base + vaddr + 0x2000, offset)
    p.sample([p.location(mapping, base + address + 5)], 1)
    profile_before = server.post("/v1/symbolize", p.encode(), "application/octet-stream").body
    server.stop()
    gone = wipe(server.data_dir, ("catalog.db", "results.db", "segments.db"))
    assert any(n.endswith(".uhx") for n in gone) and any(n.endswith(".zst") for n in gone), gone
    os.unlink(full)
    server.start()
    after = server.symbolize([{"build_id": before[0]["build_id"], "addresses": asked}], wait=0)
    assert after == before, (after, before)
    profile_after = server.post("/v1/symbolize?wait=0", p.encode(), "application/octet-stream").body
    assert gzip.decompress(profile_after) == gzip.decompress(profile_before)
    lines = next(iter(pprof_writer.decode(gzip.decompress(profile_after))["locations"].values()))["lines"]
    assert lines[-1][0] == "main", lines


def indexes(server):
    """The paths of the server's indexes."""
    return [os.path.join(folder, name) for folder, _, names in os.walk(server.data_dir) for name in names
            if name.endswith(".uhx")]


def version_of(path):
    with open(path, "rb") as index:
        return struct.unpack("<8xI", index.read(12))[0]


@test
def index_of_an_older_version_is_rebuilt(case):
    """an index that an earlier release wrote is built again when it is met, and answers"""
    full = case.compile("shapes.cc", "shapes.full", "-O2", "-g", compiler="g++")
    server = case.server()
    case.unhex("upload", "--wait", full, server=server)
    server.stop()
    (path,) = indexes(server)
    current = version_of(path)
    with open(path, "r+b") as index:
        index.seek(8)
        index.write(struct.pack("<I", current - 1))
    server.start()
    address, _ = symbols(full)["plain_c_function"]
    module = server.symbolize([{"build_id": build_id(full), "addresses": [hex(address)]}])[0]
    assert module["addresses"][0]["frames"][0]["function"] == "plain_c_function", module
    assert [version_of(p) for p in indexes(server)] == [current]
    assert "index_outdated" in server.log_text(), server.log_text()


@test
def lost_index_is_rebuilt(case):
    """an address never asked before is answered from a new index, made of the blob"""
    full = case.compile("shapes.cc", "shapes.full", "-O2", "-g", compiler="g++")
    server = case.server()
    case.unhex("upload", "--wait", full, server=server)
    server.stop()
    for path in indexes(server):
        os.unlink(path)
    server.start()
    address, _ = symbols(full)["plain_c_function"]
    module = server.symbolize([{"build_id": build_id(full), "addresses": [hex(address)]}])[0]
    assert module["addresses"][0]["frames"][0]["function"] == "plain_c_function", module
    assert shutil.which("nm")


main()
