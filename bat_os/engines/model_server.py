"""The way to a model server: checked address, retries, a circuit breaker, checked replies.

    request -> Connection.stream -> bytes (counted) -> JSON (checked) -> Event

A server that is busy, starting or not there yet is asked again with growing pauses. One that
keeps failing is left alone for a while, so that a mission fails at once.

A reply may be endless, malformed or not what was asked for. Sizes are capped, every field is
checked, and a reply that cannot be read is a ``ModelOutputError``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import httpx2

from bat_os.core.schema import Record, convert, field, number, read_json
from bat_os.errors import ModelError, ModelOutputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

MAX_ERROR_BYTES: Final = 1 << 16
MAX_WAIT: Final = 30.0  # the longest Retry-After that is honoured, in seconds
MAX_SHOWN: Final = 200  # characters of a server's own words in a message
_BUSY: Final = frozenset({429, 503})
_TIMEOUT: Final = httpx2.Timeout(30, connect=5, read=300, pool=None)
_SET_KEY: Final = "set its key in the environment variable that profiles.toml names as its key"
_HINTS: Final = {401: _SET_KEY, 403: _SET_KEY, 404: "check its URL and the model's name"}
_Count = Annotated[int, number(0, 10**9)]


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient an engine is with its server; times in seconds."""

    attempts: int = 6  # to send one request while the server is busy or not there
    backoff: float = 0.25  # before the second attempt; doubles with each further one
    failures: int = 3  # calls in a row after which the server is left alone
    pause: float = 5.0  # for which it is left alone; doubles up to ``longest``
    longest: float = 120.0
    # At the same time, of all calls together. With more than one, a server that draws them
    # together need not give the same text for the same seed.
    requests: int = 1
    clock: Callable[[], float] = time.monotonic


class Breaker:
    """Remembers how a server did, and says whether it should be asked now."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._failures = 0
        self._pause = policy.pause
        self._until = 0.0

    @property
    def closed_for(self) -> float:
        """Seconds for which the server is left alone, 0 when it can be asked."""
        return max(0.0, self._until - self._policy.clock())

    def succeed(self) -> None:
        """Note an answer."""
        self._failures, self._pause = 0, self._policy.pause

    def fail(self) -> None:
        """Note a call that got no answer."""
        self._failures += 1
        if self._failures >= self._policy.failures:
            self._until = self._policy.clock() + self._pause
            self._pause = min(2 * self._pause, self._policy.longest)


def check_url(url: str) -> str:
    """Return the address of the API, ending in a version such as ``/v1``."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # raises if it is not a number
    except ValueError as error:
        raise SettingsError(f"the model server's URL cannot be read: {error}") from error
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise SettingsError("the model server's URL is not like http://127.0.0.1:8080/v1")
    if parts.username or parts.password:
        raise SettingsError("the model server's URL has a password in it; set the key instead")
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError(f"plain HTTP to {host} can be read on the way; use https")
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Connection:
    """Requests to one server; ``key`` is its bearer token, and kept out of every message."""

    def __init__(self, url: str, key: str, policy: Policy) -> None:
        self.url = check_url(url)
        self._key = key
        self._policy = policy
        self._trust: ssl.SSLContext | None = None

    def client(self) -> httpx2.AsyncClient:
        """Return a client for one call; closing it ends what it is still asking."""
        if self._trust is None:
            # Reading the system's certificates costs 20 ms; plain HTTP needs none.
            plain = self.url.startswith("http://")
            self._trust = (
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else ssl.create_default_context()
            )
        headers = {"Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return httpx2.AsyncClient(
            headers=headers, timeout=_TIMEOUT, verify=self._trust, trust_env=False
        )

    async def fetch(
        self, client: httpx2.AsyncClient, url: str, body: Mapping[str, Any] | None, most: int
    ) -> dict[str, Any]:
        """Return the JSON object at ``url``, of at most ``most`` bytes; errors as ``stream``."""
        async with self.stream(client, url, body) as reply:
            return self._parse(await _read_body(reply, most))

    @asynccontextmanager
    async def stream(
        self, client: httpx2.AsyncClient, url: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx2.Response]:
        """Give the reply once its status is 200; GET without ``body``, else POST.

        Any other is a ModelError: ``details`` has ``status`` if there was one, and ``down`` is
        True if it is the server that is not well.
        """
        try:
            reply = await self._send(client, url, body)
            try:
                if reply.headers.get("content-encoding", "identity") != "identity":
                    raise ModelOutputError("the model server compressed its answer")
                yield reply
            finally:
                await reply.aclose()
        except httpx2.HTTPError as error:
            raise ModelError(
                f"the model server at {self.url} does not answer: "
                f"{printable(str(error) or 'no reason is given')}; is it running?",
                down=True,
            ) from error

    async def read_events(self, reply: httpx2.Response, most: int) -> AsyncGenerator[Event, None]:
        """Yield the events of a stream, up to its end mark, or a whole reply as one."""
        if reply.headers.get("content-type", "").startswith("application/json"):
            yield _read_event(self._parse(await _read_body(reply, most)))
            return
        left = b""
        # Not the library's reader of events: it has no end for a stream of comments, and passes
        # over the lines "error: {...}" of llama-server.
        async for chunk in _counted(reply, most):
            *lines, left = (left + chunk).split(b"\n")
            for line in lines:
                name, _, value = line.strip().partition(b":")
                if name not in {b"data", b"error"}:
                    continue
                if value.strip() == b"[DONE]":
                    return
                yield _read_event(self._parse(value))

    async def _send(
        self, client: httpx2.AsyncClient, url: str, body: Mapping[str, Any] | None
    ) -> httpx2.Response:
        pause = self._policy.backoff
        for attempt in range(1, self._policy.attempts + 1):
            last = attempt == self._policy.attempts
            request = client.build_request("POST" if body else "GET", url, json=body)
            wait = 0.0
            try:
                reply = await client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if last:
                    raise
            else:
                if reply.status_code == 200:
                    return reply
                if last or reply.status_code not in _BUSY:
                    raise await self._refusal(reply)
                wait = _read_wait(reply)
                await reply.aclose()
            await asyncio.sleep(max(pause, wait))
            pause *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _refusal(self, reply: httpx2.Response) -> ModelError:
        status = reply.status_code
        try:
            why = _error_text(self._parse(await _read_body(reply, MAX_ERROR_BYTES)))
        except ModelOutputError:
            why = "no reason given"
        finally:
            await reply.aclose()
        return ModelError(
            f"the model server at {self.url} answers {status}: {why}; "
            f"{_HINTS.get(status, 'look at its log')}",
            status=status,
            down=status >= 500 or status == 429,
            wait=_read_wait(reply),
        )

    def _parse(self, raw: bytes) -> dict[str, Any]:
        """Return a JSON object, without the key should the server repeat it."""
        if self._key:
            raw = raw.replace(self._key.encode(), b"***")
        data = read_json(raw, _unreadable, "an answer")
        if type(data) is not dict:
            raise _unreadable("it is not a JSON object")
        return data


