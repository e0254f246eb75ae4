"""Which calls of a method fail.

    root["method_faults"]  oid of the method -> PersistentMapping: number of the version -> its
                           first MAX_FAULTS different faults, oldest first

A fault is written when it is new: the same message failing again writes nothing. FLAG_AT different
faults of the current version are a flag for people; no method is learned again because of one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.errors import BatError
from bat_os.image.gathering import gather
from bat_os.image.history.beside import find_answering, record_of
from bat_os.image.store import SHOWN_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    from bat_os.errors import CellError
    from bat_os.image.objects import Method
    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

FAULTS: Final = "method_faults"
# A slow or a full machine stops methods too; these kinds are the method's own doing.
COUNTED: Final = frozenset({"raised", "refused", "limit"})
FLAG_AT: Final = 3
MAX_FAULTS: Final = 20
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """A method that failed to answer a message."""

    target: str  # oid of the receiver
    selector: str
    sha256: str  # of the source that failed
    call: str  # digest of the message with its arguments; tells different ones apart
    kind: str
    text: str
    asked: str = (
        ""  # its arguments as Python writes them; "" where they are long, or not to be kept
    )


def fault_of(
    target: str, selector: str, source: str, arguments: Any, error: CellError
) -> Fault | None:
    """Return the fault of a failed call, or None if the method is not to blame."""
    kind = error.details.get("kind", "")
    if kind not in COUNTED:
        return None
    call = digest(f"{target} {selector} {arguments!r}")[:16]
    text = " ".join(str(error).split())[:_SHOWN]
    asked = repr(arguments)
    shown = asked if len(asked) <= SHOWN_CHARS else ""
    return Fault(target, selector, digest(source), call, kind, text, shown)


async def note_faults(image: ImageStore, faults: Sequence[Fault]) -> None:
    """Write faults that are new. If the image cannot be written, that is logged only."""
    at = time.time()
    try:
        with gather(None):  # whatever becomes of the request
            flagged = await image.transact(
                lambda root: add_faults(root, faults, at), note="count faults"
            )
    except BatError as error:
        log.warning("faults were not written: %s", error)
        return
    for name, selector, count in flagged:
        log.warning(
            "%s.%s has failed on %d different messages; batos relearn %s %s writes it anew",
            name, selector, count, name, selector,
        )  # fmt: skip


def add_faults(root: Root, faults: Iterable[Fault], at: float) -> list[tuple[str, str, int]]:
    """Keep what is new; return (object, selector, faults) of methods that it gets flagged."""
    flagged = []
    for fault in faults:
        answering = find_answering(root, fault.target, fault.selector)
        if answering is None:
            continue
        holder, method = answering
        version = method.versions[method.current]
        kept = faults_of(root, method, version.number)
        known = any(other["call"] == fault.call for other in kept)
        if version.sha256 != fault.sha256 or known or len(kept) >= MAX_FAULTS:
            continue
        entry = {"at": at, "kind": fault.kind, "text": fault.text, "call": fault.call}
        entry |= {"asked": fault.asked} if fault.asked else {}
        record_of(root, FAULTS, method)[version.number] = (*kept, entry)
        if len(kept) + 1 == FLAG_AT:
            flagged.append((holder.name or fault.target, fault.selector, FLAG_AT))
    return flagged


def faults_of(root: Mapping[str, Any], method: Method, number: int) -> tuple[dict[str, Any], ...]:
    """Return the faults of one version: ``at``, ``kind``, ``text`` and ``call`` of each."""
    if method._p_oid is None:
        return ()
    stored = root.get(FAULTS, {}).get(method._p_oid.hex(), {})
    return tuple(dict(fault) for fault in stored.get(number, ()))


def failing(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return why the current version is flagged, or {}: ``count``, ``last`` and ``text``."""
    if method.current < 0:
        return {}
    kept = faults_of(root, method, method.versions[method.current].number)
    if len(kept) < FLAG_AT:
        return {}
    return {"count": len(kept), "last": kept[-1]["at"], "text": kept[-1]["text"]}
