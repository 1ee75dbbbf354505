#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tools as people type them: help, exit codes, stdout for data and stderr for talk."""
import os
import subprocess

from harness import build_id, free_port, main, program, run, symbols, test

COMMANDS = ("upload", "extract", "build-id", "find", "addr2line", "symbolize", "top", "index", "status", "missing")


def unhex(*argv, server=None, env=()):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("UNHEX_", "DEBUGINFOD_"))} | dict(env)
    if server:
        env["UNHEX_SERVER"] = server
    return subprocess.run([program("unhex"), *map(str, argv)], capture_output=True, text=True, env=env, check=False, timeout=120)


@test
def help_teaches(case):
    """--help of every program and command: exit 0, on stdout, within 80 columns"""
    texts = [run(program(p), "--help").stdout for p in ("unhexd", "unhex-agent", "unhex-indexer", "unhex")]
    texts += [unhex(c, "--help").stdout for c in COMMANDS]
    for text in texts:
        assert len(text) > 150, text
        wide = [l for l in text.splitlines() if len(l) > 100]
        assert not wide, wide
    for c in COMMANDS:
        assert c in unhex("--help").stdout
    for p in ("unhexd", "unhex-agent", "unhex-indexer", "unhex"):
        assert run(program(p), "--version").stdout.strip()


@test
def usage_errors(case):
    """2, one line on stderr, nothing on stdout"""
    for argv in ((), ("nonsense",), ("upload",), ("addr2line",), ("status",), ("upload", "--nonsense", "x"),
                 ("symbolize", "x.pb.gz"), ("upload", "--type", "sources", "x"), ("top",), ("index",)):
        done = unhex(*argv)
        assert done.returncode == 2, (argv, done)
        assert done.stdout == "", (argv, done)
        if argv:
            assert len(done.stderr.strip().splitlines()) == 1 and "--help" in done.stderr, (argv, done)
    for name in ("unhexd", "unhex-agent"):
        done = subprocess.run([program(name), "--nonsense"], capture_output=True, text=True, check=False)
        assert done.returncode == 2, (name, done)


@test
def files_are_named_once(case):
    """what is wrong with a file names it, once, and says nothing else"""
    path = case.path("empty")
    open(path, "w", encoding="ascii").close()
    expected = f"unhex: {path}: not an ELF file\n"
    for argv in (("build-id", path), ("extract", path, "-o", case.path("out")), ("addr2line", "-e", path, "0x10"),
                 ("upload", "--dry-run", path)):
        done = unhex(*argv)
        assert (done.returncode, done.stderr) == (1, expected), (argv, done)
    assert not os.path.exists(case.path("out"))


@test
def a_build_tree_is_uploaded_whole(case):
    """what was linked goes; objects that lie beside it are left out, and fail only where they are named"""
    os.mkdir(case.path("tree"))
    case.compile("shapes.cc", "tree/shapes", "-O2", "-g", compiler="g++")
    part = case.compile("busy.c", "tree/busy.o", "-c", "-g")
    server = case.server()
    done = unhex("upload", case.path("tree"), server=server.url)
    assert (done.returncode, done.stderr) == (0, "unhex: 1 objects without build-ID (.o, .dwo, .dwp) left out\n"), done
    assert len(done.stdout.splitlines()) == 1 and "tree/shapes" in done.stdout, done
    os.unlink(case.path("tree/shapes"))
    assert unhex("upload", case.path("tree"), server=server.url).returncode == 3
    done = unhex("upload", part, server=server.url)
    assert done.returncode == 1 and "upload what it was linked into" in done.stderr, done


@test
def exit_codes(case):
    """3 not found, 4 refused, 5 unavailable, 6 partly"""
    full = case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++")
    dead = f"http://127.0.0.1:{free_port()}"
    assert unhex("missing", server=dead).returncode == 5
    assert unhex("upload", full, server=dead).returncode == 5
    server = case.server()
    assert unhex("status", "00" * 20, server=server.url).returncode == 3
    assert unhex("addr2line", "--build-id", "00" * 20, "0x1", server=server.url).returncode == 3
    os.mkdir(case.path("empty"))
    assert unhex("upload", case.path("empty"), server=server.url).returncode == 3
    with open(case.path("text"), "w", encoding="ascii") as out:
        out.write("no ELF\n" * 1000)
    partly = unhex("upload", full, case.path("text"), server=server.url)
    assert partly.returncode == 6, partly
    assert build_id(full) in partly.stdout and "text" in partly.stderr, partly
    assert unhex("status", build_id(full), server=server.url).returncode == 0
    found = unhex("find", "debuginfo", "77" * 20, server=server.url)
    assert found.returncode == 3, found


