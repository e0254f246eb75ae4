"""The driver of the web: one host, below one path, over HTTP.

    fetch > the grant's host and path? > robots.txt? > a pause > exchange > text, links or JSON
                 ^________________________________ a redirect ___|

A redirect is followed only to where the grant reaches. What was read is kept for some minutes, with
its time. Pages are taken apart in a child process (``documents.extract``): strangers write them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from bat_os import __version__
from bat_os.documents.extract import Extract, extract
from bat_os.errors import ArgumentsError, BatError, NotFoundError, NotGrantedError, WorldError
from bat_os.ports import AWAIT, READ, Operation
from bat_os.world.transfer import Deadline, Reply, Target, exchange, look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.world.transfer import Resolve

    Scope = Mapping[str, Any]

MAX_URL: Final = 2_000  # characters
MAX_ANSWER: Final = 1 << 20  # bytes of one answer
MAX_SENT: Final = 1 << 20
MAX_REDIRECTS: Final = 5
SECONDS: Final = 9.0  # for all that one message asks; a message may wait for ten
CACHE_SECONDS: Final = 300.0
MAX_CACHED: Final = 32  # pages
PAUSE: Final = 0.5  # seconds between two requests to one host
MAX_PAUSE: Final = 5.0  # that its robots.txt may ask for
PARSE_SECONDS: Final = 4.0  # to take a page of HTML apart
ROBOTS_SECONDS: Final = 3600.0
MAX_ROBOTS: Final = 512 << 10
MAX_HOSTS: Final = 256  # that rules and pauses are kept for
NAME: Final = "BAT-OS"
USER_AGENT: Final = f"{NAME}/{__version__} (a person's own assistant; reads what the person asks)"
_ACCEPT: Final = "text/html, application/xhtml+xml, application/json, text/*;q=0.9, */*;q=0.5"
_BAD: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?\.?|[0-9a-f:]{2,45}")
_STEPS_BACK: Final = re.compile(r"%(?:25)*(?:2e|2f|5c)", re.IGNORECASE)  # ".", "/" and "\" in code
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_CHARSET: Final = re.compile(
    r"utf-?8|utf-?16(?:[lb]e)?|us-ascii|iso-?8859-?[0-9]{1,2}|latin-?1|windows-[0-9]{3,4}"
    r"|cp[0-9]{3,4}|koi8-?[ru]|gb2312|gbk|gb18030|big5|shift[_-]?jis|euc-?(?:jp|kr)|macintosh",
    re.IGNORECASE,
)
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{2,20})", re.IGNORECASE)


@dataclass(slots=True)
class Page:
    """What was read from a URL."""

    url: str  # after redirects
    kind: str  # content type without parameters
    charset: str  # as the server says; often ""
    data: bytes
    moment: dt.datetime
    ends: float  # on the monotonic clock: from then on it is read anew
    parts: Extract | None = None  # of HTML and PDF, once they were asked for


@dataclass(slots=True)
class _Host:
    """What one origin wants of programs."""

    rules: RobotFileParser | None = None
    read_at: float = -1e9  # on the monotonic clock
    next_at: float = -1e9  # the next request may go out then
    pause: float = 0.0  # between two requests
    lock: threading.Lock = field(default_factory=threading.Lock)


class Web:
    """Reads pages of one host. A scope is ``{"scheme", "host", "port", "path"}``."""

    name = "web"

    def __init__(
        self,
        *,
        cache_seconds: float = CACHE_SECONDS,
        seconds: float = SECONDS,
        pause: float = PAUSE,
        resolve: Resolve = look_up,
    ) -> None:
        self._cache_seconds = cache_seconds
        self._seconds = seconds
        self._pause = pause
        self._resolve = resolve
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._lock = threading.Lock()

    def claims(self, what: str) -> bool:
        """Return whether it is a URL of the web."""
        return what[:8].lower().startswith(("http://", "https://"))

    def scope(self, what: str) -> dict[str, Any]:
        """Return the scope of a URL that a person named: what lies below it, on that host.

        Raises:
            ArgumentsError: It is not a URL, or one with a name and a password.
        """
        target = read_url(what)
        path = _path_of(target).rstrip("/") or "/"
        return {"scheme": target.scheme, "host": target.host, "port": target.port, "path": path}

    def describe(self, scope: Scope) -> str:
        """Return what a grant of the scope lets in, for a person."""
        return str(_target(scope)).removesuffix("/")

    def short_name(self, scope: Scope) -> str:
        """Return the host, without ``www``."""
        return str(scope["host"]).removeprefix("www.")

    def operations(self, scope: Scope) -> Mapping[str, Operation]:
        """Return what can be done, by selector."""
        return _OPERATIONS

    def contains(self, outer: Scope, inner: Scope) -> bool:
        """Return whether a scope is a part of another one.

        One for http reaches the same host over https, too: most servers send all there.
        """
        ends = [(scope["scheme"], scope["host"], scope["port"]) for scope in (outer, inner)]
        usual = (("http", outer["host"], 80), ("https", outer["host"], 443))
        if ends[0] != ends[1] and tuple(ends) != usual:
            return False
        above = str(outer["path"]).rstrip("/")
        return above in ("", inner["path"]) or str(inner["path"]).startswith(f"{above}/")

    def reaches(self, scope: Scope, what: str) -> bool:
        """Return whether it is the address of a page in the scope."""
        try:
            return self.contains(scope, self.scope(what))
        except BatError:
            return False

    def perform(self, scope: Scope, operation: str, args: Sequence[Any], key: str = "") -> Any:
        """Do it, and return its answer. Blocks: to be called in a thread.

        Raises:
            NotGrantedError: A URL, or a redirect, leads out of the scope; or the host asks programs
                to stay away.
            NotFoundError: The page does not exist.
            ArgumentsError: The arguments do not fit, or the answer is too long.
            WorldError: The host does not answer, or this machine is offline.
        """
        deadline = Deadline(self._seconds)
        if operation == "post":
            return self._post(scope, deadline, key, *args)
        return _ANSWERS[operation](self._page(scope, deadline, *args), deadline)

    def _page(self, scope: Scope, deadline: Deadline, url: str = "") -> Page:
        target = self._within(scope, url)
        for _ in range(MAX_REDIRECTS + 1):
            if (kept := self._kept(str(target))) is not None:
                return kept
            host = self._host(target)
            self._heed(target, host, deadline)
            reply = self._get(target, host, deadline)
            if reply.status not in (301, 302, 303, 307, 308):
                return self._keep(target, _checked(target, reply))
            target = self._follow(scope, target, reply)
        raise WorldError(f"{target.host} redirects more than {MAX_REDIRECTS} times")

    def _within(self, scope: Scope, url: Any) -> Target:
        """Return where a URL leads, which may be relative to the grant's.

        Raises:
            NotGrantedError: Out of the scope.
        """
        if type(url) is not str or len(url) > MAX_URL:
            raise ArgumentsError(f"a URL is a text of at most {MAX_URL} characters")
        own = str(_target(scope))
        target = read_url(_joined(f"{own.rstrip('/')}/", url) if url else own)
        reached = {
            "scheme": target.scheme, "host": target.host, "port": target.port,
            "path": _path_of(target),
        }  # fmt: skip
        hidden = scope["path"] != "/" and _STEPS_BACK.search(target.path.partition("?")[0])
        if hidden or not self.contains(scope, reached):
            raise NotGrantedError(f"{target} is not in {self.describe(scope)}")
        return target

    def _follow(self, scope: Scope, target: Target, reply: Reply) -> Target:
        place = reply.headers.get("location", "")
        try:
            return self._within(scope, _joined(target, place))
        except NotGrantedError as error:
            text = f"{target} leads to {place[:200]}, which is not granted"
            raise NotGrantedError(text, what=[place[:MAX_URL]]) from error
        except ArgumentsError as error:
            raise WorldError(f"{target} leads to {place[:200]!r}, which is not a URL") from error

    def _get(self, target: Target, host: _Host, deadline: Deadline, accept: str = _ACCEPT) -> Reply:
        """Return the answer to a GET, after the pause that the host may want."""
        with host.lock:
            start = max(host.next_at, time.monotonic())
            host.next_at = start + host.pause
        waits = start - time.monotonic()
        if waits > deadline.left():
            raise WorldError(f"{target.host} is asked too much at once; ask later")
        time.sleep(max(waits, 0.0))
        headers = {
            "User-Agent": USER_AGENT, "Accept": accept, "Accept-Encoding": "gzip, deflate"
        }  # fmt: skip
        return exchange(target, deadline, headers=headers, resolve=self._resolve)

    def _host(self, target: Target) -> _Host:
        with self._lock:
            host = self._hosts.setdefault(target.origin, _Host(pause=self._pause))
            self._hosts.move_to_end(target.origin)
            while len(self._hosts) > MAX_HOSTS:
                self._hosts.popitem(last=False)
        return host

    def _heed(self, target: Target, host: _Host, deadline: Deadline) -> None:
        """Raise unless the host's robots.txt lets programs read the target."""
        if time.monotonic() - host.read_at > ROBOTS_SECONDS:
            host.rules = self._rules(target, host, deadline)
            asked = host.rules.crawl_delay(NAME) or 0
            host.pause = min(max(self._pause, float(asked)), MAX_PAUSE)
            host.read_at = time.monotonic()
        if host.rules is not None and not host.rules.can_fetch(NAME, str(target)):
            raise NotGrantedError(f"{target.host} asks programs not to read {target} (robots.txt)")

    def _rules(self, target: Target, host: _Host, deadline: Deadline) -> RobotFileParser:
        rules = RobotFileParser()
        place = Target(target.scheme, target.host, target.port, "/robots.txt")
        reply = self._get(place, host, deadline, accept="text/plain, */*;q=0.5")
        if reply.status >= 500:
            raise WorldError(f"{target.host} does not say what programs may read ({reply.status})")
        is_there = reply.status == 200
        text = reply.data[:MAX_ROBOTS].decode("utf-8", "replace") if is_there else ""
        rules.parse(text.splitlines())
        return rules

    def _kept(self, url: str) -> Page | None:
        with self._lock:
            page = self._pages.get(url)
            return page if page is not None and time.monotonic() < page.ends else None

    def _keep(self, target: Target, reply: Reply) -> Page:
        said = reply.headers.get("content-type", "")
        charset = re.search(r"charset\s*=\s*\"?([\w-]{2,20})", said, re.IGNORECASE)
        page = Page(
            str(target), said.partition(";")[0].strip().lower() or "text/html",
            charset[1] if charset else "", reply.data,
            dt.datetime.now(dt.UTC).replace(microsecond=0), time.monotonic() + self._cache_seconds,
        )  # fmt: skip
        with self._lock:
            self._pages[str(target)] = page
            self._pages.move_to_end(str(target))
            while len(self._pages) > MAX_CACHED:
                self._pages.popitem(last=False)
        return page

    def _post(
        self, scope: Scope, deadline: Deadline, key: str, url: str, data: Any = ""
    ) -> dict[str, Any]:
        """Send data, text or what JSON can say, and return ``status`` and ``text``."""
        target = self._within(scope, url)
        kind = "text/plain; charset=utf-8" if isinstance(data, str) else "application/json"
        try:
            written = data if isinstance(data, str) else json.dumps(data, allow_nan=False)
            body = written.encode()
        except (TypeError, ValueError) as error:
            raise ArgumentsError(f"data is a text, or what JSON can say: {error}") from error
        if len(body) > MAX_SENT:
            raise ArgumentsError("at most 1 MB can be sent")
        headers = {"User-Agent": USER_AGENT, "Content-Type": kind, "Accept": _ACCEPT}
        if key:
            headers["Idempotency-Key"] = key
        reply = exchange(
            target, deadline, headers=headers, body=body, resolve=self._resolve, most=MAX_ANSWER
        )
        with self._lock:
            self._pages.clear()  # what it changed is read anew
        return {"status": reply.status, "text": _decode(reply.data, "")}


