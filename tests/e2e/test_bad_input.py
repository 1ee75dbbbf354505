#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile and broken input: a clear error with a stable code, nothing stored, the server goes on."""
import gzip
import json
import os
import random
import re
import socket
import struct
import subprocess
import time

import pprof_writer
from harness import SLOW, build_id, main, program, run, skip, symbols, test


def subject(case):
    full = case.compile("shapes.cc", "shapes.full", "-O2", "-g", compiler="g++")
    return full, build_id(full)


def nothing_stored(server):
    listed = server.get("/v1/debuginfo").json()["binaries"]
    assert listed == [], listed
    assert server.get("/healthz").status == 200
    staged = [n for folder, _, names in os.walk(server.data_dir) for n in names if n.endswith(".zst") and "seg" not in n]
    assert staged == [], staged


@test
def objects(case):
    """a relocatable object is refused at the door"""
    server = case.server()
    elf = case.compile("busy.c", "busy.o", "-c", "-g")
    ident = case.unhex("build-id", elf).stdout.split()[-1]
    answer = server.request("PUT", f"/v1/debuginfo/{ident}", body=open(elf, "rb").read())
    assert answer.status == 415 and answer.json()["code"] == "unsupported_type", answer
    assert "relocatable object" in answer.json()["detail"], answer


