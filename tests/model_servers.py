"""Servers on loopback that speak the protocols of a hub, of Ollama and of OpenAI's list, badly too.

Real sockets, on threads of the test's process, so that child processes can ask them. Beside them,
llama.cpp's own server with the packaged model.
"""

import hashlib
import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bat_os.engines.gguf import packaged_gguf

SERVER = """
import sys, threading, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.port = sys.argv[1], int(sys.argv[2])
parameters.n_ctx, parameters.n_parallel, parameters.kv_unified = 4096, 4, True
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
parameters.verbosity, parameters.ui = -1, False
server = xllamacpp.Server(parameters)
print("serving", flush=True)
threading.Event().wait()
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".gguf")  # the hub keeps these by their SHA-256


class Server(ThreadingHTTPServer):
    """Answers by ``answer(handler, body)``; ``asked`` has the (path, body) of each request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self._answer(None)

    def do_POST(self):
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body):
        self.server.asked.append((self.path, body))
        self.server.answer(self, body)

    def refuse(self, status, **heads):
        self.send_response(status)
        for name, value in heads.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def give(self, content, status=200, length=None):
        """Send bytes, or plain data as JSON; ``length`` is what is announced instead of theirs."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw) if length is None else length))
        self.end_headers()
        self.wfile.write(raw)

    def dribble(self, content, until):
        """Send a byte now and then until the event is set."""
        for place in range(len(content)):
            if until.wait(0.05):
                return
            self.wfile.write(content[place : place + 1])


class Hub(Server):
    """One repository, o/n. ``cut`` bytes are sent of the weights before the line breaks."""

    def __init__(self, files, repo="o/n"):
        super().__init__()
        self.files = files
        self.repo = repo
        self.sizes = {}  # name -> announced size, where it is not the real one
        self.status = {}  # part of a path -> (status, X-Error-Code)
        self.busy = []  # what Retry-After says to the next requests, which get 429
        self.cut = 0
        self.hold = None  # an event: the cut line is kept open, and dribbles, until it is set
        self.ranges = []

    def info(self):
        return {"id": self.repo, "sha": COMMIT, "cardData": {"license": "apache-2.0"},
                "siblings": [self.sibling(name) for name in self.files]}  # fmt: skip

    def sibling(self, name):
        content = self.files[name]
        size = self.sizes.get(name, len(content))
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        entry = {"rfilename": name, "size": size, "blobId": git.hexdigest()}
        if name.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"size": size, "sha256": sha256, "pointerSize": 130}
        return entry

    def answer(self, handler, _body):
        if self.busy:
            return handler.refuse(429, Retry_After=self.busy.pop(0))
        for part, (status, code) in self.status.items():
            if part in handler.path:
                return handler.refuse(status, X_Error_Code=code)
        if handler.path.startswith(f"/api/models/{self.repo}/revision/main"):
            return handler.give(self.info())
        content = self.files[handler.path.removeprefix(f"/{self.repo}/resolve/{COMMIT}/")]
        wanted = handler.headers.get("Range")
        if handler.path.endswith(LARGE):
            self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        return self._send(handler, 206 if wanted else 200, content[start:])

    def _send(self, handler, status, content):
        cut, self.cut = self.cut, 0
        if not cut or len(content) < cut:
            self.cut = cut
            return handler.give(content, status)
        handler.give(content[:cut], status, length=len(content))
        handler.close_connection = True
        if self.hold is not None:
            handler.dribble(content[cut:-1], self.hold)
        return None


class Listing(Server):
    """Answers each path by ``replies``: plain data, bytes, a number as status, or a function.

    A function gets the handler and the body. Other paths are 404.
    """

    def __init__(self, replies):
        super().__init__()
        self.replies = replies

    def answer(self, handler, body):
        reply = self.replies.get(handler.path, 404)
        if callable(reply):
            reply(handler, body)
        elif isinstance(reply, int):
            handler.refuse(reply)
        else:
            handler.give(reply)


def make_ollama(*models, shown=()):
    """Return Ollama with these models; ``shown`` has what /api/show says, by name."""
    about = dict(shown)

    def show(handler, body):
        said = about.get(body["model"], {"capabilities": ["completion"]})
        handler.refuse(said) if isinstance(said, int) else handler.give(said)

    tags = {"models": [{"name": name} if isinstance(name, str) else name for name in models]}
    ids = [tag["name"] for tag in tags["models"]]
    listed = {"object": "list", "data": [{"id": name, "owned_by": "library"} for name in ids]}
    return Listing({"/api/tags": tags, "/api/show": show, "/v1/models": listed})


def stall(handler, _body):
    """Accept a request and say nothing for longer than anybody waits."""
    time.sleep(4)


def flood(handler, _body):
    """Announce a list, and never come to its end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" " * 65536)
    except OSError:
        handler.close_connection = True


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def llama_server(port):
    """Run llama.cpp's own server with the packaged model in a process, which may be killed."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, packaged_gguf(), str(port)], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout.readline() == b"serving\n"
            yield process
        finally:
            process.kill()
