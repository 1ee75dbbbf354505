# SPDX-License-Identifier: Apache-2.0
"""Ours alone: the server under load and the agent's own cost."""
import gzip
import json
import os
import re
import resource
import subprocess
import time

import pprof_writer
from harness import BUILD, ROOT, program, run, wait_until
from measuring import QUICK, Table, cpu_seconds, number, peak_memory, say, settle
from profiles import synthetic_profile
from subjects import LIBC

PUSH = "/push.v1.PusherService/Push"
MARK = "00000000-0000-4000-8000-000000000000"  # load.c counts its last digits up


def ebpf_lacks():
    done = run(program("unhex-agent"), "--check", check=False)
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    return next((l.strip() for l in lines if "missing" in l), "not permitted") if done.returncode else None


def real_profile(case, subject):
    """(path, what it is): the whole host for some seconds at 99 Hz while a C++ compiler runs."""
    path = case.path("real.pb.gz")
    lacks = ebpf_lacks()
    if lacks:
        return synthetic_profile(subject, path, 2_000, 1_500), f"a synthetic profile (no eBPF here: {lacks})"
    seconds = 3 if QUICK else 6
    agent = case.spawn(program("unhex-agent"), "--once", f"{seconds}s", "--hz", "99", "-o", path,
                       stderr=subprocess.DEVNULL)
    source = os.path.join(ROOT, "tests", "demo", "cpp", "matrix.cc")
    while agent.poll() is None:
        run("g++", "-O2", "-g", "-c", "-o", case.path("matrix.o"), source)
    raw = pprof_writer.message(gzip.decompress(open(path, "rb").read()))
    return path, f"a real profile: this host at 99 Hz for {seconds} s while a C++ compiler runs, " \
        f"{len(raw[2]):,} stacks, {len(raw[4]):,} locations, {len(raw[3])} mappings, " \
        f"{os.path.getsize(path) / 1e3:.1f} kB gzip"


# ---- server --------------------------------------------------------------------------------------------


def http_request(path, body, kind):
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def push_request(profile):
    labels = {"__name__": "process_cpu", "service_name": "bench"}
    field = pprof_writer.field
    series = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
    with open(profile, "rb") as raw:
        sample = field(1, raw.read()) + field(2, MARK.encode())
    return http_request(PUSH, field(1, series + field(2, sample)), "application/proto")


def symbolize_request(subject):
    module = {"build_id": subject.ident, "addresses": [f"{a:#x}" for a in subject.addresses[:100]]}
    return http_request("/v1/symbolize", json.dumps({"modules": [module]}).encode(), "application/json")


def load(server, request, connections, seconds):
    """What load.c reports."""
    say(f"server: {request[:request.index(b' HTTP')].decode()}, {connections} connections")
    port = server.url.rsplit(":", 1)[1]
    done = subprocess.run([os.path.join(BUILD, "bench", "load"), port, str(connections), str(seconds)], input=request,
                          capture_output=True, timeout=seconds + 60, check=True)
    answer = json.loads(done.stdout)
    if answer["failed"]:
        say(f"{answer['failed']} of {connections} connections failed: {answer['failure']} ({answer['status']})")
    return answer


def server_row(answer, busy_after, cpu):
    count = answer["answered"] or 1
    return [answer["answered"] / answer["seconds"], answer["answered"] / (answer["seconds"] + busy_after),
            answer["p50_ms"], answer["p99_ms"], answer["max_ms"], cpu * 1e3 / count, str(answer["failed"])]


def life_cpu(server):
    """CPU seconds of the running server and of the indexers it has waited for."""
    return cpu_seconds(server.process.pid, with_children=True)


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def taken_in(server, count):
    """Seconds until the server has put that many profiles into its store."""
    def kept():
        found = re.search(r'^unhex_profiles_total{outcome="kept"} (\d+)', server.get("/metrics").body.decode(), re.M)
        return found and int(found[1]) >= count

    start = time.monotonic()
    wait_until(kept, seconds=90, what=f"{count} profiles taken in")
    return time.monotonic() - start


def start_server(case, subject, name):
    server = case.server(name=name)
    case.unhex("upload", "--wait", subject.debug, LIBC, server=server)
    settle(server.process.pid)
    return server


def add_push_rows(case, subject, table, request, seconds):
    """Each on a server of its own, stopped afterwards, so that all that a push costs is in its row."""
    for connections in (1, 8):
        server = start_server(case, subject, f"push-{connections}")
        before = life_cpu(server)
        answer = load(server, request, connections, seconds)
        busy_after = taken_in(server, answer["answered"])
        peak, reaped, began = peak_memory(server.process.pid), children_cpu(), time.monotonic()
        server.stop()
        table.add(f"push; {connections} connection{'s' * (connections > 1)}",
                  *server_row(answer, busy_after, children_cpu() - reaped - before))
        table.remarks.append(f"{answer['answered']:,} pushes over {connections} connection{'s' * (connections > 1)}: "
                             f"unhexd's peak memory {number(peak)} MB; stopping, which symbolizes and writes them, "
                             f"{time.monotonic() - began:.1f} s.")


def add_query_rows(case, subject, table, seconds):
    server = start_server(case, subject, "symbolize")
    requests = {"symbolize, 100 addresses": symbolize_request(subject),
                "GET /healthz (the floor)": b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"}
    for name, request in requests.items():
        for connections in (1, 8):
            before = life_cpu(server)
            answer = load(server, request, connections, seconds)
            busy_after = settle(server.process.pid)
            table.add(f"{name}; {connections} connection{'s' * (connections > 1)}",
                      *server_row(answer, busy_after, life_cpu(server) - before))


def bench_server(case, subject):
    seconds = 1 if QUICK else 4
    say("recording a real profile")
    profile, described = real_profile(case, subject)
    table = Table("The server", ["answers/s", "sustained/s", "median, ms", "99th, ms", "longest, ms", "server CPU, ms each",
                                 "connections lost"],
                  "Over loopback, keep-alive, one request in flight a connection; the load generator shares the CPUs. "
                  f"Push: {described}; each with an ID of its own, answered when it is on disk. Sustained counts the "
                  "time until the server had also taken everything into its store; a push's CPU includes that, naming "
                  "and writing the window. libc's debug file is uploaded, the other binaries are unknown to the server.")
    add_push_rows(case, subject, table, push_request(profile), seconds)
    add_query_rows(case, subject, table, seconds)
    return table
