#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file is one concept and a function fits on a screen: at most 800 lines and 70 lines.
Exceptions are listed in ci/size-exceptions.txt as `path[:function] reason`."""
import os
import re
import subprocess
import sys

FILE_MAX = 800
FUNCTION_MAX = 70
START = re.compile(r"^(?!static const|struct|enum|union|typedef|#|//|/\*|\*|\s|\}|extern)[A-Za-z_].*\)\s*$")


def exceptions():
    names = set()
    path = "ci/size-exceptions.txt"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.strip() and not line.startswith("#"):
                    names.add(line.split()[0])
    return names


def functions(lines):
    """(name, first line, length) of each function: `{` and `}` in the first column."""
    start = None
    for index, line in enumerate(lines):
        if line.startswith("{"):
            start = index
        elif line.startswith("}") and start is not None:
            head = index_of_name(lines, start)
            yield head, start, index - start - 1
            start = None


def index_of_name(lines, brace):
    for line in reversed(lines[max(0, brace - 8):brace]):
        match = re.match(r"^[A-Za-z_][\w\s\*]*?\**(\w+)\(", line)
        if match:
            return match.group(1)
    return "?"


def main():
    allowed = exceptions()
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], capture_output=True, text=True, check=True)
    problems = []
    for path in files.stdout.split():
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as source:
            lines = source.read().split("\n")
        if len(lines) > FILE_MAX and path not in allowed:
            problems.append(f"{path}: {len(lines)} lines (at most {FILE_MAX})")
        for name, start, length in functions(lines):
            if length > FUNCTION_MAX and f"{path}:{name}" not in allowed:
                problems.append(f"{path}:{start + 1}: {name}() has {length} lines (at most {FUNCTION_MAX})")
    print("\n".join(problems))
    return 1 if problems else 0


sys.exit(main())
