"""Watches in the image: schedules that are due when files change, and what they have seen.

    {"watch": "/home/ann/inbox", "grant": oid, "given": 1763895600.0, "on": ["appear"],
     "pattern": "*.pdf", "each": True}

    watched    number of a schedule -> path -> size, time of change and inode, as they were taken

A watch is level, not edge: what is there is compared with what was taken. So it is the same whether
a file changed a moment ago or while no process ran. One transaction takes changes together with
what they run; each version of a file is taken once. All functions work on the root inside
``ImageStore.transact``, but for ``compare``, which is pure.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree

from bat_os.errors import BusyError
from bat_os.image import grants, schedules
from bat_os.image.objects import tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    from bat_os.image.grants import Grant
    from bat_os.image.schedules import Schedule, Taken
    from bat_os.ports import Survey

    Root = MutableMapping[str, Any]
    Version = tuple[int, int, int]

WATCHED: Final = "watched"
APPEAR, CHANGE, GO = "appear", "change", "go"
MOVE: Final = "move"  # for those who keep something of each file
EVENTS: Final = (APPEAR, CHANGE, GO)
MAX_WATCHES: Final = 100
MAX_NAMED: Final = 20  # changes that are named; the rest is counted
MAX_HOUR: Final = 1_000  # runs of one watch in an hour; then it sleeps
HOUR: Final = 3_600.0
PLACE: Final = "/"  # key of the folder itself; no relative path is this


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one file."""

    event: str
    path: str  # relative to what is watched; "" for that itself
    version: Version | None  # None: it is gone
    before: str = ""  # of a move: where it was


@dataclass(frozen=True, slots=True)
class Watch:
    """A watch and the grants that it looks through, the nearest first."""

    schedule: Schedule
    links: tuple[Grant, ...]

    @property
    def path(self) -> str:
        """What is watched, as an absolute path."""
        return str(self.schedule.rule["watch"])

    def may_look(self, now: float) -> bool:
        """Return whether its grant counts."""
        return bool(self.links) and all(link.is_live(now) for link in self.links)


def links_of(root: Mapping[str, Any], one: Schedule) -> tuple[Grant, ...]:
    """Return the grants that a watch looks through; none if its object has a later one."""
    links = tuple(grants.links(root, str(one.rule["grant"])))
    return links if links and one.rule.get("given", links[0].given) == links[0].given else ()


def is_watch(one: Schedule) -> bool:
    """Return whether a schedule is due when files change, and not at a time."""
    return "watch" in one.rule


def add(root: Root, one: Schedule, seen: Mapping[str, Version]) -> Schedule:
    """Keep a watch; what is ``seen`` is there already and no change.

    Raises:
        BusyError: There are MAX_WATCHES.
    """
    if sum(map(is_watch, schedules.live(root))) >= MAX_WATCHES:
        raise BusyError(f"there are {MAX_WATCHES} watches; cancel one: batos unschedule NUMBER", 0)
    kept = schedules.add(root, one)
    held = tree_of(root, WATCHED)
    for number in [number for number in held if number not in root[schedules.SCHEDULES]]:
        del held[number]
    held[kept.number] = OOBTree(dict(seen))
    return kept


def versions_of(survey: Survey, *, files: bool = True) -> dict[str, Version]:
    """Return a survey as ``add`` takes it: its files, or only the place itself."""
    place = {PLACE: (*survey.folder, 0)} if survey.folder != (0, 0) else {}
    return {**(survey.files if files else {}), **place}


def live(root: Mapping[str, Any], home: str) -> list[Watch]:
    """Return the watches of a home that are awake."""
    return [
        Watch(one, links_of(root, one))
        for one in schedules.live(root)
        if is_watch(one) and one.home == home and not one.asleep
    ]


def known(root: Mapping[str, Any], number: int) -> dict[str, Version]:
    """Return the versions that a watch has taken."""
    return dict(root.get(WATCHED, {}).get(number, {}))