def read_url(said: str) -> Target:
    """Return where a URL leads.

    Raises:
        ArgumentsError: It is not a URL of the web, or has a name and a password in it.

    >>> str(read_url("HTTP://Example.org:80/a/../b?x=1#top"))
    'http://example.org/b?x=1'
    """
    bad = ArgumentsError(f"{said[:100]!r} is not a URL, such as https://example.org/page")
    if len(said) > MAX_URL or _BAD.search(said):
        raise bad
    try:
        parts = urlsplit(said)
        host, port = (parts.hostname or "").lower(), parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError as error:  # a bad port, half a bracket, a name that no host can have
        raise bad from error
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https") or port == 0 or not _HOST.fullmatch(host):
        raise bad
    if "@" in parts.netloc:
        raise ArgumentsError("a URL with a name and a password in it is not taken")
    query = f"?{parts.query}" if parts.query else ""
    usual = {"http": 80, "https": 443}[scheme]
    return Target(scheme, host.rstrip("."), port or usual, _plain(parts.path) + _quoted(query))


def _joined(base: object, url: str) -> str:
    try:
        return urljoin(str(base), url)
    except ValueError as error:
        raise ArgumentsError(f"{url[:100]!r} is not a URL") from error


def _plain(path: str) -> str:
    """Return a path without steps back, as a browser would ask for it."""
    kept: list[str] = []
    steps = re.sub("%2e", ".", path, flags=re.IGNORECASE).split("/")[1:]
    for step in steps:
        if step == "..":
            kept[-1:] = []
        elif step != ".":
            kept.append(step)
    if steps and steps[-1] in (".", ".."):
        kept.append("")
    return _quoted("/" + "/".join(kept))


