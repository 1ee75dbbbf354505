# SPDX-License-Identifier: Apache-2.0
"""What our index says about a stripped Go program, against three oracles that know better: the program's own
runtime.CallersFrames, llvm-symbolizer on the unstripped twin, and the start lines in runtime/pprof's profile.

tests/subjects/gowalk is the program. check(go, mode, folder, ...) builds it in one mode and returns what was
compared, or raises Wrong. A mode is flags, environment and a way to strip.
"""
import collections
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "diff"))
import oracles  # pylint: disable=wrong-import-position

Mode = collections.namedtuple("Mode", "name flags tags cgo headers")
MODES = [
    Mode("plain", [], "", False, True),
    Mode("without section headers", [], "", False, False),
    Mode("PIE", ["-buildmode=pie"], "", False, True),
    Mode("PIE, without section headers", ["-buildmode=pie"], "", False, False),
    Mode("-trimpath", ["-trimpath"], "", False, True),
    Mode("cgo", [], "walkcgo", True, True),
    Mode("cgo, without section headers", [], "walkcgo", True, False),
    Mode("cgo, PIE", ["-buildmode=pie"], "walkcgo", True, True),
    Mode("cgo, PIE, without section headers", ["-buildmode=pie"], "walkcgo", True, False),
    Mode("c-shared", ["-buildmode=c-shared"], "walklibrary", True, True),
    Mode("c-shared, without section headers", ["-buildmode=c-shared"], "walklibrary", True, False),
]
LOADER = """#include <dlfcn.h>
int main(int n, char **v) { void *l = dlopen(v[n - 1], RTLD_NOW); ((void (*)(void))dlsym(l, "WalkLibrary"))(); return 0; }
"""
ELF_SHOFF, ELF_SHNUM = 40, 58
LINES_PER = 500  # one in so many addresses may have another line in DWARF than in the table


class Wrong(Exception):
    """The index says something else."""


class Unavailable(Exception):
    """Why this cannot be built here."""


def version(go):
    out = subprocess.run([go, "version"], capture_output=True, text=True, check=False,
                         env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}).stdout
    return re.search(r"go(\d[\d.]*)", out)[1]


def build(go, mode, tags, out, strip):
    env = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GO111MODULE": "on",
           "CGO_ENABLED": "1" if mode.cgo else "0", "CC": "gcc"}
    flags = ["-ldflags", "-s -w" if strip else "", "-tags", f"{mode.tags} {tags}".strip()]
    done = subprocess.run([go, "build", *mode.flags, *flags, "-o", out, "."], env=env, text=True, capture_output=True,
                          cwd=os.path.join(TOP, "tests", "subjects", "gowalk"), check=False)
    if done.returncode:
        raise Unavailable(f"go build failed: {done.stderr.strip()[-300:]}")


def forget_sections(path):
    """What sstrip does: no section header table any more."""
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        start = struct.unpack_from("<Q", data, ELF_SHOFF)[0]
        struct.pack_into("<Q", data, ELF_SHOFF, 0)
        struct.pack_into("<HH", data, ELF_SHNUM, 0, 0)
        file.seek(0)
        file.write(data)
        file.truncate(start if start > len(data) // 2 else len(data))


# ---- the program's own word ----

def run_program(path, mode, folder):
    env = {**os.environ, "WALK_PROFILE": os.path.join(folder, "profile")}
    argv = [path]
    if "shared" in mode.name:
        source, argv = os.path.join(folder, "loader.c"), [os.path.join(folder, "loader"), path]
        with open(source, "w", encoding="ascii") as out:
            out.write(LOADER)
        subprocess.run(["gcc", "-o", argv[0], source, "-ldl"], check=True)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, timeout=60)
    if "end 5" not in done.stderr:
        raise Wrong(f"the program ended early: {done.returncode} {done.stderr[-300:]}")
    return done.stderr.splitlines()


def load_base(lines, path):
    """Where address 0 of the file is: its first mapping, less the first segment's address."""
    with open(path, "rb") as file:
        data = file.read(4096)
    offset, (size, count) = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<HH", data, 54)
    loads = [struct.unpack_from("<IIQQ", data, offset + i * size) for i in range(count)]
    first = min(vaddr - file_offset for kind, _, file_offset, vaddr in loads if kind == 1)
    for line in lines:
        m = re.match(r"map ([0-9a-f]+)-\S+ \S+ ([0-9a-f]+) .*" + re.escape(os.path.realpath(path)) + "$", line)
        if m:
            return int(m[1], 16) - int(m[2], 16) - first
    raise Wrong("the program is not in its own memory map")


def stacks(lines, base):
    """Each stack as [(address, name, file, line)]."""
    found, stack = [], []
    for line in lines:
        m = re.match(r"frame (\d+) (\d+) (\S+) (.*)$", line)
        if m:
            stack.append((int(m[1]) - base, m[3], m[4], int(m[2])))
        elif line.startswith("end ") and stack:
            found.append(stack)
            stack = []
    return found


def shortened(name):
    """As the runtime prints it: type arguments as [...] (runtime/symtab.go, funcNameForPrint)."""
    return re.sub(r"\[.*\]", "[...]", name)


def matches(chain, stack):
    """Our chain at the first frame's address is what the runtime lists from there on, but for wrappers that
    the compiler made, which it does not show."""
    position = 0
    for name, (file, line) in chain:
        if position < len(stack) and stack[position][1:] == (shortened(name), file, line):
            position += 1
        elif file != "<autogenerated>":
            return False
    return position > 0


