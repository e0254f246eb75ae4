"""Briefs and missions in the image: plain data in the slots of an object per mission.

A brief is stored before anyone is told that it was accepted, under its idempotency key. A
mission's record is stored at each transition; what is not final is found again at start.
All functions here work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import Mission
from bat_os.core.values import to_wire
from bat_os.errors import KeyReusedError, NotFoundError, TransitionError
from bat_os.image.objects import UvmObject
from bat_os.image.states import enter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    from bat_os.core.brief import Brief

# No object that a person names begins so.
RECORD: Final = "mission "
MAX_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Record:
    """A stored mission.

    Attributes:
        id: Its id; ids sort by the time they were given.
        mission: The brief and its events.
        session: Who asked.
        accepted: Unix time.
        attempts: How many kernels took it up after its first, and died or run it now.
        answer: Body of the final reply, once the mission has ended; else None.
    """

    id: str
    mission: Mission
    session: str
    accepted: float
    attempts: int
    answer: dict[str, Any] | None


def brief_digest(brief: Brief) -> str:
    """Return the SHA-256 of what is asked, whatever the order of its keys."""
    told = json.dumps(to_wire(brief.to_plain()), sort_keys=True, default=repr)
    return hashlib.sha256(told.encode()).hexdigest()


def open_brief(
    root: MutableMapping[str, Any],
    brief: Brief,
    *,
    mission_id: str,
    key: str,
    about: dict[str, Any],
) -> Record:
    """Store a brief, or find the one with the same key.

    Args:
        root: The image root.
        brief: What is asked.
        mission_id: Id for a new mission.
        key: Idempotency key.
        about: ``session`` and ``accepted`` of a new mission.

    Returns:
        The record; its id differs from ``mission_id`` when the key was known.

    Raises:
        KeyReusedError: The key is known with another brief.
    """
    known = root["keys"].get(key)
    if known is not None:
        stored = root["missions"][known]
        if stored.slots["sha256"] != brief_digest(brief):
            raise KeyReusedError(f"the key {key!r} was used for another brief")
        return read(root, known)
    obj = UvmObject(f"{RECORD}{mission_id}")
    obj.slots = {
        "key": key,
        "sha256": brief_digest(brief),
        "session": about["session"],
        "accepted": about["accepted"],
        "attempts": 0,
        "answer": None,
    }
    root["missions"][mission_id] = obj
    root["keys"][key] = mission_id
    root["unfinished"].insert(mission_id)
    write(root, mission_id, Mission(brief))
    return read(root, mission_id)


def read(root: Mapping[str, Any], mission_id: str) -> Record:
    """Return a stored mission.

    Raises:
        NotFoundError: There is none of that id.
        TransitionError: What is stored is no mission, or one of a newer program.
    """
    obj = root["missions"].get(mission_id)
    if obj is None:
        raise NotFoundError(f"no brief has the id {mission_id!r}")
    slots = obj.slots
    try:
        mission = Mission.from_plain(slots["record"])
    except (KeyError, TypeError) as error:
        raise TransitionError(f"the record of mission {mission_id} cannot be read") from error
    return Record(
        mission_id,
        mission,
        slots["session"],
        slots["accepted"],
        slots["attempts"],
        slots["answer"],
    )


def write(
    root: Mapping[str, Any],
    mission_id: str,
    mission: Mission,
    answer: Mapping[str, Any] | None = None,
) -> None:
    """Store a mission after its next event; a final state comes with the answer.

    Raises:
        TransitionError: Another event has been stored meanwhile.
    """
    obj = root["missions"][mission_id]
    stored = obj.slots.get("record")
    if stored is not None and len(stored["events"]) + 1 != len(mission.events):
        raise TransitionError(f"the mission {mission_id} has moved on meanwhile")
    obj.slots["record"] = mission.to_plain()
    obj.slots["answer"] = None if answer is None else dict(answer)
    obj._p_changed = True
    enter(root["objects"], obj, mission.state)
    if mission.state.is_final:
        root["unfinished"].remove(mission_id)


def take_up(root: Mapping[str, Any], mission_id: str) -> bool:
    """Count that one more kernel runs the mission; return False when it may not any more.

    A kernel that goes down in order puts it down again; one that dies does not, and a
    mission that was running when MAX_ATTEMPTS kernels died after a first is left alone.
    """
    return _count(root, mission_id, 1) <= MAX_ATTEMPTS


def put_down(root: Mapping[str, Any], mission_ids: Iterable[str]) -> None:
    """Take back that these missions were taken up: their kernel goes down in order."""
    for mission_id in mission_ids:
        _count(root, mission_id, -1)


def _count(root: Mapping[str, Any], mission_id: str, by: int) -> int:
    obj = root["missions"][mission_id]
    obj.slots["attempts"] = max(0, obj.slots["attempts"] + by)
    obj._p_changed = True
    return int(obj.slots["attempts"])
