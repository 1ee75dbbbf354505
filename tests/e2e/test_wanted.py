#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What hosts can give that nobody else has: kernels' symbol lists, and being asked for what is lacking."""
import gzip
import subprocess

import pprof_writer
from harness import build_id, main, program, run, skip, symbols, test, wait_until

ID = "9d2f7d5a0e5bfa6c19aa0d7ffb9fd3e0c49d16d0"
LIST = f"""unhex-kallsyms 1 {ID} x86_64
ffffffff81000000 T _stext
ffffffff81000070 t do_one.isra.0
ffffffff81001000 -
"""


def put(server, ident, body, kind="kallsyms", query="", token=None):
    headers = {"Content-Type": "application/octet-stream"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return server.request("PUT", f"/v1/debuginfo/{ident}?type={kind}&wait=30{query}", body=body, headers=headers)


def symbolized(server, ident, addresses, filename="[kernel]"):
    """Function names by address, from a pprof that goes in and comes out; None where there is only a stub."""
    profile = pprof_writer.Profile()
    mapping = profile.mapping(filename, ident)
    places = [profile.location(mapping, address) for address in addresses]
    for place in places:
        profile.sample([place], 1)
    answer = server.post("/v1/symbolize?wait=30", gzip.compress(profile.encode()), "application/octet-stream")
    assert answer.status == 200, answer
    out = pprof_writer.decode(gzip.decompress(answer.body))
    names = [out["locations"][place]["lines"][0][0] for place in places]
    return [None if "+0x" in name else name for name in names]


def running_kernel():
    """(build-ID, the symbol list of this very kernel), as docs/FORMATS.md tells to make it by hand."""
    with open("/sys/kernel/notes", "rb") as notes:
        data = notes.read()
    at = data.find(b"\x03\0\0\0GNU\0")
    if at < 8:
        skip("/sys/kernel/notes has no build-ID")
    ident = data[at + 8:at + 8 + int.from_bytes(data[at - 4:at], "little")].hex()
    with open("/proc/kallsyms", encoding="ascii") as kallsyms:
        rows = [line.split()[:3] for line in kallsyms if "[" not in line]
    text = [int(address, 16) for address, _, name in rows if name == "_text"]
    if not text or not text[0]:
        skip("/proc/kallsyms hides addresses")
    bias = text[0] - 0xFFFFFFFF81000000
    lines = [f"{int(address, 16) - bias:x} {kind} {name}" for address, kind, name in rows
             if kind in "tTwW" and int(address, 16) >= text[0]]
    lines.sort(key=lambda line: int(line.split()[0], 16))
    return ident, [f"unhex-kallsyms 1 {ident} x86_64", *lines]


@test
def list_names_kernel_frames(case):
    """a hand-made list: names, holes, what is told of it; never under /buildid; nothing of it is an ELF file"""
    server = case.server()
    done = put(server, ID, LIST.encode())
    assert done.status == 201, done
    said = done.json()
    assert said["type"] == "kallsyms" and said["quality"] == "symtab" and said["status"] == "indexed", said
    assert said["ids"] == [ID], said
    names = symbolized(server, ID, [0xFFFFFFFF81000000, 0xFFFFFFFF810000AB, 0xFFFFFFFF81001000])
    assert names == ["_stext", "do_one.isra.0", None], names
    story = server.get(f"/v1/debuginfo/{ID}").json()
    assert [f["type"] for f in story["files"]] == ["kallsyms"] and story["index"]["report"]["sources"] == ["symtab"], story
    for kind in ("debuginfo", "executable", "section/.symtab"):
        assert server.get(f"/buildid/{ID}/{kind}").status == 404, kind
    assert "kallsyms" in case.unhex("status", ID, server=server).stdout
    assert put(server, ID, LIST.encode()).status == 200
    assert put(server, ID, LIST.encode() + b"ffffffff81002000 t g\n").status == 409


@test
def running_kernel_by_its_own_list(case):
    """this machine's kernel, sent compressed: functions that every kernel has are named"""
    ident, lines = running_kernel()
    body = subprocess.run(["zstd", "-q", "-c"], input="\n".join(lines).encode(), capture_output=True, check=True).stdout
    server = case.server()
    done = server.request("PUT", f"/v1/debuginfo/{ident}?type=kallsyms&wait=60", body=body,
                          headers={"Content-Encoding": "zstd"})
    assert done.status == 201 and done.json()["status"] == "indexed", done
    wanted = [line.split() for line in lines[1:] if line.split()[2] in ("schedule", "ksys_read", "do_exit")]
    assert wanted, "no function that every kernel has"
    names = symbolized(server, ident, [int(address, 16) + 1 for address, _, _ in wanted])
    assert names == [name for _, _, name in wanted], names


@test
def real_debug_information_wins(case):
    """whichever comes first: the list names nothing where there is an ELF file with symbols"""
    elf = case.compile("busy.c", "busy", "-O1", "-g")
    ident = build_id(elf)
    server = case.server()
    address = symbols(elf)["main"][0]
    lie = f"unhex-kallsyms 1 {ident} x86_64\n{address:x} t liar\n".encode()
    assert put(server, ident, lie).status == 201
    assert symbolized(server, ident, [address]) == ["liar"]
    with open(elf, "rb") as file:
        assert put(server, ident, file.read(), "debuginfo").status == 201
    assert symbolized(server, ident, [address]) == ["main"]
    assert put(server, ident, lie + b"fffffffffff t more\n").status == 409
    story = server.get(f"/v1/debuginfo/{ident}").json()
    assert story["quality"] == "dwarf", story
    assert sorted(f["type"] for f in story["files"]) == ["debuginfo", "executable", "kallsyms"], story


@test
def hostile_lists(case):
    """what is no list is refused with the line that is wrong, and leaves nothing behind"""
    server = case.server()
    head = f"unhex-kallsyms 1 {ID} x86_64\n"
    elf = case.compile("busy.c", "busy", "-O1")
    with open(elf, "rb") as file:
        binary = file.read()
    for body, status, code, detail in (
            (head + "20 t a\n10 t b\n", 415, "unsupported_type", "line 3"),
            (head + "20 t \x1b[2J\n", 415, "unsupported_type", "line 2"),
            (head + "20 t " + "a" * 513 + "\n", 415, "unsupported_type", "line 2"),
            (head + "0 t a\n" * 2000001, 413, "too_large", "lines"),
            (head + " " * (32 << 20), 413, "too_large", ""),
            ("unhex-kallsyms 2 x y\n", 415, "unsupported_type", "version"),
            ("unhex-kallsyms 1 x y\n", 415, "no_build_id", ""),
            (head.replace("9d2f", "0000"), 415, "build_id_mismatch", ""),
            ("ffffffff81000000 T _text\n", 415, "not_elf", ""), ("", 415, "not_elf", "")):
        answer = put(server, ID, body.encode())
        said = answer.json()
        assert answer.status == status and said["code"] == code and detail in said["detail"], (body[:80], answer)
    answer = put(server, build_id(elf), binary)
    assert answer.status == 415 and "not a kernel's symbol list" in answer.json()["detail"], answer
    answer = put(server, ID, LIST.encode(), "debuginfo")
    assert answer.status == 415 and "type=kallsyms" in answer.json()["detail"], answer
    assert server.get(f"/v1/debuginfo/{ID}").status == 404


@test
def agents_are_trusted_least(case):
    """an agent's token: uploads fill gaps, are not served under /buildid, give way to anybody's, cannot be forced"""
    server = case.server()
    tokens = {scope: run(program("unhexd"), "token", "create", "--data-dir", server.data_dir, "--name", scope,
                         "--scope", scope).stdout.strip() for scope in ("agent", "upload", "push")}
    elf = case.compile("busy.c", "busy", "-O1", "-g")
    ident = build_id(elf)
    with open(elf, "rb") as file:
        body = file.read()
    assert put(server, ident, body, "debuginfo", token=tokens["push"]).status == 403
    assert put(server, ident, body, "debuginfo", "&force=1", tokens["agent"]).status == 403
    assert put(server, ident, body, "debuginfo", token=tokens["agent"]).status == 201
    story = server.get(f"/v1/debuginfo/{ident}").json()
    assert {f["trust"] for f in story["files"]} == {"agent"}, story
    assert story["quality"] == "dwarf", story
    assert server.get(f"/buildid/{ident}/debuginfo").status == 404
    stripped = case.path("busy.sym")
    run("strip", "-g", "-o", stripped, elf)
    with open(stripped, "rb") as file:
        lesser = file.read()
    assert put(server, ident, lesser, "executable", "&trust=agent", tokens["upload"]).status == 409
    assert put(server, ident, lesser, "executable", token=tokens["upload"]).status == 201
    wait_until(lambda: server.get(f"/v1/debuginfo/{ident}").json()["quality"] == "symtab", what="index of the trusted file")
    assert server.get(f"/buildid/{ident}/executable").body == lesser
    answer = put(server, ident, lesser, "executable", "&trust=admin", tokens["upload"])
    assert answer.status == 400, answer


main()
