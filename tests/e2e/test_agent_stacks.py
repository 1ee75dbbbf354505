#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole stacks from programs of every kind: sampled by the agent, named by the server, checked to the root function.

All victims of a group run at once and are sampled once, in the first of its tests. ONLY_TEST=name runs that victim alone.
"""
import os
import signal
import time

from agent_runs import Agent, Verdict, need_ebpf, query, without
from agent_victims import NATIVE, RUNTIMES, libc_files
from harness import SLOW, Skip, main, test

HZ = 499
SETTLE = 4  # seconds: the agent reads what is mapped, makes its tables, pushes; what it had by then does not count
SAMPLED = 5
SAMPLES_MIN = 30

_verdicts = {}  # victim's name -> Verdict, or what was raised instead


def prepare_all(case, victims):
    ready = []
    for victim in victims:
        try:
            victim.prepare(case)
            ready.append(victim)
        except Skip as reason:
            _verdicts[victim.name] = reason
    return ready


def observe(case, group):
    """Samples the group and leaves a verdict on each."""
    only = os.environ.get("ONLY_TEST", "")
    files = libc_files()
    server = case.server()
    running = prepare_all(case, [v for v in group if only in v.name])
    case.unhex("upload", "--wait", *files, *sorted({f for v in running for f in v.files}), server=server)
    for victim in running:
        victim.start(case)
    agent = Agent(case, server, "--hz", HZ, pids=[v.process.pid for v in running])
    time.sleep(SETTLE * SLOW / 2)
    for victim in running:
        if victim.name == "dlopen":
            victim.process.send_signal(signal.SIGUSR1)
    time.sleep(SETTLE * SLOW / 2)
    early = query(server, 0, HZ)
    time.sleep(SAMPLED * SLOW)
    agent.stop()
    for victim in running:
        victim.end()
    found = without(query(server, 0, HZ), early)
    for victim in running:
        _verdicts[victim.name] = Verdict(victim, [s for s in found if s.labels.get("pid") == victim.process.pid])


def check(case, group, victim):
    need_ebpf()
    if victim.name not in _verdicts:
        try:
            observe(case, group)
        except Exception as error:  # pylint: disable=broad-except
            _verdicts.update({v.name: error for v in group})
    verdict = _verdicts[victim.name]
    if isinstance(verdict, Exception):
        raise verdict
    print("# " + verdict.sentence())
    assert verdict.samples >= SAMPLES_MIN, verdict.sentence()
    if victim.capped:
        assert verdict.capped >= 0.9 * verdict.samples, verdict.sentence() + "\n" + verdict.common()
    else:
        assert verdict.complete >= victim.complete, verdict.sentence() + "\n" + verdict.common()
    for (chain, least), share in zip(victim.chains, verdict.chains):
        assert share >= least, f"{verdict.sentence()}\n{chain} in {share:.1%}, not {least:.0%}\n{verdict.common()}"


def add(group, victim):
    def one(case):
        check(case, group, victim)
    one.__name__, one.__doc__ = victim.name, victim.what
    test(one)


for each_group in (NATIVE, RUNTIMES):
    for each in each_group:
        add(each_group, each)
main()
