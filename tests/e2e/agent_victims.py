# SPDX-License-Identifier: Apache-2.0
"""The programs that the agent's tests sample (tests/subjects/victims/): how each is made, which chains it burns its time
in, where its stacks begin.

A chain is a regular expression over the function names of a stack, leaf first, each with a semicolon behind it, and the
least share of the stacks that must have it. A root is the name of the outermost function; a frame in the first bytes of
the program's own entry point counts as `_start`, since stripped programs do not name it.
"""
import os
import re
import shutil
import struct
import subprocess

from harness import SUBJECTS, build_id, run, skip

FOLDER = os.path.join(SUBJECTS, "victims")
SECONDS = 60  # a victim lives at most so long; it is killed when its test ends
DEPTH_MAX = 127  # bpf/profile.h, PROFILE_DEPTH
ENTRY_BYTES = 64
COMPLETE_MIN = 0.97  # of the stacks; the aim is 0.99, but so few samples of a busy machine are no measurement
INCOMPLETE_FREE = 2  # samples that may lack a root however few there are

START = {"_start"}
THREAD = {"clone3", "clone"}  # with __ or __GI___ before it, as libc has it
# Goroutines; threads on their first stack; the first thread, in order.
GO = {"runtime.goexit", "runtime.mstart", "runtime.rt0_go", "_rt0_amd64_linux"}
THROWN = r"(^|;)thrower[^;]*;passes[^;]*;catcher[^;]*;main;"
CHAIN = "(^|;)inner;middle;outer;main;"

C = ("-std=gnu17", "-O2", "-Wall", "-Werror", "-I", FOLDER)
CXX = ("-O2", "-Wall", "-Werror", "-fomit-frame-pointer")
WITHOUT_FP = (*C, "-fomit-frame-pointer")
WITH_FP = (*C, "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer")


