# SPDX-License-Identifier: Apache-2.0
"""Every way in which our answer and the two references' may differ, by name.

judge() puts one address into one class; docs/DIFFERENCES.md explains each. A class is recognised by what
can be checked from outside (symbols, units, the form of the three answers), never by "it is known to be
so". What fits none is unexplained, and fails the comparison.
"""
import collections
import re
import subprocess

from elf_facts import stem

SAME = "same"
UNEXPLAINED = "UNEXPLAINED: "
Subject = collections.namedtuple("Subject", "symbols units aranges")

# Title of each class in docs/DIFFERENCES.md.
NAMES = "Names of functions with code"
VARIANTS = "Constructors and destructors"
SYMBOL_FILE = "Source file of a symbol"
CUT = "Inlined code that elfutils leaves out"
SHORTER = "Scopes that end early"
OVERLAPPING = "Overlapping inline scopes"
END_ROWS = "Rows at the end of a sequence"
NO_ARANGES = "No .debug_aranges"
PADDING = "Padding"
LABELS = "Symbols without size"
UNNAMED = "Functions without a name"
CLAIMED = "Code that two units claim"


def places(chain):
    return [p for _, p in chain]


def demangled(name):
    """Without what tells the variants of a constructor apart: c++filt does not print it."""
    plain = stem(name)
    if not plain.startswith("_Z"):
        return plain
    return subprocess.run(["c++filt", plain], capture_output=True, text=True, check=True).stdout.strip()


def same_name(subject, address, a, b):
    if stem(a) == stem(b):
        return True
    aliases = subject.symbols.aliases(address)
    return stem(a) in aliases and stem(b) in aliases


def same_names(subject, address, a, b):
    return all(same_name(subject, address, x, y) for (x, _), (y, _) in zip(a, b))


def same_variants(a, b):
    return all(demangled(x) == demangled(y) for (x, _), (y, _) in zip(a, b))


def is_label_inside(subject, address, mine, llvm):
    """llvm-symbolizer calls a part of a function that has a size by a label in it, which has none."""
    return (len(mine) == len(llvm) == 1 and mine[0][1] == llvm[0][1] and stem(mine[0][0]) in subject.symbols.aliases(address)
            and llvm[0][0] in subject.symbols.label_before(address))


def judge_names(subject, address, mine, llvm, eu):
    """The places are the same everywhere; the names?"""
    with_llvm = same_names(subject, address, mine, llvm)
    with_eu = eu is None or same_names(subject, address, mine, eu)
    if with_llvm and with_eu:
        return SAME
    if eu is not None and (with_llvm or with_eu) and not same_names(subject, address, llvm, eu):
        return NAMES
    if same_variants(mine, llvm) or (eu and same_variants(mine, eu)):
        return VARIANTS
    if eu is None and is_label_inside(subject, address, mine, llvm):
        return NAMES
    return UNEXPLAINED + "name"


def is_symbol_file(mine, other):
    """A symbol without debug info: the other names the file of the symbol table, without a line."""
    return (len(mine) == len(other) == 1 and mine[0][1] == ("", 0) and other[0][1][1] == 0
            and re.search(r"^[^/]*$", other[0][1][0]) is not None)


def is_end_row(subject, address, mine, llvm, eu):
    """No row of a line table covers the address, or no unit claims it, yet elfutils has a line for it."""
    if not eu or not eu[0][1][1] or mine[0][1] != ("", 0):
        return False
    if places(mine) == places(llvm):
        return True
    return not subject.units.at(address) and len(mine) == len(llvm) == 1 and llvm[0][1][1] == 0


def judge_disputed(subject, address, mine, llvm, eu):
    """The references differ in places: why, and are we with llvm-symbolizer?"""
    if is_end_row(subject, address, mine, llvm, eu):
        return END_ROWS
    if is_symbol_file(mine, llvm) and is_symbol_file(mine, eu):
        return SYMBOL_FILE
    if places(mine) != places(llvm) or not same_names(subject, address, mine, llvm):
        if places(mine) == places(llvm) and same_variants(mine, llvm):
            return VARIANTS
        return UNEXPLAINED + ("with elfutils alone" if places(mine) == places(eu) else "with neither")
    if not eu or eu[0][1] == ("", 0):
        return UNEXPLAINED + "elfutils has no line" if subject.aranges.holds(address) else NO_ARANGES
    if eu[0][1] != llvm[0][1]:
        return CLAIMED if len(subject.units.at(address)) > 1 else UNEXPLAINED + "the references differ about the line"
    if len(eu) == 1 and same_name(subject, address, eu[0][0], llvm[-1][0]):
        return CUT
    if len(eu) < len(llvm) and places(eu) == places(llvm)[:len(eu)]:
        return SHORTER
    return OVERLAPPING


def judge_inside(subject, address, mine, llvm, eu):
    if not mine:
        return UNEXPLAINED + "unresolved"
    if eu is not None and places(llvm) != places(eu):
        return judge_disputed(subject, address, mine, llvm, eu)
    if places(mine) == places(llvm):
        return judge_names(subject, address, mine, llvm, eu)
    if is_symbol_file(mine, llvm):
        return SYMBOL_FILE
    if len(mine) != len(llvm):
        return UNEXPLAINED + "depth"
    return UNEXPLAINED + ("line" if mine[0][1] != llvm[0][1] else "line of a caller")


def named(chain):
    return {n for n, _ in chain} - {"", "??"}


def is_unnamed(address, mine):
    """Named by where it starts alone."""
    start = re.fullmatch(r"fun_0x([0-9a-f]+)", mine[0][0]) if len(mine) == 1 else None
    return start is not None and int(start[1], 16) <= address


def judge_outside(subject, address, mine, llvm, eu):
    """In code, but in no function that has a size."""
    if mine:
        if named(llvm) or named(eu or []):
            return judge_inside(subject, address, mine, llvm, eu)
        return UNNAMED if is_unnamed(address, mine) else UNEXPLAINED + "we name what nobody does"
    outer = {chain[-1][0] for chain in (llvm, eu or []) if chain} - {"", "??"}
    if not outer:
        return PADDING if llvm or eu else SAME
    if outer <= subject.symbols.label_before(address):
        return LABELS
    # inlined code that reaches out of its function, into padding
    return PADDING if not named(llvm[-1:]) else UNEXPLAINED + "unresolved outside sized functions"


def judge(subject, address, mine, llvm, eu):
    """The class of one address; eu is None where eu-addr2line was not asked."""
    inside = subject.symbols.sized.holds(address)
    return (judge_inside if inside else judge_outside)(subject, address, mine, llvm, eu)
