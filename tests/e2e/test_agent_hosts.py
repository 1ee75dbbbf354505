#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent among what a host does to it: containers, thousands of processes, a kill."""
import glob
import gzip
import os
import re
import shutil
import signal
import subprocess
import time

import pprof_writer
from agent_runs import Agent, need_ebpf, query
from agent_victims import C, SECONDS, WITH_FP, WITHOUT_FP, c_program, compiled, Victim
from harness import SLOW, build_id, main, need, program, run, skip, test, wait_until

HZ = 499
HZ_OF_HOST = 97
CROWD = 2000
CROWD_RSS_MAX = 64 << 20
NEVER = {"inner", "middle", "outer", "main", "_start", "run"}  # functions that only the server may name


def need_root():
    need_ebpf()
    if os.geteuid() != 0:
        skip("needs root")


# ---- containers -------------------------------------------------------------------------------------------


def container(case, name, *flags):
    """Runs a copy of chain.c in a mount and PID namespace, on a file system that no other process sees; the program."""
    need("unshare", "chroot")
    exe = compiled(case, "chain.c", name, *WITHOUT_FP, *flags)
    libraries = re.findall(r"(/\S+) \(0x", run("ldd", exe, check=False).stdout)
    top = case.path(name + ".root")
    os.mkdir(top)
    copies = "".join(f'mkdir -p ".$(dirname {path})" && cp {path} ./{path} && ' for path in libraries)
    script = f"mount --make-rprivate / && mount -t tmpfs none {top} && cd {top} && mkdir proc app && mount -t proc none proc && " \
        f"{copies} cp {exe} app/{name} && exec chroot . /app/{name} {SECONDS}"
    process = case.spawn("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n", name
    assert not os.path.exists(os.path.join(top, "app")), "the container's files are visible outside"
    return exe


@test
def containers(case):
    """a static and a dynamic program on a file system that only they see: build-ID, whole chain"""
    need_root()
    server = case.server()
    # The agent is there first, and the processes are new to it: until it has their tables, it gets copies of their
    # stacks, a few of each process.
    agent = Agent(case, server, "--hz", HZ_OF_HOST)
    wait_until(lambda: bpf_ids(agent.process.pid)["link"], what="a working agent")
    time.sleep(1)
    programs = [container(case, "in_static", "-static"), container(case, "in_dynamic")]
    case.unhex("upload", "--wait", *programs, server=server)
    time.sleep(4)
    agent.stop()
    found = query(server, 0, HZ_OF_HOST)
    for exe in programs:
        mine = [s for s in found if s.labels.get("comm") == os.path.basename(exe)]
        total = sum(s.weight for s in mine)
        inside = sum(s.weight for s in mine if any(f.mapping["build_id"] == build_id(exe) for f in s.user))
        chain = sum(s.weight for s in mine if "inner;middle;outer;main;" in s.folded)
        whole = sum(s.weight for s in mine if s.folded.endswith(";_start;"))
        print(f"# {os.path.basename(exe)}: {total} samples, {inside / max(1, total):.1%} with its build-ID, "
              f"chain {chain / max(1, total):.1%}, {whole / max(1, total):.1%} to the root")
        assert total >= 30 and inside >= 0.95 * total and chain >= 0.9 * total and whole >= 0.95 * total, sorted(((s.weight, s.folded) for s in mine if not s.folded.endswith(";_start;")), reverse=True)[:9]


# ---- what a kill leaves -----------------------------------------------------------------------------------


def bpf_ids(pid):
    """{"prog": {ids}, "link": {ids}, "map": {ids}} that a process holds."""
    found = {"prog": set(), "link": set(), "map": set()}
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path, encoding="ascii", errors="replace") as info:
                for kind, number in re.findall(r"^(prog|link|map)_id:\s*(\d+)", info.read(), re.M):
                    found[kind].add(int(number))
        except OSError:
            continue
    return found


def children(pid):
    listing = run("ps", "--ppid", pid, "-o", "pid=", check=False).stdout
    return [int(word) for word in listing.split()]


def still_there(bpftool, held):
    return [f"{kind} {number}" for kind, numbers in held.items() for number in numbers
            if subprocess.run([bpftool, kind, "show", "id", str(number)], capture_output=True, check=False).returncode == 0]