def compare(taken: Mapping[str, Version], survey: Survey, *, moves: bool = False) -> list[Change]:
    """Return what has changed since some versions were taken, in order of paths.

    A version is a size and a time; the inode only tells a file that was moved. A folder that is
    empty and not the one that was taken is a disk that is away: nothing has changed.
    """
    was = {path: version for path, version in taken.items() if path != PLACE}
    place = taken.get(PLACE)
    if was and not survey.files and place is not None and place[:2] != survey.folder:
        return []
    gone = {
        path: version
        for path, version in was.items()
        if path not in survey.files and not path.startswith(survey.unseen)
    }
    left = {version: path for path, version in gone.items()} if moves else {}
    found = []
    for path, version in survey.files.items():
        if path in was:
            if was[path][:2] != version[:2]:
                found.append(Change(CHANGE, path, version))
        elif (before := left.pop(version, None)) is not None:
            del gone[before]
            found.append(Change(MOVE, path, version, before))
        else:
            found.append(Change(APPEAR, path, version))
    found += [Change(GO, path, None) for path in gone]
    return sorted(found, key=lambda change: change.path)


def note(root: Root, number: int, changes: Iterable[Change], survey: Survey | None = None) -> None:
    """Note changes as taken."""
    held = root[WATCHED][number]
    if survey is not None and survey.files and survey.folder != (0, 0):
        held[PLACE] = (*survey.folder, 0)
    for change in changes:
        if change.before:
            held.pop(change.before, None)
        if change.version is None:
            held.pop(change.path, None)
        else:
            held[change.path] = change.version


def is_wanted(one: Schedule, change: Change) -> bool:
    """Return whether a watch is for such a change."""
    pattern = str(one.rule.get("pattern") or "*").casefold().split()
    name = (change.path or str(one.rule["watch"])).rpartition("/")[2].casefold()
    return change.event in one.rule["on"] and any(fnmatch.fnmatch(name, each) for each in pattern)


def take(
    root: Root, number: int, changes: Sequence[Change], now: float, home: str, mission_id: str
) -> Taken | None:
    """Take changes of a watch and what they run; None if nothing is to be run, or may be.

    What is run for each file takes one of them, and leaves the others to the next time.
    """
    one = schedules.find(root, number)
    if one is None or not one.live or one.home != home or one.asleep or one.running:
        return None
    if not Watch(one, links_of(root, one)).may_look(now):
        return None
    held = root[WATCHED][number]
    changes = [change for change in changes if held.get(change.path) != change.version]
    wanted = [c for c in changes if is_wanted(one, c) and c.path not in one.own]
    others = [change for change in changes if change not in wanted]
    began, count = one.hour if now - one.hour[0] < HOUR else (now, 0)
    moment = max(now, one.last + 0.001)
    if wanted and count >= MAX_HOUR and one.kind != "remind":
        return _sleep(root, one, moment, now)
    if one.rule.get("each"):
        wanted = wanted[:1]
    note(root, number, [*others, *wanted])
    own = [path for path in one.own if path not in {change.path for change in others}]
    if own != list(one.own):
        schedules.change(root, number, own=own)
    if not wanted:
        return None
    named = [[change.event, change.path] for change in wanted[:MAX_NAMED]]
    one = schedules.change(
        root, number, last=moment, hour=[began, count + 1], changes=named, changed=len(wanted)
    )
    return schedules.start(root, one, moment, now, mission_id)


def _sleep(root: Root, one: Schedule, moment: float, now: float) -> Taken:
    """Let a watch sleep that has run too often, and say so."""
    why = f"more than {MAX_HOUR} files in an hour"
    one = schedules.change(root, one.number, last=moment, asleep=why, hour=[0.0, 0])
    key = schedules.key_of(root, one.number, moment)
    notice = schedules.tell(root, one, moment, now, failed=why, asleep=True)
    return schedules.Taken(one, moment, key, notice=notice)


def end(root: Root, number: int, now: float, **about: Any) -> str:
    """End a watch whose grant has ended; return the key of what a person is to hear."""
    one = schedules.find(root, number)
    if one is None or not one.live:
        return ""
    one = schedules.change(root, number, live=False, changes=[], changed=0)
    return schedules.tell(root, one, max(now, one.last + 0.001), now, ended=True, **about)
