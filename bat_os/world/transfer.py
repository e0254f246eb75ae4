"""One exchange over HTTP with a host that is not trusted: checked addresses, bounds on everything.

    name > addresses > those that may be reached > a connection to just that address > bytes

The address that was checked is the one that is connected to, so a name that resolves to another
one a moment later (DNS rebinding) gains nothing. No proxy, no cookies, no redirects by itself; each
byte counts against one deadline, so a server that drips is not read for long.
"""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import socket
import threading
import time
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError, NotGrantedError, WorldError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import httpcore2

    Resolve = Callable[[str, int], Iterable[str]]

MAX_READ: Final = 4 << 20  # bytes of one answer, also after it was decompressed
MAX_ADDRESSES: Final = 4  # of one name are tried
CONNECT_SECONDS: Final = 3.0
LOOK_UP_SECONDS: Final = 4.0
OFFLINE_SECONDS: Final = 0.7  # a name that takes longer: is there a network at all?
LOOPBACK_NAMES: Final = (".localhost",)
LOCAL_NAMES: Final = (".local", ".lan", ".internal", ".home.arpa", ".intranet")
_PUBLIC_V6: Final = ipaddress.ip_network("2000::/3")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# The special-purpose registries of IANA (RFC 6890): what Python knows of them depends
# on its version. Some are routed (AS112, AMT, ORCHID): no page of the web is at such an address.
_SPECIAL: Final = tuple(map(ipaddress.ip_network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "240.0.0.0/4", "::/8", "64:ff9b:1::/48", "100::/8", "2001::/23", "2001:db8::/32", "2002::/16",
    "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: str  # http or https
    host: str  # a name in lower case, or an address without brackets
    port: int
    path: str  # with the query; begins with "/"

    @property
    def origin(self) -> str:
        """Scheme, host, and port if it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port != usual else "")

    def __str__(self) -> str:
        """Return the URL."""
        return self.origin + self.path


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]  # names in lower case; of two alike, the last one
    data: bytes  # decompressed


class Deadline:
    """A moment that nothing goes beyond."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, most: float = 1e9) -> float:
        """Return the seconds that are left, at most ``most``.

        Raises:
            WorldError: None are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise WorldError(f"no whole answer within {self.seconds:.0f} s")
        return min(left, most)


def is_local(host: str) -> bool:
    """Return whether a host is named as one of this machine or of a private net."""
    with contextlib.suppress(ValueError):
        return not _is_public(ipaddress.ip_address(host))
    named = f".{host}"
    return "." not in host or named.endswith((*LOOPBACK_NAMES, *LOCAL_NAMES))


def may_reach(host: str, address: str) -> bool:
    """Return whether an address that a host resolves to is one that the host may have.

    A public name may have public addresses alone. A grant that names a private host says so by
    its address, as ``localhost``, or by a name that no public host has, such as ``nas.local``.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host) == found and not found.is_multicast
    if f".{host}".endswith(LOOPBACK_NAMES):
        return found.is_loopback
    if _is_public(found):
        return True
    shared = found.is_private and not (
        found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified
    )
    return is_local(host) and shared and getattr(found, "ipv4_mapped", None) is None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if address in _NAT64:
        return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    is_special = address.is_multicast or any(address in net for net in _SPECIAL)
    inside = isinstance(address, ipaddress.IPv4Address) or address in _PUBLIC_V6
    return inside and address.is_global and not is_special


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host, by the resolver of the system."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def exchange(
    target: Target,
    deadline: Deadline,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    resolve: Resolve = look_up,
    most: int = MAX_READ,
) -> Reply:
    """Send one request, POST if it has a body, and return the answer. Blocks.

    Raises:
        WorldError: It does not answer, not in time, or not in HTTP.
        NotGrantedError: Its name has an address that it may not have.
        ArgumentsError: The answer is too long.
    """
    import httpcore2  # a tenth of a second, which only this needs

    secure = _secure() if target.scheme == "https" else None
    pool = httpcore2.ConnectionPool(
        ssl_context=secure, network_backend=_network(target, deadline, resolve), retries=0
    )
    sent = {"Host": target.origin.partition("://")[2], "Connection": "close", **headers}
    try:
        with (
            pool,
            pool.stream(
                "GET" if body is None else "POST",
                httpcore2.URL(
                    scheme=target.scheme, host=target.host, port=target.port, target=target.path
                ),
                headers=[(name.encode(), value.encode()) for name, value in sent.items()],
                content=body,
            ) as reply,
        ):
            told = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in reply.headers
            }
            coding = told.get("content-encoding", "").strip().lower()
            data = _read(reply.iter_stream(), coding, most, deadline)
            return Reply(reply.status, told, data)
    except httpcore2.TimeoutException as error:
        raise WorldError(f"{target.host} does not answer in time") from error
    except (httpcore2.NetworkError, OSError) as error:
        reason = str(error) or "no connection"
        raise WorldError(f"{target.host} cannot be reached: {reason[:200]}") from error
    except (httpcore2.ProtocolError, UnicodeError) as error:
        raise WorldError(f"{target.host} does not speak HTTP: {str(error)[:200]}") from error


