#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where names come from beside DWARF, and files that are no x86-64 executables."""
import glob
import json
import os
import re

from harness import ROOT, SUBJECTS, build_id, main, need, program, run, skip, symbols, test


def index(case, *files):
    out = case.path(os.path.basename(files[0]) + ".uhx")
    run(program("unhex-indexer"), "-o", out, *files)
    return out


def resolve(case, uhx, addresses):
    """address -> what addr2line --json says of it"""
    done = case.unhex("addr2line", "--json", "--index", uhx, input="".join(f"{a:#x}\n" for a in addresses))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {int(a["address"], 16): a for a in answers}


@test
def plt_names(case):
    """a program's stubs are called what objdump calls them, stripped or with its debug file"""
    full = case.compile("busy.c", "busy", "-O2", "-g", "-fcf-protection=full", "-Wl,-z,ibtplt")
    run("objcopy", "--only-keep-debug", full, full + ".debug")
    run("strip", "-o", full + ".bare", full)
    text = run("objdump", "-d", full).stdout
    stubs = {int(a, 16): n for a, n in re.findall(r"^([0-9a-f]+) <(.*@plt)>:$", text, re.M)}
    assert len(stubs) > 2, stubs
    for files in ((full,), (full + ".bare",), (full + ".bare", full + ".debug")):
        found = resolve(case, index(case, *files), stubs)
        for address, name in stubs.items():
            assert found[address]["source"] == "plt", (files, found[address])
            assert found[address]["frames"][0]["function"] == name, (files, name, found[address])


@test
def stripped(case):
    """nothing but .eh_frame: the server says where the function starts, and that it is no more than that"""
    full = case.compile("busy.c", "busy", "-O2", "-g", "-rdynamic")
    bare = case.path("bare")
    run("strip", "-o", bare, full)
    static = {n: a for n, a in symbols(full).items() if n not in run("nm", "-D", full).stdout and a[1] > 16}
    assert static, symbols(full)
    ident = build_id(full)
    server = case.server()
    answer = server.request("PUT", f"/v1/debuginfo/{ident}?type=executable&wait=30", body=open(bare, "rb").read())
    assert answer.status == 201, answer
    for name, (start, size) in static.items():
        module = server.symbolize([{"build_id": ident, "addresses": [hex(start), hex(start + size - 1)]}])[0]
        for a in module["addresses"]:
            assert a["source"] in ("eh_frame", "dynsym"), (name, a)
        functions = {f["function"] for a in module["addresses"] for f in a["frames"]}
        assert len(functions) == 1, (name, module)
    sources = case.unhex("addr2line", "--json", "--index", index(case, bare), hex(min(static.values())[0]))
    assert json.loads(sources.stdout)["frames"], sources.stdout


@test
def kernel_module(case):
    """a relocatable object with a build-ID: uploaded, indexed, named as eu-addr2line names it"""
    need("eu-addr2line", "ld")
    obj = case.compile("freestanding.c", "m.o", "-c", "-O2", "-g", "-ffunction-sections", "-ffreestanding")
    module = case.path("m.ko")
    run("ld", "-r", "--build-id", "-o", module, obj)
    ident = build_id(module)
    server = case.server()
    answer = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo&wait=30", body=open(module, "rb").read())
    assert answer.status == 201, answer
    sections = json.loads(run(program("unhex-indexer"), "--probe", module).stdout)["sections"]
    code = [s for s in sections if s["flags"] & 4 and s["size"]]
    assert len(code) >= 3 and len({s["addr"] for s in code}) == len(code), code
    addresses = [a for s in code for a in range(s["addr"], s["addr"] + s["size"], 3)]
    answers = server.symbolize([{"build_id": ident, "addresses": [hex(a) for a in addresses]}])[0]["addresses"]
    compared = 0
    for a in answers:
        lines = run("eu-addr2line", "-f", "-i", "-e", module, a["address"]).stdout.splitlines()
        theirs = [(re.split(r"[. ]", lines[i])[0], ":".join(lines[i + 1].split(" ")[0].split(":")[:2])) for i in range(0, len(lines), 2)]
        ours = [(f["function"].split(".")[0], f"{f['file']}:{f['line']}") for f in a["frames"]]
        if not ours:
            assert theirs[0][0] == "??", (a, theirs)
            continue
        assert ours == theirs, (a["address"], ours, theirs)
        compared += 1
    assert compared > 100, compared


KNOWN = "int lined(int x) { return x * 3; }\n"
NAMED = """#include <stdlib.h>
#define NOINLINE __attribute__((noinline, used))
NOINLINE int exported(int x) { return abs(x) + 1; }
NOINLINE static int local(int x) { return exported(x) + atoi("7"); }
NOINLINE static int nameless(int x) { return local(x) * 5 + (local(x + 1) ^ 3); }
int both(int x) { return nameless(x) + nameless(x + 1); }
"""