def _quoted(text: str) -> str:
    return quote(text, safe="".join(map(chr, range(0x21, 0x7F))), errors="replace")


def _path_of(target: Target) -> str:
    return target.path.partition("?")[0]


def _target(scope: Scope) -> Target:
    return Target(scope["scheme"], scope["host"], scope["port"], scope["path"])


def _checked(target: Target, reply: Reply) -> Reply:
    """Return the answer of a server that has the page.

    Raises:
        NotFoundError: It has no such page.
        NotGrantedError: It lets nobody read it.
        WorldError: It answers something else.
    """
    if 200 <= reply.status < 300:
        return reply
    if reply.status in (404, 410):
        raise NotFoundError(f"{target.host} has no page {unquote(target.path)[:200]}")
    if reply.status in (401, 402, 403, 407, 451):
        raise NotGrantedError(f"{target.host} does not let BAT OS read {target} ({reply.status})")
    raise WorldError(f"{target.host} answers {reply.status} to {target}")


def _decode(data: bytes, charset: str) -> str:
    """Return the text of bytes: as the server says, else as the page says, else UTF-8."""
    for mark, codec in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(codec, "replace").removeprefix("\ufeff")
    inside = _META.search(data[:1024])
    said = charset or (inside[1].decode() if inside else "")
    # Other codecs of Python are no charsets, and some need quadratic time.
    codec = said.lower() if _CHARSET.fullmatch(said) else "utf-8"
    if codec in ("iso-8859-1", "iso8859-1", "latin1", "latin-1", "us-ascii"):
        codec = "cp1252"  # what pages mean by it
    with contextlib.suppress(LookupError):
        return data.decode(codec, "replace")
    return data.decode("utf-8", "replace")


