# SPDX-License-Identifier: Apache-2.0
"""The binaries that `make check-diff` compares: found, or built into a cache folder (build/diff).

subjects(folder) yields (name, options of compare.py, path or None, why there is none).
"""
import glob
import os
import shutil
import subprocess

import cxx_source

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNITS = 12
CXX = {
    "g++ -O3 -flto, DWARF 5": ["g++", "-O3", "-g", "-gdwarf-5", "-flto=2"],
    "g++ -O3, DWARF 4": ["g++", "-O3", "-g", "-gdwarf-4"],
    "clang++ -O3 -flto, DWARF 5": ["clang++", "-O3", "-g", "-gdwarf-5", "-flto", "-fuse-ld=lld"],
    "clang++ -O3, DWARF 4": ["clang++", "-O3", "-g", "-gdwarf-4"],
}


class Missing(Exception):
    """Why a subject cannot be had here."""


def run(argv, **kw):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **kw)
    if done.returncode:
        raise Missing(f"{argv[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def need(tool):
    if not shutil.which(tool):
        raise Missing(f"no {tool} on this machine")


def newest_kernel():
    """linux-image-VERSION-amd64-dbg that the signed meta package stands for."""
    need("apt-cache")
    for line in run(["apt-cache", "depends", "linux-image-amd64-dbg"]).splitlines():
        if "linux-image-" in line and line.strip().endswith("-dbg") and "Depends" in line:
            return line.split()[-1]
    raise Missing("apt knows no linux-image-amd64-dbg")


def kernel(folder):
    """The image out of its .deb, which is not installed. UNHEX_KERNEL_IMAGE names one that is there already."""
    given = os.environ.get("UNHEX_KERNEL_IMAGE")
    if given:
        return given
    package = newest_kernel()
    found = glob.glob(os.path.join(folder, package, "usr/lib/debug/boot/vmlinux-*"))
    if found:
        return found[0]
    out = os.path.join(folder, package)
    os.makedirs(out, exist_ok=True)
    run(["apt-get", "download", package], cwd=out)
    deb = glob.glob(os.path.join(out, "*.deb"))[0]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as tar:
        run(["tar", "-x", "-C", out, "--wildcards", "./usr/lib/debug/boot/vmlinux-*"], stdin=tar.stdout)
    os.unlink(deb)
    return glob.glob(os.path.join(out, "usr/lib/debug/boot/vmlinux-*"))[0]


def cxx(folder, name, units=UNITS):
    argv = CXX[name]
    need(argv[0])
    where = os.path.join(folder, f"cxx-{units}")
    os.makedirs(where, exist_ok=True)
    files = cxx_source.files(units)
    for file, text in files.items():
        with open(os.path.join(where, file), "w", encoding="utf-8") as out:
            out.write(text)
    out = os.path.join(where, "".join(c if c.isalnum() else "-" for c in name))
    if not os.path.exists(out):
        sources = sorted(f for f in files if f.endswith(".cc"))
        run([*argv, "-std=c++17", "-o", out + ".new", *sources], cwd=where)
        os.rename(out + ".new", out)
    return out


def rust(folder):
    need("rustc")
    out = os.path.join(folder, "rust-std")
    if not os.path.exists(out):
        run(["rustc", "-O", "-g", "-o", out, os.path.join(TOP, "tests/subjects/std.rs")])
    return out


def go(folder, compiler):
    """gofmt, which every Go brings the source of."""
    if not shutil.which(compiler):
        raise Missing(f"no {compiler}")
    version = run([compiler, "env", "GOVERSION"]).strip()
    out = os.path.join(folder, "gofmt-" + version)
    if not os.path.exists(out):
        run([compiler, "build", "-o", out, "cmd/gofmt"], env={**os.environ, "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    return out


def libc(_):
    """libc6-dbg's libc, if it is that of the libc installed."""
    for line in run(["readelf", "-n", os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6")]).splitlines():
        if "Build ID:" in line:
            ident = line.split()[-1]
            path = f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug"
            if os.path.exists(path):
                return path
    raise Missing("libc6-dbg is not installed, or of another version than libc6")


def subjects(folder):
    """(name, builder, options): eu-addr2line is asked about fewer where it takes seconds for each address."""
    every = [("Linux kernel image", kernel, ["--eu", "20000"]), ("libc6-dbg's libc", libc, [])]
    for name in CXX:
        few = ["--eu", "5000"] if name.startswith("g++") else ["--eu", "300", "--add-aranges"]
        every.append((name, lambda f, n=name: cxx(f, n), few))
    every.append(("Rust, std", rust, ["--eu", "3000", "--add-aranges"]))
    every.append(("Go, distribution's", lambda f: go(f, "/usr/bin/go"), ["--eu", "5000", "--add-aranges"]))
    every.append(("Go, newer", lambda f: go(f, "/usr/local/go/bin/go"), ["--eu", "5000", "--add-aranges"]))
    os.makedirs(folder, exist_ok=True)
    return every
