#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Profiles in by the agents' door, merged out by query; what is missing; nothing acknowledged is lost."""
import base64
import gzip
import json
import os
import signal
import time
import urllib.parse
import uuid

import pprof_writer
from harness import build_id, main, need, run, symbols, test, wait_until

PUSH = "/push.v1.PusherService/Push"


def push_body(profile, ident=None, **labels):
    labels = {"__name__": "process_cpu", "service_name": "shop", **labels}
    series = b"".join(pprof_writer.field(1, pprof_writer.field(1, k.encode()) + pprof_writer.field(2, v.encode()))
                      for k, v in sorted(labels.items()))
    sample = pprof_writer.field(1, profile)
    if ident:
        sample += pprof_writer.field(2, ident.encode())
    return pprof_writer.field(1, series + pprof_writer.field(2, sample))


def profile_of(ident, address, value=10_000_000, when=None):
    p = pprof_writer.Profile(time_nanos=int((when or time.time()) * 1e9))
    m = p.mapping("/opt/shapes", ident)
    u = p.mapping("/opt/secret", "cd" * 20)
    p.sample([p.location(m, address), p.location(u, 0x99)], value)
    return p.encode()


def query(server, match='{service_name="shop"}', check=True):
    now = time.time()
    args = urllib.parse.urlencode({"match": match, "from": int(now - 3600), "to": int(now + 60)})
    answer = server.get("/v1/query?" + args)
    if not check:
        return answer
    assert answer.status == 200, answer
    return pprof_writer.decode(gzip.decompress(answer.body))


def total(profile):
    return sum(values[0] for _, values in profile["samples"])


def subject(case):
    full = case.compile("shapes.cc", "shapes.full", "-O2", "-g", compiler="g++")
    return full, build_id(full), symbols(full)["plain_c_function"][0] + 4


@test
def series_have_names(case):
    """a series without __name__ is refused by name; one without service_name gets unknown_service"""
    _, ident, address = subject(case)
    server = case.server()

    def push(*labels):
        pairs = [{"name": n, "value": v} for n, v in labels]
        samples = [{"rawProfile": base64.b64encode(profile_of(ident, address)).decode()}]
        body = {"series": [{"labels": pairs, "samples": samples}]}
        return server.post(PUSH, json.dumps(body).encode(), "application/json")

    refused = push(("service_name", "shop"), ("zone", "b"))
    assert refused.status == 400 and refused.json()["code"] == "invalid_argument", refused
    assert 'series[0] {service_name="shop", zone="b"} has no label __name__' in refused.json()["message"], refused
    assert push(("zone", "b"), ("__name__", "process_cpu")).status == 200
    found = wait_until(lambda: (lambda r: r.status == 200 and r)(
        query(server, '{service_name="unknown_service",zone="b"}', check=False)), what="the defaulted series")
    assert found.status == 200


@test
def push_then_query(case):
    """protobuf and JSON pushes, gzip or not, come out merged and named; go tool pprof reads the result"""
    full, ident, address = subject(case)
    server = case.server()
    case.unhex("upload", "--wait", full, server=server)
    profile = profile_of(ident, address)
    plain = server.post(PUSH, push_body(profile), "application/proto")
    assert plain.status == 200, plain
    packed = server.post(PUSH, gzip.compress(push_body(gzip.compress(profile))), "application/proto",
                         headers={"Content-Encoding": "gzip"})
    assert packed.status == 200, packed
    labels = [{"name": "__name__", "value": "process_cpu"}, {"name": "service_name", "value": "shop"}]
    as_json = {"series": [{"labels": labels, "samples": [{"rawProfile": base64.b64encode(profile).decode()}]}]}
    assert server.post(PUSH, json.dumps(as_json).encode(), "application/json").status == 200
    merged = wait_until(lambda: (lambda r: r.status == 200 and
                                 pprof_writer.decode(gzip.decompress(r.body)))(query(server, check=False)), what="query")
    merged = wait_until(lambda: (lambda p: total(p) == 30_000_000 and p)(query(server)), what="all three pushes")
    assert len(merged["samples"]) == 1, merged["samples"]
    names = {l[0] for loc in merged["locations"].values() for l in loc["lines"]}
    assert names == {"plain_c_function", "secret+0x99"}, names
    server.stop()
    server.start()
    assert total(query(server)) == 30_000_000
    need("go")
    with open(case.path("merged.pb.gz"), "wb") as out:
        out.write(server.get("/v1/query?" + urllib.parse.urlencode({"match": "{}", "from": int(time.time() - 3600),
                                                                    "to": int(time.time() + 60)})).body)
    top = run("go", "tool", "pprof", "-top", case.path("merged.pb.gz")).stdout
    assert "plain_c_function" in top, top


