"""Compare what is stored with its SHA-256, some at a time. Reads only.

    record      every object can be loaded at all
    method      the source of every version
    mission     the brief that was accepted
    file        every blob, read from the disk

FileStorage has no checksum of its own: a flipped bit is found here or nowhere. All functions
work on the root inside ``ImageStore.transact``; ``damaged_files`` reads files, outside of it.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ZODB.blob import Blob
from ZODB.POSException import POSError
from ZODB.utils import p64, u64

from bat_os.errors import BatError
from bat_os.image import missions
from bat_os.image.objects import Method, MethodVersion, UvmObject, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

# What loading a record whose bytes were changed may raise.
BROKEN: Final = (
    BatError,
    POSError,
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
WHOLE_METHOD: Final = -1  # in a key, in the place of a version


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not what was committed.

    Attributes:
        kind: ``record``, ``method``, ``mission``, ``document``, ``index`` or ``file``.
        key: Which one, so that it can be found again.
        what: The same for people.
        why: What is wrong.
    """

    kind: str
    key: str
    what: str
    why: str

    def to_plain(self) -> dict[str, str]:
        """Return plain data."""
        return {"kind": self.kind, "key": self.key, "what": self.what, "why": self.why}


def look_at_records(
    root: Mapping[str, Any], after: int, limit: int
) -> tuple[int, list[Damage], int | None]:
    """Load up to ``limit`` objects and check the methods in them.

    What was committed since the transaction began cannot be loaded in it and counts as
    damaged, so ``look_again`` has the last word.

    Returns:
        How many were loaded, what is damaged, and where to go on; None at the end.
    """
    jar = root._p_jar  # type: ignore[attr-defined]  # ZODB: the root's connection
    storage, cookie = jar.db().storage, p64(after) if after else None
    found: list[Damage] = []
    for count in range(limit):
        try:
            oid, _, record, cookie = storage.record_iternext(cookie)
        except (POSError, ValueError, KeyError):  # KeyError: an image with no objects
            return count, found, None
        found += _look_at(jar, oid, record)
        if cookie is None:
            return count + 1, found, None
    return limit, found, u64(cookie)


def look_again(root: Mapping[str, Any], found: list[Damage]) -> list[Damage]:
    """Return those of some damaged objects that are damaged in this transaction too."""
    jar = root._p_jar  # type: ignore[attr-defined]  # ZODB: the root's connection
    oids = {one.key.partition(":")[0] for one in found}
    still = {one.key for oid in oids for one in _look_at(jar, bytes.fromhex(oid), b"")}
    return [one for one in found if one.key in still]


def look_at_missions(
    root: Mapping[str, Any], after: str, limit: int
) -> tuple[int, list[Damage], str | None]:
    """Check the briefs of up to ``limit`` missions; returns as ``look_at_records``."""
    ids = list(islice(missions.ids_after(root, after), limit))
    found = []
    for mission_id in ids:
        try:
            missions.check(root, mission_id)
        except BROKEN as error:
            found.append(Damage("mission", mission_id, f"mission {mission_id}", reason(error)))
    # Damaged keys may be out of order: never go back.
    return len(ids), found, ids[-1] if len(ids) == limit and ids[-1] > after else None


def list_files(root: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Return (SHA-256, path or "", models that need it) of every stored file."""
    wanted: dict[str, list[str]] = {}
    for name, model in root.get("models", {}).items():
        for file_name, sha256 in model.files.items():
            wanted.setdefault(sha256, []).append(f"{name}: {file_name}")
    listed = []
    for sha256, stored in root.get("files_by_sha256", {}).items():
        try:
            place = stored.blob.committed()
        except (KeyError, AttributeError, POSError):  # POSKeyError: the blob's file is gone
            place = ""
        listed.append((sha256, place, wanted.pop(sha256, [])))
    return listed + [(sha256, "", names) for sha256, names in wanted.items()]


def damaged_file(sha256: str, place: str, models: list[str]) -> Damage | None:
    """Return what is wrong with a stored file, or None; reads it whole."""
    what = f"file of {', '.join(models)}" if models else f"file {sha256[:12]} of no model"
    if not place:
        return Damage("file", sha256, what, "it is missing")
    try:
        with Path(place).open("rb", buffering=0) as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return Damage("file", sha256, what, f"it cannot be read: {error.strerror}")
    if found == sha256:
        return None
    return Damage("file", sha256, what, f"its SHA-256 is {found[:12]}..., not {sha256[:12]}...")


def _look_at(jar: Any, oid: bytes, record: bytes) -> list[Damage]:
    try:
        obj = jar.get(oid)
        if isinstance(obj, Blob):  # its file is looked at by itself
            return []
        obj._p_activate()
        if isinstance(obj, UvmObject):
            return _look_at_methods(obj, oid.hex())
    except BROKEN as error:
        return [Damage("record", oid.hex(), _name(oid, record), reason(error))]
    return []


def _look_at_methods(obj: UvmObject, oid: str) -> list[Damage]:
    found = []
    for selector, value in obj.slots.items():
        if not isinstance(value, Method):
            continue
        try:
            versions = value.versions
        except BROKEN as error:
            key = f"{oid}:{selector}:{WHOLE_METHOD}"
            found.append(Damage("method", key, f"{obj.name or oid}.{selector}", reason(error)))
            continue
        for place, version in enumerate(versions):
            if why := _wrong_with(version):
                name = f"{obj.name or oid}.{selector}, version {place + 1}"
                found.append(Damage("method", f"{oid}:{selector}:{place}", name, why))
    return found


def _wrong_with(version: MethodVersion) -> str:
    try:
        whole = digest(version.source) == version.sha256
    except BROKEN as error:
        return reason(error)
    return "" if whole else "its source is not what was committed"


def _name(oid: bytes, record: bytes) -> str:
    """Return what a record that cannot be loaded was: the class that its first bytes name."""
    words = [part for part in record[:120].split(b"\n") if part.isascii()]
    told = b" ".join(words)[:60].decode("ascii", "replace")
    return f"object {oid.hex()} ({''.join(c for c in told if c.isprintable())})"


def reason(error: BaseException) -> str:
    """Return what went wrong while something was loaded, in short."""
    return f"{type(error).__name__}: {error}"[:200]