@test
def killed(case):
    """kill -9 leaves no BPF program, link or map and no child; the next agent samples"""
    need_root()
    bpftool = next((p for p in (shutil.which("bpftool"), "/usr/sbin/bpftool") if p and os.path.exists(p)), None)
    if not bpftool:
        skip("no bpftool on this machine")
    victim = Victim("killed", "", c_program("chain.c", *WITH_FP))
    victim.prepare(case)
    victim.start(case)
    server = case.server()
    agent = Agent(case, server, "--hz", HZ, pids=[victim.process.pid])
    wait_until(lambda: children(agent.process.pid) and bpf_ids(agent.process.pid)["prog"], what="a working agent")
    query(server, time.time() - 600, HZ)
    held, offspring = bpf_ids(agent.process.pid), children(agent.process.pid)
    assert held["prog"] and held["map"] and still_there(bpftool, held), held
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    wait_until(lambda: not still_there(bpftool, held), what="the end of " + str(held))
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in offspring), what="the end of the agent's children")
    out = case.path("next.pb.gz")
    run(program("unhex-agent"), "--once", "1s", "--hz", HZ, "--pid", victim.process.pid, "-o", out)
    with open(out, "rb") as raw:
        assert pprof_writer.decode(gzip.decompress(raw.read()))["samples"]


# ---- many processes ---------------------------------------------------------------------------------------


def memory(pid):
    """Peak resident bytes of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return int(re.search(r"VmHWM:\s*(\d+)", status.read())[1]) << 10


@test
def two_thousand_processes(case):
    """2,000 processes that run now and then: nothing is lost, memory and CPU stay bounded"""
    need_root()
    exe = compiled(case, "crowd.c", "crowd", *C)
    server = case.server()
    case.unhex("upload", "--wait", exe, server=server)
    crowd = case.spawn(exe, SECONDS, CROWD, stdout=subprocess.PIPE)
    assert crowd.stdout.readline() == b"ready\n"
    agent = Agent(case, server, "--hz", HZ_OF_HOST)
    seconds = 5
    time.sleep(seconds)
    peak = memory(agent.process.pid)
    stats = agent.stop()
    mine = [s for s in query(server, 0, HZ_OF_HOST) if s.labels.get("comm") == "crowd"]
    seen = {s.labels["pid"] for s in mine}
    total = sum(s.weight for s in mine)
    named = sum(s.weight for s in mine if "inner;" in s.folded)
    print(f"# {len(seen)} of {CROWD} processes seen in {total} samples, inner named in {named / max(1, total):.0%}; "
          f"agent: {float(stats['cpu_s']):.2f} s CPU in {seconds} s, {peak / 1e6:.1f} MB at most, lost {stats['lost']}")
    assert len(seen) > 100 and named > 0.5 * total
    assert stats["lost"] == "0" and stats["dropped"] == "0", stats
    assert SLOW > 1 or peak < CROWD_RSS_MAX, peak
    # A guard against work that grows with the square, not a measurement.
    assert float(stats["cpu_s"]) < 0.5 * seconds * SLOW, stats


# ---- what crosses the wire --------------------------------------------------------------------------------


@test
def no_names_on_the_wire(case):
    """a payload names what is in no file (JIT), and nothing that the server can name"""
    need_ebpf()
    victims = [Victim("plain", "", c_program("chain.c", *WITH_FP, "-g")), Victim("jit", "", c_program("jit.c", *WITH_FP))]
    for victim in victims:
        victim.prepare(case)
        victim.start(case)
    out = case.path("out.pb.gz")
    pids = [word for v in victims for word in ("--pid", v.process.pid)]
    run(program("unhex-agent"), "--once", "3s", "--hz", HZ, *pids, "-o", out)
    for victim in victims:
        victim.end()
    with open(out, "rb") as raw:
        profile = pprof_writer.decode(gzip.decompress(raw.read()))
    assert {l.get("pid") for l in profile["labels"]} == {v.process.pid for v in victims}
    assert not NEVER & set(profile["strings"]), profile["strings"]
    named = {line[0] for l in profile["locations"].values() for line in l["lines"]}
    print(f"# named by the host: {sorted(named)}")
    assert named == {"jitted_inner", "jitted_outer"}, named
    assert not any("victims" in text for text in profile["strings"]), "a source file is named"


main()
