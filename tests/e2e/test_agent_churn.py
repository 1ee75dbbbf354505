#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent where processes live for milliseconds: most have ended before anybody could look into /proc."""
import gzip
import shutil
import subprocess

import pprof_writer
from harness import build_id, main, need, program, skip, test

# Some milliseconds of work, then the end.
BLIP = """
volatile unsigned sum;
int main(void)
{
	for (unsigned i = 0; i < 3000000; i++)
		sum += i;
	return 0;
}
"""
LOOP = """
echo ready
while :; do
	./churn-blip
	./churn-sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do x=$((x+i)); done; ./churn-blip'
	(for i in 1 2 3 4 5 6 7 8 9 10; do x=$((x+i)); done)
done
"""
OURS = ("churn-sh", "churn-blip")
FLOOR = 0.95


def need_ebpf():
    done = subprocess.run([program("unhex-agent"), "--check"], capture_output=True, text=True, check=False)
    if done.returncode:
        skip("eBPF sampling is not permitted here: " + " ".join(l for l in done.stdout.splitlines() if l.startswith("missing")))


def prepare(case):
    """A shell and a program under names of their own, so that other work on the machine does not count."""
    with open(case.path("blip.c"), "w", encoding="utf-8") as source:
        source.write(BLIP)
    need("bash")
    shutil.copy(shutil.which("bash"), case.path("churn-sh"))
    return case.compile(case.path("blip.c"), "churn-blip", "-O0", "-Wl,--build-id")


def churn(case):
    loop = case.spawn(case.path("churn-sh"), "-c", LOOP, cwd=case.folder, stdout=subprocess.PIPE, text=True)
    assert loop.stdout.readline() == "ready\n"
    return loop


def samples_of(raw, comms):
    """(filename of the leaf user mapping, its build-ID, address, weight) of each sample of those processes."""
    profile = pprof_writer.decode(raw)
    for number, sample in pprof_writer.fields(raw):
        if number != 2:
            continue
        m = pprof_writer.message(sample)
        labels = [pprof_writer.message(l) for l in m.get(3, [])]
        words = {profile["strings"][l[1][0]]: profile["strings"][l[2][0]] for l in labels if 2 in l}
        if words.get("comm") not in comms:
            continue
        frames = [profile["locations"][i] for i in pprof_writer.packed(m.get(1, []))]
        user = [f for f in frames if profile["mappings"][f["mapping"]]["filename"] not in ("[kernel]", "[kernel module]")]
        if user:
            mapping = profile["mappings"][user[0]["mapping"]]
            yield mapping["filename"], mapping["build_id"], user[0]["address"], pprof_writer.packed(m[2])[0]


@test
def short_lived_processes_are_known(case):
    """a loop of processes of some milliseconds: the mapping of nearly every leaf is known, build-ID included"""
    need_ebpf()
    blip = prepare(case)
    loops = [churn(case) for _ in range(2)]
    out = case.path("out.pb.gz")
    # Meanwhile they are started some hundred times.
    agent = subprocess.run([program("unhex-agent"), "--once", "4s", "--hz", "199", "-o", out], capture_output=True, text=True, check=True,
                           timeout=120)
    for loop in loops:
        loop.kill()
        loop.wait()
    leaves = list(samples_of(gzip.decompress(open(out, "rb").read()), OURS))
    everywhere = sum(weight for *_, weight in leaves)
    known = sum(weight for name, *_, weight in leaves if name != "[unknown]")
    identified = sum(weight for name, id_, _, weight in leaves if id_)
    events = next(w for w in agent.stderr.split() if w.startswith("events="))
    print(f"# leaf mappings known: {100 * known / everywhere:.2f} %, with build-ID: {100 * identified / everywhere:.2f} % "
          f"of {len(leaves)} stacks; {events}")
    assert len(leaves) > 100, leaves
    assert known >= FLOOR * everywhere, (known, everywhere)
    assert identified >= FLOOR * everywhere, (identified, everywhere)
    mine = [l for l in leaves if l[0] == blip]
    assert mine and {l[1] for l in mine} == {build_id(blip)}, mine


main()
