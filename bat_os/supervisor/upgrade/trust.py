"""Whose upgrades are taken: the Ed25519 keys in ``upgrade_keys``, or anybody's if it says so.

    ed25519 BASE64 name of the signer
    unsigned                              the local opt-in: instructions need no signature

Only the owner may be able to write that file. Without it, no upgrade is taken at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import UpgradeError
from bat_os.supervisor.upgrade.instructions import canonical

if TYPE_CHECKING:
    from pathlib import Path

    from bat_os.supervisor.upgrade.instructions import Instructions

KIND: Final = "ed25519"
OPEN: Final = "unsigned"
_ADVICE: Final = "see docs/operations.md, Upgrade"


def check_signature(instructions: Instructions, keys: Path) -> str:
    """Return who vouches for the instructions: the name of a signer, or ``unsigned``.

    Raises:
        UpgradeError: Nobody that is trusted does.
    """
    trusted, unsigned = _read(keys)
    if instructions.signature:
        signature = _decode(instructions.signature, 64, "sig")
        for key, name in trusted.items():
            if _is_by(key, signature, instructions.signed):
                return name
        if not unsigned:
            raise UpgradeError(f"the signature is of no key in {keys}; {_ADVICE}")
    if not unsigned:
        raise UpgradeError(f"the instructions are not signed, and {keys} wants that; {_ADVICE}")
    return OPEN


def sign(told: dict[str, Any], key: Path) -> dict[str, Any]:
    """Return instructions with their digest, signed with the private key in ``key``.

    Raises:
        UpgradeError: There is no such key, or the instructions hold what JSON cannot.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        secret = _decode(key.read_text(encoding="ascii").strip(), 32, str(key))
    except (OSError, ValueError) as error:
        raise UpgradeError(f"the key {key} cannot be read: {error}") from error
    data = canonical(told)
    signature = Ed25519PrivateKey.from_private_bytes(secret).sign(data)
    return seal(told) | {"sig": base64.b64encode(signature).decode()}


def seal(told: dict[str, Any]) -> dict[str, Any]:
    """Return instructions with their digest, without a signature."""
    rest = {key: value for key, value in told.items() if key != "sig"}
    return rest | {"sha256": hashlib.sha256(canonical(told)).hexdigest()}


def make_key(path: Path) -> str:
    """Write a new private key to ``path``; return the line for ``upgrade_keys``.

    Raises:
        UpgradeError: The file is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UpgradeError(f"the key {path} cannot be written: {error}") from error
    with os.fdopen(handle, "wb") as stream:
        stream.write(base64.b64encode(key.private_bytes_raw()) + b"\n")
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    return f"{KIND} {public} {path.stem}"


def read_plain(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``, whatever it says.

    Raises:
        UpgradeError: There is none.
    """
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UpgradeError(f"{path} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise UpgradeError(f"{path} holds no JSON object")
    return told


def _read(keys: Path) -> tuple[dict[bytes, str], bool]:
    """Return public key -> name of its holder, and whether unsigned instructions will do."""
    try:
        about, text = keys.stat(), keys.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UpgradeError(f"no upgrade is taken without {keys}; {_ADVICE}") from error
    if os.name != "nt" and (about.st_mode & 0o022 or about.st_uid not in (os.getuid(), 0)):
        raise UpgradeError(f"others can write {keys}; chmod 600 {keys}")
    trusted, unsigned = {}, False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(maxsplit=2)
        if words == [OPEN]:
            unsigned = True
        elif len(words) >= 2 and words[0] == KIND:
            key = _decode(words[1], 32, f"{keys}, line {number}")
            trusted[key] = words[2] if len(words) > 2 else words[1]
        elif words:
            raise UpgradeError(f"{keys}, line {number}: not {KIND} KEY NAME, nor {OPEN}")
    return trusted, unsigned


def _decode(text: str, size: int, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UpgradeError(f"{where}: no base64") from error
    if len(data) != size:
        raise UpgradeError(f"{where}: {len(data)} bytes where {size} belong")
    return data


def _is_by(key: bytes, signature: bytes, data: bytes) -> bool:
    # Only an upgrade needs it; the watchdog of every day stays small.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
