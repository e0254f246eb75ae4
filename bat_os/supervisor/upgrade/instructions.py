"""``update_instructions.json``: read strictly, since it decides which program runs.

    {"schema": 1, "id": "2026-11-21", "from": "0.1.0", "to": "0.2.0",
     "actions": [{"git_ff": {"commit": "40 hexadecimal digits"}},
                 {"pip_sync": {"requirements": "requirements.txt", "hash": "its SHA-256"}},
                 {"migrate": {"module": "bat_os.image.migrations.format_4"}}],
     "sha256": "of the rest, written canonically", "sig": "Ed25519, in base64"}

``git_ff`` is required; the others are for changes of the libraries or of the image's format,
each at most once, in this order. Anything else is refused, and nothing in it reaches a shell.

Which signatures count is in the file ``upgrade_keys``, which only the owner may be able to write.
Without that file, every upgrade is refused. A refusal is an UpgradeError that says what is wrong.

    ed25519 BASE64 name of the signer
    unsigned                              the local opt-in: instructions need no signature
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from bat_os.core.digest import digest
from bat_os.core.schema import Record, convert, read_json, text
from bat_os.errors import UpgradeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LARGEST: Final = 64 << 10
KIND: Final = "ed25519"
OPEN: Final = "unsigned"
_ADVICE: Final = "see docs/operations.md, Upgrade"
_WHERE: Final = "the instructions"
_FORMAT: Final = "bat_os.image.migrations.format_"
_Version = Annotated[
    str, text(40, pattern=r"[0-9]+(\.[0-9]+){0,3}[a-z0-9.+-]{0,20}", takes="a version")
]
_Sha = Annotated[str, text(64, pattern="[0-9a-f]{64}", takes="64 hexadecimal digits")]


class _Program(Record, frozen=True):
    commit: Annotated[str, text(40, pattern="[0-9a-f]{40}", takes="40 hexadecimal digits")]


class _Libraries(Record, frozen=True):
    requirements: Annotated[
        str, text(65, pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}\.txt", takes="a .txt file")
    ]
    hash: _Sha


class _Migration(Record, frozen=True):
    module: Annotated[
        str,
        text(40, pattern=r"bat_os\.image\.migrations\.format_[1-9][0-9]{0,5}", takes="format_N"),
    ]


class _Action(Record, frozen=True):
    """One action: a map with one of these keys."""

    git_ff: _Program | msgspec.UnsetType = msgspec.UNSET
    pip_sync: _Libraries | msgspec.UnsetType = msgspec.UNSET
    migrate: _Migration | msgspec.UnsetType = msgspec.UNSET

    @property
    def names(self) -> list[str]:
        """Which of the keys it has."""
        return [name for name in self.__struct_fields__ if getattr(self, name)]


class _Document(Record, frozen=True):
    schema: Literal[1]
    id: Annotated[
        str, text(64, pattern="[A-Za-z0-9][A-Za-z0-9._-]*", takes="letters, digits and ._-")
    ]
    before: _Version = msgspec.field(name="from")
    after: _Version = msgspec.field(name="to")
    actions: list[_Action]
    sha256: str
    sig: Annotated[str, text(200, pattern="[A-Za-z0-9+/=]*")] = ""

    def __post_init__(self) -> None:
        names = [action.names for action in self.actions]
        if names not in _WAYS:
            raise ValueError("actions must be git_ff, then pip_sync and migrate if needed")


_WAYS: Final = (
    [["git_ff"]],
    [["git_ff"], ["pip_sync"]],
    [["git_ff"], ["migrate"]],
    [["git_ff"], ["pip_sync"], ["migrate"]],
)


@dataclass(frozen=True, slots=True)
class Instructions:
    """One upgrade."""

    id: str  # the same one is carried out once
    before: str  # version of the program that it is for
    after: str  # version of the program that it brings
    commit: str  # of the program; a descendant of the one that runs
    requirements: str = ""  # file of that program whose libraries are to be installed, or ""
    requirements_sha256: str = ""  # of that file
    image_format: int = 0  # format of the image afterwards, or 0 if it stays
    signature: str = ""  # in base64, or ""
    signed: bytes = field(default=b"", repr=False)  # what the signature covers


def parse(source: bytes) -> Instructions:
    """Return the instructions in ``source``."""
    if len(source) > LARGEST:
        raise UpgradeError(f"{_WHERE} are longer than {LARGEST} bytes")
    raw = read_json(source, UpgradeError, _WHERE)
    document = convert(raw, _Document, UpgradeError, _WHERE)
    signed = canonical(raw)
    if document.sha256 != digest(signed):
        raise UpgradeError("sha256 does not match: the instructions were changed")
    actions = {name: getattr(action, name) for action in document.actions for name in action.names}
    libraries, migration = actions.get("pip_sync"), actions.get("migrate")
    return Instructions(
        id=document.id,
        before=document.before,
        after=document.after,
        commit=actions["git_ff"].commit,
        requirements=libraries.requirements if libraries else "",
        requirements_sha256=libraries.hash if libraries else "",
        image_format=int(migration.module.removeprefix(_FORMAT)) if migration else 0,
        signature=document.sig,
        signed=signed,
    )


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return what digest and signature cover: all but those two, in one way of writing.

    >>> canonical({"sig": "x", "id": "a", "schema": 1, "sha256": "y"})
    b'{"id":"a","schema":1}'
    """
    rest = {key: value for key, value in document.items() if key not in ("sha256", "sig")}
    try:
        return json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise UpgradeError(f"{_WHERE} cannot be written as JSON: {error}") from error


