#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where threads wait: --off-cpu, a profile of its own beside the CPU's."""
import subprocess
import time
import urllib.parse

from agent_runs import Agent, need_ebpf, query
from agent_victims import WITHOUT_FP, compiled, libc_files
from harness import main, program, skip, test

SECONDS = 6


def waiting(case):
    exe = compiled(case, "waits.c", "waits", *WITHOUT_FP)
    victim = case.spawn(exe, 60, stdout=subprocess.PIPE)
    assert victim.stdout.readline() == b"ready\n"
    return exe, victim


def need_switches():
    need_ebpf()
    done = subprocess.run([program("unhex-agent"), "--off-cpu", "--once", "100ms", "--stdout"], capture_output=True, check=False)
    if b"--off-cpu" in done.stderr:
        skip("context switches cannot be traced here: " + done.stderr.decode().strip().splitlines()[-1])


def waits(server):
    """Weighed in nanoseconds."""
    return query(server, 0, 1e9, "off_cpu", column=0)


def nanoseconds_in(stacks, chain):
    return sum(s.weight for s in stacks if chain in s.folded)


@test
def waits_have_stacks_and_durations(case):
    """nearly all the time is in nap() called by caller(), as long as the clock says; waits below --off-cpu-min are not told"""
    need_switches()
    server = case.server()
    exe, victim = waiting(case)
    case.unhex("upload", "--wait", exe, *libc_files(), server=server)
    agent = Agent(case, server, "--off-cpu", pids=[victim.pid])
    time.sleep(2)
    before, began = waits(server), time.monotonic()
    time.sleep(SECONDS)
    agent.stop()
    elapsed = time.monotonic() - began
    after = waits(server)
    long = nanoseconds_in(after, "nap;caller;main;") - nanoseconds_in(before, "nap;caller;main;")
    # The victim sleeps but for its short waits and its wake-ups; a sample stands for several waits at first.
    assert 0.6 * elapsed < long / 1e9 < 1.4 * elapsed, (long / 1e9, elapsed)
    assert nanoseconds_in(after, "nap;brief;main;") < 0.05 * long
    whole = sum(s.weight for s in after if s.root and "_start" in s.root.names[-1])
    everything = sum(s.weight for s in after)
    print(f"# off-CPU: {long / 1e9:.2f} s of {elapsed:.2f} s in nap(), {whole / everything:.1%} of the time to the root")
    assert whole >= 0.9 * everything, [s.folded for s in after if not (s.root and "_start" in s.root.names[-1])][:3]


@test
def without_it_nothing_is_told(case):
    """the CPU profile alone, unless asked"""
    need_ebpf()
    server = case.server()
    waiting(case)
    case.spawn("python3", "-c", "while True: pass")
    agent = Agent(case, server, "--hz", 99)
    time.sleep(2)
    agent.stop()
    assert query(server, 0, 99), "the CPU profile has come"
    args = urllib.parse.urlencode({"match": '{__name__="off_cpu"}', "from": 0, "to": int(time.time() + 60)})
    assert server.get("/v1/query?" + args).status == 404


main()