def check_runtime(ours, lines, base):
    found = stacks(lines, base)
    if len(found) < 6:
        raise Wrong(f"only {len(found)} stacks")
    frames = [stack[i:] for stack in found for i in range(len(stack))]
    chains = ours.chains(sorted({f[0][0] for f in frames}))
    inlined = 0
    for stack in frames:
        chain = chains[stack[0][0]]
        # an inlined frame in the middle of a chain has the same address as the one before it
        if not any(matches(chain[i:], stack) for i in range(len(chain) or 1)):
            raise Wrong(f"at {stack[0][0]:#x} the runtime has {stack[:3]}, we {chain}")
        inlined += len(chain) > 1
    if inlined < 8:
        raise Wrong(f"only {inlined} inlined frames")
    return len(frames)


# ---- the twin's DWARF ----

def functions(path):
    """[(start, size)] of sized functions of the Go part of the twin."""
    out = oracles.run(["nm", "-S", "--defined-only", path])
    return [(int(a, 16), int(s, 16)) for a, s, name in re.findall(r"^(\w+) (\w{8,}) [tT] (.*)$", out, re.M)
            if int(s, 16) and re.search(r"^(main|runtime|os|sync|internal/|strings|syscall|reflect|fmt)\b.*\.", name)]


def plain(name):
    return re.sub(r"\.abi(0|internal)$", "", shortened(name)).replace("·", ".")


def comparable(chain):
    return [(plain(n), (re.sub(r"^(\./)+", "", f), line)) for n, (f, line) in chain]


def has_wrapper(chain):
    """A method that the compiler made, around one that was written: DWARF and table tell it differently."""
    return any(f[1][0] == "<autogenerated>" for f in chain)


def only_lines(a, b):
    """The same functions and files: before Go 1.20 some rows of its DWARF have the line of the statement before."""
    return [(n, f) for n, (f, _) in a] == [(n, f) for n, (f, _) in b]


def check_twin(ours, twin, count):
    rng = random.Random(11)
    spans = functions(twin)
    chosen = rng.choices(spans, weights=[s for _, s in spans], k=count)
    addresses = sorted({a + rng.randrange(s) for a, s in chosen})
    mine, theirs = ours.chains(addresses), oracles.llvm(twin, addresses)
    same, wrappers, lines, differences = 0, 0, 0, []
    for x in addresses:
        a, b = comparable(mine[x]), comparable(theirs[x])
        if a == b or (not a and not named(b)):
            same += 1
        elif has_wrapper(a) or has_wrapper(b):
            wrappers += 1
        elif only_lines(a, b) and lines < count // LINES_PER:
            lines += 1
        else:
            differences.append((x, a, b))
    return {"asked": len(addresses), "same": same, "wrappers": wrappers, "lines": lines, "differences": differences}


def named(chain):
    return [f for f in chain if f[0] not in ("", "??") and f[1][1]]


# ---- the profile's start lines ----

def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 2:
            size, at = varint(data, at)
            yield key >> 3, data[at:at + size]
            at += size
        else:
            value, at = varint(data, at)
            yield key >> 3, value


def start_lines(path):
    """{name: start line} of the functions in a profile (profile.proto: Profile 5, 6; Function 2, 5)."""
    with subprocess.Popen(["gzip", "-dc", path], stdout=subprocess.PIPE) as gzip:
        data = gzip.stdout.read()
    strings = [value.decode() for number, value in fields(data) if number == 6]
    functions_ = [dict(fields(value)) for number, value in fields(data) if number == 5]
    return {strings[f[2]]: f[5] for f in functions_ if f.get(5)}


def check_start_lines(ours, lines, base, profile, twin):
    """Every function of the goroutine profile, at the addresses that the twin's symbols and the stacks name."""
    want = start_lines(profile)
    out = oracles.run(["nm", "--defined-only", twin])
    addresses = {int(a, 16) for a, name in re.findall(r"^(\w+) [tT] (.*)$", out, re.M) if name in want}
    addresses |= {f[0] for stack in stacks(lines, base) for f in stack}
    answer = oracles.run([ours.unhex, "addr2line", "--json", "--index", ours.index], oracles.listed(sorted(addresses)))
    seen = {f["function"]: f.get("start_line", 0) for line in answer.splitlines() for f in json.loads(line)["frames"]}
    checked = [name for name in want if name in seen]
    wrong = {name: (want[name], seen[name]) for name in checked if want[name] != seen[name]}
    if wrong or len(checked) < 4:
        raise Wrong(f"start lines (theirs, ours): {wrong or checked}")
    return len(checked)


# ---- one build ----

def built(go, mode, tags, folder):
    """Stripped and twin; modes that differ in what is done afterwards share them."""
    where = os.path.join(folder, re.sub(r"\W+", "-", mode.name.split(" without")[0].split(", without")[0]))
    os.makedirs(where, exist_ok=True)
    paths = os.path.join(where, "stripped"), os.path.join(where, "twin")
    for path, strip in zip(paths, (True, False)):
        if not os.path.exists(path):
            build(go, mode, tags, path, strip)
    return paths


def check(go, mode, folder, indexer, unhex, profile, count=3000):
    """Builds and compares; the counts, for a table."""
    stripped, twin = built(go, mode, "walkprofile" if profile else "", folder)
    subject = stripped
    if not mode.headers:
        subject = os.path.join(folder, "bare")
        shutil.copy2(stripped, subject)
        forget_sections(subject)
    ours = oracles.Ours(subject, indexer, unhex, [])
    try:
        if ours.report["warnings"]:
            raise Wrong(f"warnings: {ours.report['warnings']}")
        lines = run_program(subject, mode, folder)
        base = load_base(lines, subject)
        frames = check_runtime(ours, lines, base)
        result = check_twin(ours, twin, count)
        starts = check_start_lines(ours, lines, base, os.path.join(folder, "profile"), twin) if profile else 0
    finally:
        ours.close()
    return {**result, "frames": frames, "start_lines": starts}
