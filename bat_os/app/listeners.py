"""Where the kernel of a home listens, and how its clients authenticate."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bat_os.client.keys import KeyRing
from bat_os.core.digest import digest
from bat_os.errors import SettingsError
from bat_os.kernel.curve import Curve
from bat_os.kernel.listeners import Endpoint

if TYPE_CHECKING:
    from bat_os.core.settings import Settings
    from bat_os.supervisor.home import Home

MAX_SOCKET_PATH: Final = 100
_LISTEN: Final = re.compile(r"tcp://(\*|[\w.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5}|\*)\Z", re.ASCII)


def make_endpoints(home: Home, settings: Settings) -> list[Endpoint]:
    """Return the listeners that the settings ask for: IPC, TCP on loopback, TCP with keys."""
    endpoints = []
    if hasattr(os, "fork"):  # Windows has no IPC transport
        run = home.socket.parent
        if run.stat().st_mode & 0o077:  # a copied home may have lost its modes
            run.chmod(0o700)
        endpoints.append(Endpoint(f"ipc://{_socket_path(home)}"))
    if settings.tcp_port >= 0:
        port = str(settings.tcp_port) if settings.tcp_port else "*"
        # A token goes only to a server that has proved its key: after the daemon has ended, the
        # next program on this port could be anybody's.
        guard = ("", None) if settings.open_loopback else (_token(home), Curve.fresh())
        endpoints.append(Endpoint(f"tcp://127.0.0.1:{port}", *guard))
    if settings.listen and not home.trial:
        endpoints.append(_remote(home, settings.listen))
    return endpoints


def remove_socket_folder(home: Home) -> None:
    """Remove the folder that replaced a home whose path is too long for a socket."""
    if not hasattr(os, "getuid"):
        return
    folder = _short_folder(home)
    with contextlib.suppress(OSError):  # there is none, or another kernel's socket is in it
        (folder / home.socket.name).unlink(missing_ok=True)
        folder.rmdir()


def _remote(home: Home, listen: str) -> Endpoint:
    if not _LISTEN.match(listen):
        raise SettingsError(
            f"listen = {listen!r} is invalid; write tcp://ADDRESS:PORT", setting="listen"
        )
    keys = KeyRing(home.path)
    if not keys.allowed():
        raise SettingsError(
            f"listen = {listen!r} lets other machines connect, but no key is authorised; "
            "run `batos keys make NAME` first",
            setting="listen",
        )
    public, secret = keys.server()
    return Endpoint(listen, curve=Curve(public.encode(), secret.encode(), keys.allows))


def _socket_path(home: Home) -> Path:
    """Return where the IPC socket is; a Unix socket's path has room for only 107 bytes."""
    path = home.socket
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    folder = _short_folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.getuid() or about.st_mode & 0o077 or folder.is_symlink():
        raise SettingsError(f"{folder} belongs to someone else; remove it or shorten BATOS_HOME")
    return folder / home.socket.name


def _short_folder(home: Home) -> Path:
    name = digest(os.fsencode(home.path))[:16]
    return Path(tempfile.gettempdir()) / f"batos-{os.getuid()}-{name}"


def _token(home: Home) -> str:
    """Return the token of the TCP listener; the first start makes it, for the owner only."""
    path = home.lock.parent / "token"
    with contextlib.suppress(FileNotFoundError):
        token = path.read_text(encoding="ascii").strip()
        if token:
            return token
    token = secrets.token_urlsafe(32)
    path.touch(mode=0o600)
    path.write_text(token + "\n", encoding="ascii")
    return token
