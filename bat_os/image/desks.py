"""Missions of several kernels on one image: whose they are, and how they change hands.

    accept      it lies on the desk of the kernel that stored it    (``missions.open_brief``)
    write       the owner only; FencedError for all others          (``missions.write``)
    take over   a kernel is dead: its desk becomes mine             (``take_over``)
    withdraw    by any kernel; the owner sees it, and cancels       (``withdraw``)

Taking over and writing both change the mission's own object. So of two that happen at once, ZODB
lets one win, and the other, run again, sees whose the mission is. The image does not know who is
alive, and no clock takes part: a kernel that is taken for dead and lives writes nothing.

Work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree

from bat_os.core.mission import MissionResumed
from bat_os.image import missions
from bat_os.image.objects import connection_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping

    from bat_os.image.missions import Record

    Root = MutableMapping[str, Any]

MAX_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Desks:
    """What is unfinished, by who runs it; errands, which are run with their mission, left out."""

    own: tuple[str, ...]  # ids of missions of this kernel, the oldest first
    withdrawn: frozenset[str]  # those among them that somebody has cancelled
    counts: Mapping[str, int]  # kernel -> how many missions; those with an empty desk, too


def look(root: Root) -> Desks:
    """Return what lies on all desks."""
    me, counts, own = connection_of(root).db().kernel, {}, dict[str, Any]()
    for kernel, desk in root["unfinished"].items():
        ids = [one for one in missions.ids_on(desk) if "." not in one]
        counts[kernel] = len(ids)
        if kernel == me:
            own = {one: desk[one] for one in ids}
    withdrawn = frozenset(one for one, obj in own.items() if "withdrawn" in obj.slots)
    return Desks(tuple(own), withdrawn, counts)


def take_over(root: Root, kernel: str) -> list[str]:
    """Make the missions of a dead kernel this one's; return their ids, errands left out.

    Its desk stays, empty: what it stores meanwhile, if it lives after all, must not get lost.
    """
    desk = root["unfinished"].get(kernel)
    if not desk or kernel == connection_of(root).db().kernel:
        return []
    taken = missions.ids_on(desk)
    missions.put_keys(root, desk, taken, "")
    for mission_id in taken:  # one by one: a bucket that changes meanwhile is a conflict
        missions.own(root, mission_id, desk.pop(mission_id))
    return [one for one in taken if "." not in one]


def taken(root: Root, mission_ids: Iterable[str]) -> list[str]:
    """Return which of some missions another kernel runs by now."""
    me = connection_of(root).db().kernel
    held = {one: missions.desk_with(root, one).get(one) for one in mission_ids}
    return [one for one, obj in held.items() if obj and obj.slots.get("owner", "") != me]


def withdraw(root: Root, mission_id: str) -> bool:
    """Note that a mission of another kernel is cancelled; return False if there is none."""
    obj = missions.desk_with(root, mission_id).get(mission_id)
    if obj is None or obj.slots.get("owner", "") == connection_of(root).db().kernel:
        return False
    obj.slots["withdrawn"] = True
    obj._p_changed = True
    return True


def take_up(root: Mapping[str, Any], mission_id: str) -> bool:
    """Count that one more kernel runs the mission; return False when it may not any more.

    A kernel that is stopped puts it down again, and so does the next one after a death that was not
    the mission's own. One that MAX_ATTEMPTS kernels died of after a first is not run again.

    Raises:
        FencedError: Another kernel has it.
    """
    return _count(root, mission_id, 1) <= MAX_ATTEMPTS


def put_down(root: Mapping[str, Any], mission_ids: Iterable[str]) -> None:
    """Take back that these missions, as far as they are on this desk, were taken up."""
    desk = root["unfinished"].get(connection_of(root).db().kernel, ())
    for mission_id in mission_ids:
        if mission_id in desk:
            _count(root, mission_id, -1)


def resume(
    root: MutableMapping[str, Any],
    mission_id: str,
    *,
    more: bool = False,
    leave: Callable[[MutableMapping[str, Any], Record], MissionResumed] | None = None,
) -> Record:
    """Have a mission that failed run again, from the state in which it failed; return it.

    ``leave`` returns the event for one that has to be let do something.

    Raises:
        TransitionError: It did not fail, or what it may draw is used up (``more`` allows it more).
        DamagedError: Its brief is not what was accepted.
    """
    record = missions.check(root, mission_id)
    after = record.mission.advance(leave(root, record) if leave else MissionResumed(more))
    obj = root["missions"].pop(mission_id)
    missions.own(root, mission_id, obj)
    obj.slots.pop("withdrawn", None)
    obj.slots["attempts"] = 0
    missions.write(root, mission_id, after)
    return missions.read(root, mission_id)


def _count(root: Mapping[str, Any], mission_id: str, by: int) -> int:
    obj = missions.stored(root, mission_id)
    missions.check_owner(root, mission_id, obj)
    obj.slots["attempts"] = max(0, obj.slots["attempts"] + by)
    obj._p_changed = True
    return int(obj.slots["attempts"])


def migrate(root: Root) -> None:
    """Bring an image to format 5: lay what is unfinished on a desk, and spread the keys.

    Before, ``unfinished`` had the missions by id and their keys behind a "#", and ``keys`` those of
    the missions that had ended. The desk is that of a lone kernel.
    """
    desk, keys = OOBTree(), OOBTree()
    for key, mission_id in root["keys"].items():
        tree_of(keys, missions.shard_of(key))[key] = mission_id
    for name, value in root["unfinished"].items():
        if name.startswith("#"):  # what waits has a key before what ended
            tree_of(keys, missions.shard_of(name[1:]))[name[1:]] = value
        else:
            desk[name] = value
    root["unfinished"], root["keys"] = OOBTree({"": desk}), keys


def begin(root: Root) -> None:
    """Bring an image to format 6: each desk begins with an entry that stays.

    An older program would take it, and the keys that a lone kernel lays there, for missions.
    """
    for desk in root["unfinished"].values():
        desk.setdefault(missions.FIRST, None)
