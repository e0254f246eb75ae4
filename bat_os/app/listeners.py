"""Where a kernel of this home listens, and what its clients have to show."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bat_os.client.keys import KeyRing
from bat_os.errors import SettingsError
from bat_os.kernel.listeners import Curve, Endpoint

if TYPE_CHECKING:
    from bat_os.core.settings import Settings
    from bat_os.supervisor.home import Home

MAX_SOCKET_PATH: Final = 100
_LISTEN: Final = re.compile(r"tcp://(\*|[\w.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5}|\*)\Z", re.ASCII)


def make_doors(home: Home, settings: Settings) -> list[Endpoint]:
    """Return the doors that the settings ask for: IPC, TCP on loopback, TCP with keys.

    Raises:
        SettingsError: A door for other machines without a key that may come in, or one that
            cannot be opened safely.
    """
    token = "" if settings.open_loopback else _token(home)
    doors = []
    if hasattr(os, "fork"):  # Windows has no IPC transport
        doors.append(Endpoint(f"ipc://{_socket_path(home)}"))
    if settings.tcp_port >= 0:
        port = str(settings.tcp_port) if settings.tcp_port else "*"
        doors.append(Endpoint(f"tcp://127.0.0.1:{port}", token))
    if settings.listen and not home.trial:
        doors.append(_remote(home, settings.listen))
    return doors


def remove_socket_folder(home: Home) -> None:
    """Remove the folder outside of a home whose path was too long for a socket."""
    if not hasattr(os, "getuid"):
        return
    folder = _short_folder(home)
    with contextlib.suppress(OSError):  # it was not needed, or another kernel's socket is in it
        (folder / home.socket.name).unlink(missing_ok=True)
        folder.rmdir()


def _remote(home: Home, listen: str) -> Endpoint:
    if not _LISTEN.match(listen):
        raise SettingsError(
            f"listen = {listen!r} cannot be used; it takes tcp://ADDRESS:PORT", setting="listen"
        )
    keys = KeyRing(home.path)
    if not keys.allowed():
        raise SettingsError(
            f"listen = {listen!r} opens a door to other machines, and no key may come in; "
            "make one first: batos keys make NAME",
            setting="listen",
        )
    public, secret = keys.server()
    return Endpoint(listen, curve=Curve(public.encode(), secret.encode(), keys.allows))


def _socket_path(home: Home) -> Path:
    """Return where the IPC socket is; a Unix socket's path has room for 107 bytes only."""
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
    name = hashlib.sha256(os.fsencode(home.path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"batos-{os.getuid()}-{name}"


def _token(home: Home) -> str:
    """Return the token of the TCP door; made on the first start, readable by the owner only."""
    path = home.lock.parent / "token"
    with contextlib.suppress(FileNotFoundError):
        token = path.read_text(encoding="ascii").strip()
        if token:
            return token
    token = secrets.token_urlsafe(32)
    path.touch(mode=0o600)
    path.write_text(token + "\n", encoding="ascii")
    return token