@test
def libraries_when_needed(case):
    """what only talks to servers is loaded when a command does; where it is missing, that says what to install"""
    full = case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++")
    os.mkdir(case.path("broken"))
    for name in ("libcurl.so.4", "libdebuginfod.so.1"):
        with open(os.path.join(case.path("broken"), name), "wb") as out:
            out.write(b"no library")
    env = {"LD_LIBRARY_PATH": case.path("broken")}
    assert unhex("addr2line", "-e", full, "0x1", env=env).returncode == 0
    for library, argv in (("libcurl.so.4", ("status", "77" * 20)), ("libdebuginfod.so.1", ("find", "debuginfo", "77" * 20))):
        done = unhex(*argv, server="http://127.0.0.1:1", env=env)
        assert done.returncode == 1 and library in done.stderr and "Debian's package" in done.stderr, done


@test
def addresses_in_step(case):
    """what is no address is answered in its place (exit 6), and a pipe gets each answer when it asks"""
    full = case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++")
    good = hex(symbols(full)["plain_c_function"][0])
    done = unhex("addr2line", "-f", "-e", full, good, "zz", good)
    lines = done.stdout.splitlines()
    assert done.returncode == 6 and "zz" in done.stderr, done
    assert len(lines) == 6 and lines[0] == lines[4] == "plain_c_function" and lines[2:4] == ["??", "??:0"], done
    assert unhex("addr2line", "-e", full, "zz").returncode == 2
    with subprocess.Popen([program("unhex"), "addr2line", "-f", "-e", full], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as asked:
        for _ in range(3):
            asked.stdin.write(good + "\n")
            asked.stdin.flush()
            assert asked.stdout.readline() == "plain_c_function\n"
            assert ":" in asked.stdout.readline()
        asked.stdin.close()
        assert asked.wait(20) == 0


@test
def tokens_of_nowhere(case):
    """token list and revoke make no folder; an empty list says that it is"""
    nowhere = case.path("nowhere")
    for words in (("list",), ("revoke", "--name", "ci")):
        done = run(program("unhexd"), "token", *words, "--data-dir", nowhere, check=False)
        assert done.returncode == 3 and "there is no data dir of unhexd at " + nowhere in done.stderr, done
        assert not os.path.exists(nowhere)
    data = case.path("data")
    run(program("unhexd"), "token", "create", "--data-dir", data, "--name", "ci")
    run(program("unhexd"), "token", "revoke", "--data-dir", data, "--name", "ci")
    assert "revoked" in run(program("unhexd"), "token", "list", "--data-dir", data).stdout
    case.server(name="fresh").stop()
    done = run(program("unhexd"), "token", "list", "--data-dir", case.path("fresh"))
    assert done.stdout == "" and "There are no tokens" in done.stderr, done


@test
def tokens(case):
    """a token made before the first start guards uploads: 401 without, 403 with the wrong scope, 201 with it"""
    full = case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++")
    data = case.path("data")
    uploader = run(program("unhexd"), "token", "create", "--data-dir", data, "--name", "ci", "--scope", "upload").stdout.strip()
    reader = run(program("unhexd"), "token", "create", "--data-dir", data, "--name", "eye", "--scope", "read").stdout.strip()
    files = {}
    for name, token in (("ci", uploader), ("eye", reader)):
        files[name] = case.path(name + ".token")
        with open(files[name], "w", encoding="ascii") as out:
            out.write(token.splitlines()[-1] + "\n")
    server = case.server()
    assert unhex("upload", full, server=server.url).returncode == 4
    assert unhex("upload", "--token-file", files["eye"], full, server=server.url).returncode == 4
    done = unhex("upload", "--token-file", files["ci"], full, server=server.url)
    assert done.returncode == 0, done
    body = server.request("PUT", f"/v1/debuginfo/{build_id(full)}", body=b"x")
    assert body.status == 401 and body.json()["code"] == "unauthorized", body
    listed = run(program("unhexd"), "token", "list", "--data-dir", data).stdout
    assert "ci" in listed and uploader.splitlines()[-1] not in listed, listed
    run(program("unhexd"), "token", "revoke", "--data-dir", data, "--name", "ci")
    assert unhex("upload", "--force", "--token-file", files["ci"], full, server=server.url).returncode == 4


@test
def open_listener_wants_a_token(case):
    """beyond loopback without a token: refuses to start, says why and what to do"""
    done = subprocess.run([program("unhexd"), "--listen", "0.0.0.0:0", "--data-dir", case.path("data")],
                          capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2, done
    assert "--allow-anonymous-write" in done.stderr and "token create" in done.stderr, done.stderr


@test
def config(case):
    """flag > env > file > default; --print-config says which; --check-config refuses an unknown key"""
    conf = case.path("unhexd.conf")
    with open(conf, "w", encoding="ascii") as out:
        out.write(f"# comment\nlisten = 127.0.0.1:1\ndata-dir = {case.path('from-file')}\n")
    env = {**os.environ, "UNHEX_DATA_DIR": case.path("from-env")}
    shown = run(program("unhexd"), "--config", conf, "--listen", "127.0.0.1:2", "--print-config", env=env).stdout
    assert "127.0.0.1:2" in shown and "from-env" in shown and "from-file" not in shown, shown
    with open(conf, "a", encoding="ascii") as out:
        out.write("no-such-key = 1\n")
    bad = subprocess.run([program("unhexd"), "--config", conf, "--check-config"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2 and "no-such-key" in bad.stderr, bad


@test
def two_servers_one_folder(case):
    """the data folder is locked: the second server says who has it"""
    server = case.server()
    second = subprocess.run([program("unhexd"), "--listen", "127.0.0.1:0", "--data-dir", server.data_dir],
                            capture_output=True, text=True, check=False, timeout=30)
    assert second.returncode != 0 and server.data_dir in second.stderr, second


@test
def metrics_and_pages(case):
    """/metrics is Prometheus text with unhex_ names and HELP lines; / is a page; errors carry a request ID"""
    server = case.server()
    server.get("/healthz")
    text = server.get("/metrics").body.decode()
    names = {l.split("{")[0].split()[0] for l in text.splitlines() if l and not l.startswith("#")}
    odd = [n for n in names if not n.startswith(("unhex_", "process_"))]
    assert not odd and len(names) > 20, (odd, names)
    helped = {l.split()[2] for l in text.splitlines() if l.startswith("# HELP")}
    for n in names:
        base = n
        for suffix in ("_bucket", "_sum", "_count"):
            if n.endswith(suffix) and n.removesuffix(suffix) in helped:
                base = n.removesuffix(suffix)
        assert base in helped, n
    page = server.get("/")
    assert page.status == 200 and b"<html" in page.body.lower(), page
    nothing = server.get("/v1/nothing")
    assert nothing.status == 404 and nothing.json()["code"] == "not_found" and nothing.headers["X-Request-Id"], nothing
    wrong = server.request("POST", "/v1/missing", body=b"")
    assert wrong.status == 405, wrong


@test
def local_symbolize(case):
    """without a server: /usr/lib/debug and the files the profile names"""
    import gzip
    import pprof_writer
    full = case.compile("shapes.cc", "shapes", "-O2", "-g", compiler="g++")
    p = pprof_writer.Profile()
    m = p.mapping(full, build_id(full))
    p.sample([p.location(m, symbols(full)["plain_c_function"][0] + 2)], 5)
    with open(case.path("in.pb.gz"), "wb") as out:
        out.write(gzip.compress(p.encode()))
    done = unhex("symbolize", case.path("in.pb.gz"), "-o", case.path("out.pb.gz"))
    assert done.returncode == 0, done
    named = pprof_writer.decode(gzip.decompress(open(case.path("out.pb.gz"), "rb").read()))
    assert named["locations"][1]["lines"][0][0] == "plain_c_function", named
    top = unhex("top", case.path("out.pb.gz"))
    assert top.returncode == 0 and "plain_c_function" in top.stdout, top


main()
