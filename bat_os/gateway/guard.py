"""Who may come in, decided before anything is parsed: pure ASGI around the whole application.

    where the request is for (Host), whose page sends it (Origin), who (token, or page),
    how often, how large  >  the application, with ``scope["state"]["caller"]``

Every rule is one that others lacked: see docs/security.md. No answer carries a CORS header, so a
page of another origin reads nothing here.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bat_os.client.tokens import Caller, Proof
from bat_os.errors import ArgumentsError, BusyError, HttpError, TooLargeError, UnauthorizedError
from bat_os.gateway.problems import describe, openai_error, problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping

    from bat_os.client.tokens import TokenRing

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY: Final = 1 << 20
BODY_SECONDS: Final = 30.0  # for the whole body of a request
# A document is larger, and takes longer.
UPLOADS: Final = "/uploads"
MAX_UPLOAD: Final = 64 << 20
UPLOAD_SECONDS: Final = 300.0
RATE, BURST = 20.0, 100.0  # requests a second of one caller
WRONG_RATE, WRONG_BURST = 10.0 / 60, 10.0  # wrong tokens of one address
MAX_CALLERS: Final = 10_000  # whose rates are kept
# These answer without a token, and say nothing but what everyone may know.
OPEN: Final = frozenset(
    {"/", "/login", "/healthz", "/favicon.ico", "/errors", "/.well-known/agent-card.json"}
)
OPEN_BELOW: Final = "/page/"
_ONCE: Final = (
    b"host", b"origin", b"authorization", b"content-length", b"content-type", b"transfer-encoding",
    b"cookie", b"batos-page", b"if-match", b"idempotency-key",
)  # fmt: skip
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_SAFE: Final = (
    (b"content-security-policy", CSP.encode()), (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"), (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"), (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)  # fmt: skip
_NOBODY: Final = Caller("", "read")


@dataclass(frozen=True, slots=True)
class Site:
    """The names of this server, and the one that its cookie has."""

    hosts: frozenset[str]  # what a Host header may say, in lower case
    origins: frozenset[str]
    cookie: str
    secure: bool = False  # it is reached by TLS

    @classmethod
    def local(cls, port: int, *, tls: bool = False) -> Site:
        """Return the site at a port of this machine."""
        names = ("127.0.0.1", "localhost", "[::1]")
        usual = 443 if tls else 80
        hosts = {f"{name}:{port}" for name in names} | ({*names} if port == usual else set())
        scheme = "https" if tls else "http"
        # Cookies do not tell ports apart: two minds on one machine would log each other out.
        name = f"__Host-batos-{port}" if tls else f"batos-{port}"
        return cls(frozenset(hosts), frozenset(f"{scheme}://{h}" for h in hosts), name, tls)

    def with_host(self, address: str, port: int) -> Site:
        """Return the site with one more address of this machine."""
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        scheme = "https" if self.secure else "http"
        return replace(
            self, hosts=self.hosts | {host.lower()}, origins=self.origins | {f"{scheme}://{host}"}
        )

    def with_socket(self) -> Site:
        """Return the site with the name that clients of a Unix socket send."""
        return replace(self, hosts=self.hosts | {"localhost"})

    def with_public(self, url: str) -> Site:
        """Return the site with the name that a proxy in front of it has."""
        parts = urlsplit(url)
        host = parts.netloc.lower()
        return Site(
            self.hosts | {host}, self.origins | {f"{parts.scheme}://{host}"}, "__Host-batos", True
        )


@dataclass(slots=True)
class Rates:
    """Leaky buckets by name: ``rate`` a second, ``burst`` at once."""

    rate: float
    burst: float
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, name: str) -> float:
        """Count one; return 0, or the seconds to wait where it is one too many."""
        now = time.monotonic()
        left, at = self._left.pop(name, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.rate)
        is_one = left >= 1.0
        self._left[name] = (left - 1.0 if is_one else left, now)
        if len(self._left) > MAX_CALLERS:
            self._left.popitem(last=False)
        return 0.0 if is_one else (1.0 - left) / self.rate


class Guard:
    """The application, for those who may use it."""

    def __init__(self, app: App, site: Site, ring: TokenRing) -> None:
        self._app = app
        self._site = site
        self._ring = ring
        self._rates = Rates(RATE, BURST)
        self._wrong = Rates(WRONG_RATE, WRONG_BURST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return

        headers: Mapping[bytes, str] = {}
        is_over = False

        async def safely(message: Message) -> None:
            nonlocal is_over
            if is_over:
                return
            if message.get("more_body") and not self._is_known(scope, headers):
                is_over = True  # a stream ends with the right to ask for it
                message = {"type": "http.response.body", "body": b""}
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                kept = [header for header in _SAFE if header[0] not in known]
                message["headers"] = [*message["headers"], *kept]
            await send(message)

        try:
            headers = _headers(scope["headers"])
            caller = self._check(scope, headers)
        except HttpError as error:
            await refuse(scope, safely, error)
            return
        scope["state"] = {"caller": caller, "site": self._site}
        await self._app(scope, bounded(receive, scope["path"] == UPLOADS), safely)

    def _check(self, scope: Scope, headers: Mapping[bytes, str]) -> Caller:
        _check_form(headers, MAX_UPLOAD if scope["path"] == UPLOADS else MAX_BODY)
        self._check_place(scope, headers)
        if _is_open(scope["path"]):
            return _NOBODY
        caller = self._find(scope, headers)
        if wait := self._rates.take(caller.name):
            raise HttpError(
                429, BusyError("too many requests; wait a moment", int(wait * 1000) + 1)
            )
        return caller

    def _check_place(self, scope: Scope, headers: Mapping[bytes, str]) -> None:
        """Refuse what is meant for another name, or comes from another site's page.

        A link of another site may lead to the page, and to nothing else.
        """
        host = headers.get(b"host", "").lower()
        if host not in self._site.hosts:
            shown = host[:60] or "no host"
            raise HttpError(421, UnauthorizedError(f"{shown} is not a name of this server"))
        origin = headers.get(b"origin")
        if origin is not None and origin.lower() not in self._site.origins:
            raise HttpError(403, UnauthorizedError("a page of another origin may not ask here"))
        is_cross = headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin")
        if is_cross and not (scope["method"] == "GET" and scope["path"] == "/"):
            raise HttpError(403, UnauthorizedError("a page of another site may not ask here"))

    def _find(self, scope: Scope, headers: Mapping[bytes, str]) -> Caller:
        """Return who asks, by token, or by what the page shows."""
        caller = self._known(headers)
        if headers.get(b"authorization"):
            return caller or self._refuse_token(scope)
        if caller is None:
            raise HttpError(
                401, UnauthorizedError("no valid token; make one: batos keys token NAME")
            )
        return caller

    def _known(self, headers: Mapping[bytes, str]) -> Caller | None:
        if given := headers.get(b"authorization", ""):
            return self._ring.find(_token_in(given))
        own = f"{self._site.cookie}="
        cookies = [part.strip() for part in headers.get(b"cookie", "").split(";")]
        mine = [part.removeprefix(own) for part in cookies if part.startswith(own)]
        secret = headers.get(b"batos-page", "")
        return self._ring.find_page(Proof(mine[0], secret)) if len(mine) == 1 else None

    def _is_known(self, scope: Scope, headers: Mapping[bytes, str]) -> bool:
        """Return whether who asks may still do so: tokens are revoked, and end."""
        return _is_open(scope["path"]) or self._known(headers) is not None

    def _refuse_token(self, scope: Scope) -> Caller:
        address = (scope.get("client") or ("",))[0]
        if wait := self._wrong.take(address):
            raise HttpError(
                429, BusyError("too many wrong tokens; wait a moment", int(wait * 1000) + 1)
            )
        raise HttpError(401, UnauthorizedError("this token is not valid; batos keys list shows"))


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


def _token_in(given: str) -> str:
    """Return the token of an Authorization header; "" without one.

    It is a bearer's, or the password of a client that knows nothing but an address:
    ``http://any:TOKEN@localhost:8000``.
    """
    kind, _, value = given.partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() != "basic":
        return ""
    try:
        pair = base64.b64decode(value.strip(), validate=True).decode("latin-1")
    except ValueError:
        return ""
    return pair.rpartition(":")[2]


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    headers: dict[bytes, str] = {}
    for given, value in pairs:
        name = given.lower()
        if name in headers and name in _ONCE:
            shown = name.decode("latin-1")
            raise HttpError(400, ArgumentsError(f"the header {shown} came twice"))
        headers[name] = value.decode("latin-1")
    return headers


def _check_form(headers: Mapping[bytes, str], most: int) -> None:
    """Refuse what no client of ours sends, by its headers alone."""
    if b"upgrade" in headers:
        raise HttpError(400, ArgumentsError("no other protocol is spoken here"))
    if b"transfer-encoding" in headers and b"content-length" in headers:
        raise HttpError(400, ArgumentsError("a body has one length"))
    length = headers.get(b"content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise HttpError(400, ArgumentsError("content-length is not a number"))
    if len(length) > 10 or int(length) > most:
        raise HttpError(413, TooLargeError(f"a body has at most {most} bytes"))


def bounded(receive: Receive, is_upload: bool = False) -> Receive:
    """Return ``receive`` for a body that is counted, and not believed; it also has to come."""
    size, most = 0, MAX_UPLOAD if is_upload else MAX_BODY
    until = time.monotonic() + (UPLOAD_SECONDS if is_upload else BODY_SECONDS)
    ended = False

    async def take() -> Message:
        nonlocal size, ended
        if ended:  # what comes now is the end of the connection
            return await receive()
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise HttpError(408, ArgumentsError("the body did not come in time")) from None
        size += len(message.get("body", b""))
        ended = not message.get("more_body", False)
        if size > most:
            raise HttpError(413, TooLargeError(f"a body has at most {most} bytes"))
        return message

    return take


async def refuse(scope: Scope, send: Send, error: HttpError) -> None:
    """Answer with a problem; in OpenAI's form below ``/v1``, where clients read no other."""
    status, headers, body = describe(error)
    raw, kind = problem(status, body), b"application/problem+json"
    if scope["path"].startswith("/v1/"):
        raw, kind = openai_error(status, body), b"application/json"
    named = [(name.encode(), value.encode()) for name, value in headers.items()]
    named += [(b"content-type", kind), (b"content-length", str(len(raw)).encode())]
    if status not in (404, 409, 429):  # what may come of it is not read
        named.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": named})
    content = b"" if scope["method"] == "HEAD" else raw
    await send({"type": "http.response.body", "body": content})
