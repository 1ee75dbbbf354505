#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent on this machine: addresses and build-IDs out, names only after the server."""
import gzip
import os
import signal
import subprocess
import time
import urllib.parse

import pprof_writer
from agent_runs import need_ebpf
from harness import build_id, main, need, program, run, skip, symbols, test, wait_until


def busy(case, seconds):
    exe = case.compile("busy.c", "busy", "-O2", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
    stripped = case.path("busy.stripped")
    run("strip", "-o", stripped, exe)
    return exe, case.spawn(stripped, seconds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@test
def once_to_a_file(case):
    """--once without a server: our addresses are there, with the build-ID, and not one function name"""
    need_ebpf()
    full, process = busy(case, 6)
    out = case.path("out.pb.gz")
    # Alone: programs with JIT code may have names, and others may be running.
    run(program("unhex-agent"), "--pid", process.pid, "--once", "2s", "--hz", "99", "-o", out)
    raw = gzip.decompress(open(out, "rb").read())
    assert 5 not in pprof_writer.message(raw), "the payload has Function messages"
    for name in (b"inner", b"middle", b"outer"):
        assert name not in raw
    profile = pprof_writer.decode(raw)
    mine = {i for i, m in profile["mappings"].items() if m["build_id"] == build_id(full)}
    assert mine, profile["mappings"]
    start, size = symbols(full)["inner"]
    leaves = [(profile["locations"][ids[0]], values[0]) for ids, values in profile["samples"]
              if profile["locations"][ids[0]]["mapping"] in mine]
    everywhere = sum(weight for _, weight in leaves)
    inside = sum(weight for leaf, weight in leaves if start <= leaf["address"] < start + size)
    assert everywhere and inside >= 0.8 * everywhere, (inside, everywhere)


@test
def pushed_and_named(case):
    """pushed to the server, named there: inner called by middle called by outer called by main, whole chain"""
    need_ebpf()
    server = case.server()
    full, _ = busy(case, 8)
    case.unhex("upload", "--wait", full, server=server)
    agent = case.spawn(program("unhex-agent"), "--server", server.url, "--hz", "99", "--interval", "1s", stderr=subprocess.PIPE)
    time.sleep(4)
    agent.send_signal(signal.SIGTERM)
    _, talk = agent.communicate(timeout=30)
    assert agent.returncode == 0, talk
    args = urllib.parse.urlencode({"match": '{__name__="process_cpu"}', "from": int(time.time() - 600), "to": int(time.time() + 60)})
    answer = wait_until(lambda: (lambda r: r.status == 200 and r)(server.get("/v1/query?" + args)), what="the pushed profile")
    profile = pprof_writer.decode(gzip.decompress(answer.body))
    chains = {}
    for ids, values in profile["samples"]:
        names = [line[0] for i in ids for line in profile["locations"][i]["lines"]]
        if "inner" in names:
            key = tuple(names[names.index("inner"):names.index("inner") + 4])
            chains[key] = chains.get(key, 0) + values[0]
    assert chains and max(chains, key=chains.get) == ("inner", "middle", "outer", "main"), chains
    need("go")
    with open(case.path("merged.pb.gz"), "wb") as out:
        out.write(answer.body)
    assert "inner" in run("go", "tool", "pprof", "-top", case.path("merged.pb.gz")).stdout


@test
def server_away_says_so(case):
    """no server there: the agent goes on, and says at the end what could not be sent"""
    need_ebpf()
    busy(case, 6)
    done = subprocess.run([program("unhex-agent"), "--server", "http://127.0.0.1:9", "--once", "1s"], capture_output=True, text=True,
                          check=False, timeout=120)
    assert done.returncode in (1, 5), done
    assert "127.0.0.1:9" in done.stderr, done.stderr


@test
def mistakes_are_told_before_sampling(case):
    """an output that cannot be written, no time to sample, a folder that is no cgroup: at once, in one sentence"""
    def refused(*argv):
        done = subprocess.run([program("unhex-agent"), *argv], capture_output=True, text=True, check=False, timeout=50)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return done.returncode, done.stderr.strip()

    code, said = refused("--once", "10m", "-o", case.path("none", "x.pb.gz"))
    assert code == 1 and case.path("none", "x.pb.gz") in said and "No such file" in said, (code, said)
    code, said = refused("--once", "0s", "--stdout")
    assert (code, said) == (2, "unhex-agent: --once must be at least 100ms; try --help")
    code, said = refused("--once", "10m", "--cgroup", case.folder, "-o", case.path("x.pb.gz"))
    assert code == 1 and "is not in a cgroup v2 hierarchy, which is required" in said, (code, said)
    assert os.listdir(case.folder) == [], os.listdir(case.folder)


@test
def no_rights(case):
    """without capabilities it says which are missing"""
    if os.geteuid() != 0:
        skip("dropping rights needs root")
    need("setpriv")
    # The build folder may be closed to others: give nobody a copy.
    copy = case.path("unhex-agent")
    run("cp", program("unhex-agent"), copy)
    os.chmod(case.folder, 0o755)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all", copy, "--once", "1s", "--stdout"],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4, done
    assert "CAP_BPF" in done.stderr and "CAP_PERFMON" in done.stderr, done.stderr


main()
