# SPDX-License-Identifier: Apache-2.0
"""A pprof profile from pprof to pprof, step by step."""
import gzip
import os
import random
import re
import time

import pprof_writer
from harness import run
from measuring import QUICK, Table
from subjects import LIBC, SEED
from symbolizing import bench_tool, instructions

STEPS = {"gunzip": "gunzip", "unzstd": "unzstd", "decode": "decode", "symbolize": "name", "encode": "encode", "gzip": "gzip",
         "zstd": "zstd", "work": "decode, name, encode", "via_gzip": "the same, gzip in and out",
         "via_zstd": "the same, zstd in and out"}
TARGETS = {"work": 4, "via_gzip": 12, "via_zstd": 7}  # milliseconds


def synthetic_profile(subject, path, samples=20_000, locations=5_000, depth=20):
    profile = pprof_writer.Profile(time_nanos=time.time_ns())
    mapping = profile.mapping(LIBC, subject.ident)
    for address in subject.addresses[:locations]:
        profile.location(mapping, address)
    chooser = random.Random(SEED)
    for _ in range(samples):
        profile.sample([chooser.randrange(locations) + 1 for _ in range(depth)], 10_000_000)
    with open(path, "wb") as out:
        out.write(gzip.compress(profile.encode()))
    return path


def bench_pprof(subject, rivals):
    path = synthetic_profile(subject, subject.path("synthetic.pb.gz"))
    argv = [bench_tool("symbolizer/bench-pprof"), path]
    text = run(*argv, 5 if QUICK else 20, subject.index).stdout
    told = {step: (float(median), float(best)) for step, best, median in
            re.findall(r"^(\w+)\s+best\s+([\d.]+) ms\s+median\s+([\d.]+) ms", text, re.M)}
    table = Table("A pprof profile", ["CPU, ms (median)", "best round, ms", "target, ms"],
                  f"20,000 samples of 20 frames over 5,000 locations in {subject.title}, "
                  f"{os.path.getsize(path) / 1e6:.1f} MB gzip, index open and warm, one thread.")
    for step, figures in told.items():
        table.add(STEPS.get(step, step), *figures, str(TARGETS.get(step, "–")))
    if rivals.valgrind:
        once, twice = (instructions(*argv, rounds, subject.index, valgrind=rivals.valgrind) for rounds in (1, 2))
        table.remarks.append(f"All steps under callgrind: {(twice - once) / 1e6:.1f} million instructions a round.")
    return table
