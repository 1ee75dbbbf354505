#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent with --upload: binaries that nobody uploaded get their names, and nothing but names leaves the host."""
import glob
import gzip
import http.server
import json
import os
import signal
import subprocess
import threading
import time
import urllib.parse

import pprof_writer
from agent_runs import need_ebpf
from harness import build_id, main, need, program, symbols, test, text_start, wait_until

UPLOAD = ("--upload", "--upload-interval", "1s", "--hz", "99", "--interval", "1s")


def giving_agent(case, server, *options):
    return case.spawn(program("unhex-agent"), "--server", server.url, *UPLOAD, *options, stderr=subprocess.PIPE, text=True)


def stop(agent):
    agent.send_signal(signal.SIGTERM)
    _, talk = agent.communicate(timeout=30)
    assert agent.returncode == 0, talk
    return talk


def story(server, ident):
    answer = server.get(f"/v1/debuginfo/{ident}")
    return answer.json() if answer.status == 200 else {}


def sampled_names(server):
    args = urllib.parse.urlencode({"match": '{__name__="process_cpu"}', "from": int(time.time() - 600), "to": int(time.time() + 60)})
    answer = server.get("/v1/query?" + args)
    if answer.status != 200:
        return set()
    profile = pprof_writer.decode(gzip.decompress(answer.body))
    return {line[0] for place in profile["locations"].values() for line in place["lines"]}


def stored(server):
    """All that was uploaded, as it is: the blobs of the data folder, decompressed."""
    blobs = [path for path in glob.glob(os.path.join(server.data_dir, "blobs", "**"), recursive=True) if os.path.isfile(path)]
    assert blobs, "nothing is stored"
    return b"".join(subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout for path in blobs
                    if open(path, "rb").read(4) == b"\x28\xb5\x2f\xfd")


def bytes_of(elf, name, size=48):
    """The machine code of a function, out of the file."""
    return run_bytes("objcopy", "-O", "binary", "--only-section=.text", elf, "/dev/stdout")[
        symbols(elf)[name][0] - text_start(elf):][:size]


def run_bytes(*argv):
    return subprocess.run(argv, capture_output=True, check=True).stdout


@test
def names_without_an_upload_by_hand(case):
    """an unstripped program unknown to the server is named; sent were symbols and debug sections, no code, no strings"""
    need_ebpf()
    need("zstd", "objcopy")
    server = case.server()
    exe = case.compile("busy.c", "busy", "-O2", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
    code = bytes_of(exe, "inner")
    with open(exe, "rb") as file:
        content = file.read()
    assert code in content and b"/proc/self/maps\0" in content, "the test looks for something that is there"
    ident = build_id(exe)
    busy = case.spawn(exe, 30, stdout=subprocess.DEVNULL)
    agent = giving_agent(case, server, "--pid", str(busy.pid))
    wait_until(lambda: story(server, ident).get("quality") == "dwarf", seconds=20, what="what the agent gives")
    wait_until(lambda: {"inner", "middle", "outer"} <= sampled_names(server), what="names in what was pushed")
    told = stop(agent)
    assert [f["trust"] for f in story(server, ident)["files"]] == ["agent"], story(server, ident)
    assert server.get(f"/buildid/{ident}/debuginfo").status == 404
    given = stored(server)
    assert b"inner" in given and b"print_maps" in given, "symbols are not in it"
    assert code not in given, "machine code was sent"
    assert b"/proc/self/maps\0" not in given, "a string of .rodata was sent"
    assert "gave" in told, told


@test
def kernel_frames_by_its_own_list(case):
    """a kernel that nobody has a vmlinux of: the agent gives its list of functions, once; frames are named"""
    need_ebpf()
    server = case.server()
    reader = case.spawn("dd", "if=/dev/zero", "of=/dev/null", "bs=64k", stderr=subprocess.DEVNULL)
    agent = giving_agent(case, server, "--pid", str(reader.pid))
    with open("/proc/kallsyms", encoding="ascii") as kallsyms:
        functions = {words[2] for words in (line.split() for line in kallsyms) if words[1] in "tT"}
    wait_until(lambda: any(name in functions and "read" in name for name in sampled_names(server)), seconds=20,
               what="names of kernel functions")
    told = stop(agent)
    assert told.count("type=kallsyms") == 1, told


class Strange(http.server.BaseHTTPRequestHandler):
    """Takes every push, and answers the question what is wanted as its server's `answers` say."""

    def log_message(self, *_):
        pass

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.seen.append((self.command, self.path.split("?")[0], time.monotonic()))
        status, answer = 200, b"{}"
        if self.path == "/v1/debuginfo/wanted":
            self.server.asked.append(json.loads(body))
            status, answer = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = handle_any


def strange_server(case, status, answer):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    server.seen, server.asked, server.answer = [], [], (status, answer)
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    busy = str(case.spawn("dd", "if=/dev/zero", "of=/dev/null", "bs=64k", stderr=subprocess.DEVNULL).pid)
    agent = giving_agent(case, server, "--pid", busy)
    return server, agent


@test
def a_server_that_will_not(case):
    """one that answers 503, nonsense, or wants what it was not asked about: pushes go on, questions become few, nothing is sent"""
    need_ebpf()
    unasked = json.dumps({"wanted": [{"build_id": "ab" * 20, "type": "debuginfo"}, {"build_id": "../../x", "type": "kallsyms"}, 7]}).encode()
    running = [strange_server(case, *answer) for answer in ((503, b""), (200, b"<html>"), (200, unasked))]
    for server, _ in running:
        wait_until(lambda s=server: len(s.asked) > 1, seconds=20, what="a second question")
    before = [len([1 for _, path, _ in server.seen if path.endswith("/Push")]) for server, _ in running]
    time.sleep(5)
    for (server, agent), pushes in zip(running, before):
        stop(agent)
        server.shutdown()
        assert len([1 for _, path, _ in server.seen if path.endswith("/Push")]) >= pushes + 3, server.seen
        assert not [1 for method, _, _ in server.seen if method == "PUT"], server.seen
        times = [when for _, path, when in server.seen if path.endswith("/wanted")]
        assert len(times) <= 6, times
        assert all(set(asked) == {"build_ids", "kallsyms"} for asked in server.asked), server.asked


@test
def nothing_without_being_told(case):
    """without --upload not one question comes, and with it nothing that the server has names for is sent"""
    need_ebpf()
    server = case.server()
    exe = case.compile("busy.c", "busy", "-O2", "-g", "-fno-omit-frame-pointer")
    busy = str(case.spawn(exe, 30, stdout=subprocess.DEVNULL).pid)
    silent = case.spawn(program("unhex-agent"), "--server", server.url, "--hz", "99", "--interval", "1s", "--pid", busy,
                        stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    stop(silent)
    assert "route=wanted" not in server.log_text() and not story(server, build_id(exe)).get("files"), server.log_text()[-2000:]
    case.unhex("upload", "--wait", exe, server=server)
    files = story(server, build_id(exe))["files"]
    agent = giving_agent(case, server, "--pid", busy)
    wait_until(lambda: server.log_text().count("route=wanted") > 2, what="questions")
    time.sleep(1)
    stop(agent)
    assert story(server, build_id(exe))["files"] == files


main()