class Victim:
    """make(case, victim) returns the command line. files: what the server needs to name it, the program always."""

    def __init__(self, name, what, make, *chains, roots=START, capped=False, then=None, complete=COMPLETE_MIN):
        self.name, self.what, self.make, self.chains = name, what, make, chains
        self.roots, self.capped, self.then, self.complete = roots, capped, then, complete
        self.files = []
        self.process = self.argv = self.path = self.entry = self.program_id = None

    def prepare(self, case):
        self.argv = [str(word) for word in self.make(case, self)]
        self.path = os.path.realpath(shutil.which(self.argv[0]))
        self.program_id, self.entry = build_id(self.path), entry_point(self.path)

    def start(self, case):
        self.process = case.spawn(*self.argv, cwd=case.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        said = self.process.stdout.readline()
        assert said == b"ready\n", f"{self.name} said {said!r}"
        if self.then:
            self.then(self.path)

    def end(self):
        """Killed, it cannot take away the names of its JIT code."""
        self.process.kill()
        self.process.wait()
        if os.path.exists(f"/tmp/perf-{self.process.pid}.map"):
            os.unlink(f"/tmp/perf-{self.process.pid}.map")

    def is_root(self, name, mapping, address):
        plain = re.sub(r"^(__GI_)?__(?=clone)|(@.*|\.abi0)$", "", name)
        at_entry = mapping["build_id"] == self.program_id and self.entry <= address < self.entry + ENTRY_BYTES
        return plain in self.roots or ("_start" in self.roots and at_entry)


def entry_point(path):
    with open(path, "rb") as elf:
        return struct.unpack_from("<Q", elf.read(64), 24)[0]


def debug_file(path):
    """Where Debian keeps the symbols of a file of libc6, or None (libc6-dbg is not installed)."""
    ident = build_id(os.path.realpath(path))
    found = f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug"
    return found if os.path.exists(found) else None


def libc_files():
    """The debug files of what every dynamic program here runs in: without them, roots of threads have no name."""
    folder = "/lib/x86_64-linux-gnu"
    found = [debug_file(os.path.join(folder, name)) for name in ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2")]
    if None in found:
        skip("no symbols of libc; install libc6-dbg")
    return found


# ---- making them ------------------------------------------------------------------------------------------


def source(name):
    return os.path.join(FOLDER, name)


def compiled(case, name, victim_name, *flags, compiler="gcc", libraries=()):
    out = case.path(victim_name)
    run(compiler, f'-DVICTIM="{victim_name}"', *flags, "-o", out, source(name), *libraries)
    return out


def c_program(name, *flags, compiler="gcc", args=(), libraries=()):
    def make(case, victim):
        out = compiled(case, name, victim.name, *flags, compiler=compiler, libraries=libraries)
        # What happens to the program while it runs does not happen to the copy that is uploaded.
        kept = case.path(victim.name + ".kept")
        shutil.copy(out, kept)
        victim.files.append(kept)
        return [out, SECONDS, *args]
    return make


def with_plt(*flags):
    def make(case, victim):
        library = compiled(case, "tiny.c", f"lib{victim.name}.so", *C, "-shared", "-fPIC")
        victim.files.append(library)
        return c_program("plt.c", *WITHOUT_FP, *flags, "-Wl,-z,lazy", f"-Wl,-rpath,{case.folder}",
                         libraries=(library,))(case, victim)
    return make


def with_plugin(case, victim):
    library = compiled(case, "plugin.c", "plugin.so", *WITHOUT_FP, "-shared", "-fPIC")
    victim.files.append(library)
    return c_program("dlopen.c", *WITHOUT_FP, args=(library,))(case, victim)


def rust_program(case, victim):
    out = case.compile(source("chain.rs"), victim.name, "-O", compiler="rustc")
    victim.files.append(out)
    return [out, SECONDS]


def go_program(case, victim):
    if not shutil.which("go"):
        skip("no go on this machine")
    out = case.path(victim.name)
    done = run("go", "build", "-o", out, source("chain.go"), check=False, cwd=case.folder,
               env={**os.environ, "GOTOOLCHAIN": "local", "GO111MODULE": "off", "CGO_ENABLED": "0", "GOFLAGS": ""})
    if done.returncode:
        skip("go build failed: " + done.stderr.strip()[-200:])
    victim.files.append(out)
    return [out, SECONDS]


def python_program(_case, victim):
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        skip("no " + python)
    victim.files.append(os.path.realpath(python))
    return [python, source("chain.py"), SECONDS]


def node_program(*flags):
    def make(_case, _victim):
        if not shutil.which("node"):
            skip("no node on this machine")
        return ["node", *flags, source("chain.js"), SECONDS]
    return make


def replace(path):
    shutil.copy("/bin/true", path + ".new")
    os.rename(path + ".new", path)


# ---- the table --------------------------------------------------------------------------------------------

NATIVE = [
    Victim("with_fp", "C with frame pointers", c_program("chain.c", *WITH_FP), (CHAIN, 0.95)),
    Victim("without_fp", "C without frame pointers", c_program("chain.c", *WITHOUT_FP), (CHAIN, 0.95)),
    Victim("without_tables", "C with frame pointers and without .eh_frame below libc, which has none of the former",
           c_program("chain.c", *WITH_FP, "-DKEEP_FRAME", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"), (CHAIN, 0.95)),
    Victim("not_pie", "a program at a fixed address", c_program("chain.c", *WITHOUT_FP, "-no-pie", "-fno-pie"), (CHAIN, 0.95)),
    Victim("static", "a static program", c_program("chain.c", *WITHOUT_FP, "-static"), (CHAIN, 0.95)),
    Victim("static_pie", "a static, position independent program", c_program("chain.c", *WITHOUT_FP, "-static-pie"),
           (CHAIN, 0.95)),
    Victim("deleted", "a program deleted while it runs", c_program("chain.c", *WITHOUT_FP), (CHAIN, 0.95),
           then=os.unlink),
    Victim("replaced", "another program at its path while it runs", c_program("chain.c", *WITHOUT_FP),
           (CHAIN, 0.95), then=replace),
    Victim("callback", "leaves in libc and libm, called back from qsort", c_program("callback.c", *WITHOUT_FP, libraries=("-lm",)),
           ("(^|;)weigh;compare;([^;]*(sort|merge)[^;]*;)+sort_all;main;", 0.1),
           ("(^|;)[^;]*mem(cpy|move)[^;]*;copy_all;main;", 0.1), ("(^|;)[^;]*cbrt[^;]*;roots;main;", 0.1)),
    Victim("signal", "a signal handler, up through what it interrupted", c_program("signal.c", *WITHOUT_FP),
           ("(^|;)burn_in_handler;on_tick;__restore_rt;inner;outer;main;", 0.3), ("(^|;)inner;outer;main;", 0.95)),
    Victim("signal_stack", "a signal handler on a stack of its own",
           c_program("signal.c", *WITHOUT_FP, args=("alternate",)),
           ("(^|;)burn_in_handler;on_tick;__restore_rt;inner;outer;main;", 0.3), ("(^|;)inner;outer;main;", 0.95)),
    Victim("vdso", "leaves in the vdso", c_program("vdso.c", *WITHOUT_FP),
           ("(^|;)[^;]*clock_gettime[^;]*;ask_the_time;main;", 0.8), (r"(^|;)\[vdso\][^;]*;|(^|;)__vdso", 0.5)),
    Victim("thread", "a thread, and one inside a system call below a frame of 64 KiB",
           c_program("threads.c", *WITHOUT_FP, "-pthread"),
           ("(^|;)inner;thread_main;start_thread;(__GI_)?(__)?clone3;$", 0.2),
           ("(^|;)[^;]*read;read_into_frame;reader_main;start_thread;(__GI_)?(__)?clone3;$", 0.2), roots=START | THREAD),
    Victim("plt", "PLT stubs", with_plt("-fcf-protection=none"), ("(^|;)(tiny;|tiny@plt;)?call_often;main;", 0.95),
           ("(^|;)(tiny|tiny@plt);call_often;main;", 0.3)),
    Victim("plt_ibt", "PLT stubs with landing pads for indirect branches", with_plt("-fcf-protection=full", "-Wl,-z,ibtplt"),
           ("(^|;)(tiny;|tiny@plt;)?call_often;main;", 0.95), ("(^|;)(tiny|tiny@plt);call_often;main;", 0.3)),
    Victim("dlopen", "a library loaded after sampling began", with_plugin,
           ("(^|;)plugin_inner;plugin_outer;run_plugin;main;", 0.9)),
    Victim("realign", "realigned and variable frames", c_program("realign.c", *WITHOUT_FP),
           ("(^|;)inner;entry;realigned;outer;main;", 0.95)),
    Victim("deep", "deeper than a stack may be", c_program("deep.c", *WITHOUT_FP), ("(^|;)inner;(dive;){100}", 0.9),
           capped=True),
    Victim("exceptions", "C++ exceptions now and then", c_program("exceptions.cc", *CXX, compiler="g++"), (THROWN, 0.8)),
    # Where libgcc jumps to a handler, it first writes the handler's registers over those that its own frame has saved.
    # In these instructions nobody can tell who called it.
    Victim("exceptions_often", "C++ exceptions and nothing else",
           c_program("exceptions.cc", *CXX, compiler="g++", args=("often",)), (THROWN, 0.5), complete=0.9),
    Victim("jit", "code in no file, named by /tmp/perf-PID.map", c_program("jit.c", *WITHOUT_FP),
           ("(^|;)inner;jitted_inner;jitted_outer;run;main;", 0.95)),
]

RUNTIMES = [
    Victim("rust", "Rust, its main thread and another", rust_program,
           ("(^|;)chain::inner[^;]*;chain::middle[^;]*;chain::outer[^;]*;", 0.95), roots=START | THREAD),
    # A leaf without a frame hides its caller from a walk over frame pointers.
    Victim("go", "Go, goroutines and the garbage collector", go_program, (r"(^|;)main\.inner;(main\.middle;)?main\.outer;", 0.6),
           roots=GO),
    Victim("python", "Python, the interpreter's frames", python_program,
           ("(^|;)_PyEval_EvalFrameDefault;.*Py_RunMain;Py_BytesMain;", 0.7)),
    Victim("node", "JavaScript in Node", node_program("--max-inlined-bytecode-size=0"), roots=START | THREAD),
    Victim("node_named", "JavaScript in Node, named by /tmp/perf-PID.map",
           node_program("--max-inlined-bytecode-size=0", "--perf-basic-prof"),
           (r"(^|;)[^;]*\binner\b[^;]*;[^;]*\bmiddle\b[^;]*;[^;]*\bouter\b[^;]*;", 0.8), roots=START | THREAD),
]
