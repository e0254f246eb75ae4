"""Schedules in the image: what is due when, and what was due and nobody has seen yet.

    schedules   number -> an object with the slots of a Schedule
    due         moment and number -> what a person is to hear of, as plain data

One transaction takes a due moment: what is to run is accepted under a key of schedule and moment,
or what a person is to hear of is laid down, and ``next`` is moved on. So a process that dies leaves
both or neither. A schedule runs in the home that it was made in: in a copy of the image it sleeps
until a person wakes it. All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree

from bat_os.core.brief import Brief
from bat_os.errors import BatError, BusyError, NotFoundError
from bat_os.image import grants, missions, outbox
from bat_os.image.objects import UvmObject, ref_of
from bat_os.image.objects import find as find_object
from bat_os.natives.recurrence import moments_between, next_after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

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
MAX_UNSEEN: Final = 5  # notices of one watch that wait to be seen; earlier ones are counted
MAX_OWN: Final = 100
FILE: Final = "{file}"  # in a message of a watch: the path of the file that has changed
POLICIES: Final = ("once", "skip", "all")


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is due, and when."""

    kind: str  # remind, timer, alarm, say (a sentence), send (a message) or learn (documents)
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
    # Of a watch (``bat_os.image.watches``): what its last run is about, and how many that are
    changes: Sequence[Sequence[str]] = ()  # [event, path]
    changed: int = 0
    own: Sequence[str] = ()  # paths that its runs have changed themselves
    hour: Sequence[float] = (0.0, 0)  # since when its runs are counted, and how many there were
    # The grants that its sentence may use, as ``grants.pin`` names them: those that were live when
    # it was made; of one that an older program has made, oids, or None: all
    grants: Sequence[str] | None = None
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
        find_object(root, Brief.from_plain(one.brief).target)
    if one.kind == "say" and one.grants is None:
        one = replace(one, grants=[*map(grants.pin, grants.live(root, time.time()))])
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


def find(root: Mapping[str, Any], number: int) -> Schedule | None:
    """Return the schedule with a number, or None."""
    obj = root.get(SCHEDULES, {}).get(number)
    return None if obj is None else read(number, obj)


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
    return start(root, one, moment, now, mission_id, gone)


def key_of(root: Mapping[str, Any], number: int, moment: float) -> str:
    """Return the key under which a schedule runs at a moment: asked again, nothing runs twice."""
    return f"schedule {ref_of(root[SCHEDULES][number]).oid} {moment:.3f}"


def _repeats(one: Schedule) -> bool:
    return "at" not in one.rule


def start(
    root: Root, one: Schedule, moment: float, now: float, mission_id: str, gone: int = 0
) -> Taken:
    """Accept what a schedule runs, under a key of schedule and moment; a reminder is laid down."""
    key, record = key_of(root, one.number, moment), None
    if one.kind == "remind":
        return Taken(one, moment, key, notice=tell(root, one, moment, now))
    if one.brief is not None:
        brief = _brief_of(one)
        try:
            find_object(root, brief.target)
        except BatError as error:
            notice = settle(root, one.number, moment, now, "", failed=f"{error.code} {error}")
            return Taken(one, moment, key, notice=notice)
        about = {"session": f"schedule {one.number}", "accepted": now}
        record = missions.open_brief(root, brief, mission_id=mission_id, key=key, about=about)
    running = record.id if record is not None else "say"
    return Taken(change(root, one.number, running=running, skipped=gone), moment, key, record)


def _brief_of(one: Schedule) -> Brief:
    """Return the message of a schedule; of a watch, with the file that it is about."""
    brief = Brief.from_plain(one.brief or {})
    if not one.changes:
        return brief
    file = file_of(one)
    args = tuple(file if arg == FILE else arg for arg in brief.args)
    kwargs = {name: file if arg == FILE else arg for name, arg in brief.kwargs.items()}
    label = tuple(sorted({*brief.label, str(one.rule["grant"])}))  # a name says something, too
    return replace(brief, args=args, kwargs=kwargs, label=label)


def file_of(one: Schedule) -> str:
    """Return the path of the file that the run of a watch is about; "" of any other schedule."""
    return str(PurePath(one.rule["watch"], one.changes[0][1])) if one.changes else ""


def settle(
    root: Root, number: int, moment: float, now: float, answer: str, *, failed: str = ""
) -> str:
    """Note how a run has ended and lay down what a person is to hear of it; return its key."""
    if (one := find(root, number)) is not None and one.changes:
        own = {*one.own, *_own_paths(root, one, key_of(root, number, moment))}
        change(root, number, own=sorted(own)[-MAX_OWN:])
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


def _own_paths(root: Root, one: Schedule, key: str) -> list[str]:
    """Return the paths below a watch that its last run has changed: they are no news to it."""
    recent = [*outbox.pending(root), *outbox.ended(root, MAX_OWN)]
    done = (each for each in recent if each.run == one.running or each.run.startswith(f"key {key}"))
    paths = [PurePath(each.scope["path"], each.args[0]) for each in done if "path" in each.scope]
    inside = [path for path in paths if path.is_relative_to(one.rule["watch"])]
    return [str(path.relative_to(one.rule["watch"])).removeprefix(".") for path in inside]


def _end(root: Root, one: Schedule) -> None:
    """End a schedule that has no moment left; a watch has none, and goes on."""
    if one.next is None and not one.running and "watch" not in one.rule:
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
    if "watch" in one.rule:
        told = {name: one.rule[name] for name in ("watch", "shown")}
        changes = [list(each) for each in one.changes]
        waiting[key] |= {**told, "changes": changes, "changed": one.changed, "more": 0, **about}
        _merge(waiting, waiting[key])
    return key


def _merge(waiting: Any, told: dict[str, Any]) -> None:
    """Put into what a person is to hear of a watch what is not seen of it yet, if that is much."""
    number, key = told["number"], told["key"]
    unseen = [
        each
        for each in waiting.values()
        if each["number"] == number and not each["seen"] and each["key"] != key
    ]
    if told["kind"] == "remind" and not told.get("ended"):
        for each in unseen:
            names = [*each["changes"], *told["changes"]]
            told["changes"] = [list(pair) for pair in dict.fromkeys(map(tuple, names))][:MAX_UNSEEN]
            told["changed"] += each["changed"]
            del waiting[each["key"]]
    elif len(unseen) >= MAX_UNSEEN:
        told["more"] = unseen[0]["more"] + 1
        del waiting[unseen[0]["key"]]
    waiting[key] = told


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
