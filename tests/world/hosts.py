"""Web servers for tests, on the loopback: some answer, some attack."""

import contextlib
import gzip
import http.server
import json
import threading
import time
import zlib

PAGE = """<html><head><title>Ants</title><style>p {}</style></head><body>
<nav><a href="/nav">Navigation</a> and more</nav>
<main><h1>About ants</h1><p>Ants live in colonies. A colony has one queen or several of them.</p>
<p>Most workers are sterile, and all of them are female. They live for one to three years; a queen
may live for thirty. The anthill has 12 rooms.</p><ul><li><a href="sub/queens.html">Queens</a></li>
<li><a href="https://other.example/x#top">Elsewhere</a></li><li><a href="mailto:a@b.c">Mail</a></li>
<li><a href="sub/queens.html">Queens again</a></li></ul></main>
<footer>Imprint</footer><script>alert("no")</script></body></html>"""


class Host:
    """A server whose pages are functions, by path; it counts what it is asked."""

    def __init__(self, pages=None):
        self.pages = dict(pages or {})
        self.asked = []
        self.headers = []
        self.bodies = []
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                host.asked.append(f"{self.command} {self.path}")
                host.headers.append(dict(self.headers))
                host.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                page = host.pages.get(self.path.partition("?")[0])
                with contextlib.suppress(OSError):
                    if page is None:
                        reply(self, b"not here", status=404)
                    elif callable(page):
                        page(self)
                    else:
                        reply(self, page)
                self.close_connection = True

            do_GET = do_POST = answer  # noqa: N815  # http.server names them

            def log_message(self, *_):
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.ended = threading.Event()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def read(self):
        """Return the paths that were asked for, without robots.txt."""
        return [path for path in self.asked if not path.endswith("/robots.txt")]


def reply(to, data, *, kind="text/html; charset=utf-8", status=200, **headers):
    """Answer a request with some bytes, or a text."""
    data = data.encode() if isinstance(data, str) else data
    to.send_response(status)
    to.send_header("Content-Type", kind)
    to.send_header("Content-Length", str(len(data)))
    for name, value in headers.items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()
    to.wfile.write(data)


def says(data, **how):
    return lambda to: reply(to, data, **how)


def sends_to(place, status=302):
    return lambda to: reply(to, "", status=status, Location=place)


def answers_json(value):
    return says(json.dumps(value), kind="application/json")


def endless(to):
    """A body without an end."""
    to.send_response(200)
    to.send_header("Content-Type", "text/plain")
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    piece = b"x" * 65_536
    while True:
        to.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))


def dripping(host):
    """A body that comes a byte at a time, and none too late."""

    def drip(to):
        to.send_response(200)
        to.send_header("Content-Type", "text/plain")
        to.end_headers()
        while not host.ended.wait(0.05):
            to.wfile.write(b"x")

    return drip


def dripping_headers(host):
    def drip(to):
        to.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not host.ended.wait(0.05):
            to.wfile.write(b"x")

    return drip


def silent(host):
    return lambda _: host.ended.wait(60)


def huge_headers(to):
    to.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        to.wfile.write(b"X-%d: %s\r\n" % (number, b"y" * 1_000))


def bomb(to):
    """Some kilobytes that are a gigabyte once they are unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    data = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(200)) + packer.flush()
    reply(to, data, kind="text/plain", Content_Encoding="gzip")


def packed(text):
    return says(gzip.compress(text.encode()), kind="text/plain", Content_Encoding="gzip")


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