@test
def every_source(case):
    """one file, and for each address the best there is: debug info, symbols, exported ones, stubs, call frames"""
    for name, text in (("known.c", KNOWN), ("named.c", NAMED)):
        with open(case.path(name), "w", encoding="ascii") as out:
            out.write(text)
    elf = case.path("all.so")
    run("gcc", "-O1", "-g", "-fPIC", "-c", "-o", case.path("known.o"), case.path("known.c"))
    run("gcc", "-O1", "-fno-ipa-ra", "-fPIC", "-shared", "-fno-builtin", "-o", elf, case.path("named.c"), case.path("known.o"))
    at = {name: address for name, (address, _) in symbols(elf).items()}
    run("objcopy", "--strip-symbol=nameless", "--strip-symbol=exported", elf)
    stub = re.search(r"^([0-9a-f]+) <(abs@plt|atoi@plt)>:$", run("objdump", "-d", elf).stdout, re.M)
    want = {at["lined"]: ("dwarf", "lined"), at["local"]: ("symtab", "local"), at["exported"]: ("dynsym", "exported"),
            int(stub[1], 16): ("plt", stub[2]), at["nameless"]: ("eh_frame", f"fun_{at['nameless']:#x}")}
    answers = resolve(case, index(case, elf), want)
    got = {a: (answers[a]["source"], answers[a]["frames"][-1]["function"]) for a in want}
    assert got == want, got


@test
def vdso(case):
    """the image that the kernel maps into every process: its build-ID, and its functions by their exported names"""
    found = [re.match(r"([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$", line) for line in open("/proc/self/maps", encoding="ascii")]
    found = [[int(x, 16) for x in m.groups()] for m in found if m]
    if not found:
        skip("this kernel maps no vdso")
    path = case.path("vdso.so")
    with open("/proc/self/mem", "rb") as memory, open(path, "wb") as out:
        memory.seek(found[0][0])
        out.write(memory.read(found[0][1] - found[0][0]))
    exported = run("nm", "-D", "--defined-only", path).stdout
    names = {}
    for address, name in re.findall(r"^([0-9a-f]+) [TW] ([^@\n]+)", exported, re.M):
        names.setdefault(int(address, 16), set()).add(name)
    assert names, exported
    assert json.loads(run(program("unhex-indexer"), "--probe", path).stdout)["ids"][0]["text"] == build_id(path)
    answers = resolve(case, index(case, path), names)
    for address, of_it in names.items():
        assert answers[address]["source"] == "dynsym", answers[address]
        assert answers[address]["frames"][0]["function"] in of_it, (of_it, answers[address])


@test
def documented(case):
    """every test that docs/INPUTS.md names is there"""
    del case
    named = 0
    for line in open(os.path.join(ROOT, "docs", "INPUTS.md"), encoding="utf-8"):
        last = line.rstrip(" |\n").rsplit(" | ", 1)[-1]
        if not line.startswith("| ") or last in ("test", "*not tested*"):
            continue
        for part in last.split("; "):
            name, tests = part.split(": ")
            files = (glob.glob(os.path.join(ROOT, "*", name + ".c")) + glob.glob(os.path.join(ROOT, "*", "*", name + ".c")) +
                     glob.glob(os.path.join(ROOT, "tests", "e2e", name + ".py")))
            text = "".join(open(f, encoding="utf-8").read() for f in files)
            for one in tests.split(", "):
                assert re.search(rf"\b(test_)?{one}\((struct|void|case)", text), f"{name}: no test {one}"
                named += 1
    assert named > 100, named


@test
def objects_without_an_identity(case):
    """an object that no build-ID names is not taken"""
    obj = case.compile("freestanding.c", "m.o", "-c", "-g")
    ident = case.unhex("build-id", obj).stdout.split()[-1]
    answer = case.server().request("PUT", f"/v1/debuginfo/{ident}", body=open(obj, "rb").read())
    assert answer.status == 415 and "without a build-ID" in answer.json()["detail"], answer


FOREIGN = {
    "aarch64": ("aarch64-linux-gnu", "-gdwarf-5"),
    "big-endian 64-bit": ("powerpc64-linux-gnu", "-gdwarf-4", "-mabi=elfv2"),
    "big-endian 32-bit": ("mips-linux-gnu", "-gdwarf-4"),
    "i386": ("i386-linux-gnu", "-gdwarf-5"),
    "arm": ("arm-linux-gnueabihf", "-gdwarf-4"),
    "riscv64": ("riscv64-linux-gnu", "-gdwarf-4", "-mno-relax"),
}


@test
def foreign_machines(case):
    """names, lines and inlined functions of other machines' programs are llvm-symbolizer's and elfutils'"""
    need("clang", "ld.lld", "llvm-symbolizer", "eu-addr2line")
    for name, (target, *flags) in FOREIGN.items():
        obj, elf = case.path("f.o"), case.path("f-" + target)
        run("clang", "-target", target, *flags, "-gdwarf-aranges", "-O2", "-fno-pic", "-ffreestanding", "-c", "-o", obj,
            os.path.join(SUBJECTS, "freestanding.c"))
        run("ld.lld", obj, "-e", "_start", "-o", elf)
        done = run("python3", os.path.join(ROOT, "tests", "diff", "compare.py"), elf, "-n", "200", "--indexer",
                   program("unhex-indexer"), "--unhex", program("unhex"), check=False)
        print(f"# {name}: " + done.stdout.replace("\n", "\n# "))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "same" in done.stdout, done.stdout


main()