def _parts(page: Page, deadline: Deadline) -> Extract:
    """Return title, text and links of a page."""
    if page.parts is None:
        if page.kind in _HTML:
            written = _decode(page.data, page.charset).encode("utf-8", "replace")
            seconds = min(deadline.left(), PARSE_SECONDS)
            page.parts = extract(written, "page", page.url, seconds=seconds)
        elif page.kind == "application/pdf":
            page.parts = extract(page.data, "pdf", page.url, seconds=deadline.left())
        elif page.kind.startswith("text/") or page.kind.endswith(("json", "xml")):
            page.parts = Extract("", _decode(page.data, page.charset))
        else:
            raise ArgumentsError(f"{page.url} is {page.kind[:60]}, not text")
    return page.parts


def fetch(page: Page, deadline: Deadline) -> str:
    """Return the readable text of a page, its title first."""
    parts = _parts(page, deadline)
    text = parts.text
    if parts.title and parts.title != text.partition("\n")[0].lstrip("# "):
        text = f"# {parts.title}\n\n{text}"
    if len(text.encode("utf-8", "replace")) > MAX_ANSWER:
        raise ArgumentsError(f"{page.url} has more than 1 MB of text")
    return text


def links(page: Page, deadline: Deadline) -> list[dict[str, str]]:
    """Return ``url`` and ``text`` of the links of a page, each URL once."""
    found: dict[str, str] = {}
    for place, text in _parts(page, deadline).links:
        with contextlib.suppress(ValueError):
            url = urljoin(page.url, place).partition("#")[0]
            if url.startswith(("http://", "https://")) and len(url) <= MAX_URL:
                found[url] = found.get(url) or text
    return [{"url": url, "text": text} for url, text in found.items()]


def read_json(page: Page, deadline: Deadline) -> Any:
    """Return what a page says in JSON."""
    if len(page.data) > MAX_ANSWER:
        raise ArgumentsError(f"{page.url} has more than 1 MB of JSON")
    try:
        return json.loads(_decode(page.data, page.charset), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ArgumentsError(f"{page.url} is not JSON: {str(error)[:100]}") from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def facts(page: Page, deadline: Deadline) -> dict[str, Any]:
    """Return ``url`` after redirects, ``kind``, ``bytes``, ``title``, and ``read``, in UTC."""
    title = ""
    with contextlib.suppress(BatError):
        title = _parts(page, deadline).title
    return {
        "url": page.url, "kind": page.kind, "bytes": len(page.data), "title": title,
        "read": page.moment,
    }  # fmt: skip


_ANSWERS: Final[Mapping[str, Callable[[Page, Deadline], Any]]] = MappingProxyType(
    {"fetch": fetch, "links": links, "json": read_json, "facts": facts}
)
_OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        **dict.fromkeys(_ANSWERS, Operation(READ, outward=True)),
        "post": Operation(AWAIT, outward=True, extra=True),
    }
)
