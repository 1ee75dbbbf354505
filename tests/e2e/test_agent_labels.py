#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The labels of the agent's series: of a process's environment and cgroup, by rules, and one profile type each."""
import json
import os
import signal
import subprocess

from agent_runs import need_ebpf
from harness import SLOW, main, program, skip, test, wait_until
from push_receiver import Receiver

CONTAINER = "0123456789abcdef" * 4
POD = "5f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8"


def busy(case, **env):
    return case.spawn("python3", "-c", f"import time; end = time.time() + {30 * SLOW}\nwhile time.time() < end: pass",
                      env={**os.environ, **env})


def start_agent(case, receiver, *options):
    return case.spawn(program("unhex-agent"), "--server", receiver.url, "--hz", "49", "--interval", "1s", *options,
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(agent):
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30 * SLOW) == 0


@test
def named_by_environment_and_rules(case):
    """OTEL_SERVICE_NAME, resource attributes, --label, --node; rules rename one series and drop another"""
    need_ebpf()
    rules = case.path("rules.json")
    with open(rules, "w", encoding="utf-8") as out:
        json.dump([{"source_labels": ["service_name"], "regex": "noise-.*", "action": "drop"},
                   {"source_labels": ["service_name"], "regex": "(.*)-v[0-9]+", "target_label": "service_name"},
                   {"source_labels": ["__meta_process_executable"], "regex": ".*/(python)[0-9.]*", "target_label": "runtime"}], out)
    receiver = Receiver()
    busy(case, OTEL_SERVICE_NAME="checkout-v12")
    busy(case, OTEL_SERVICE_NAME="noise-1")
    busy(case, OTEL_RESOURCE_ATTRIBUTES="service.name=cart,k8s.namespace.name=shop,k8s.pod.name=cart-7d-x2")
    agent = start_agent(case, receiver, "--relabel", rules, "--label", "cluster=prod", "--node", "n7")
    common = {"__name__": "process_cpu", "cluster": "prod", "node": "n7"}
    wait_until(lambda: receiver.find(service_name="checkout", runtime="python", **common), what="the renamed service")
    wait_until(lambda: receiver.find(service_name="cart", namespace="shop", pod="cart-7d-x2", **common), what="the pod's service")
    stop(agent)
    receiver.shutdown()
    all_labels = [labels for labels, _ in receiver.series()]
    assert not [l for l in all_labels if l["service_name"].startswith(("noise", "checkout-v"))], all_labels
    assert not [l for l in all_labels if any(name.startswith("__meta") for name in l)], all_labels


def cgroup_folder():
    """A folder of a hierarchy that runtimes use, where groups can be made: of v2, or of v1's memory controller."""
    for line in open("/proc/self/mounts", encoding="utf-8"):
        _, where, kind, options = line.split()[:4]
        if (kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(","))) and os.access(where, os.W_OK):
            return where
    skip("no cgroup hierarchy that can be written")


@test
def named_by_cgroup(case):
    """a process in a group that is named like Kubernetes names them has its container's and pod's IDs"""
    need_ebpf()
    top = os.path.join(cgroup_folder(), f"unhex-test-{os.getpid()}")
    folders = [top, os.path.join(top, "pod" + POD), os.path.join(top, "pod" + POD, CONTAINER)]
    try:
        try:
            for folder in folders:
                os.mkdir(folder)
        except OSError as error:
            skip(f"no cgroup can be made here: {error}")
        victim = busy(case)
        with open(os.path.join(folders[-1], "cgroup.procs"), "w", encoding="utf-8") as procs:
            procs.write(str(victim.pid))
        receiver = Receiver()
        agent = start_agent(case, receiver)
        wait_until(lambda: receiver.find(container_id=CONTAINER, pod_uid=POD, service_name=CONTAINER[:12]), what="the container's series")
        stop(agent)
        receiver.shutdown()
        victim.kill()
        victim.wait()
    finally:
        for folder in reversed(folders):
            if os.path.isdir(folder):
                wait_until(lambda f=folder: _removed(f), what="an empty cgroup")


def _removed(folder):
    try:
        os.rmdir(folder)
        return True
    except OSError:
        return False


@test
def wrong_rules_are_told_at_once(case):
    """a mistake in the rules ends the agent before it samples, and names the rule"""
    rules = case.path("rules.json")
    with open(rules, "w", encoding="utf-8") as out:
        out.write('[{"target_label": "a"}, {"action": "keep_only"}]')
    done = subprocess.run([program("unhex-agent"), "--server", "http://127.0.0.1:9", "--relabel", rules],
                          capture_output=True, text=True, check=False, timeout=30 * SLOW)
    assert done.returncode == 2 and "rule 2: action 'keep_only' is not known" in done.stderr and rules in done.stderr, done


main()
