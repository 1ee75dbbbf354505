#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole stacks from programs of every kind: sampled by the agent, named by the server, checked to the root function.

All victims of a group run at once and are sampled once, in the first of its tests. ONLY_TEST=name runs that victim alone.
"""
import os

from agent_runs import need_ebpf, observe
from agent_victims import INCOMPLETE_FREE, NATIVE, RUNTIMES
from harness import main, test

HZ = 997
SAMPLED = 5
SAMPLES_MIN = 30

_verdicts = {}  # victim's name -> Verdict, or what was raised instead


def check(case, group, victim):
    need_ebpf()
    if victim.name not in _verdicts:
        try:
            only = os.environ.get("ONLY_TEST", "")
            _verdicts.update(observe(case, [v for v in group if only in v.name], HZ, SAMPLED))
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
        enough = verdict.complete >= victim.complete or verdict.incomplete <= INCOMPLETE_FREE
        assert enough, verdict.sentence() + "\n" + verdict.common()
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
