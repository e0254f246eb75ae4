"""Schedules in the image: what is due when, and what was due and nobody has seen yet.

    schedules   number -> an object with the slots of a Schedule
    due         moment and number -> what a person is to hear of, as plain data

One transaction takes a due moment: what is to run is accepted under a key of schedule and moment,
or what a person is to hear of is laid down, and ``next`` is moved on. So a process that dies leaves
both or neither. A schedule runs in the home that it was made in: in a copy of the image it sleeps
until a person wakes it. All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree

from bat_os.core.brief import Brief
from bat_os.errors import BatError, BusyError, NotFoundError
from bat_os.image import missions
from bat_os.image.objects import UvmObject, find, ref_of
from bat_os.natives.recurrence import moments_between, next_after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    Root = MutableMapping[str, Any]

SCHEDULES: Final = "schedules"
DUE: Final = "due"
MAX_LIVE: Final = 2_000
MAX_ENDED: Final = 200  # kept for ``undo``
MAX_DUE: Final = 200
MAX_ALL: Final = 10  # missed moments that ``all`` makes up for
LATE: Final = 90.0  # seconds after which a moment was missed: the timer looks every 60
GRACE: Final = 12 * 3_600.0  # seconds until a missed run is not worth it any more
MAX_FAILURES: Final = 3  # in a row; then it sleeps
POLICIES: Final = ("once", "skip", "all")


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is due, and when."""

    kind: str  # remind, timer, alarm, say (a sentence) or send (a message)
    text: str  # of the reminder, or the sentence
    rule: Mapping[str, Any]  # as ``bat_os.natives.recurrence`` has them
    zone: str
    next: float | None  # Unix time; None once nothing comes any more
    brief: Mapping[str, Any] | None = None  # of a message, plain
    missed: str = "once"  # what happens to moments that nobody was there for
    grace: float = GRACE
    last: float = 0.0  # the moment that was taken last
    live: bool = True
    home: str = ""  # id of the home that it runs in
    made: float = 0.0
    caller: str = ""
    language: str = "en"
    running: str = ""  # id of the mission, or ``say``: a moment that was taken and is not settled
    skipped: int = 0  # moments that were missed before the one that runs
    failures: int = 0  # in a row
    asleep: str = ""  # why it sleeps, or ""
    number: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Taken:
    """A due moment that was taken."""

    schedule: Schedule
    moment: float
    key: str
    mission: missions.Record | None = None
    notice: str = ""  # key of what was laid down for a person, if that is all


def add(root: Root, one: Schedule) -> Schedule:
    """Keep a schedule, and return it with its number.

    Raises:
        BusyError: There are MAX_LIVE.
        NotFoundError: The object that it sends to is not there.
    """
    if SCHEDULES not in root:
        root[SCHEDULES] = OOBTree()
    if one.brief is not None:
        find(root, Brief.from_plain(one.brief).target)
    kept = root[SCHEDULES]
    ended = [number for number, obj in kept.items() if not obj.slots["live"]]
    if len(kept) - len(ended) >= MAX_LIVE:
        raise BusyError(f"there are {MAX_LIVE} schedules; cancel one: batos unschedule NUMBER", 0)
    for number in ended[: max(0, len(ended) - MAX_ENDED)]:
        del kept[number]
    number = (kept.maxKey() if kept else 0) + 1
    obj = UvmObject("", (root["objects"]["traits_obj"],))
    for name, value in asdict(one).items():
        if name != "number":
            obj.set_slot(name, value)
    kept[number] = obj
    root._p_jar.add(obj)  # type: ignore[attr-defined]  # ZODB: the root's connection
    return read(number, obj)


def read(number: int, obj: UvmObject) -> Schedule:
    """Return a schedule out of its object."""
    known = {name: obj.slots[name] for name in Schedule.__dataclass_fields__ if name in obj.slots}
    return Schedule(**known, number=number)