@test
def late_debug_info_names_old_profiles(case):
    """what was pushed before the upload is named after it; the missing list forgets it, keeps the rest"""
    full, ident, address = subject(case)
    server = case.server()
    assert server.post(PUSH, push_body(profile_of(ident, address)), "application/proto").status == 200
    listed = lambda: {m["build_id"]: m for m in server.get("/v1/missing").json()["missing"]}
    wait_until(lambda: ident in listed() and "cd" * 20 in listed(), what="both missing")
    entry = listed()[ident]
    assert entry["filename"] == "shapes" and entry["weight"] == 10_000_000 and "unhex upload" in entry["fix"], entry
    assert "shapes" in case.unhex("missing", server=server).stdout
    case.unhex("upload", "--wait", full, server=server)
    assert "plain_c_function" in {l[0] for loc in query(server)["locations"].values() for l in loc["lines"]}
    wait_until(lambda: ident not in listed(), what="forgotten")
    assert "cd" * 20 in listed()


@test
def acknowledged_is_kept(case):
    """kill -9 right after the last 200: every acknowledged profile is there after a restart, once"""
    _, ident, address = subject(case)
    server = case.server()
    acknowledged = 0
    for i in range(40):
        body = push_body(profile_of(ident, address + i), ident=str(uuid.uuid4()))
        acknowledged += server.post(PUSH, body, "application/proto").status == 200
    server.stop(signal.SIGKILL)
    server.start()
    assert acknowledged == 40
    wait_until(lambda: total(query(server)) == 40 * 10_000_000, what="all samples after the crash")
    server.stop()
    server.start()
    assert total(query(server)) == 40 * 10_000_000


@test
def same_push_counts_once(case):
    """a batch sent again with the same ID is accepted and not counted, also across a crash"""
    _, ident, address = subject(case)
    server = case.server()
    body = push_body(profile_of(ident, address), ident="5f0c7a3e-0000-4000-8000-000000000001")
    for _ in range(3):
        assert server.post(PUSH, body, "application/proto").status == 200
    server.stop(signal.SIGKILL)
    server.start()
    assert server.post(PUSH, body, "application/proto").status == 200
    # A marker behind it: when it is there, everything before it has been taken in.
    marker = push_body(profile_of(ident, address, value=1), service_name="marker")
    assert server.post(PUSH, marker, "application/proto").status == 200
    wait_until(lambda: query(server, '{service_name="marker"}', check=False).status == 200, what="the marker")
    assert total(query(server)) == 10_000_000


@test
def query_says_what_is_wrong(case):
    """no match is 404, a bad matcher 400, several profile types want __name__"""
    _, ident, address = subject(case)
    server = case.server()
    assert query(server, '{service_name="nobody"}', check=False).status == 404
    bad = query(server, '{service_name=', check=False)
    assert bad.status == 400 and bad.json()["code"] == "bad_request", bad
    for name in ("process_cpu", "off_cpu"):
        assert server.post(PUSH, push_body(profile_of(ident, address), __name__=name), "application/proto").status == 200
    wait_until(lambda: query(server, check=False).status == 400, what="two profile types")
    assert "off_cpu" in query(server, check=False).json()["detail"]
    assert total(query(server, 'off_cpu{service_name="shop"}')) == 10_000_000


@test
def bad_pushes(case):
    """not pprof, an index out of range, a gzip bomb: invalid_argument, nothing kept"""
    server = case.server()
    out_of_range = pprof_writer.Profile()
    out_of_range.sample([77], 1)
    bomb = gzip.compress(bytes(600 << 20), 9)
    for body in (b"\x0a\x05hello", push_body(b"not a profile"), push_body(out_of_range.encode()), push_body(bomb)):
        answer = server.post(PUSH, body, "application/proto")
        assert answer.status in (400, 413), answer
        assert answer.json()["code"] in ("invalid_argument", "resource_exhausted"), answer
    assert query(server, "{}", check=False).status == 404
    assert server.get("/healthz").status == 200
    assert os.path.exists(server.data_dir)


main()
