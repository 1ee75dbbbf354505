#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All kinds of ID, and the alias table that joins them."""
import hashlib
import json
import os
import struct
import subprocess

from harness import ROOT, build_id, main, need, program, run, symbols, test, text_start

GO_SOURCE = os.path.join(ROOT, "tests", "demo", "go", "sieve.go")


def build_go(case, go, name, *flags):
    need(go)
    out = case.path(name)
    run(go, "build", *flags, "-ldflags", "-s -w", "-o", out, GO_SOURCE,
        env={**os.environ, "GO111MODULE": "off", "CGO_ENABLED": "0", "GOFLAGS": ""}, cwd=case.folder)
    return out


def ids_of(case, path):
    return case.unhex("build-id", path).stdout.split()


def htl(path):
    data = open(path, "rb").read()
    digest = hashlib.sha256(data[:4096] + data[-4096:] + struct.pack(">Q", len(data))).digest()
    return "htl-" + digest[:16].hex()


@test
def every_kind(case):
    """build-id prints the GNU build-ID as readelf, the Go build ID as `go tool buildid`, and the file hash"""
    full = case.compile("shapes.cc", "shapes", "-O2", compiler="g++")
    assert ids_of(case, full) == [build_id(full), htl(full)]
    go = build_go(case, "go", "sieve")
    raw = run("go", "tool", "buildid", go).stdout.strip()
    found = ids_of(case, go)
    assert "go-" + raw.encode().hex() in found and found[-1] == htl(go), found
    kinds = json.loads(case.unhex("build-id", "--json", go).stdout)["ids"]
    assert {k["kind"] for k in kinds} >= {"go", "htl"}, kinds


@test
def xen_note_is_no_build_id(case):
    """a note of the same type but another owner is not taken for the build-ID (as in vmlinux)"""
    source = case.path("xen.S")
    with open(source, "w", encoding="ascii") as out:
        out.write('.section .note.Xen,"a",@note\n.long 4\n.long 8\n.long 3\n.asciz "Xen"\n.quad 0xffffffff80000000\n'
                  ".text\n.globl _start\n_start: ret\n")
    elf = case.path("xen")
    run("gcc", "-nostdlib", "-static", "-Wl,--build-id=sha1", "-o", elf, source)
    assert ids_of(case, elf)[0] == build_id(elf) and len(build_id(elf)) == 40


@test
def any_id_finds_it(case):
    """upload registers all IDs; upper case, the bare file hash and the raw Go ID are accepted, too"""
    go = build_go(case, "go", "sieve")
    server = case.server()
    case.unhex("upload", "--wait", go, server=server)
    ids = ids_of(case, go)
    raw = run("go", "tool", "buildid", go).stdout.strip()
    forms = ids + [ids[-1].removeprefix("htl-"), ids[-1].removeprefix("htl-").upper(), raw]
    base = text_start(go)
    modules = server.symbolize([{"build_id": form, "addresses": [hex(base + 64)]} for form in forms])
    assert [m["status"] for m in modules] == ["ok"] * len(forms), modules
    assert len({json.dumps(m["addresses"]) for m in modules}) == 1
    for form in forms[:-1]:
        assert server.get(f"/v1/debuginfo/{form}").status == 200, form


@test
def deployed_hash(case):
    """--for: profiles of a stripped binary without any note find the debug file by the deployed file's hash"""
    full = case.compile("shapes.cc", "full", "-O2", "-g", "-Wl,--build-id=none", compiler="g++")
    deployed = case.path("deployed")
    run("strip", "-o", deployed, full)
    assert build_id(full) is None
    server = case.server()
    done = case.unhex("upload", "--wait", "--for", deployed, full, server=server)
    assert "uploaded" in done.stdout, done.stdout
    address = symbols(full)["plain_c_function"][0]
    module = server.symbolize([{"build_id": htl(deployed), "addresses": [hex(address)]}])[0]
    assert module["addresses"][0]["frames"][0]["function"] == "plain_c_function", module


@test
def two_builds_stay_two(case):
    """--for with the wrong file and ?alias= with another binary's build-ID are refused: two builds are never joined"""
    one = case.compile("shapes.cc", "one", "-O2", "-g", compiler="g++")
    two = case.compile("shapes.cc", "two", "-O1", "-g", compiler="g++")
    deployed = case.path("deployed")
    run("strip", "-o", deployed, one)
    server = case.server()
    case.unhex("upload", "--wait", deployed, server=server)
    done = case.unhex("upload", "--for", deployed, "--force", two, server=server, check=False)
    assert done.returncode != 0 and build_id(one) in done.stderr and build_id(two) in done.stderr, done
    body = open(two, "rb").read()
    for alias in (build_id(one), htl(deployed)):
        answer = server.request("PUT", f"/v1/debuginfo/{build_id(two)}?force=1&alias={alias}", body=body)
        assert answer.status == 415 and answer.json()["code"] == "build_id_mismatch", answer
    assert server.get(f"/v1/debuginfo/{build_id(two)}").status == 404
    ids = server.get(f"/v1/debuginfo/{build_id(one)}").json()["ids"]
    assert {i["text"] for i in ids} == {build_id(one), htl(deployed)}, ids


@test
def no_better_file_tells_its_hash(case):
    """409 for a stripped file after the unstripped one: its own file hash is registered all the same"""
    full = case.compile("shapes.cc", "full", "-O2", "-g", compiler="g++")
    deployed = case.path("deployed")
    run("strip", "-o", deployed, full)
    server = case.server()
    case.unhex("upload", "--wait", full, server=server)
    answer = server.request("PUT", f"/v1/debuginfo/{build_id(full)}?type=executable", body=open(deployed, "rb").read())
    assert answer.status == 409, answer
    address = symbols(full)["plain_c_function"][0]
    module = server.symbolize([{"build_id": htl(deployed), "addresses": [hex(address)]}])[0]
    assert module["addresses"][0]["frames"][0]["function"] == "plain_c_function", module


@test
def bad_ids(case):
    """nonsense is refused with a stable code"""
    server = case.server()
    for bad in ("xyz", "abc", "go-zz", "htl-12", "a" * 600, "%00"):
        answer = server.get(f"/v1/debuginfo/{bad}")
        assert answer.status in (400, 404, 414), (bad, answer)
        if answer.status == 400:
            assert answer.json()["code"] in ("bad_build_id", "bad_path"), answer
    done = subprocess.run([program("unhex"), "status", "zz!", "--server", server.url], capture_output=True, text=True)
    assert done.returncode != 0 and done.stderr.startswith("unhex:"), done


main()
