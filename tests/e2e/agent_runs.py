# SPDX-License-Identifier: Apache-2.0
"""Runs of the real agent, pushing to a real server, and the stacks that come out of it with names."""
import collections
import gzip
import re
import signal
import subprocess
import time
import urllib.parse

import pprof_writer
from agent_victims import DEPTH_MAX, libc_files
from harness import SLOW, Skip, program, skip, wait_until

SETTLE = 4 if SLOW == 1 else 8  # seconds: the agent reads what is mapped, makes its tables, pushes; what it had by then does not count
KERNEL = ("[kernel]", "[kernel module]")

Frame = collections.namedtuple("Frame", "names mapping address")


def need_ebpf():
    done = subprocess.run([program("unhex-agent"), "--check"], capture_output=True, text=True, check=False)
    if done.returncode:
        first = next((l for l in done.stdout.splitlines() + done.stderr.splitlines() if "missing" in l), "no reason given")
        skip("eBPF sampling is not permitted here: " + first.strip())


class Stack:
    """Of one place in the profile: frames leaf first, each with the names of what is inlined there."""

    def __init__(self, frames, weight, labels):
        self.frames, self.weight, self.labels = frames, weight, labels
        self.key = (str(sorted(labels.items())), tuple((f.mapping["filename"], f.address) for f in frames))
        self.user = [f for f in frames if f.mapping["filename"] not in KERNEL]
        self.folded = "".join(name + ";" for frame in frames for name in frame.names)
        self.capped = len(self.user) >= DEPTH_MAX
        self.root = self.user[-1] if self.user else None


def stacks(raw, hz, column=-1):
    """Of a gzip-compressed pprof; a column's values are times, one of hz a second counts 1."""
    profile = pprof_writer.decode(gzip.decompress(raw))
    nowhere = {"filename": "", "build_id": ""}
    found = []
    for (ids, values), labels in zip(profile["samples"], profile["labels"]):
        locations = [profile["locations"][i] for i in ids]
        frames = [Frame([line[0] for line in l["lines"]], profile["mappings"].get(l["mapping"], nowhere), l["address"])
                  for l in locations]
        found.append(Stack(frames, round(values[column] * hz / 1e9), labels))
    return found


def query(server, since, hz, name="process_cpu", column=-1):
    """What was pushed since then, with names; waits until there is something."""
    args = urllib.parse.urlencode({"match": f'{{__name__="{name}"}}', "from": int(since), "to": int(time.time() + 60)})
    answer = wait_until(lambda: (lambda r: r.status == 200 and r)(server.get("/v1/query?" + args)), what="the pushed profile")
    return stacks(answer.body, hz, column)


def without(found, early):
    """What of it was not there yet in an earlier query."""
    had = collections.Counter()
    for s in early:
        had[s.key] += s.weight
    for s in found:
        s.weight -= min(s.weight, had[s.key])
    return [s for s in found if s.weight]


class Agent:
    """Pushing to a server (or, without one, as the options say) until stopped."""

    def __init__(self, case, server, *options, pids=()):
        chosen = [word for pid in pids for word in ("--pid", pid)]
        where = ("--server", server.url, "--interval", "1s") if server else ()
        self.process = case.spawn(program("unhex-agent"), *where, *options, *chosen, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        self.talk = ""

    def stop(self):
        """Its own figures, as it tells them at the end."""
        early = self.process.poll() is not None
        self.process.send_signal(signal.SIGTERM)
        _, self.talk = self.process.communicate(timeout=30 * SLOW)
        assert self.process.returncode == 0 and not early, ("ended before it was told to: " if early else "") + self.talk
        told = [l for l in self.talk.splitlines() if "event=stats" in l or "event=stacks" in l]
        assert any("samples=" in l for l in told), self.talk
        return dict(pair for l in told for pair in re.findall(r"(\w+)=(\S+)", l))


class Verdict:
    """What the stacks of one victim are worth."""

    def __init__(self, victim, mine):
        self.victim = victim
        self.samples = sum(s.weight for s in mine)
        self.capped = sum(s.weight for s in mine if s.capped)
        self.roots, self.cut = collections.Counter(), collections.Counter()
        for s in mine:
            root = None if s.capped else self.root_of(s)
            self.roots[root] += 0 if s.capped else s.weight
            self.cut[s.folded] += s.weight if root else 0
        whole = self.roots.pop(None, 0)
        self.incomplete = self.samples - self.capped - whole
        self.complete = whole / max(1, self.samples - self.capped)
        self.chains = [sum(s.weight for s in mine if re.search(chain, s.folded)) / max(1, self.samples)
                       for chain, _ in victim.chains]
        self.folded = collections.Counter()
        for s in mine:
            self.folded[s.folded] += s.weight

    def root_of(self, stack):
        """None for a stack that begins where it should, else where it seems to begin."""
        if not stack.root:
            return "(nothing of the program)"
        name = stack.root.names[-1] if stack.root.names else ""
        return None if self.victim.is_root(name, stack.root.mapping, stack.root.address) else name or "(no name)"

    def sentence(self):
        text = f"{self.victim.name}: {self.samples} samples, {self.complete:.1%} of those to the root"
        text += f", {self.capped} depth-capped" if self.capped else ""
        text += "".join(f", chain {share:.1%}" for share in self.chains)
        others = ", ".join(f"{name} {n}" for name, n in self.roots.most_common(3))
        return text + (f"; others begin at: {others}" if others else "")

    def common(self, n=4):
        """The most frequent stacks, and of those without a root, for a failure's message."""
        cut = [pair for pair in self.cut.most_common(n) if pair[1]]
        return "\n".join(f"{weight:6} {folded[:300]}" for folded, weight in self.folded.most_common(n) + [("cut:", len(cut))] + cut)


# ---- victims, sampled together ----------------------------------------------------------------------------


def prepare_all(case, victims, verdicts):
    ready = []
    for victim in victims:
        try:
            victim.prepare(case)
            ready.append(victim)
        except Skip as reason:
            verdicts[victim.name] = reason
    return ready


def observe(case, victims, hz, seconds):
    """Runs them all at once and samples them; victim's name -> Verdict, or the Skip that says why there is none."""
    verdicts = {}
    files = libc_files()
    server = case.server(name=f"data{len(case.servers)}")
    running = prepare_all(case, victims, verdicts)
    case.unhex("upload", "--wait", *files, *sorted({f for v in running for f in v.files}), server=server)
    for victim in running:
        victim.start(case)
    agent = Agent(case, server, "--hz", hz, pids=[v.process.pid for v in running])
    time.sleep(SETTLE / 2)
    for victim in running:
        if victim.name == "dlopen":
            victim.process.send_signal(signal.SIGUSR1)
    time.sleep(SETTLE / 2)
    early = query(server, 0, hz)
    time.sleep(seconds)
    agent.stop()
    for victim in running:
        victim.end()
    found = without(query(server, 0, hz), early)
    server.stop()
    for victim in running:
        verdicts[victim.name] = Verdict(victim, [s for s in found if s.labels.get("pid") == victim.process.pid])
    return verdicts
