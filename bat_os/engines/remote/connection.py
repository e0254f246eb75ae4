"""The way to a model server: checked address, retries, a circuit breaker.

A server that is busy, starting or not there yet is asked again with growing pauses. One that
keeps failing is left alone for a while, so that a mission hears at once that it is down.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx2

from bat_os.engines.remote import replies
from bat_os.errors import ModelError, ModelOutputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

MAX_ERROR_BYTES: Final = 1 << 16
MAX_WAIT: Final = 30.0  # the longest Retry-After that is honoured, in seconds
_BUSY: Final = frozenset({429, 503})
_TIMEOUT: Final = httpx2.Timeout(30, connect=5, read=300, pool=None)


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient an engine is with its server.

    Attributes:
        attempts: Times that one request is tried while the server is busy or not there.
        backoff: Seconds before the second attempt; doubles with each further one.
        failures: Calls in a row after which the server is left alone.
        pause: Seconds for which it is left alone; doubles up to ``longest``.
        longest: The longest pause.
        requests: At the same time, of all calls together. With more than one, a server that
            draws them together need not give the same text for the same seed.
        insecure: Plain HTTP to another machine is allowed.
        clock: Seconds that only go up.
    """

    attempts: int = 6
    backoff: float = 0.25
    failures: int = 3
    pause: float = 5.0
    longest: float = 120.0
    requests: int = 1
    insecure: bool = False
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


def check_url(url: str, *, insecure: bool) -> str:
    """Return the address of the API, ending in a version such as ``/v1``.

    Raises:
        SettingsError: It is none, has a password in it, or is plain HTTP to another machine.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # raises when it is no number
    except ValueError as error:
        raise SettingsError(f"the model server's URL cannot be read: {error}") from error
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise SettingsError("the model server's URL is not like http://127.0.0.1:8080/v1")
    if parts.username or parts.password:
        raise SettingsError("the model server's URL has a password in it; set the key instead")
    if parts.scheme == "http" and not insecure and not _is_loopback(host):
        raise SettingsError(f"plain HTTP to {host} can be read on the way; use https")
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Connection:
    """Requests to one server.

    Args:
        url: As ``check_url`` returns it.
        key: Sent as bearer token, and kept out of every message.
        policy: How often to try.
    """

    def __init__(self, url: str, key: str, policy: Policy) -> None:
        self.url = url
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
        """Return the JSON object at ``url``: GET without ``body``, else POST.

        Raises:
            ModelError: As ``stream``.
            ModelOutputError: It is no JSON object, or has more than ``most`` bytes.
        """
        async with self.stream(client, url, body) as reply:
            return replies.parse(self.scrub(await replies.read_body(reply.aiter_raw(), most)))

    @asynccontextmanager
    async def stream(
        self, client: httpx2.AsyncClient, url: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx2.Response]:
        """Give the reply once its status is 200; its body is still to be read.

        Raises:
            ModelError: No good reply. ``details`` has ``status`` when there was one, and
                ``down`` is True when it is the server that is not well.
            ModelOutputError: The reply is compressed, which nobody asked for.
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
                f"{replies.told(str(error) or type(error).__name__)}; is it running?",
                down=True,
            ) from error

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
                wait = _retry_after(reply)
                await reply.aclose()
            await asyncio.sleep(max(pause, wait))
            pause *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _refusal(self, reply: httpx2.Response) -> ModelError:
        status = reply.status_code
        try:
            body = await replies.read_body(reply.aiter_raw(), MAX_ERROR_BYTES)
            why = replies.error_text(replies.parse(self.scrub(body)))
        except ModelOutputError:
            why = "no reason given"
        finally:
            await reply.aclose()
        hint = {401: "set its key", 403: "set its key", 404: "check its URL and the model's name"}
        return ModelError(
            f"the model server at {self.url} answers {status}: {why}; "
            f"{hint.get(status, 'look at its log')}",
            status=status,
            down=status >= 500 or status == 429,
        )

    def scrub(self, raw: bytes) -> bytes:
        """Return what the server sent without the key, should it repeat it."""
        return raw.replace(self._key.encode(), b"***") if self._key else raw


def _retry_after(reply: httpx2.Response) -> float:
    told = reply.headers.get("retry-after", "")
    return min(float(told), MAX_WAIT) if told.isascii() and told.isdigit() else 0.0
