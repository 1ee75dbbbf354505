#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""IDs the server does not have are asked of upstream debuginfod servers: the real one, and odd ones."""
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time

from harness import SLOW, build_id, free_port, main, need, run, skip, symbols, test, wait_until


class Upstream:
    """A debuginfod-shaped server in this process: path -> bytes, or a function that answers."""

    def __init__(self, files, delay=0):
        self.files, self.delay, self.asked = files, delay, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append(self.path)
                time.sleep(outer.delay)
                found = outer.files.get(self.path)
                if callable(found):
                    found(self)
                    return
                body = found if found is not None else b"not found"
                self.send_response(200 if found is not None else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


def subject(case):
    full = case.compile("busy.c", "busy.full", "-O2", "-g")
    debug, stripped = case.path("busy.debug"), case.path("busy")
    run("objcopy", "--only-keep-debug", full, debug)
    run("strip", "-o", stripped, full)
    ident = build_id(full)
    files = {f"/buildid/{ident}/debuginfo": open(debug, "rb").read(), f"/buildid/{ident}/executable": open(stripped, "rb").read()}
    return full, ident, symbols(full)["inner"][0] + 4, files


def ask(server, ident, address, wait=30):
    return server.symbolize([{"build_id": ident, "addresses": [hex(address)]}], wait=wait)[0]


@test
def fetched_and_served(case):
    """debuginfo is fetched, indexed, answered, kept, and served on; the executable follows where it helps"""
    _, ident, address, files = subject(case)
    upstream = Upstream(files)
    server = case.server("--upstream", upstream.url)
    module = ask(server, ident, address)
    assert module["status"] == "ok" and module["addresses"][0]["frames"][0]["function"] == "inner", module
    assert upstream.asked[0] == f"/buildid/{ident}/debuginfo", upstream.asked
    got = server.get(f"/buildid/{ident}/debuginfo")
    assert got.status == 200 and got.body == files[f"/buildid/{ident}/debuginfo"]
    story = server.get(f"/v1/debuginfo/{ident}").json()
    assert story["files"][0]["trust"] == "upstream" and upstream.url in story["files"][0]["origin"], story
    upstream.close()
    assert ask(server, ident, address + 1)["status"] == "ok"


@test
def absence_is_remembered(case):
    """one question for an unknown ID, however often it is asked; an upload ends the memory"""
    full, ident, address, _ = subject(case)
    upstream = Upstream({})
    server = case.server("--upstream", upstream.url)
    for _ in range(4):
        assert ask(server, ident, address)["status"] == "missing"
    assert upstream.asked.count(f"/buildid/{ident}/debuginfo") == 1, upstream.asked
    server.stop()
    server.start()
    assert ask(server, ident, address)["status"] == "missing"
    assert upstream.asked.count(f"/buildid/{ident}/debuginfo") == 1, upstream.asked
    case.unhex("upload", "--wait", full, server=server)
    assert ask(server, ident, address)["status"] == "ok"
    upstream.close()


@test
def slow_upstream_stalls_nobody(case):
    """with wait=0 the answer is pending at once, Retry-After is set, others are served while upstream sleeps"""
    full, ident, address, files = subject(case)
    other = case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++")
    upstream = Upstream(files, delay=3 * SLOW)
    server = case.server("--upstream", upstream.url)
    case.unhex("upload", "--wait", other, server=server)
    start = time.monotonic()
    assert ask(server, ident, address, wait=0)["status"] == "pending"
    known = symbols(other)["main"][0]
    for _ in range(20):
        assert ask(server, build_id(other), known)["status"] == "ok"
    assert time.monotonic() - start < 2.5 * SLOW, time.monotonic() - start
    assert ask(server, ident, address, wait=60)["status"] == "ok"
    assert upstream.asked.count(f"/buildid/{ident}/debuginfo") == 1, upstream.asked
    upstream.close()
    assert shutil.which("objcopy") and full


@test
def wrong_file_is_refused(case):
    """a file of another build-ID, a web page, a cut-off body: not stored, missing with a reason"""
    _, ident, address, _ = subject(case)
    other = case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++")

    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(b"\x7fELF" + b"\0" * 1000)
        handler.close_connection = True

    for answer in (open(other, "rb").read(), b"<html>parked</html>", cut):
        upstream = Upstream({f"/buildid/{ident}/debuginfo": answer})
        server = case.server("--upstream", upstream.url, name=f"data{len(case.servers)}")
        module = ask(server, ident, address)
        assert module["status"] == "missing" and module["addresses"][0]["reason"] == "upstream_failed", module
        assert "was refused" in module["detail"] or "cut off" in module["detail"], module
        # Not a 404, which clients would remember as "does not exist": whether it exists is not known.
        try:
            assert False, server.get(f"/buildid/{ident}/debuginfo")
        except ConnectionResetError:
            pass
        server.stop()
        upstream.close()


@test
def unreachable_is_not_absent(case):
    """an upstream that refuses connections, or never answers, has not said no; its password is nobody's business"""
    _, ident, address, _ = subject(case)
    deaf = socket.create_server(("127.0.0.1", 0))
    port = deaf.getsockname()[1]
    for n, host in enumerate(("127.0.0.2:1", f"127.0.0.1:{port}")):
        server = case.server("--upstream", f"http://eve:secret@{host}", "--upstream-stall-timeout", "1s", name=f"deaf{n}")
        module = ask(server, ident, address)
        assert module["status"] == "missing" and module["reason"] == "upstream_failed", module
        story = server.get(f"/v1/debuginfo/{ident}")
        assert story.json()["reason"]["code"] == "upstream_failed", story
        for text in (json.dumps(module), story.body.decode()):
            assert host in text and "secret" not in text and "has it" not in text, text
        server.stop()
        server.start()
        module = ask(server, ident, address)
        assert module["reason"] == "upstream_failed", module
    deaf.close()


@test
def real_debuginfod(case):
    """elfutils' own server as upstream"""
    need("debuginfod", "unshare")
    full, ident, address, _ = subject(case)
    folder = case.path("share")
    os.mkdir(folder)
    shutil.copy(full, folder)
    # It can only listen on all interfaces: give it a network of its own where it cannot be reached from
    # outside, and run our server in the same one.
    if subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        skip("network namespaces are not permitted here")
    port = free_port()
    script = case.path("inside.py")
    with open(script, "w", encoding="utf-8") as out:
        out.write(INSIDE)
    done = run("unshare", "-n", "python3", script, folder, port, ident, hex(address), case.folder,
               env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))})
    assert "inner" in done.stdout, done.stdout + done.stderr
    assert wait_until(lambda: True)


INSIDE = '''
import subprocess, sys, time, urllib.request
from harness import Server
folder, port, ident, address, work = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=False) if __import__("shutil").which("ip") else \\
    __import__("fcntl").ioctl(__import__("socket").socket(), 0x8914, b"lo".ljust(16, b"\\0") + b"\\x49\\0".ljust(24, b"\\0"))
upstream = subprocess.Popen(["debuginfod", "-p", port, "-d", ":memory:", "-F", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
url = "http://127.0.0.1:" + port
try:
    for _ in range(200):
        try:
            urllib.request.urlopen(url + "/buildid/" + ident + "/debuginfo").read()
            break
        except OSError:
            time.sleep(0.1)
    server = Server(work + "/data", "--upstream", url).start()
    print(server.symbolize([{"build_id": ident, "addresses": [address]}])[0])
    server.stop()
finally:
    upstream.terminate()
    upstream.wait()
'''

main()