def every(root: Mapping[str, Any]) -> Iterator[Schedule]:
    """Yield all schedules, those that have ended included, the oldest first."""
    for number, obj in root.get(SCHEDULES, {}).items():
        yield read(number, obj)


def live(root: Mapping[str, Any], caller: str | None = None) -> list[Schedule]:
    """Return the schedules that have not ended, the next one first; of one caller, or of all."""
    found = [
        one for one in every(root) if one.live and (caller is None or one.caller == caller)
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.next is None, one.next or 0.0, one.number))


def change(root: Root, number: int, **slots: Any) -> Schedule:
    """Set slots of a schedule and return it.

    Raises:
        NotFoundError: There is none with that number.
    """
    obj = root.get(SCHEDULES, {}).get(number)
    if obj is None:
        raise NotFoundError(f"no schedule has the number {number}; batos schedules lists them")
    for name, value in slots.items():
        if obj.slots.get(name) != value:
            obj.set_slot(name, value)
    return read(number, obj)


def nearest(root: Mapping[str, Any], home: str) -> float | None:
    """Return the moment that is due next in a home, or None."""
    kept = root.get(SCHEDULES, {}).items()
    ready = (read(number, obj) for number, obj in kept if obj.slots["next"] is not None)
    return min((one.next for one in ready if one.next and _is_ready(one, home)), default=None)


def due_numbers(root: Mapping[str, Any], home: str, now: float) -> list[int]:
    """Return the schedules of a home whose moment has come, the earliest first."""
    found = [
        (one.next, one.number)
        for one in every(root)
        if one.next is not None and one.next <= now and _is_ready(one, home)
    ]
    return [number for _, number in sorted(found)]


def _is_ready(one: Schedule, home: str) -> bool:
    """Return whether a schedule may run here; one that makes up for all waits for its last run."""
    waits = bool(one.running) and one.missed == "all"
    return one.live and one.home == home and not one.asleep and not waits


def unsettled(root: Mapping[str, Any], home: str) -> list[Schedule]:
    """Return the schedules of a home whose last moment was taken and has not ended."""
    return [one for one in every(root) if one.running and one.home == home]


def take(root: Root, number: int, now: float, home: str, mission_id: str) -> Taken | None:
    """Take the moment of a schedule that has come; None if none has, or if it is passed over."""
    obj = root[SCHEDULES].get(number)
    one = read(number, obj) if obj is not None else None
    if one is None or one.next is None or one.next > now or not _is_ready(one, home):
        return None
    coming = moments_between(one.rule, one.zone, one.next, now)
    late = now - coming[-1] > LATE
    if one.missed == "all" and len(coming) > 1:
        coming = coming[-MAX_ALL:]
        moment, gone = coming[0], 0
        follows: float | None = coming[1] if len(coming) > 1 else None
    else:
        moment, gone = coming[-1], len(coming) - 1
        follows = next_after(one.rule, one.zone, max(moment, now))
    key = key_of(root, number, moment)
    one = change(root, number, next=follows, last=moment)
    if one.running or (late and one.missed == "skip" and _repeats(one)):
        return None  # the last run has not ended, or nobody wants what was missed
    if one.kind not in ("say", "send"):
        notice = tell(root, one, moment, now, missed=gone)
        _end(root, one)
        return Taken(one, moment, key, notice=notice)
    if late and now - moment > one.grace:
        notice = tell(root, one, moment, now, missed=gone + 1, passed=True)
        _end(root, one)
        return Taken(one, moment, key, notice=notice)
    return _start(root, one, moment, now, (key, mission_id), gone)


def key_of(root: Mapping[str, Any], number: int, moment: float) -> str:
    """Return the key under which a schedule runs at a moment: asked again, nothing runs twice."""
    return f"schedule {ref_of(root[SCHEDULES][number]).oid} {moment:.3f}"


def _repeats(one: Schedule) -> bool:
    return "at" not in one.rule


