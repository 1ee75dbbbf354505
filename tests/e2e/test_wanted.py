#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What hosts can give that nobody else has: kernels' symbol lists, and being asked for what is lacking."""
import gzip
import json
import socket
import subprocess
import time

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


def wanted(server, build_ids=(), kallsyms=(), token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = json.dumps({"build_ids": list(build_ids), "kallsyms": list(kallsyms)}).encode()
    answer = server.post("/v1/debuginfo/wanted", body, "application/json", headers=headers)
    assert answer.status == 200, answer
    return {w["build_id"]: w["type"] for w in answer.json()["wanted"]}


@test
def one_host_is_asked(case):
    """a lease goes to one asker; it ends with its time, with the upload, or with an upload that broke off"""
    server = case.server("--wanted-lease", "1s")
    elf = case.compile("busy.c", "busy", "-O1", "-g")
    ident = build_id(elf)
    answer = server.post("/v1/debuginfo/wanted", json.dumps({"kallsyms": [ID], "build_ids": [ident]}).encode(), "application/json")
    assert answer.json() == {"wanted": [{"build_id": ID, "type": "kallsyms", "lease_seconds": 1},
                                        {"build_id": ident, "type": "debuginfo", "lease_seconds": 1}]}, answer
    assert wanted(server, [ident], [ID]) == {}
    wait_until(lambda: wanted(server, [ident]) == {ident: "debuginfo"}, what="the lease to run out")
    assert wanted(server, [ident]) == {}
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as link:
        link.sendall(f"PUT /v1/debuginfo/{ident}?type=debuginfo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc".encode())
        time.sleep(1.5)  # longer than the lease: the upload holds it
        assert wanted(server, [ident]) == {}
    wait_until(lambda: wanted(server, [ident]) == {ident: "debuginfo"}, what="the upload that broke off to be noticed")
    with open(elf, "rb") as file:
        assert put(server, ident, file.read(), "debuginfo", "&trust=agent").status == 201
    assert put(server, ID, LIST.encode(), query="&trust=agent").status == 201
    time.sleep(1.5)
    assert wanted(server, [ident], [ID]) == {}


@test
def poor_names_are_worth_better_ones(case):
    """a stripped executable does not stop the server from wanting its symbols; what an agent gave is not asked for again"""
    server = case.server()
    elf = case.compile("busy.c", "busy", "-O1")
    ident = build_id(elf)
    run("strip", "-o", case.path("stripped"), elf)
    with open(case.path("stripped"), "rb") as file:
        stripped = file.read()
    assert put(server, ident, stripped, "executable").status == 201
    assert wanted(server, [ident]) == {ident: "debuginfo"}
    other = case.compile("busy.c", "other", "-O2", "-s")
    with open(other, "rb") as file:
        assert put(server, build_id(other), file.read(), "executable", "&trust=agent").status == 201
    assert wanted(server, [build_id(other)]) == {}


@test
def upstream_is_asked_first(case):
    """while a server may have it no host is asked; once it has said no, one is"""
    upstream = case.server(name="upstream")
    server = case.server("--upstream", upstream.url, "--upstream-absent", "60s")
    elf = case.compile("busy.c", "busy", "-O1", "-g")
    known = build_id(elf)
    with open(elf, "rb") as file:
        assert put(upstream, known, file.read(), "debuginfo").status == 201
    assert wanted(server, [known, ID]) == {}
    wait_until(lambda: wanted(server, [ID]) == {ID: "debuginfo"}, what="upstream's no")
    wait_until(lambda: server.get(f"/v1/debuginfo/{known}").json().get("quality") == "dwarf", what="upstream's file")
    assert wanted(server, [known]) == {}
    upstream.stop()
    lost = "%040x" % 77
    assert wanted(server, [lost]) == {}
    wait_until(lambda: any(a["answer"] == "error" for a in server.get(f"/v1/debuginfo/{lost}").json().get("upstream", [])),
               what="the failure to be noted")
    assert wanted(server, [lost]) == {}, "a server that could not be asked has not said no"


@test
def agents_do_not_shadow_upstream(case):
    """names that an agent sent before anybody asked upstream do not keep it from being asked, and give way to its"""
    upstream = case.server(name="upstream")
    server = case.server("--upstream", upstream.url)
    elf = case.compile("busy.c", "busy", "-O1", "-g")
    ident = build_id(elf)
    agent = run(program("unhexd"), "token", "create", "--data-dir", server.data_dir, "--name", "host",
                "--scope", "agent").stdout.strip()
    with open(elf, "rb") as file:
        body = file.read()
    assert put(upstream, ident, body, "debuginfo").status == 201
    # As good as can be, and different from what upstream has.
    answer = put(server, ident, body + b"\0", "debuginfo", token=agent)
    assert answer.status == 201, answer
    wait_until(lambda: "upstream" in {f["trust"] for f in server.get(f"/v1/debuginfo/{ident}").json()["files"]},
               what="upstream's file")
    assert server.get(f"/buildid/{ident}/debuginfo").body == body
    assert put(server, ident, body, "debuginfo", "&alias=go-6162", agent).status == 403


@test
def asking_has_bounds(case):
    """few are leased at once, many cannot be asked about, and each fault has its code"""
    server = case.server()
    ids = ["%040x" % n for n in range(1, 1001)]
    assert len(wanted(server, ids)) == 16
    assert len(wanted(server, ids)) == 16
    token = run(program("unhexd"), "token", "create", "--data-dir", server.data_dir, "--name", "host", "--scope", "agent")
    read = run(program("unhexd"), "token", "create", "--data-dir", server.data_dir, "--name", "r", "--scope", "read")
    token, read = token.stdout.strip(), read.stdout.strip()
    assert len(wanted(server, ids, token=token)) == 16
    for body, secret, status, code in (
            (json.dumps({"build_ids": ids + ["aabbcc"]}), token, 413, "too_large"),
            (json.dumps({"build_ids": ids, "pad": "x" * (512 << 10)}), token, 413, "too_large"),
            ('{"build_ids":["xyz"]}', token, 400, "bad_build_id"), ('{"build_ids":[7]}', token, 400, "bad_request"),
            ('{"build_ids":{}}', token, 400, "bad_request"), ("{}", token, 400, "bad_request"),
            ("[]", token, 400, "bad_request"), ("{", token, 400, "bad_json"),
            ('{"build_ids":[]}', read, 403, "forbidden"), ('{"build_ids":[]}', None, 401, "unauthorized")):
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        answer = server.post("/v1/debuginfo/wanted", body.encode(), "application/json", headers=headers)
        assert answer.status == status and answer.json()["code"] == code, (body[:60], answer)
    assert server.get("/v1/debuginfo/wanted").status in (400, 404)


main()
