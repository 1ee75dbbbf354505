#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/: the systemd unit and the DaemonSet say what the agent says of itself: its options, its capabilities."""
import os
import re
import subprocess

from harness import BUILD, ROOT, main, need, program, run, skip, test

UNIT = os.path.join(ROOT, "deploy", "unhex-agent.service")
DAEMONSET = os.path.join(ROOT, "deploy", "unhex-agent.daemonset.yaml")


def capabilities():
    """What `unhex-agent --check` looks for."""
    talk = subprocess.run([program("unhex-agent"), "--check"], capture_output=True, text=True, check=False, timeout=60).stdout
    found = set(re.findall(r"\b(CAP_[A-Z_]+)", "\n".join(l for l in talk.splitlines() if re.match(r"(ok|missing|weak) +CAP_", l))))
    assert len(found) == 6, talk
    return found


def help_text():
    return run(program("unhex-agent"), "--help").stdout


def settings():
    found = {}
    for line in open(UNIT, encoding="utf-8"):
        if "=" in line and not line.startswith("#"):
            key, value = line.rstrip("\n").split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@test
def the_unit_is_what_systemd_takes(case):
    """systemd-analyze verify finds nothing to say about the unit as it is installed"""
    need("systemd-analyze", "make")
    prefix = case.path("usr")
    # What is there is installed, not what another commit would have it be.
    run("make", "-C", ROOT, "-s", "-o", "all", "install", f"BUILD={BUILD}", f"PREFIX={prefix}", "DESTDIR=", timeout=300)
    unit = os.path.join(prefix, "lib", "systemd", "system", "unhex-agent.service")
    assert f"ExecStart={prefix}/bin/unhex-agent\n" in open(unit, encoding="utf-8").read()
    done = run("systemd-analyze", "verify", "--man=no", unit, check=False)
    mine = [l for l in (done.stdout + done.stderr).splitlines() if "unhex-agent" in l]
    assert not mine and done.returncode == 0, (mine, done)


@test
def the_unit_gives_what_the_agent_wants(case):
    """the six capabilities and no more, options that exist"""
    del case
    found = settings()
    assert set(found["AmbientCapabilities"][0].split()) == capabilities()
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"]
    text = help_text()
    for value in found["Environment"]:
        assert value.split("=")[0] in text, value
    for name in re.findall(r"^#   (UNHEX_[A-Z_]+)=", open(UNIT, encoding="utf-8").read(), re.M):
        assert name in text, name


@test
def the_daemonset_is_not_privileged(case):
    """a DaemonSet that parses: host PIDs, a read-only root, all capabilities dropped but the six, options that exist"""
    del case
    try:
        import yaml
    except ImportError:
        skip("no python3-yaml on this machine")
    documents = list(yaml.safe_load_all(open(DAEMONSET, encoding="utf-8")))
    assert [d["kind"] for d in documents] == ["DaemonSet"]
    template = documents[0]["spec"]["template"]
    assert documents[0]["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    spec = template["spec"]
    (agent,) = spec["containers"]
    context = agent["securityContext"]
    assert spec["hostPID"] is True and not spec.get("hostNetwork") and not spec.get("hostIPC")
    assert context["privileged"] is False and context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
    assert context["capabilities"]["drop"] == ["ALL"]
    assert {"CAP_" + name for name in context["capabilities"]["add"]} == capabilities()
    text = help_text()
    for argument in agent["args"]:
        assert not argument.startswith("--") or argument + " " in text, argument
    for variable in agent["env"]:
        assert variable["name"] in text, variable
    volumes = {v["name"]: v for v in spec["volumes"]}
    mounts = {m["name"]: m for m in agent["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    assert mounts["sys"]["readOnly"] is True and "memory" in agent["resources"]["limits"]
    assert mounts["spool"]["mountPath"] == agent["args"][agent["args"].index("--spool-dir") + 1]


@test
def the_manual_lists_all_metrics_and_options(case):
    """docs/AGENT.md and /metrics name the same metrics; the manual's options and environment variables exist"""
    del case
    with open(os.path.join(ROOT, "docs", "AGENT.md"), encoding="utf-8") as manual:
        text = manual.read()
    with open(os.path.join(ROOT, "agent-lite", "agent_metrics.c"), encoding="utf-8") as source:
        real = set(re.findall(r'"(unhex_agent_\w+)"', source.read()))
    told = set(re.findall(r"`(unhex_agent_\w+)", text))
    assert len(real) > 30 and told == real, (told - real, real - told)
    options = help_text()
    for option in set(re.findall(r"`(--[a-z-]+)", text.split("## Options")[1].split("## Labels")[0])) - {"--help"}:
        assert option + " " in options or option + "\n" in options, option
    for name in set(re.findall(r"UNHEX_[A-Z_]+", text)):
        assert name in options, name


main()