def check_signature(instructions: Instructions, keys: Path) -> str:
    """Return who signed the instructions: the name of a signer, or ``unsigned``."""
    trusted, unsigned = _read(keys)
    if instructions.signature:
        signature = _decode(instructions.signature, 64, "sig")
        for key, name in trusted.items():
            if _is_by(key, signature, instructions.signed):
                return name
        if not unsigned:
            raise UpgradeError(f"the signature matches no key in {keys}; {_ADVICE}")
    if not unsigned:
        raise UpgradeError(f"the instructions must be signed ({keys} requires it); {_ADVICE}")
    return OPEN


def sign(document: dict[str, Any], key: Path) -> dict[str, Any]:
    """Return instructions with their digest, signed with the private key in ``key``."""
    data = canonical(document)
    signature = _read_key(key).sign(data)
    return seal(document) | {"sig": base64.b64encode(signature).decode()}


def _read_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        secret = _decode(path.read_text(encoding="ascii").strip(), 32, str(path))
    except (OSError, ValueError) as error:
        raise UpgradeError(f"the key {path} cannot be read: {error}") from error
    return Ed25519PrivateKey.from_private_bytes(secret)


def seal(document: dict[str, Any]) -> dict[str, Any]:
    """Return instructions with their digest, without a signature."""
    rest = {key: value for key, value in document.items() if key != "sig"}
    return rest | {"sha256": digest(canonical(document))}


def make_key(path: Path) -> str:
    """Write a new private key to ``path``; return its ``public_line``."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UpgradeError(f"the key {path} cannot be written: {error}") from error
    with os.fdopen(handle, "wb") as stream:
        stream.write(base64.b64encode(key.private_bytes_raw()) + b"\n")
    return public_line(path)


def public_line(path: Path) -> str:
    """Return the public part of the private key in ``path``, as the line for ``upgrade_keys``."""
    public = base64.b64encode(_read_key(path).public_key().public_bytes_raw()).decode()
    return f"{KIND} {public} {path.stem}"


def read_plain(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``, unchecked."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UpgradeError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise UpgradeError(f"{path} is not a JSON object")
    return document


def _read(keys: Path) -> tuple[dict[bytes, str], bool]:
    """Return public key -> name of its holder, and whether unsigned instructions are accepted."""
    try:
        about, text = keys.stat(), keys.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UpgradeError(f"no upgrade is accepted without {keys}; {_ADVICE}") from error
    if os.name != "nt" and (about.st_mode & 0o022 or about.st_uid not in (os.getuid(), 0)):
        raise UpgradeError(f"other users can write {keys}; run chmod 600 {keys}")
    trusted, unsigned = {}, False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(maxsplit=2)
        if words == [OPEN]:
            unsigned = True
        elif len(words) >= 2 and words[0] == KIND:
            key = _decode(words[1], 32, f"{keys}, line {number}")
            if _is_weak(key):
                raise UpgradeError(f"{keys}, line {number}: a key for which anyone can sign")
            trusted[key] = words[2] if len(words) > 2 else words[1]
        elif words:
            raise UpgradeError(f"{keys}, line {number}: must be {KIND} KEY NAME, or {OPEN}")
    return trusted, unsigned


def _decode(text: str, size: int, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UpgradeError(f"{where}: not base64") from error
    if len(data) != size:
        raise UpgradeError(f"{where}: {len(data)} bytes instead of {size}")
    return data


_PRIME: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _PRIME) % _PRIME


def _is_weak(key: bytes) -> bool:
    """Return True for a public key of small order: a signature for it can be made up.

    Three doublings take such a point, and no other, to the neutral one. Ed25519's formulas for
    doubling need y alone, since x*x = (y*y - 1) / (d*y*y + 1).

    >>> _is_weak(bytes(32)), _is_weak(bytes([1]) + bytes(31)), _is_weak(bytes([88]) + b"f" * 31)
    (True, True, False)
    """
    y = int.from_bytes(key, "little") % (1 << 255) % _PRIME
    for _ in range(3):
        yy = y * y % _PRIME
        xx = (yy - 1) * pow(_D * yy + 1, _PRIME - 2, _PRIME) % _PRIME
        y = (yy + xx) * pow(1 - _D * xx * yy, _PRIME - 2, _PRIME) % _PRIME
    return y == 1


def _is_by(key: bytes, signature: bytes, data: bytes) -> bool:
    # Only an upgrade needs cryptography; the watchdog stays small without it.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
