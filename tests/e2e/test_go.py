#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Go without DWARF: names, files, lines and all inlined frames out of the function table of a stripped program, as
its own runtime and the unstripped twin's DWARF say. `make check-interop` does so with every Go that can be had."""
import os
import sys

from harness import ROOT, main, need, program, skip, test

sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))
import golang  # pylint: disable=wrong-import-position

GO = "/usr/bin/go"


def check(case, *names):
    need(GO, "llvm-symbolizer", "nm")
    for mode in (m for m in golang.MODES if m.name in names):
        try:
            result = golang.check(GO, mode, case.path("go"), program("unhex-indexer"), program("unhex"), False, 1000)
        except golang.Unavailable as reason:
            skip(str(reason))
        print(f"# {mode.name}: {result}")
        assert not result["differences"], result["differences"][:3]
        assert result["same"] > result["asked"] * 0.99, result


@test
def plain(case):
    """with section headers and without them"""
    check(case, "plain", "without section headers")


@test
def position_independent(case):
    """a PIE, whose words of moduledata are relocations, with section headers and without"""
    check(case, "PIE", "PIE, without section headers")


@test
def cgo(case):
    """external linking: C code between Go's, text that does not start with .text"""
    check(case, "cgo", "cgo, without section headers")


main()
