#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Includes point one way, and heavy libraries are met in one place only. Prints what breaks that."""
import os
import re
import subprocess
import sys

# room of the agent -> rooms it may include
ROOMS = {
    "rights": [],
    "elf": ["rights"],
    "process": ["elf", "rights"],
    "sample": ["process", "elf", "rights"],
    "ship": ["process", "elf", "rights"],
    "give": ["ship", "process", "elf", "rights"],
}

# folder -> folders it may include
MAY = {
    "base": {"base"},
    "symbolizer": {"base", "symbolizer"},
    "symbolizer/indexer": {"base", "symbolizer", "symbolizer/indexer"},
    "store": {"base", "store"},
    "debuginfod": {"base", "symbolizer", "store", "debuginfod"},
    "server": {"base", "symbolizer", "store", "debuginfod", "server", "web"},
    **{f"agent-lite/{room}": {"base", "bpf", *(f"agent-lite/{may}" for may in [room, *others])} for room, others in ROOMS.items()},
    "agent-lite": {"base", "agent-lite", "bpf", *(f"agent-lite/{room}" for room in ROOMS)},
    "bpf": {"bpf"},
    "upload-cli": {"base", "symbolizer", "upload-cli"},
}

# header pattern -> places that may include it
LIBRARIES = {
    r"^(elfutils/|libelf\.h|gelf\.h|dwarf\.h|elfutils)": ("symbolizer/indexer/",),
    r"^lzma\.h": ("symbolizer/indexer/debugdata",),
    r"^libiberty/": ("symbolizer/indexer/",),
    r"^isa-l/": ("base/compress_fast",),
    r"^sqlite3\.h": ("store/",),
    r"^curl/": ("base/http_client", "base/curl_easy", "debuginfod/", "server/test-", "debuginfod/test-"),
    r"^microhttpd\.h": ("server/", "debuginfod/test-"),
    r"^bpf/(libbpf|bpf)\.h": ("agent-lite/sample/",),
    r"^libdebuginfod|^elfutils/debuginfod": ("upload-cli/",),
}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def folder_of(path):
    return os.path.dirname(path)


def check(path):
    problems = []
    folder = folder_of(path)
    with open(path, encoding="utf-8") as source:
        lines = source.readlines()
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, name = match.groups()
        where = f"{path}:{number}"
        if kind == '"' and os.path.dirname(name) in MAY and folder in MAY:
            if os.path.dirname(name) not in MAY[folder]:
                problems.append(f"{where}: {folder} must not include {name}")
        if kind == "<":
            for pattern, places in LIBRARIES.items():
                if re.match(pattern, name) and not path.startswith(places):
                    if name == "elfutils/debuginfod.h" and path.startswith("upload-cli/"):
                        continue
                    problems.append(f"{where}: <{name}> belongs to {', '.join(places)}")
    return problems


def main():
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], capture_output=True, text=True, check=True)
    problems = []
    for path in files.stdout.split():
        if not path.startswith("tests/") and os.path.exists(path):
            problems += check(path)
    print("\n".join(problems))
    return 1 if problems else 0


sys.exit(main())