def _start(
    root: Root, one: Schedule, moment: float, now: float, ids: tuple[str, str], gone: int
) -> Taken:
    """Accept what a schedule runs, under a key of schedule and moment."""
    key, mission_id = ids
    record = None
    if one.brief is not None:
        brief = Brief.from_plain(one.brief)
        try:
            find(root, brief.target)
        except BatError as error:
            notice = settle(root, one.number, moment, now, "", failed=f"{error.code} {error}")
            return Taken(one, moment, key, notice=notice)
        about = {"session": f"schedule {one.number}", "accepted": now}
        record = missions.open_brief(root, brief, mission_id=mission_id, key=key, about=about)
    running = record.id if record is not None else "say"
    return Taken(change(root, one.number, running=running, skipped=gone), moment, key, record)


def settle(
    root: Root, number: int, moment: float, now: float, answer: str, *, failed: str = ""
) -> str:
    """Note how a run has ended and lay down what a person is to hear of it; return its key."""
    one = change(root, number, running="")
    failures = one.failures + 1 if failed else 0
    asleep = failed if failures >= MAX_FAILURES and _repeats(one) else ""
    one = change(root, number, failures=failures, asleep=asleep)
    _end(root, one)
    return tell(
        root,
        one,
        moment,
        now,
        missed=one.skipped,
        answer=answer,
        failed=failed,
        asleep=bool(asleep),
    )


def _end(root: Root, one: Schedule) -> None:
    """End a schedule that has no moment left."""
    if one.next is None and not one.running:
        change(root, one.number, live=False)


def tell(root: Root, one: Schedule, moment: float, now: float, **about: Any) -> str:
    """Lay down what a person is to hear of, once for each moment; return its key."""
    if DUE not in root:
        root[DUE] = OOBTree()
    waiting, key = root[DUE], f"{moment:017.3f} {one.number}"
    if key in waiting:
        return ""
    while len(waiting) >= MAX_DUE:
        seen = (name for name, each in waiting.items() if each["seen"])
        del waiting[next(seen, None) or waiting.minKey()]
    waiting[key] = {
        "key": key, "number": one.number, "kind": one.kind, "text": one.text, "moment": moment,
        "rang": now, "zone": one.zone, "language": one.language, "caller": one.caller,
        "made": one.made, "seen": False, "answer": "", "failed": "", "missed": 0, "passed": False,
        "asleep": False,
        **about,
    }  # fmt: skip
    return key


def waiting(root: Mapping[str, Any], caller: str) -> list[dict[str, Any]]:
    """Return what a caller is to hear of and has not seen, the oldest first."""
    kept = root.get(DUE, {}).values()
    return [dict(each) for each in kept if not each["seen"] and each["caller"] == caller]


def mark_seen(root: Root, keys: list[str], caller: str) -> None:
    """Note that a caller has seen what was due."""
    kept = root.get(DUE, {})
    for key in keys:
        if key in kept and kept[key]["caller"] == caller:
            kept[key] = {**kept[key], "seen": True}


def wake(root: Root, home: str, now: float) -> list[Schedule]:
    """Have all schedules run in this home from now on; return those that slept."""
    woken = []
    for one in list(every(root)):
        if not one.live or (one.home == home and not one.asleep):
            continue
        follows = one.next
        if _repeats(one) and (follows is None or follows <= now):
            follows = next_after(one.rule, one.zone, now)
        woken.append(
            change(root, one.number, home=home, asleep="", failures=0, next=follows, running="")
        )
    return woken


def reckon_again(root: Root, home: str, now: float) -> int:
    """Reckon the next moments of repetitions anew, since the clock went back; return how many."""
    changed = 0
    for one in list(every(root)):
        if one.live and one.home == home and _repeats(one) and one.next is not None:
            follows = next_after(one.rule, one.zone, now)
            if follows is not None and follows < one.next:
                if follows == one.last:  # it was taken before the clock went back
                    follows = next_after(one.rule, one.zone, follows)
                change(root, one.number, next=follows)
                changed += 1
    return changed
