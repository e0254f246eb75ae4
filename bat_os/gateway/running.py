"""The gateway as a process: which address it takes, and how it starts and ends.

    settings > a site and its sockets > uvicorn > run/gateway.json says where

Another address than this machine's own is refused without tokens and TLS: no setting lets anybody
in without a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from bat_os.client.client import Places, find_kernel
from bat_os.client.keys import write_owned
from bat_os.client.tokens import TokenRing
from bat_os.errors import SettingsError, StorageError
from bat_os.gateway.application import Gateway, build
from bat_os.gateway.guard import Site
from bat_os.gateway.link import KernelLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.core.settings import Settings

log = logging.getLogger(__name__)

FILE: Final = "run/gateway.json"
LOOPBACK: Final = ("127.0.0.1", "::1")
BACKLOG: Final = 128
KEEP_ALIVE: Final = 75  # seconds; clients that keep a connection get a broken pipe before that
STOPPING: Final = 2  # seconds for what is being answered when it stops


@dataclass(frozen=True, slots=True)
class Binding:
    """Where the gateway listens."""

    site: Site
    sockets: Sequence[socket.socket]
    url: str  # of the page


def bind(settings: Settings, ring: TokenRing) -> Binding:
    """Take the sockets that the settings name.

    Raises:
        SettingsError: They name an address of others without TLS, a proxy or a token.
        StorageError: A port is taken.
    """
    _check(settings, ring)
    tls, address = bool(settings.http_cert), settings.http_address
    first = _listen(LOOPBACK[0], settings.http_port)
    port = int(first.getsockname()[1])
    sockets = [first]
    for other in {LOOPBACK[1], address} - {"", LOOPBACK[0]}:
        try:
            sockets.append(_listen(other, port))
        except OSError as error:
            if other != LOOPBACK[1]:  # a machine may have no IPv6
                for each in sockets:
                    each.close()
                raise StorageError(f"{other} cannot be bound: {error.strerror}") from error
    site = Site.local(port, tls=tls)
    if address and address not in LOOPBACK:
        site = site.with_host(address, port)
    if settings.http_behind:
        site = site.with_public(settings.http_behind)
    if settings.http_socket:
        try:
            sockets.append(_listen_here(Path(settings.home) / settings.http_socket))
        except OSError as error:
            for each in sockets:
                each.close()
            raise StorageError(f"http_socket cannot be bound: {error.strerror}") from error
        site = site.with_socket()
    scheme = "https" if tls else "http"
    return Binding(site, sockets, settings.http_behind or f"{scheme}://127.0.0.1:{port}")


def _check(settings: Settings, ring: TokenRing) -> None:
    if bool(settings.http_cert) != bool(settings.http_key):
        raise SettingsError("http_cert and http_key go together")
    address = settings.http_address
    if not address or address in LOOPBACK:
        return
    if not settings.http_cert and not settings.http_behind:
        raise SettingsError(
            f"http_address={address!r} is for other machines: it needs http_cert and http_key, "
            "or http_behind=https://NAME of a proxy"
        )
    if not ring.listed():
        raise SettingsError(
            f"http_address={address!r} is for other machines, and there is no token yet; make "
            "one: batos keys token NAME"
        )


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; else each answer waits 40 ms for an ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE and address == LOOPBACK[0]:
            raise StorageError(f"port {port} is taken; set another one: http_port") from error
        raise
    listening.setblocking(False)
    return listening


def _listen_here(path: Path) -> socket.socket:
    """Return a Unix socket that only this user can open, in place of one that was left."""
    if not hasattr(socket, "AF_UNIX"):
        raise SettingsError("http_socket: there are no Unix sockets here")
    if path.is_socket():
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def import_server() -> None:
    """Import uvicorn, if nobody has, without its command line.

    That brings click and what watches files: a sixth of the gateway's memory. It is imported when
    it is asked for.
    """
    if "uvicorn" in sys.modules:
        return
    command_line = "uvicorn.main"
    names = ("Server", "main", "run")
    sys.modules[command_line] = ModuleType(command_line)
    vars(sys.modules[command_line]).update(dict.fromkeys(names))
    try:
        package = import_module("uvicorn")
    finally:
        del sys.modules[command_line]
    for name in names:
        delattr(package, name)
    vars(package)["__getattr__"] = lambda name: getattr(import_module(command_line), name)


async def serve(home: Path, settings: Settings, asked: asyncio.Event) -> None:
    """Serve until ``asked`` is set.

    Raises:
        SettingsError: The settings cannot be used.
        StorageError: A port is taken.
    """
    import_server()
    from uvicorn.config import Config  # as import_server has left it

    from bat_os.gateway.connection import CONNECTIONS, Connection, Server, spare_log  # likewise

    ring = TokenRing(home)
    binding = bind(settings, ring)
    keys = os.environ.get("BATOS_KEY_FILE", "")
    places = Places.of(settings.connect, keys, home) if "," in settings.connect else None
    link = KernelLink(lambda: find_kernel(home), places=places)
    gateway = Gateway(link, ring, home, with_agents=settings.http_a2a)
    config = Config(
        build(gateway, binding.site), http=Connection, ws="none", lifespan="off",
        interface="asgi3", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_keep_alive=KEEP_ALIVE, backlog=BACKLOG,
        limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=STOPPING, **_tls(settings),
    )  # fmt: skip
    server = Server(config)
    note(home, {"url": binding.url})
    serving = asyncio.create_task(server.serve(sockets=list(binding.sockets)))
    stopping = asyncio.create_task(asked.wait())
    try:
        async with spare_log():
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        await gateway.close()
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        link.close()
        for each in binding.sockets:
            each.close()
        if settings.http_socket:
            (Path(settings.home) / settings.http_socket).unlink(missing_ok=True)
        (home / FILE).unlink(missing_ok=True)


def _tls(settings: Settings) -> dict[str, Any]:
    if not settings.http_cert:
        return {}
    return {"ssl_certfile": settings.http_cert, "ssl_keyfile": settings.http_key}


def note(home: Path, facts: dict[str, Any]) -> None:
    """Write where the gateway is, or why it is not, for the one who opens it."""
    with contextlib.suppress(OSError):
        write_owned(home / FILE, {"pid": os.getpid(), **facts})
