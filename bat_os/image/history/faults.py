"""Errors of learned methods in use: counted per version, and three different ones are a flag.

    note_faults(image, faults)    one small transaction when something new went wrong; else none

    root["method_faults"]  oid of the method -> PersistentMapping: number of the version -> its
                           first MAX_KEPT different faults, oldest first

The same message failing again is no new fault, so a client that repeats itself writes nothing.
A flag speaks of the version that is current; nothing is learned again by itself.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError
from bat_os.image.history.method_records import record_of
from bat_os.image.objects import Method, UvmObject, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    from bat_os.errors import CellError
    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

ROOT_NAME: Final = "method_faults"
# A slow or a full machine stops methods too; these kinds are the method's own doing.
COUNTED: Final = frozenset({"raised", "refused", "limit"})
FLAG_AT: Final = 3
MAX_KEPT: Final = 20
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """A method that failed to answer a message.

    Attributes:
        target: Oid of the receiver.
        selector: The message.
        sha256: Of the source that failed.
        call: Digest of the message with its arguments; tells different ones apart.
        kind: One of COUNTED.
        text: What went wrong, cut short.
    """

    target: str
    selector: str
    sha256: str
    call: str
    kind: str
    text: str


def fault_of(target: str, selector: str, source: str, told: Any, error: CellError) -> Fault | None:
    """Return what to note of a failed call with the arguments ``told``; or None."""
    kind = error.details.get("kind", "")
    if kind not in COUNTED:
        return None
    call = digest(f"{target} {selector} {told!r}")[:16]
    text = " ".join(str(error).split())[:_SHOWN]
    return Fault(target, selector, digest(source), call, kind, text)


async def note_faults(image: ImageStore, faults: Sequence[Fault]) -> None:
    """Write faults that are new. An image that cannot be written is logged, and no error."""
    if not faults:
        return
    at = time.time()
    try:
        flagged = await image.transact(lambda root: add(root, faults, at), note="count faults")
    except BatError as error:
        log.warning("faults were not written: %s", error)
        return
    for name, selector, count in flagged:
        log.warning(
            "%s.%s has failed on %d different messages; batos relearn %s %s writes it anew",
            name, selector, count, name, selector,
        )  # fmt: skip


def add(root: Root, faults: Iterable[Fault], at: float) -> list[tuple[str, str, int]]:
    """Keep what is new; return (object, selector, faults) of methods that are flagged by it."""
    flagged = []
    for fault in faults:
        found = _answering(root, fault)
        if found is None:
            continue
        holder, method = found
        version = method.versions[method.current]
        kept = faults_of(root, method, version.number)
        known = any(one["call"] == fault.call for one in kept)
        if version.sha256 != fault.sha256 or known or len(kept) >= MAX_KEPT:
            continue
        told = {"at": at, "kind": fault.kind, "text": fault.text, "call": fault.call}
        record_of(root, ROOT_NAME, method)[version.number] = (*kept, told)
        if len(kept) + 1 == FLAG_AT:
            flagged.append((holder.name or fault.target, fault.selector, FLAG_AT))
    return flagged


def faults_of(root: Mapping[str, Any], method: Method, number: int) -> tuple[dict[str, Any], ...]:
    """Return the faults of one version: ``at``, ``kind``, ``text`` and ``call`` of each."""
    if method._p_oid is None:
        return ()
    stored = root.get(ROOT_NAME, {}).get(method._p_oid.hex(), {})
    return tuple(dict(one) for one in stored.get(number, ()))


def failing(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return why the current version is flagged, or {}: ``count``, ``last`` and ``text``."""
    if method.current < 0:
        return {}
    kept = faults_of(root, method, method.versions[method.current].number)
    if len(kept) < FLAG_AT:
        return {}
    return {"count": len(kept), "last": kept[-1]["at"], "text": kept[-1]["text"]}


def _answering(root: Root, fault: Fault) -> tuple[UvmObject, Method] | None:
    """Return the object and its learned method that answer the message now."""
    obj = None
    with contextlib.suppress(KeyError, ValueError):  # an object of a turn that came to nothing
        obj = root._p_jar.get(bytes.fromhex(fault.target))  # type: ignore[attr-defined]  # ZODB: the root's connection
    found = obj.lookup(fault.selector) if type(obj) is UvmObject else None
    if found is None or not isinstance(found[1], Method) or found[1].current < 0:
        return None
    return found