@cache
def _secure() -> ssl.SSLContext:
    import httpcore2

    return httpcore2.default_ssl_context()


def _read(pieces: Iterable[bytes], coding: str, most: int, deadline: Deadline) -> bytes:
    """Return a body, decompressed, of at most so many bytes."""
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise WorldError(f"the answer is packed as {coding[:40]!r}, which was not asked for")
    unpack = zlib.decompressobj(wbits=47) if coding not in ("", "identity") else None
    data = bytearray()
    try:
        for piece in pieces:
            deadline.left()
            data += piece if unpack is None else unpack.decompress(piece, most + 1 - len(data))
            if len(data) > most:
                raise ArgumentsError(f"the answer has more than {most >> 20 or 1} MB")
    except zlib.error as error:
        raise WorldError("the answer cannot be unpacked") from error
    return bytes(data)


def _network(target: Target, deadline: Deadline, resolve: Resolve) -> httpcore2.NetworkBackend:
    """Return what connects to a checked address of the target, until the deadline."""
    import httpcore2

    class Stream(httpcore2.NetworkStream):
        """A stream whose steps all end at the deadline."""

        def __init__(self, inner: httpcore2.NetworkStream) -> None:
            self._inner = inner

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._inner.read(max_bytes, deadline.left())

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._inner.write(buffer, deadline.left())

        def close(self) -> None:
            self._inner.close()

        def start_tls(
            self,
            ssl_context: ssl.SSLContext,
            server_hostname: str | None = None,
            timeout: float | None = None,
        ) -> httpcore2.NetworkStream:
            return Stream(self._inner.start_tls(ssl_context, server_hostname, deadline.left()))

        def get_extra_info(self, info: str) -> Any:
            return self._inner.get_extra_info(info)

    class Network(httpcore2.NetworkBackend):
        """Connects to the target, whatever it is asked for."""

        def connect_tcp(self, *_: Any, **__: Any) -> httpcore2.NetworkStream:
            plain, problem = httpcore2.SyncBackend(), ""
            for address in _addresses(target, deadline, resolve):
                try:
                    most = deadline.left(CONNECT_SECONDS)
                    return Stream(plain.connect_tcp(address, target.port, most))
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                    problem = str(error)
            reason = "this machine is offline" if not has_network() else problem
            raise WorldError(f"{target.host} cannot be reached: {reason or 'it does not answer'}")

    return Network()


def _addresses(target: Target, deadline: Deadline, resolve: Resolve) -> Iterator[str]:
    found = list(_looked_up(target, deadline, resolve))
    allowed = [each for each in found if may_reach(target.host, each)]
    if found and not allowed:
        text = f"{target.host} has the address {found[0]}, which is not a public address"
        raise NotGrantedError(text)
    return iter(allowed[:MAX_ADDRESSES])


def _looked_up(target: Target, deadline: Deadline, resolve: Resolve) -> list[str]:
    """Return the addresses of a host; the resolver of the system knows no deadline of ours."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(target.host))]
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(resolve(target.host, target.port)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="look up a host", daemon=True).start()
    for seconds in (OFFLINE_SECONDS, LOOK_UP_SECONDS):
        with contextlib.suppress(queue.Empty):
            answer = answers.get(timeout=deadline.left(seconds))
            if isinstance(answer, Exception) or not answer:
                break
            return answer
        if not is_local(target.host) and not has_network():
            break
    if not has_network():
        raise WorldError(f"{target.host} cannot be reached: this machine is offline")
    raise WorldError(f"the name {target.host} is not known, or this machine is offline")


def has_network() -> bool:
    """Return whether this machine has a way to any public address; nothing is sent."""
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # a datagram socket: it only looks for a route
            return True
    return False
