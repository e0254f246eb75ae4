"""A server over HTTP: one origin, a token out of the environment, answers that end."""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bat_os.errors import ServerError
from bat_os.world.mcp import host, process
from bat_os.world.mcp.driver import Mcp
from tests.world.mcp import hostile as server
from tests.world.mcp.servers import NOTHING

pytestmark = [pytest.mark.slow, pytest.mark.system]
pytest.importorskip("mcp", reason="the package mcp is not installed")
httpx2 = pytest.importorskip("httpx2", reason="it comes with the package mcp")
TOKEN = "BATOS_TEST_WIKI"  # noqa: S105 - the name of a variable


class Handler(BaseHTTPRequestHandler):
    """The tools of our own server, by POST; a path decides what is wrong with it."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization", "")))
        if self.path == "/away":
            self._send(307, {"Location": f"http://127.0.0.1:{self.server.elsewhere}/mcp"})
        elif self.path == "/here":
            self._send(307, {"Location": "/mcp"})
        elif self.path == "/endless" and asked.get("method") == "tools/call":
            self._flood()
        elif "id" not in asked:
            self._send(202, {})
        elif asked["method"] == "server/discover":
            error = {"code": -32601, "message": "no such method"}
            self._answer({"id": asked["id"], "error": error})
        else:
            self._answer({"id": asked["id"], "result": server.answer(asked)})

    def do_GET(self):
        self._send(405, {})

    def do_DELETE(self):
        self._send(200, {})

    def log_message(self, *_):
        pass

    def _send(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._send(200, {"Content-Type": "application/json"}, body)

    def _flood(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"[" * (1 << 20))
        except OSError:
            self.server.gave_up.set()


@pytest.fixture
def site():
    """Two origins; the second is where the first would like to send us."""
    made = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    for each in made:
        each.seen, each.gave_up = [], threading.Event()
        each.elsewhere = made[1].server_port
        threading.Thread(target=each.serve_forever, daemon=True).start()
    yield made
    for each in made:
        each.shutdown()
        each.server_close()


@pytest.fixture
def driver():
    made = Mcp()
    yield made
    made.close()


def wanted(site, path, **more):
    address = f"http://127.0.0.1:{site[0].server_port}{path}"
    return NOTHING | {"program": [address], "reads": ["get_sum"]} | more


def test_a_server_with_an_address_answers_and_gets_its_token(driver, site, monkeypatch):
    monkeypatch.setenv(TOKEN, "abc")
    scope = driver.meet("wiki", wanted(site, "/mcp", token=TOKEN))
    assert driver.perform(scope, "get_sum", [{"b": 2}]) == 2
    assert {header for _, header in site[0].seen} == {"Bearer abc"}
    assert "abc" not in json.dumps(scope)
    address = f"http://127.0.0.1:{site[0].server_port}/mcp"
    assert driver.describe(scope) == f"the MCP server at {address}"
    assert driver.operations(scope)["get_sum"].outward
    if sys.platform == "linux":
        (running,) = driver._hosts.values()
        limits = Path(f"/proc/{running._process.pid}/limits").read_text(encoding="utf-8")
        assert re.search(rf"^Max address space +{host.MAX_MEMORY} ", limits, re.MULTILINE)


class Source(httpx2.AsyncByteStream):
    """What a connection would give; it knows whether it was closed."""

    closed = False

    async def __aiter__(self):
        yield b"[1]"

    async def aclose(self):
        self.closed = True


async def test_an_answer_that_is_bounded_gives_its_connection_back():
    source = Source()
    response = httpx2.Response(200, stream=source)
    await host._bound(response)
    assert await response.aread() == b"[1]"
    assert source.closed


def test_a_redirect_within_the_origin_is_followed(driver, site):
    scope = driver.meet("here", wanted(site, "/here"))
    assert driver.perform(scope, "get_sum", [{"b": 2}]) == 2


def test_no_redirect_leads_to_another_origin(driver, site, monkeypatch):
    monkeypatch.setenv(TOKEN, "abc")
    with pytest.raises(ServerError):
        driver.meet("away", wanted(site, "/away", token=TOKEN))
    assert site[0].seen
    assert site[1].seen == []


def test_an_answer_without_end_is_an_error(driver, site, monkeypatch):
    monkeypatch.setattr(process, "CALL_SECONDS", 10.0)
    scope = driver.meet("endless", wanted(site, "/endless"))
    with pytest.raises(ServerError):
        driver.perform(scope, "get_sum", [{"b": 2}])
    assert site[0].gave_up.wait(30)


def test_a_token_that_is_not_there_and_an_address_where_nobody_is_are_errors(driver, site):
    with pytest.raises(ServerError, match=f"{TOKEN} of the daemon's environment has no token"):
        driver.meet("wiki", wanted(site, "/mcp", token=TOKEN))
    site[1].shutdown()
    site[1].server_close()
    nobody = NOTHING | {"program": [f"http://127.0.0.1:{site[1].server_port}/mcp"]}
    with pytest.raises(ServerError):
        driver.meet("nobody", nobody)
