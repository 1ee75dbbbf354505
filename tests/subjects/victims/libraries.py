# SPDX-License-Identifier: Apache-2.0
"""A process with many ELF files in it: Python, common libraries and its own extension modules, until there are argv[2]."""
import ctypes
import ctypes.util
import glob
import importlib
import os
import sys
import time

COMMON = ("ssl", "crypto", "sqlite3", "stdc++", "xml2", "curl", "zstd", "lzma", "bz2", "z", "m", "elf", "dw", "gnutls", "gmp",
          "nettle", "idn2", "ncursesw", "readline", "jansson", "seccomp", "bpf", "git2", "glib-2.0", "pcre2-8", "systemd")


def work(x):
    for _ in range(2000):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def files():
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return len({line.split()[4] for line in maps if " r-xp " in line and "/" in line})


def sources():
    """What loads one file more, each."""
    for name in COMMON:
        path = ctypes.util.find_library(name)
        if path:
            yield lambda path=path: ctypes.CDLL(path)
    folder = os.path.join(os.path.dirname(os.__file__), "lib-dynload")
    for path in sorted(glob.glob(os.path.join(folder, "*.so"))):
        yield lambda path=path: importlib.import_module(os.path.basename(path).split(".")[0])


def load(most):
    for source in sources():
        if files() >= most:
            break
        try:
            source()
        except (ImportError, OSError):
            pass


def main():
    load(int(sys.argv[2]))
    end = time.monotonic() + float(sys.argv[1])
    print("ready", flush=True)
    x = 1
    while time.monotonic() < end:
        x = work(x)


main()
