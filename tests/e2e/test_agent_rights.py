#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent may: only what sampling takes, in every thread, once it has started; as root, as root with six
capabilities (a container), and as nobody with the same six (a systemd service)."""
import glob
import os
import re
import shutil
import signal
import subprocess

import pprof_writer
from agent_runs import need_ebpf
from harness import SLOW, main, need, program, skip, test, wait_until
from push_receiver import Receiver

# linux/capability.h
SIX = {"bpf": 39, "perfmon": 38, "sys_ptrace": 19, "dac_read_search": 2, "checkpoint_restore": 40, "syslog": 34}
SIX_MASK = sum(1 << bit for bit in SIX.values())


def need_ebpf_as_root():
    if os.geteuid() != 0:
        skip("giving rights away needs root")
    need_ebpf()


def build_ids(receiver):
    return {m["build_id"] for _, samples in receiver.series() for _, raw in samples
            for m in pprof_writer.decode(raw)["mappings"].values() if m["filename"].startswith("/")}


def status(path):
    with open(path, encoding="utf-8") as text:
        return dict(line.rstrip("\n").split(":\t", 1) for line in text if ":\t" in line)


def children(pid):
    return [os.path.basename(os.path.dirname(p)) for p in glob.glob("/proc/[0-9]*/status")
            if os.path.exists(p) and status_or_nothing(p).get("PPid") == str(pid)]


def status_or_nothing(path):
    try:
        return status(path)
    except OSError:
        return {}


def sees_and_may(case, prefix, uid):
    """Runs the agent behind `prefix`; it must find build-IDs of others' files, with no more than the six."""
    receiver = Receiver()
    # The build folder may be closed to others; the victim belongs to root and is readable by root alone.
    copy = case.path("unhex-agent")
    shutil.copy(program("unhex-agent"), copy)
    os.chmod(case.folder, 0o755)
    victim = case.compile("busy.c", "busy", "-O2")
    os.chmod(victim, 0o700)
    case.spawn(victim, 30 * SLOW, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wanted = re.search(r"Build ID: ([0-9a-f]+)", subprocess.run(["readelf", "-n", victim], capture_output=True, text=True, check=True).stdout)[1]
    agent = case.spawn(*prefix, copy, "--server", receiver.url, "--hz", "49", "--interval", "1s", "--metrics", "127.0.0.1:0", "--upload",
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: wanted in build_ids(receiver) or agent.poll() is not None, what="the victim's build-ID")
    if agent.poll() is not None:
        raise AssertionError(agent.stderr.read())
    threads = [status(path) for path in glob.glob(f"/proc/{agent.pid}/task/*/status")]
    readers = [status(f"/proc/{pid}/status") for pid in children(agent.pid)]
    agent.send_signal(signal.SIGTERM)
    _, talk = agent.communicate(timeout=30 * SLOW)
    receiver.shutdown()
    assert agent.returncode == 0, talk
    assert len(threads) >= 2, threads
    for one in threads:
        for which in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(one[which], 16) & ~SIX_MASK == 0, (one["Name"], which, one[which])
        assert one["NoNewPrivs"] == "1" and one["Uid"].split()[0] == str(uid), one
    main_thread = next(t for t in threads if t["Name"] == "unhex-agent")
    assert int(main_thread["CapEff"], 16) == SIX_MASK, main_thread["CapEff"]
    assert int(next(t for t in threads if t["Name"] == "push")["CapEff"], 16) == 1 << SIX["dac_read_search"]
    assert int(next(t for t in threads if t["Name"] == "metrics")["CapEff"], 16) == 0
    assert int(next(t for t in threads if t["Name"] == "giver")["CapEff"], 16) == 1 << SIX["dac_read_search"] | 1 << SIX["syslog"]
    assert readers, "there is no ELF reader"
    for one in readers:
        assert int(one["CapPrm"], 16) == 0 and int(one["CapAmb"], 16) == 0 and one["Seccomp"] == "2", one
    return threads


@test
def root_keeps_six(case):
    """started by root: after the start six capabilities are left, none can come back"""
    need_ebpf_as_root()
    for one in sees_and_may(case, [], 0):
        assert int(one["CapBnd"], 16) & ~SIX_MASK == 0, one["CapBnd"]


@test
def root_of_a_container(case):
    """root with six capabilities and no more, as a DaemonSet has it"""
    need_ebpf_as_root()
    need("setpriv")
    sees_and_may(case, ["setpriv", "--bounding-set=-all," + ",".join("+" + name for name in SIX),
                        "--inh-caps=-all"], 0)


@test
def nobody_with_ambient_capabilities(case):
    """nobody with six ambient capabilities, as systemd has it"""
    need_ebpf_as_root()
    need("setpriv")
    names = ",".join("+" + name for name in SIX)
    sees_and_may(case, ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", f"--inh-caps={names}",
                        f"--ambient-caps={names}"], 65534)


@test
def check_names_what_is_missing(case):
    """--check with one capability less: that one is named, and what it is for"""
    need_ebpf_as_root()
    need("setpriv")
    copy = case.path("unhex-agent")
    shutil.copy(program("unhex-agent"), copy)
    os.chmod(case.folder, 0o755)
    for less in SIX:
        names = ",".join("+" + name for name in SIX if name != less)
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", f"--inh-caps={names}",
                               f"--ambient-caps={names}", copy, "--check"], capture_output=True, text=True, check=False, timeout=60 * SLOW)
        line = next((l for l in done.stdout.splitlines() if f"CAP_{less.upper()}" in l and not l.startswith("ok")), None)
        assert line, (less, done.stdout)
        weak = less not in ("bpf", "perfmon")
        assert line.startswith("weak" if weak else "missing") and "needed to" in line, line
        assert done.returncode == (0 if weak else 4), (less, done)


main()
