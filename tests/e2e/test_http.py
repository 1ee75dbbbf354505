#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTP side of unhexd: the debuginfod protocol and what it adds, waits, early refusals, the end."""
import http.client
import json
import socket
import subprocess
import threading
import time

from harness import SLOW, build_id, main, need, program, run, test, wait_until


def subject(case):
    full = case.compile("busy.c", "busy.full", "-O2", "-g")
    return full, build_id(full), open(full, "rb").read()


def address_of(server):
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


def talk(server, data, enough=lambda answer: b"\r\n\r\n" in answer):
    """Send raw bytes; what comes back until it is enough, or the end."""
    with socket.create_connection(address_of(server), timeout=20 * SLOW) as link:
        link.sendall(data)
        answer = b""
        while not enough(answer):
            more = link.recv(65536)
            if not more:
                break
            answer += more
        return answer


def silent_upstream(case):
    """Accepts connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@test
def not_built_yet(case):
    """calls of the interface that are to come answer 501; /metadata speaks plain text like its siblings"""
    server = case.server()
    answer = server.post("/v1/uploads", b'{"id":"aabbcc"}', "application/json")
    assert answer.status == 501 and answer.json()["code"] == "not_implemented", answer
    assert "PUT /v1/debuginfo/ID" in answer.json()["detail"], answer
    for path in ("/metadata?key=glob&value=x", "/buildid/aabbccdd/metadata", "/buildid/aabbccdd/debuginfo"):
        answer = server.get(path)
        assert answer.status == 404 and answer.headers["Content-Type"].startswith("text/plain"), (path, answer)


@test
def listing_by_pages(case):
    """next goes back as after, or as next"""
    server = case.server()
    for n in range(3):
        body = open(case.compile("busy.c", f"busy{n}", f"-Wl,--build-id=0x{n}{n}{n}{n}"), "rb").read()
        assert server.request("PUT", f"/v1/debuginfo/{n}{n}{n}{n}", body=body).status == 201
    first = server.get("/v1/debuginfo?limit=2").json()
    assert len(first["binaries"]) == 2 and first["next"], first
    for name in ("after", "next"):
        rest = server.get(f"/v1/debuginfo?limit=2&{name}={first['next']}").json()
        assert len(rest["binaries"]) == 1 and rest["next"] is None, rest
        assert rest["binaries"][0] not in first["binaries"]


@test
def buildid_semantics(case):
    """HEAD, one Range, If-Range, ETag and 304, 416, 406, zstd on the wire"""
    need("zstd")
    _, ident, body = subject(case)
    server = case.server()
    path = f"/buildid/{ident}/debuginfo"
    put = server.request("PUT", f"/v1/debuginfo/{ident}?type=debuginfo&name=busy.debug", body=body)
    assert put.status == 201, put
    whole = server.get(path)
    assert whole.body == body and whole.headers["X-DEBUGINFOD-SIZE"] == str(len(body)), whole
    assert whole.headers["X-DEBUGINFOD-FILE"] == "busy.debug" and whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Type"] == "application/octet-stream" and whole.headers["Last-Modified"]
    etag = whole.headers["ETag"]
    head = server.request("HEAD", path)
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == str(len(body))

    for value, first, last in (("bytes=0-99", 0, 99), (f"bytes={len(body) - 7}-", len(body) - 7, len(body) - 1),
                               ("bytes=-5", len(body) - 5, len(body) - 1)):
        part = server.get(path, headers={"Range": value})
        assert part.status == 206 and part.body == body[first:last + 1], (value, part.status)
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(body)}"
    assert server.get(path, headers={"Range": "bytes=0-9", "If-Range": etag}).status == 206
    assert server.get(path, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).status == 200
    beyond = server.get(path, headers={"Range": f"bytes={len(body)}-"})
    assert beyond.status == 416 and beyond.headers["Content-Range"] == f"bytes */{len(body)}"
    fresh = server.get(path, headers={"If-None-Match": f'"x", W/{etag}'})
    assert fresh.status == 304 and fresh.body == b"" and fresh.headers["ETag"] == etag
    large = server.get(path, headers={"X-DEBUGINFOD-MAXSIZE": "100"})
    assert large.status == 406 and b"max size=100" in large.body, large
    assert server.get(path, headers={"X-DEBUGINFOD-MAXSIZE": str(len(body))}).status == 200

    packed = server.get(path, headers={"Accept-Encoding": "gzip, zstd"})
    assert packed.headers["Content-Encoding"] == "zstd" and packed.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["ETag"] != etag and packed.headers["X-DEBUGINFOD-SIZE"] == str(len(body))
    assert run("zstd", "-dc", input=packed.body, text=False).stdout == body
    assert server.get(path, headers={"Accept-Encoding": "zstd;q=0"}).body == body
    for other in (f"/buildid/{ident}/section/.text", f"/buildid/{ident}/source/x.c", f"/buildid/{ident}/nothing",
                  "/buildid/" + "ab" * 20 + "/debuginfo"):
        assert server.get(other).status == 404, other
    assert server.request("POST", path, body=b"x").status == 405


@test
def uploads_in_chunks(case):
    """a chunked body, zstd on top: stored whole; other codings 415, a cut-off stream 400, nothing stored of those"""
    need("zstd")
    full, ident, body = subject(case)
    server = case.server()
    packed = run("zstd", "-c", full, text=False).stdout
    path = f"/v1/debuginfo/{ident}?wait=30"

    def put(pieces, coding):
        link = http.client.HTTPConnection(*address_of(server), timeout=60 * SLOW)
        link.request("PUT", path, body=iter(pieces), headers={"Content-Encoding": coding}, encode_chunked=True)
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())

    status, said = put([packed[:-20]], "zstd")
    assert status == 400 and said["code"] == "bad_encoding", said
    status, said = put([body], "gzip")
    assert status == 415 and said["code"] == "unsupported_type", said
    assert server.get(f"/v1/debuginfo/{ident}").status == 404
    status, said = put([packed[i:i + 1000] for i in range(0, len(packed), 1000)], "zstd")
    assert status == 201 and said["status"] == "indexed" and said["size"] == len(body), said
    assert ident in said["ids"] and said["quality"] == "dwarf" and said["type"] == "debuginfo", said
    assert server.get(f"/buildid/{ident}/debuginfo").body == body


@test
def refused_before_the_body(case):
    """what can be refused by its head is: no "100 Continue", the status at once"""
    _, ident, _ = subject(case)
    server = case.server("--max-upload", "1MiB")
    head = f"PUT /v1/debuginfo/{ident}?type=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n"
    for kind, size, status in (("debuginfo", 1 << 30, 413), ("sources", 1000, 501), ("kallsyms", 1 << 30, 413),
                               ("nonsense", 1000, 400)):
        for expect in ("", "Expect: 100-continue\r\n"):
            answer = talk(server, (head % (kind, size, expect)).encode())
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (kind, answer)
    token = run(program("unhexd"), "token", "create", "--data-dir", server.data_dir, "--name", "ci").stdout.strip()
    answer = talk(server, (head % ("debuginfo", 1000, "Expect: 100-continue\r\n")).encode())
    assert answer.startswith(b"HTTP/1.1 401 ") and b"WWW-Authenticate: Bearer" in answer, answer
    with_token = f"Authorization: Bearer {token}\r\nExpect: 100-continue\r\n"
    answer = talk(server, (head % ("debuginfo", 1000, with_token)).encode())
    assert answer.startswith(b"HTTP/1.1 100 "), answer


def parked(server):
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith("unhex_http_requests_parked "):
            return int(line.split()[1])
    return 0


@test
def waits_hold_nobody_up(case):
    """200 requests wait for a silent upstream: others are served in milliseconds; TERM ends the waits with an answer"""
    listener, url = silent_upstream(case)
    server = case.server("--upstream", url)
    answers = []

    def wait(number):
        body = json.dumps({"modules": [{"build_id": "%040x" % (number + 1), "addresses": ["0x10"]}]}).encode()
        request = b"POST /v1/symbolize?wait=120 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" \
                  b"Content-Length: %d\r\n\r\n" % len(body) + body
        answers.append(talk(server, request, lambda answer: answer.endswith(b"}")))

    threads = [threading.Thread(target=wait, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    wait_until(lambda: parked(server) == len(threads), what="200 parked requests")
    start = time.monotonic()
    for _ in range(20):
        assert server.get("/healthz").status == 200
        assert server.get("/v1/missing").status == 200
    assert time.monotonic() - start < 2 * SLOW
    with socket.create_connection(address_of(server)) as gone:  # one that does not wait for its answer
        gone.sendall(b"GET /buildid/" + b"cd" * 20 + b"/debuginfo HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: parked(server) == len(threads) + 1, what="one more parked")
    start = time.monotonic()
    assert server.get("/readyz").status == 200
    stop = threading.Thread(target=server.stop)
    server.process.send_signal(15)
    stop.start()
    for thread in threads:
        thread.join()
    stop.join()
    assert time.monotonic() - start < 20 * SLOW
    assert server.process.returncode == 0
    assert len(answers) == len(threads)
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 200 ") and b'"pending"' in answer and b"Unhex-Pending: 1" in answer, answer
    listener.close()


@test
def a_request_under_way_is_finished(case):
    """TERM in the middle of an upload: it is stored and answered, then the server ends with 0"""
    _, ident, body = subject(case)
    server = case.server()
    with socket.create_connection(address_of(server), timeout=20 * SLOW) as link:
        link.sendall(f"PUT /v1/debuginfo/{ident} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        link.sendall(body[:1000])
        time.sleep(0.2)
        server.process.send_signal(15)
        time.sleep(0.3)
        refused = subprocess.run(["curl", "-s", "-m", "5", server.url + "/healthz"], capture_output=True, check=False)
        assert refused.returncode != 0, refused  # nobody new is let in
        link.sendall(body[1000:])
        answer = link.recv(65536)
        assert answer.startswith(b"HTTP/1.1 201 ") and b"Connection: close" in answer, answer
    assert server.process.wait(20 * SLOW) == 0
    again = case.server()
    assert again.get(f"/buildid/{ident}/debuginfo").body == body


if __name__ == "__main__":
    main()
