"""Keys for other machines: files under ``keys/`` of a home, for its owner only.

    keys/server.json      the kernel's own pair
    keys/allowed.json     name -> public key of an authorised client
    keys/NAME.key         to carry to another machine: a pair, and the kernel to connect to

Keys are CURVE's, 40 characters of Z85. The kernel checks ``allowed.json`` with every message,
so a key is authorised and revoked at once.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import zmq
from zmq.utils import z85

from bat_os.errors import ArgumentsError, NotFoundError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEYS: Final = 1000
_MAX_FILE: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class ClientKey:
    """What a client needs to connect from another machine."""

    public: str  # its own public key, which the kernel must authorise
    secret: str  # its own secret key
    server: str  # the kernel's public key
    connect: str = ""  # the kernel's address, ``tcp://HOST:PORT``; "" if it comes from elsewhere

    @classmethod
    def read(cls, path: Path) -> ClientKey:
        """Return the key in a file that ``batos keys make`` wrote.

        Raises:
            SettingsError: It cannot be read, others can read it, or it is not a key file.
        """
        data = read_owned(path)
        parts = ("public", "secret", "server")
        public, secret, server = (check_key(str(data.get(part, ""))) for part in parts)
        connect = data.get("connect", "")
        if type(connect) is not str:
            raise SettingsError(f"{path}: connect is not an address")
        return cls(public, secret, server, connect)


class KeyRing:
    """The keys of one home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "keys"
        self._seen: tuple[int, int, int] | None = None
        self._allowed: frozenset[str] = frozenset()

    def server(self) -> tuple[str, str]:
        """Return the kernel's public and secret key; the first call makes them."""
        path = self.folder / "server.json"
        if not path.exists():
            public, secret = make_pair()
            write_owned(self.folder / "server.json", {"public": public, "secret": secret})
        data = read_owned(path)
        return check_key(str(data.get("public", ""))), check_key(str(data.get("secret", "")))

    def make(self, name: str, connect: str = "", server: str = "") -> Path:
        """Make a key for a client and return its file, to be carried to its machine.

        Args:
            name: Of the key.
            connect: The address to put into the file.
            server: Public key of a kernel elsewhere, which must authorise the new key. Without
                it the key is for the kernel of this home, and authorised at once.

        Raises:
            ArgumentsError: The name is invalid, or taken.
            SettingsError: The files cannot be used.
        """
        path = self.folder / f"{check_name(name)}.key"
        if path.exists() or (not server and name in self.allowed()):
            raise ArgumentsError(f"a key {name} already exists; revoke it, or choose another name")
        public, secret = make_pair()
        known = check_key(server) if server else self.server()[0]
        data = {"public": public, "secret": secret, "server": known, "connect": connect}
        write_owned(path, data)
        if not server:
            self.allow(name, public)
        return path

    def allow(self, name: str, public: str) -> None:
        """Authorise the owner of a public key.

        Raises:
            ArgumentsError: The name is invalid, or names another key.
            SettingsError: The key is invalid, or the list cannot be used.
        """
        allowed = self.allowed()
        if allowed.get(check_name(name), public) != public:
            raise ArgumentsError(f"{name} names another key; revoke that first")
        if len(allowed) >= MAX_KEYS:
            raise ArgumentsError(f"{MAX_KEYS} keys are already authorised")
        write_owned(self.folder / "allowed.json", allowed | {name: check_key(public)})

    def revoke(self, name: str) -> None:
        """Revoke a key, and remove its file if it is still here."""
        allowed = self.allowed()
        if name not in allowed:
            raise NotFoundError(
                f"no key {name[:60]!r} is authorised; authorised keys: {list(allowed)}"
            )
        del allowed[name]
        write_owned(self.folder / "allowed.json", allowed)
        (self.folder / f"{name}.key").unlink(missing_ok=True)

    def allowed(self) -> dict[str, str]:
        """Return name -> public key of all authorised clients."""
        path = self.folder / "allowed.json"
        if not path.exists():
            return {}
        return {check_name(name): check_key(str(key)) for name, key in read_owned(path).items()}

    def allows(self, public: str) -> bool:
        """Return True if the key ``public`` is authorised now; never raises.

        If the list cannot be read, no key is.
        """
        try:
            facts = (self.folder / "allowed.json").stat()
            seen = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
            if seen != self._seen:  # it is replaced with every change
                self._allowed, self._seen = frozenset(self.allowed().values()), seen
        except (OSError, SettingsError, ArgumentsError):
            self._seen = None
            return False
        return public in self._allowed


def make_pair() -> tuple[str, str]:
    """Return a new public and secret key."""
    public, secret = zmq.curve_keypair()
    return public.decode("ascii"), secret.decode("ascii")


def check_key(text: str) -> str:
    """Return ``text`` if it is a key."""
    try:
        if len(text) == 40 and len(z85.decode(text.encode("ascii"))) == 32:
            return text
    except (ValueError, KeyError, OverflowError):
        pass
    raise SettingsError("that is not a key; a key has 40 characters, as batos keys list shows them")


def check_name(name: str) -> str:
    """Return ``name`` if it may name a key or a token."""
    if not _NAME.match(name):
        raise ArgumentsError(f"{name[:60]!r} cannot name a key; use letters, digits and ._-")
    return name


def write_owned(path: Path, data: dict[str, Any]) -> None:
    """Write a map for the owner only, whole or not at all."""
    write_private(path, json.dumps(data, indent=1) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a text in ASCII for the owner only, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)


def read_owned(path: Path) -> dict[str, Any]:
    """Return what ``write_owned`` wrote.

    Raises:
        SettingsError: It cannot be read, or others can read it.
    """
    try:
        with path.open("rb") as stream:
            if os.name != "nt" and os.fstat(stream.fileno()).st_mode & 0o077:
                raise SettingsError(f"others can read {path}; run: chmod 600 {path}")
            data = json.loads(stream.read(_MAX_FILE).decode("ascii"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"the key file {path} cannot be read: {error}") from error
    if type(data) is not dict:
        raise SettingsError(f"{path} is not a key file")
    return data
