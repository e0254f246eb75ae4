"""What is noted beside a method: pins, taint, moves, who calls it how often, which calls fail.

Kept apart from the method itself, so that noting something never makes a running turn stale.

    root["method_marks"]   oid of the method -> PersistentMapping of pinned, taint, waiting, moves
    root["method_uses"]    oid of the method -> PersistentMapping of count, first, last,
                           versions (number -> count) and callers (name -> count); ``shown``
                           (number -> up to SHOWN different calls with their answers),
                           ``days`` (number -> the first and the last day, since 1970) and
                           ``slow`` (number -> calls that took over SLOW seconds)
    root["method_faults"]  oid of the method -> PersistentMapping: number of the version -> its
                           first MAX_FAULTS different faults, oldest first

Calls are counted in memory (``ImageStore.uses``) and go into the image in one small transaction
now and then, so a killed daemon loses the counts of the last half minute and nothing else. A
fault is written when it is new: the same message failing again writes nothing. FLAG_AT different
faults of the current version are a flag for people; no method is learned again because of one.

The other functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from persistent.mapping import PersistentMapping

from bat_os.core.digest import digest
from bat_os.errors import ArgumentsError, BatError
from bat_os.image import grants
from bat_os.image.objects import Method, UvmObject, connection_of, object_of, tree_of
from bat_os.image.store import SHOWN, SHOWN_CHARS
from bat_os.image.unit_of_work import gather

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    from bat_os.errors import CellError
    from bat_os.image.store import Call, ImageStore, Tally

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

MARKS: Final = "method_marks"
MAX_MOVES: Final = 200
_SHELVED: Final = "shelved"  # what waited for approval when the object was deleted
_COPIED: Final = frozenset({"pinned", "taint", "moves"})
USES: Final = "method_uses"
EVERY: Final = 30.0  # seconds
DAY: Final = 86_400.0
MAX_CALLERS: Final = 20
OTHERS: Final = "others"
CLIENT: Final = "client"
_NONE: Final[Mapping[str, Any]] = MappingProxyType(
    {"count": 0, "first": 0.0, "last": 0.0, "versions": {}, "callers": {}}
)

FAULTS: Final = "method_faults"
# A slow or a full machine stops methods too; these kinds are the method's own doing.
COUNTED: Final = frozenset({"raised", "refused", "limit"})
FLAG_AT: Final = 3
MAX_FAULTS: Final = 20
_SHOWN: Final = 200


def pinned(root: Mapping[str, Any], method: Method) -> int:
    """Return the number of the version that the method is pinned to, or 0."""
    return int(_read(root, method).get("pinned", 0))


def taint(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return why the current version has to be verified again, or {}.

    Keys are ``at`` (Unix time), ``document`` (its id), ``what`` (``changed``, ``forgotten``),
    ``version`` (the current one then; the mark speaks of no other), ``through`` (``taint.py``).
    """
    mark = dict(_read(root, method).get("taint", {}))
    speaks = method.current >= 0 and mark.get("version") == method.versions[method.current].number
    return mark if speaks else {}