@test
def truncated_and_corrupt_elf(case):
    """truncated anywhere, or with bytes flipped: 201 for what still has its ID, else 415 with a reason; never a crash"""
    full, ident = subject(case)
    server = case.server()
    whole = open(full, "rb").read()
    dice = random.Random(7)
    bodies = [whole[:n] for n in range(16, len(whole), len(whole) // 12)]
    for _ in range(25):
        flipped = bytearray(whole)
        for _ in range(200):
            flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
        bodies.append(bytes(flipped))
    seen = set()
    for body in bodies:
        answer = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo&force=1&wait=30", body=body)
        assert answer.status in (200, 201, 409, 415), answer
        seen.add(answer.status)
        if answer.status == 415:
            assert answer.json()["code"] in ("malformed_elf", "not_elf", "build_id_mismatch", "no_build_id"), answer
            assert answer.json()["detail"], answer
        address = symbols(full)["main"][0]
        modules = server.symbolize([{"build_id": ident, "addresses": [hex(address)]}])
        assert modules[0]["status"] in ("ok", "partial", "missing"), modules
    assert 415 in seen, seen
    assert server.get("/readyz").status == 200


@test
def lying_id_and_foreign_file(case):
    """an ID that is not the file's, and a file that is no ELF"""
    full, ident = subject(case)
    server = case.server()
    lie = server.request("PUT", f"/v1/debuginfo/{'ee' * 20}?type=debuginfo", body=open(full, "rb").read())
    assert lie.status == 415 and lie.json()["code"] == "build_id_mismatch" and ident in lie.json()["detail"], lie
    foreign = server.request("PUT", f"/v1/debuginfo/{ident}", body=b"PK\x03\x04" + os.urandom(100000))
    assert foreign.status == 415 and foreign.json()["code"] == "not_elf", foreign
    nothing_stored(server)


@test
def damaged_zstd(case):
    """a Content-Encoding that the body does not keep"""
    _, ident = subject(case)
    server = case.server()
    answer = server.request("PUT", f"/v1/debuginfo/{ident}", body=b"not zstd at all" * 100, headers={"Content-Encoding": "zstd"})
    assert answer.status == 400 and answer.json()["code"] == "bad_encoding", answer
    nothing_stored(server)


@test
def pprof_out_of_range(case):
    """indices out of range name the message and the index"""
    server = case.server()
    p = pprof_writer.Profile()
    p.sample([3], 1)
    answer = server.post("/v1/symbolize", p.encode(), "application/octet-stream")
    assert answer.status == 400 and answer.json()["code"] == "bad_pprof" and "3" in answer.json()["detail"], answer
    strings = pprof_writer.Profile().encode() + pprof_writer.field(3, pprof_writer.field(1, 1) + pprof_writer.field(5, 4000))
    answer = server.post("/v1/symbolize", strings, "application/octet-stream")
    assert answer.status == 400 and answer.json()["code"] == "bad_pprof", answer


@test
def gzip_bomb(case):
    """600 MiB of zeros in 600 KiB: refused at the cap, memory stays bounded"""
    server = case.server()
    bomb = gzip.compress(bytes(600 << 20), 9)
    answer = server.post("/v1/symbolize", bomb, "application/octet-stream")
    assert answer.status == 413 and answer.json()["code"] == "too_large", answer
    if SLOW == 1:
        peak = next(int(l.split()[1]) for l in open(f"/proc/{server.process.pid}/status", encoding="ascii") if l.startswith("VmHWM"))
        assert peak < 600 * 1024, f"peak {peak} KiB"
    assert server.get("/healthz").status == 200


@test
def bad_json(case):
    """malformed, too deep, wrong shape"""
    server = case.server()
    for body in (b"{", b"[" * 100000, b"[]", b'{"modules":3}', b'{"modules":[{"build_id":5}]}', b"\xff\xfe"):
        answer = server.post("/v1/symbolize", body, "application/json")
        assert answer.status in (400, 413), (body[:20], answer)
        assert answer.json()["code"] in ("bad_json", "bad_request", "too_deep", "too_large"), answer
        assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.headers.items()


def raw(server, request, seconds=5):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=seconds * SLOW) as link:
        link.sendall(request)
        data = b""
        try:
            while chunk := link.recv(65536):
                data += chunk
        except TimeoutError:
            pass
        return data


@test
def paths_with_dots(case):
    """.. in any spelling reaches nothing"""
    server = case.server()
    for path in ("/buildid/../../../../etc/passwd", "/buildid/%2e%2e/%2e%2e/etc/passwd", "/buildid/aabb/../../etc/passwd",
                 "/v1/debuginfo/..%2f..%2fcatalog.db", "/buildid/aabb/source/../../../etc/passwd"):
        answer = raw(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status = int(answer.split()[1])
        assert status in (400, 404), (path, answer[:200])
        assert b"root:" not in answer


@test
def half_a_body(case):
    """a client that sends half a body and sleeps, many times: others are served, nothing is stored"""
    full, ident = subject(case)
    server = case.server("--idle-timeout", "2s") if supports(case, "--idle-timeout") else case.server()
    whole = open(full, "rb").read()
    host, port = server.url.removeprefix("http://").split(":")
    sleepers = []
    for _ in range(40):
        link = socket.create_connection((host, int(port)), timeout=10)
        link.sendall(f"PUT /v1/debuginfo/{ident}?type=debuginfo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(whole)}\r\n\r\n".encode())
        link.sendall(whole[:len(whole) // 2])
        sleepers.append(link)
    start = time.monotonic()
    assert server.get("/healthz").status == 200
    assert server.symbolize([{"build_id": "00" * 20, "addresses": ["0x1"]}], wait=0)[0]["status"] == "missing"
    assert time.monotonic() - start < 5 * SLOW
    nothing_stored(server)
    for link in sleepers:
        link.close()
    time.sleep(0.3)
    nothing_stored(server)
    good = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo", body=whole)
    assert good.status == 201, good


def supports(case, option):
    return option in run(program("unhexd"), "--help").stdout


def indexer_that(case, what):
    """An indexer that probes like the real one and then does `what` (shell)."""
    path = case.path("indexer-" + str(abs(hash(what)) % 10 ** 6))
    with open(path, "w", encoding="ascii") as out:
        real = program("unhex-indexer")
        out.write(f'#!/bin/sh\ncase "$*" in *--probe*) exec {real} "$@";; esac\n{what.replace("REAL", real)}\n')
    os.chmod(path, 0o755)
    return path


def goes_wrong(case, name, what, code, *options):
    full, ident = subject(case)
    server = case.server("--indexer", indexer_that(case, what), *options, name=name)
    other = case.compile("busy.c", "busy", "-g")
    reason_and_others(server, full, ident, hex(symbols(full)["main"][0]), other, code)


def reason_and_others(server, bad, ident, address, other, code):
    """An upload whose indexing goes wrong: a recorded reason on it, and another binary is served as ever."""
    stored = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo&wait=30", body=open(bad, "rb").read())
    assert stored.status == 201, stored
    module = server.symbolize([{"build_id": ident, "addresses": [address]}])[0]
    story = server.get(f"/v1/debuginfo/{ident}").json()
    assert code in json.dumps([module, story]), (module, story)
    assert module["status"] in ("invalid", "missing"), module
    good = server.request("PUT", f"/v1/debuginfo/{build_id(other)}?type=debuginfo&wait=30", body=open(other, "rb").read())
    assert good.status == 201, good
    answer = server.symbolize([{"build_id": build_id(other), "addresses": [hex(symbols(other)["main"][0])]}])[0]
    assert answer["addresses"][0]["frames"][0]["function"] == "main", answer
    assert server.get("/readyz").status == 200


# What the indexer was asked about is on its command line as a descriptor; busy.c is small enough to tell.
LARGE = 'for fd in 3 4 5 6 7 8 9; do [ "$(stat -Lc %s /proc/self/fd/$fd 2>/dev/null || echo 0)" -gt 60000 ] && BAD; done'


@test
def crash_while_indexing(case):
    """a file that crashes the indexer"""
    goes_wrong(case, "crash", LARGE.replace("BAD", "kill -SEGV $$") + '\nexec REAL "$@"', "indexer_crashed")


@test
def endless_indexing(case):
    """a file that takes for ever: the deadline, and twice, as the machine may have been busy"""
    goes_wrong(case, "slow", LARGE.replace("BAD", "exec sleep 60") + '\nexec REAL "$@"', "indexer_timeout",
               "--index-deadline", "2s")


@test
def huge_indexing(case):
    """a file that needs more memory than there may be: libc's debug file, in 16 MiB of address space"""
    ident = build_id(os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6"))
    debug = f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug"
    if not os.path.exists(debug):
        skip("libc6-dbg is not installed, or of another version than libc6")
    if SLOW > 1:
        skip("a sanitized program cannot be limited in address space")
    other = case.compile("busy.c", "busy", "-g")
    server = case.server("--index-memory", "16MiB")
    reason_and_others(server, debug, ident, "0x30000", other, "indexer_out_of_memory")


@test
def full_disk(case):
    """507 with a code, nothing half-stored, and the same upload works when there is room again"""
    if os.geteuid() != 0:
        skip("mounting a small tmpfs needs root")
    small = case.path("small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", small], capture_output=True, check=False).returncode:
        skip("mount is not permitted here")
    try:
        full, ident = subject(case)
        whole = open(full, "rb").read()
        server = case.server(name="small/data")
        filler = os.path.join(small, "filler")
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(os.urandom(64 << 10))
            except OSError:
                pass
        answer = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo", body=whole)
        assert answer.status == 507 and answer.json()["code"] == "no_space", answer
        assert server.get("/healthz").status == 200
        os.unlink(filler)
        answer = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo&wait=30", body=whole)
        assert answer.status in (200, 201), answer
        case.servers.remove(server)
        server.stop()
    finally:
        subprocess.run(["umount", "-l", small], check=False)


def grow_section(elf, name, size):
    """The section's contents are then a hole of that size behind all else."""
    row = re.search(rf"^ *\[ *(\d+)\] {re.escape(name)} ", run("readelf", "-SW", elf).stdout, re.M)
    end = os.path.getsize(elf)
    with open(elf, "r+b") as file:
        table = struct.unpack_from("<Q", file.read(64), 40)[0]
        file.seek(table + int(row[1]) * 64 + 24)  # Elf64_Shdr.sh_offset, sh_size
        file.write(struct.pack("<QQ", end, size))
        file.truncate(end + size)


@test
def more_than_the_memory_allowed(case):
    """a file larger than --max-memory is not called damaged, but what it is: too large for the memory allowed"""
    if "asan" in program("unhex-indexer"):
        skip("the address sanitizer's build sets no limit of address space")
    elf = case.compile("busy.c", "large", "-g")
    grow_section(elf, ".debug_line", 1 << 30)
    for limit in ("256MiB", "1GiB"):
        done = run(program("unhex-indexer"), "--max-memory", limit, "-o", case.path("large.uhx"), elf, check=False)
        assert json.loads(done.stdout)["error"]["code"] == "indexer_out_of_memory", (limit, done.stdout)
        assert not os.path.exists(case.path("large.uhx"))


main()
