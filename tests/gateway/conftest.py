"""A real kernel and a real gateway on real sockets, and a client that can be as rude as needed."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bat_os.client.tokens import TokenRing
from bat_os.core.settings import Settings
from bat_os.gateway.running import FILE, serve
from bat_os.supervisor.home import read_json
from tests.kernels import ThinkingKernel

JSON = {"content-type": "application/json"}


@dataclass
class Answer:
    """One reply."""

    status: int
    headers: dict
    raw: bytes

    @property
    def json(self):
        return json.loads(self.raw)


class Http:
    """A gateway, and the tokens to it."""

    def __init__(self, kernel, port, home):
        self.kernel = kernel
        self.home = home
        self.port = port
        self.me = f"127.0.0.1:{port}"
        self.ring = TokenRing(self.home)
        self.tokens = {}

    def token(self, scope="own"):
        if scope not in self.tokens:
            self.tokens[scope] = self.ring.make(f"a-{scope}", scope, 1)
        return {"authorization": f"Bearer {self.tokens[scope]}"}

    async def ask(self, method, path, body=None, *, scope="own", headers=()):
        """Ask as a well-behaved client with a token of that scope does."""
        given = dict(JSON) if body is not None else {}
        return await self.rude(method, path, body, [*given.items(), *self.token(scope).items(),
                                                    *dict(headers).items()])  # fmt: skip

    async def rude(self, method, path, body=None, headers=(), *, host=""):
        """Send exactly these headers, besides Host and the length of the body."""
        raw = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        names = {name.lower() for name, _ in headers}
        lines = [f"{method} {path} HTTP/1.1", "connection: close"]
        lines += [] if "host" in names else [f"host: {host or self.me}"]
        if raw and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"content-length: {len(raw)}")
        lines += [f"{name}: {value}" for name, value in headers]
        return await self.bytes("\r\n".join([*lines, "", ""]).encode("latin-1") + raw)

    async def bytes(self, data):
        """Send bytes, and return the first reply to them."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(60):
                return await read_answer(reader)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def until_done(self, place):
        """Return a mission once it has ended."""
        while True:
            answer = await self.ask("GET", place)
            if answer.json["done"]:
                return answer
            await asyncio.sleep(0.01)

    async def enter(self):
        """Come in as the owner's page; return its headers."""
        code = self.ring.write_code()
        origin = ("origin", f"http://{self.me}")
        answer = await self.rude("POST", "/login", {"code": code}, [*JSON.items(), origin])
        assert answer.status == 200, answer
        cookie = answer.headers["set-cookie"].split(";")[0]
        secret = answer.json["secret"]
        return [*JSON.items(), origin, ("batos-page", secret), ("cookie", cookie)]


async def read_answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    headers = {name.lower(): value for name, value in headers.items()}
    if "content-length" in headers:
        raw = await reader.readexactly(int(headers["content-length"]))
    else:
        raw = await reader.read() if headers.get("transfer-encoding") != "chunked" else b""
    return Answer(int(head[0].split()[1]), headers, raw)


@asynccontextmanager
async def opened(kernel, **settings):
    """Serve HTTP for a kernel that runs in this loop."""
    home, asked = kernel.home.path, asyncio.Event()
    wanted = Settings(home=str(home), http_port=0, **settings)
    unhurried = pytest.MonkeyPatch()
    unhurried.setattr("bat_os.gateway.guard.RATE", 1e6)  # its own test knows of it
    serving = asyncio.create_task(serve(home, wanted, asked))
    try:
        while not (url := read_json(home / FILE).get("url")):
            await asyncio.sleep(0.01)
            assert not serving.done(), serving
        yield Http(kernel, int(url.rpartition(":")[2]), home)
    finally:
        unhurried.undo()
        asked.set()
        await serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(tmp_path_factory):
    home = tmp_path_factory.mktemp("gateway") / "home"
    async with ThinkingKernel(home) as kernel, opened(kernel) as made:
        kernel.gate.set()
        yield made