def basis(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return what the method stood on when it was written or verified last (``basis.py``)."""
    return dict(_read(root, method).get("basis", {}))


def noted(root: Mapping[str, Any], method: Method, name: str) -> dict[str, Any]:
    """Return the mark of that name, whatever it is, or {}."""
    return dict(_read(root, method).get(name) or {})


def waiting(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return which version waits for the Architect's approval, or {}.

    Keys are ``version``, ``at`` (Unix time), ``oid`` (of the object) and ``mission``.
    """
    return dict(_read(root, method).get("waiting", {}))


def shelve_waiting(root: Root, method: Method) -> None:
    """Let nothing wait for approval while the object of the method is deleted."""
    if waits := waiting(root, method):
        set_mark(root, "waiting", method, {})
        set_mark(root, _SHELVED, method, waits)


def restore_waiting(root: Root, method: Method) -> None:
    """Have what ``shelve_waiting`` put aside wait again."""
    if waits := dict(_read(root, method).get(_SHELVED, {})):
        set_mark(root, _SHELVED, method, {})
        set_mark(root, "waiting", method, waits)


def moves(root: Mapping[str, Any], method: Method) -> tuple[dict[str, Any], ...]:
    """Return what was done to the method, oldest first: ``at``, ``what``, ``version``, ``by``."""
    return tuple(dict(move) for move in _read(root, method).get("moves", ()))


def flags(method: Method) -> dict[str, Any]:
    """Return ``pinned``, ``tainted``, ``waiting``, ``failing`` of a committed method that hold.

    It finds the root by itself, so that showing an object needs nothing else.
    """
    root, key = method._p_jar.root(), method._p_oid.hex()
    if key not in root.get(MARKS, ()) and key not in root.get(FAULTS, ()):  # nearly all of them
        return {}
    marks = {
        "pinned": pinned(root, method),
        "tainted": taint(root, method),
        "waiting": waiting(root, method),
        "failing": failing(root, method),
    }
    return {name: value for name, value in marks.items() if value}


def all_waiting(root: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what waits for the Architect's approval, as ``waiting`` does, oldest first."""
    rows = [dict(mark["waiting"]) for mark in root.get(MARKS, {}).values()
             if mark.get("waiting")]  # fmt: skip
    return sorted(rows, key=lambda row: float(row["at"]))


def refuse_pinned(root: Mapping[str, Any], method: Method) -> None:
    """Raise ``ArgumentsError`` if the method is pinned."""
    if number := pinned(root, method):
        raise ArgumentsError(
            f"{method.selector} is pinned to version {number}; unpin it first", pinned=number
        )


def set_mark(root: Root, name: str, method: Method, mark: Any) -> None:
    """Set ``pinned``, ``taint`` or ``waiting`` as the function of that name returns it."""
    _write(root, method)[name] = mark


def add_move(root: Root, method: Method, move: Mapping[str, Any]) -> None:
    """Note what was done; of more than MAX_MOVES the oldest are dropped."""
    noted = _write(root, method)
    noted["moves"] = (*noted.get("moves", ()), dict(move))[-MAX_MOVES:]


def copy_marks(root: Root, method: Method, twin: Method) -> None:
    """Note pin, taint and moves of a method beside its copy; what waits does so once only."""
    noted = {name: mark for name, mark in _read(root, method).items() if mark and name in _COPIED}
    if noted:
        _write(root, twin).update(noted)


def _read(root: Mapping[str, Any], method: Method) -> Mapping[str, Any]:
    key = method._p_oid.hex() if method._p_oid else ""
    marks: Mapping[str, Any] = root.get(MARKS, {}).get(key, {})
    return marks


def _write(root: Root, method: Method) -> PersistentMapping:
    if method._p_oid is None:  # made in this transaction
        connection_of(root).add(method)
    return record_of(root, MARKS, method)


async def flush(image: ImageStore) -> int:
    """Write the calls that the store counted; return how many. Without any, nothing is written.

    If the image cannot be written, the counts are kept for the next time.
    """
    counted = image.uses.take()
    if not counted:
        return 0

    def add_calls(root: Root) -> None:
        for (target, selector, caller), tally in counted.items():
            if caller.startswith(grants.USE):
                method = caller.removeprefix(grants.USE)
                grants.count_use(root, target, selector, method, tally)
                continue
            answering = _find_answering(root, target, selector)
            if answering is not None:
                record = record_of(root, USES, answering[1])
                record.update(_added({**_NONE, **record}, answering[1], caller, tally))
                record.update(_shown(record, answering[1], tally))

    try:
        await image.transact(add_calls, note="count uses")
    except BatError:
        image.uses.put_back(counted)
        raise
    return sum(tally.count for tally in counted.values())


async def keep_flushing(image: ImageStore, every: float = EVERY) -> None:
    """Flush now and then, for ever; run it as a task. When cancelled, it flushes once more."""
    try:
        while True:
            await asyncio.sleep(every)
            await _try_flush(image)
    finally:
        await _try_flush(image)


async def _try_flush(image: ImageStore) -> None:
    try:
        await flush(image)
    except BatError as error:
        log.warning("uses were not written: %s", error)


def uses_of(
    root: Mapping[str, Any], method: Method, waiting: Mapping[Call, Tally] | None = None
) -> dict[str, Any]:
    """Return ``count``, ``first``, ``last``, ``versions`` and ``callers`` of a method.

    ``waiting`` are calls to add that are not yet written.
    """
    known = root.get(USES, {}).get(method._p_oid.hex(), _NONE)
    uses = {name: known[name] for name in _NONE}
    for (target, selector, caller), tally in (waiting or {}).items():
        if selector != method.selector:
            continue
        answering = _find_answering(root, target, selector)
        if answering is not None and answering[1] is method:
            uses |= _added(uses, method, caller, tally)
    return {key: dict(v) if isinstance(v, dict) else v for key, v in uses.items()}


def _added(uses: Mapping[str, Any], method: Method, caller: str, tally: Tally) -> dict[str, Any]:
    number, callers = method.versions[method.current].number, uses["callers"]
    known = caller in callers or len(callers) < MAX_CALLERS
    return {
        "count": uses["count"] + tally.count,
        "first": uses["first"] or tally.first,
        "last": max(uses["last"], tally.last),
        "versions": _counted(uses["versions"], number, tally.count),
        "callers": _counted(callers, caller if known else OTHERS, tally.count),
    }


def _shown(record: Mapping[str, Any], method: Method, tally: Tally) -> dict[str, Any]:
    number = method.versions[method.current].number
    shown, days = record.get("shown", {}), record.get("days", {})
    calls = {**shown.get(number, {}), **tally.shown}
    begun = days.get(number, (int(tally.first // DAY),))
    return {
        "shown": {**shown, number: dict([*calls.items()][:SHOWN])},
        "slow": _counted(record.get("slow", {}), number, tally.slow),
        "days": {**days, number: (begun[0], int(tally.last // DAY))},
    }


def _counted(counts: Mapping[Any, int], key: Any, more: int) -> dict[Any, int]:
    return {**counts, key: counts.get(key, 0) + more}


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
    """Return what to note of a failed call, or None if the method is not to blame."""
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
    if not faults:
        return
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
        answering = _find_answering(root, fault.target, fault.selector)
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


def record_of(root: Root, name: str, method: Method) -> PersistentMapping:
    """Return what the tree ``name`` of the root keeps about a stored method, made if missing."""
    tree, key = tree_of(root, name), method._p_oid.hex()
    if key not in tree:
        tree[key] = PersistentMapping()
    return tree[key]


def _find_answering(
    root: Mapping[str, Any], target: str, selector: str
) -> tuple[UvmObject, Method] | None:
    """Return (holder, learned method) that answer a message now, to a name or an oid."""
    obj = root["objects"].get(target) or object_of(root, target)
    found = obj.lookup(selector) if isinstance(obj, UvmObject) else None
    if found is None or not isinstance(found[1], Method) or found[1].current < 0:
        return None
    return found
