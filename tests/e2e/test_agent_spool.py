#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing sampled is lost while the server is away, refuses or is slow, nor by kill -9 of the agent, and nothing
counts twice. What arrived is counted by the values of the profiles and compared with what the agent counted."""
import glob
import gzip
import os
import re
import signal
import struct
import subprocess
import time
import urllib.parse
import urllib.request

import pprof_writer
from agent_runs import need_ebpf
from harness import SLOW, free_port, main, program, test, wait_until
from push_receiver import Receiver, series_of

HZ = 49
PERIOD = 1_000_000_000 // HZ
HEAD = 48  # agent-lite/ship/spool.c: magic, sequence, size, samples, two checksums


def samples_of(push):
    """{ID: (time, samples)} of a push request as it is sent."""
    found = {}
    for _, samples in series_of(push):
        for identity, raw in samples:
            weight = sum(values[0] for _, values in pprof_writer.decode(raw)["samples"])
            found[identity] = (pprof_writer.message(raw)[9][0], weight // PERIOD)
    return found


def spooled(folder):
    return sorted(glob.glob(os.path.join(folder, "*.push")))


def spooled_samples(folder):
    return sum(struct.unpack("<Q", open(f, "rb").read(HEAD)[24:32])[0] for f in spooled(folder))


def metric(address, name):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return float(next(l for l in text.splitlines() if l.startswith(name + " ")).split()[1])


def start_agent(case, url, spool, *options):
    # Something to sample, whatever else this machine does.
    case.spawn("python3", "-c", f"import time; end = time.time() + {20 * SLOW}\nwhile time.time() < end: pass")
    return case.spawn(program("unhex-agent"), "--server", url, "--hz", HZ, "--interval", "1s", "--spool-dir", spool, *options,
                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def stop_agent(agent):
    """Its own figures."""
    agent.send_signal(signal.SIGTERM)
    _, talk = agent.communicate(timeout=40 * SLOW)
    assert agent.returncode == 0, talk
    last = next((l for l in reversed(talk.splitlines()) if " event=stats " in l), "")
    figures = {k: float(v) for k, v in re.findall(r"(\w+)=([0-9.]+)(?= |$)", last)}
    assert figures, talk
    return figures, talk


def own_count(figures):
    return int(figures["counted"])


def stored(server):
    """Samples of all profiles that the server has."""
    args = urllib.parse.urlencode({"match": '{__name__="process_cpu"}', "from": int(time.time() - 3600), "to": int(time.time() + 60)})
    answer = server.get("/v1/query?" + args)
    if answer.status != 200:
        return 0
    return sum(values[0] for _, values in pprof_writer.decode(gzip.decompress(answer.body))["samples"]) // PERIOD


@test
def away_then_back(case):
    """the server is away for a while: its batches wait on disk and arrive when it is back, not one sample missing"""
    need_ebpf()
    server = case.server(listen=f"127.0.0.1:{free_port()}")
    spool = case.path("spool")
    metrics = f"127.0.0.1:{free_port()}"
    agent = start_agent(case, server.url, spool, "--metrics", metrics)
    time.sleep(1.5)
    server.stop()
    wait_until(lambda: metric(metrics, "unhex_agent_spool_files") >= 3, what="three batches in the spool")
    assert metric(metrics, "unhex_agent_spool_samples") > 0 and spooled(spool)
    server.start()
    wait_until(lambda: not spooled(spool), what="an empty spool")
    wait_until(lambda: metric(metrics, "unhex_agent_push_replayed_total") >= 3, what="the count of what was replayed")
    assert metric(metrics, 'unhex_agent_push_samples_total{outcome="dropped"}') == 0
    figures, talk = stop_agent(agent)
    assert figures["push_dropped"] == 0 and "push_works_again" in talk, talk
    wait_until(lambda: stored(server) >= own_count(figures), what="the last window in the store")
    assert stored(server) == own_count(figures), (stored(server), own_count(figures), talk)


@test
def killed_while_away(case):
    """kill -9 while the server is away: the next run sends what the spool holds, then its own; a push repeated counts once"""
    need_ebpf()
    url = f"http://127.0.0.1:{free_port()}"
    spool = case.path("spool")
    first = start_agent(case, url, spool)
    wait_until(lambda: len(spooled(spool)) >= 3, what="three batches in the spool")
    first.kill()
    first.wait()
    kept = spooled_samples(spool)
    body = open(spooled(spool)[0], "rb").read()[HEAD:]
    assert kept > 0 and samples_of(body)
    server = case.server(listen=url[len("http://"):])
    second = start_agent(case, url, spool)
    wait_until(lambda: not spooled(spool), what="an empty spool")
    time.sleep(1.2)
    figures, talk = stop_agent(second)
    whole = kept + own_count(figures)
    wait_until(lambda: stored(server) >= whole, what="the last window in the store")
    assert stored(server) == whole, (stored(server), kept, talk)
    for _ in range(2):
        answer = server.post("/push.v1.PusherService/Push", body, "application/proto", headers={"Content-Encoding": "gzip"})
        assert answer.status == 200, answer
    time.sleep(0.5)
    assert stored(server) == whole, "a push that was repeated has counted again"


@test
def refusing_slow_and_cut_off(case):
    """503 and 429 with Retry-After, a slow answer, one that is lost on its way: each batch counts once, in order"""
    need_ebpf()
    server = Receiver([200, 503, 429, "slow", "lost", 500, 200])
    spool = case.path("spool")
    agent = start_agent(case, server.url, spool)
    wait_until(lambda: not server.answers and len(server.taken) >= 7 and not spooled(spool), what="all answers given")
    figures, talk = stop_agent(agent)
    server.shutdown()
    batches = [samples_of(body) for body in server.taken]
    ids = [i for batch in batches for i in batch]
    assert len(set(ids)) < len(ids), "the batch whose answer was lost was not sent again"
    times = [min(t for t, _ in batch.values()) for batch in batches]
    assert times == sorted(times), times
    once = {i: n for batch in batches for i, (_, n) in batch.items()}
    assert sum(once.values()) == own_count(figures), (sum(once.values()), talk)
    assert len(server.bodies) > len(server.taken) and figures["push_retries"] == len(server.bodies) - len(server.taken) + 1, talk


@test
def stopped_while_away(case):
    """TERM while the server is away ends at once with success: what was sampled waits on disk"""
    need_ebpf()
    spool = case.path("spool")
    agent = start_agent(case, f"http://127.0.0.1:{free_port()}", spool)
    wait_until(lambda: spooled(spool), what="a batch in the spool")
    start = time.monotonic()
    figures, talk = stop_agent(agent)
    assert time.monotonic() - start < 5 * SLOW
    assert "event=spooled_for_next_start" in talk, talk
    assert spooled_samples(spool) == own_count(figures), talk


@test
def one_agent_for_each_folder(case):
    """a second agent on the same spool says whose it is and does not start"""
    need_ebpf()
    spool = case.path("spool")
    agent = start_agent(case, f"http://127.0.0.1:{free_port()}", spool)
    wait_until(lambda: os.path.exists(os.path.join(spool, "lock")) and open(os.path.join(spool, "lock")).read(), what="the lock")
    done = subprocess.run([program("unhex-agent"), "--server", "http://127.0.0.1:9", "--spool-dir", spool],
                          capture_output=True, text=True, check=False, timeout=30 * SLOW)
    assert done.returncode == 4, done
    assert f"PID {agent.pid}" in done.stderr and spool in done.stderr, done.stderr


main()
