# SPDX-License-Identifier: Apache-2.0
"""A push.v1 server of a few lines that answers as it is told and remembers what it was sent."""
import gzip
import http.server
import threading
import time

import pprof_writer


class Receiver(http.server.ThreadingHTTPServer):
    """`answers` are given one after the other, then always 200: a status, "slow" (200, late), or "lost" (takes the
    push and hangs up). `bodies` is all that came, `taken` what was accepted."""
    daemon_threads = True

    def __init__(self, answers=()):
        self.answers, self.bodies, self.taken = list(answers), [], []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def series(self):
        """[(labels, [(ID, pprof bytes)])] of what was taken."""
        return [one for body in self.taken for one in series_of(body)]

    def find(self, **labels):
        return next((have for have, _ in self.series() if labels.items() <= have.items()), None)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        answer = self.server.answers.pop(0) if self.server.answers else 200
        if answer == "slow":
            time.sleep(1.5)
            answer = 200
        if answer in (200, "lost"):
            self.server.taken.append(body)
        if answer == "lost":
            self.close_connection = True
            return
        self.send_response(answer)
        if answer in (429, 503):
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def series_of(push):
    """[(labels, [(ID, pprof bytes)])] of a push request as it is sent."""
    found = []
    for series in pprof_writer.message(gzip.decompress(push)).get(1, []):
        m = pprof_writer.message(series)
        pairs = [pprof_writer.message(label) for label in m[1]]
        samples = [pprof_writer.message(sample) for sample in m[2]]
        found.append(({p[1][0].decode(): p[2][0].decode() for p in pairs}, [(s[2][0], s[1][0]) for s in samples]))
    return found