def _read_wait(reply: httpx2.Response) -> float:
    """Return the seconds after which a busy server wants to be asked again; 0: not said."""
    asked = reply.headers.get("retry-after", "")
    return min(float(asked), MAX_WAIT) if asked.isascii() and asked.isdigit() else 0.0


class _Part(Record, frozen=True, forbid_unknown_fields=False):
    """A part of a reply; servers add fields of their own."""


class _Function(_Part, frozen=True):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # Ollama's own form has an object


class _ToolCall(_Part, frozen=True):
    index: _Count | None = None
    function: _Function | None = None


class _Text(_Part, frozen=True):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class Choice(_Part, frozen=True):
    """A part of one answer."""

    index: _Count | None = None
    delta: _Text | None = None
    message: _Text | None = None
    content: str | None = None
    text: str | None = None
    finish_reason: str | None = None

    @property
    def new_text(self) -> str:
        """Its new text."""
        part = self.delta or self.message or self
        text = self.text if part.content is None else part.content
        # JSON can escape half of a surrogate pair, which no file and no frame can carry.
        return (text or "").encode(errors="replace").decode()

    @property
    def called(self) -> tuple[str, str] | None:
        """Name and arguments, as JSON, of the first tool that it calls, as far as they are new."""
        calls = (self.delta or self.message or _Text()).tool_calls or ()
        function = next((one.function for one in calls if not one.index and one.function), None)
        if function is None:
            return None
        given = function.arguments
        text = json.dumps(given) if isinstance(given, dict) else given
        return function.name or "", (text or "").encode(errors="replace").decode()


class _Timings(_Part, frozen=True):
    predicted_n: _Count | None = None


class _Progress(_Part, frozen=True):
    total: _Count | None = None
    cache: _Count | None = None


class _Details(_Part, frozen=True):
    cached_tokens: _Count | None = None


class _Usage(_Part, frozen=True):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None


class Event(_Part, frozen=True):
    """A part of a reply, or all of it: what the server says of the answers to one prompt."""

    choices: list[Choice] = field(default_factory=list)
    timings: _Timings | None = None
    prompt_progress: _Progress | None = None
    usage: _Usage | None = None

    @property
    def read(self) -> tuple[int, int] | None:
        """Tokens of the prompt, and how many of them were in the server's cache; None: not said."""
        if self.usage is not None and self.usage.prompt_tokens is not None:
            details = self.usage.prompt_tokens_details or _Details()
            return self.usage.prompt_tokens, details.cached_tokens or 0
        progress = self.prompt_progress or _Progress()
        return None if progress.total is None else (progress.total, progress.cache or 0)

    @property
    def drawn(self) -> int | None:
        """Tokens of the answer so far; None: not said."""
        return self.timings.predicted_n if self.timings else None

    @property
    def counted(self) -> int | None:
        """Tokens of all answers together; None: not said."""
        return self.usage.completion_tokens if self.usage else None


def _read_event(data: dict[str, Any]) -> Event:
    if "error" in data or ("message" in data and "choices" not in data):
        raise ModelError(f"the model server failed: {_error_text(data)}; ask again")
    return convert(data, Event, _unreadable)


def _unreadable(problem: str) -> ModelOutputError:
    return ModelOutputError(f"the model server's answer cannot be read: {printable(problem)}")


def _error_text(data: dict[str, Any]) -> str:
    """Return a server's words on what is wrong, short and printable."""
    error = data.get("error", data)
    text = error.get("message", error) if type(error) is dict else error
    return printable(text if isinstance(text, str) else json.dumps(text))


def printable(text: str) -> str:
    """Return foreign text that is fit for a message."""
    return "".join(c if c.isprintable() else " " for c in text[:MAX_SHOWN]).strip()


async def _counted(reply: httpx2.Response, most: int) -> AsyncIterator[bytes]:
    total = 0
    async for chunk in reply.aiter_raw():
        total += len(chunk)
        if total > most:
            raise ModelOutputError(f"the model server sent more than {most} bytes")
        yield chunk


async def _read_body(reply: httpx2.Response, most: int) -> bytes:
    return b"".join([chunk async for chunk in _counted(reply, most)])
