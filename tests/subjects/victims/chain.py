# SPDX-License-Identifier: Apache-2.0
"""A loop in Python alone: the interpreter's C frames go up to _start."""
import sys
import time


def inner(x):
    for _ in range(2000):
        x = (x * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFF
    return x


def main():
    end = time.monotonic() + float(sys.argv[1])
    print("ready", flush=True)
    x = 1
    while time.monotonic() < end:
        x = inner(x)


main()
