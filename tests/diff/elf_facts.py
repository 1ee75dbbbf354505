# SPDX-License-Identifier: Apache-2.0
"""What a difference is judged by: symbols, code sections, compilation units."""
import bisect
import collections
import os
import re
import struct

from oracles import run

SHF_ALLOC, SHF_EXECINSTR = 2, 4
RANGE = re.compile(r"(?:\[|low_pc\t\()0x([0-9a-f]{16})(?:, |\)\n\s*DW_AT_high_pc\t\()0x([0-9a-f]{16})\)")
SYMBOL = re.compile(r"^([0-9a-f]{8,16}) (?:([0-9a-f]{8,16}) )?([A-Za-z]) (.*)$", re.M)
CLONE = re.compile(r"@|\.(?:cold|part|isra|constprop|localalias|lto_priv|llvm)\b")


def stem(name):
    """A name without the suffixes of clones and versions."""
    return CLONE.split(name)[0]


class Spans:
    """Ranges that may overlap: which ones hold an address?"""

    def __init__(self, spans):
        self.spans = sorted(spans)
        self.starts = [s[0] for s in self.spans]
        self.reach, top = [], 0
        for s in self.spans:
            top = max(top, s[1])
            self.reach.append(top)

    def at(self, address):
        i = bisect.bisect_right(self.starts, address) - 1
        while i >= 0 and self.reach[i] > address:
            if self.spans[i][1] > address:
                yield self.spans[i]
            i -= 1

    def holds(self, address):
        return next(self.at(address), None) is not None


class Symbols:
    """Function symbols that have a size, as spans with all their names; any symbol as a label."""

    def __init__(self, elf):
        self.names = collections.defaultdict(set)
        sized, labels = set(), set()
        out = run(["nm", "-S", "--defined-only", elf]) or run(["nm", "-D", "-S", "--defined-only", elf])
        for start, size, kind, name in SYMBOL.findall(out):
            start, size = int(start, 16), int(size or "0", 16)
            if kind in "tTwWiI" and not name.startswith("$"):
                sized.add((start, start + size))
            labels.add(start)
            self.names[start].add(name.split("@")[0])
        self.sized = Spans(s for s in sized if s[1] > s[0])
        self.labels = sorted(labels)
        self.have_size = {s[0] for s in self.sized.spans}

    def aliases(self, address):
        """Stems of the names of all sized functions that hold the address."""
        return {stem(n) for start, _ in self.sized.at(address) for n in self.names[start]}

    def label_before(self, address):
        """Names of the nearest symbol at or before the address, if it has no size."""
        i = bisect.bisect_right(self.labels, address) - 1
        return self.names[self.labels[i]] if i >= 0 and self.labels[i] not in self.have_size else set()


def sections(elf):
    """(name, type, flags, address, offset, size) of each section."""
    with open(elf, "rb") as file:
        head = file.read(64)
        order, wide = "<" if head[5] == 1 else ">", head[4] == 2
        table = struct.unpack_from(order + ("Q" if wide else "I"), head, 40 if wide else 32)[0]
        size, count, names = struct.unpack_from(order + "HHH", head, 58 if wide else 46)
        file.seek(table)
        raw = [struct.unpack(order + ("IIQQQQIIQQ" if wide else "10I"), file.read(size)) for _ in range(count)]
        file.seek(raw[names][4])
        text = file.read(raw[names][5])
    return [(text[s[0]:text.index(b"\0", s[0])].decode(), *s[1:6]) for s in raw]


def code_sections(elf):
    """[(start, end)] of what is loaded and executable, without PLTs."""
    return [(address, address + size) for name, _, flags, address, _, size in sections(elf)
            if flags & SHF_ALLOC and flags & SHF_EXECINSTR and size and not name.startswith(".plt")]


class Units:
    """Where each compilation unit says it has code, as llvm-dwarfdump reads it, and the units' names."""

    def __init__(self, elf):
        self.offsets, self.names, spans = [], [], []
        out = run(["llvm-dwarfdump", "--debug-info", "--recurse-depth=0", elf], may_fail=True)
        for unit in re.split(r"^(?=0x[0-9a-f]{8,}: [\w ]* ?Unit:)", out, flags=re.M)[1:]:
            name = re.search(r'DW_AT_name\t\("(.*)"\)', unit)
            self.offsets.append(int(unit[:unit.index(":")], 16))
            self.names.append(name[1] if name else "")
            spans += [(int(a, 16), int(b, 16), len(self.names) - 1) for a, b in RANGE.findall(unit)]
        self.spans = Spans(s for s in spans if 0 < s[0] < s[1])

    def at(self, address):
        """Names of the units that claim the address."""
        return [self.names[s[2]] for s in self.spans.at(address)]

    def aranges(self):
        """A .debug_aranges section (DWARF 5, 6.1.2) for 64-bit little-endian files."""
        section = b""
        for i, offset in enumerate(self.offsets):
            pairs = b"".join(struct.pack("<QQ", s[0], s[1] - s[0]) for s in self.spans.spans if s[2] == i)
            body = struct.pack("<HIBB4x", 2, offset, 8, 0) + pairs + bytes(16)
            section += struct.pack("<I", len(body)) + body if pairs else b""
        return section


def aranges(elf):
    """What .debug_aranges says has debug info."""
    out = run(["llvm-dwarfdump", "--debug-aranges", elf], may_fail=True)
    return Spans((int(a, 16), int(b, 16)) for a, b in RANGE.findall(out))


def with_aranges(elf, units, out):
    """A copy of the file that eu-addr2line finds its way in: clang, rustc and Go write no .debug_aranges."""
    with open(out + ".aranges", "wb") as file:
        file.write(units.aranges())
    run(["objcopy", "--remove-section=.debug_aranges", f"--add-section=.debug_aranges={out}.aranges", elf, out])
    os.unlink(out + ".aranges")
    return out
