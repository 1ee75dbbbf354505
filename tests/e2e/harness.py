# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the real programs in temporary folders on free ports, and TAP out.

A test is a function decorated with @test; it gets a Case (temporary folder, server starter, checks) and
fails by raising. skip("reason") ends it as skipped. `main()` at the end of the file runs them all.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("UNHEX_BUILD", os.path.join(ROOT, "build"))
SUBJECTS = os.path.join(ROOT, "tests", "subjects")
# The sanitizers slow everything down; deadlines stretch with them.
SLOW = 4 if "asan" in BUILD or "tsan" in BUILD else 1

_tests = []


class Skip(Exception):
    pass


def skip(reason):
    raise Skip(reason)


def test(function):
    _tests.append(function)
    return function


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            skip(f"no {tool} on this machine")


def program(name):
    return os.path.join(BUILD, name)


def run(*argv, check=True, timeout=120, **kw):
    """Run to the end; stdout and stderr as text (or bytes with text=False)."""
    kw.setdefault("text", True)
    done = subprocess.run([str(a) for a in argv], capture_output=True, timeout=timeout * SLOW, **kw)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))} ended with {done.returncode}\n"
                             f"stdout: {done.stdout[-2000:]}\nstderr: {done.stderr[-2000:]}")
    return done


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:600]!r}>"


class Server:
    """A real unhexd on a free port with its own data folder."""

    def __init__(self, data_dir, *options, env=None, listen="127.0.0.1:0"):
        self.data_dir = data_dir
        self.options = [str(o) for o in options]
        self.env = env or {}
        self.listen = listen
        self.process = None
        self.url = None
        self.log_path = data_dir + ".log"

    def start(self):
        port_file = self.data_dir + ".port"
        if os.path.exists(port_file):
            os.unlink(port_file)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("UNHEX_", "DEBUGINFOD_"))}
        env.update(self.env)
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [program("unhexd"), "--listen", self.listen, "--data-dir", self.data_dir, "--port-file", port_file,
             *self.options], stdout=self.log, stderr=self.log, env=env)
        deadline = time.monotonic() + 20 * SLOW
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"unhexd ended with {self.process.returncode}: {self.log_text()[-2000:]}")
            if os.path.exists(port_file) and open(port_file).read().strip():
                self.url = "http://127.0.0.1:" + open(port_file).read().strip()
                try:
                    if self.get("/readyz").status == 200:
                        return self
                except OSError:
                    pass
            time.sleep(0.02)
        raise AssertionError("unhexd did not become ready: " + self.log_text()[-2000:])

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def request(self, method, path, body=None, headers=None, timeout=90):
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout * SLOW) as answer:
                return Response(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as answer:
            return Response(answer.code, answer.headers, answer.read())

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body, content_type, **kw):
        headers = {"Content-Type": content_type, **kw.pop("headers", {})}
        return self.request("POST", path, body=body, headers=headers, **kw)

    def symbolize(self, modules, wait=30):
        body = json.dumps({"modules": modules}).encode()
        answer = self.post(f"/v1/symbolize?wait={wait}", body, "application/json")
        assert answer.status == 200, answer
        return answer.json()["modules"]

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("unhexd did not end on TERM: " + self.log_text()[-2000:])
        code = self.process.returncode if self.process else None
        if self.process and how == signal.SIGTERM:
            text = self.log_text()
            assert "ERROR: AddressSanitizer" not in text and "runtime error:" not in text and \
                "ERROR: LeakSanitizer" not in text, text[-6000:]
        return code


class Case:
    def __init__(self, folder):
        self.folder = folder
        self.servers = []
        self.processes = []

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def server(self, *options, name="data", **kw):
        server = Server(self.path(name), *options, **kw).start()
        self.servers.append(server)
        return server

    def spawn(self, *argv, **kw):
        process = subprocess.Popen([str(a) for a in argv], **kw)
        self.processes.append(process)
        return process

    def compile(self, source, output, *flags, compiler="gcc"):
        """Compile a subject of tests/subjects/ (or an absolute path) into the case's folder."""
        need(compiler)
        if not os.path.isabs(source):
            source = os.path.join(SUBJECTS, source)
        out = self.path(output)
        run(compiler, *flags, "-o", out, source)
        return out

    def unhex(self, *argv, server=None, check=True, **kw):
        env = dict(kw.pop("env", os.environ))
        if server:
            env["UNHEX_SERVER"] = server.url
        return run(program("unhex"), *argv, check=check, env=env, **kw)

    def close(self):
        errors = []
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for server in self.servers:
            try:
                server.stop()
            except AssertionError as error:
                errors.append(str(error))
        shutil.rmtree(self.folder, ignore_errors=True)
        if errors:
            raise AssertionError("\n".join(errors))


def build_id(elf):
    """The GNU build-ID as readelf sees it: an oracle that is not ours."""
    for line in run("readelf", "-n", elf, env={**os.environ, "LC_ALL": "C"}).stdout.splitlines():
        if "Build ID:" in line:
            return line.split()[-1]
    return None


def symbols(elf):
    """name -> (address, size) of sized functions, by nm."""
    found = {}
    for line in run("nm", "-S", "--defined-only", elf).stdout.splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tTwW":
            found[words[3]] = (int(words[0], 16), int(words[1], 16))
    return found


def text_start(elf):
    """Where .text begins, as linked."""
    for line in run("readelf", "-SW", elf).stdout.splitlines():
        words = line.replace("[", " ").replace("]", " ").split()
        if len(words) > 3 and words[1] == ".text":
            return int(words[3], 16)
    raise AssertionError("no .text")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds=20, what="condition"):
    deadline = time.monotonic() + seconds * SLOW
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {seconds * SLOW} s")


def main():
    only = os.environ.get("ONLY_TEST", "")
    chosen = [t for t in _tests if only in t.__name__]
    print(f"1..{len(chosen)}")
    failures = 0
    for number, function in enumerate(chosen, 1):
        title = function.__name__ + (f": {function.__doc__.splitlines()[0]}" if function.__doc__ else "")
        case = Case(tempfile.mkdtemp(prefix="unhex-e2e-"))
        try:
            try:
                function(case)
            finally:
                case.close()
            print(f"ok {number} - {title}")
        except Skip as reason:
            print(f"ok {number} - {title} # SKIP {reason}")
        except Exception:  # pylint: disable=broad-except
            failures += 1
            print(f"not ok {number} - {title}")
            for line in traceback.format_exc().splitlines():
                print("    " + line)
        sys.stdout.flush()
    sys.exit(1 if failures else 0)
