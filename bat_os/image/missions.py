"""Briefs and missions in the image: plain data in the slots of an object per mission.

A brief is stored under its idempotency key before the client hears that it was accepted. A
mission's record is stored at each transition; what is not final is found again at start, and
what has ended is kept for KEEP_SECONDS. All functions here work on the root inside
``ImageStore.transact``.

    unfinished   id -> mission, "#" + key -> id      written when a brief is accepted
      '--ended--> missions   id -> mission           written with the answer
              '-> keys       key -> id

Acceptance is latency-critical, and the trees of many days have large nodes. So only
``unfinished``, one small node as a rule, is written then.

A mission's parent is the prototype of its state, so what a state has to say (who acts, what
they do) is inherited, and a transition is a change of parent. Which state follows which is
decided in ``bat_os.core.mission`` alone.

NotFoundError: there is no mission of that id. TransitionError: what is stored cannot be read, or
has advanced since it was read.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, replace
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.core.mission import Mission, MissionFailed, MissionResumed, State
from bat_os.core.scopes import PERSON
from bat_os.core.values import to_wire
from bat_os.errors import DamagedError, KeyReusedError, NotFoundError, TransitionError
from bat_os.image import grants
from bat_os.image.objects import UvmObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

    from bat_os.core.brief import Brief

# An object's name that people give cannot begin like this.
RECORD: Final = "mission "
MAX_ATTEMPTS: Final = 3
KEEP_SECONDS: Final = 7 * 86_400
# Ids are hexadecimal; what begins so, in ``unfinished``, is a key, and sorts before them.
_KEY: Final = "#"
_IDS: Final = "$"
# Who acts in a state, and what they do.
WHO: Final[dict[State, tuple[str, str]]] = {
    State.IDLE: ("ORCHESTRATOR", "makes the mission record"),
    State.DECOMPOSING: ("BRICK", "takes the brief apart into one to three search queries"),
    State.DELEGATING: ("BABS", "searches the knowledge catalog and the learned methods"),
    State.SYNTHESIZING: ("TARGET", "the target's persona writes candidates for the method"),
    State.ACTING: ("TARGET", "works step by step with the tools that were granted"),
    State.VALIDATING: ("ALFRED", "audits every candidate and tries it in the cell"),
    State.COMPLETE: ("ORCHESTRATOR", "installed the method and answered, in one transaction"),
    State.FAILED: ("ORCHESTRATOR", "nothing was changed; the record is kept"),
}


@dataclass(frozen=True, slots=True)
class Record:
    """A stored mission."""

    id: str  # its id; ids sort by the time they were given
    mission: Mission
    session: str
    accepted: float  # unix time
    attempts: int  # how many kernels took it up after its first, and died or run it now
    answer: dict[str, Any] | None  # body of the final reply, once the mission has ended; else None


def brief_digest(brief: Brief) -> str:
    """Return the SHA-256 of what is asked, in any order of its keys, for any scope."""
    plain = replace(brief, may=PERSON).to_plain()
    return digest(json.dumps(to_wire(plain), sort_keys=True, default=repr))


def open_brief(
    root: MutableMapping[str, Any],
    brief: Brief,
    *,
    mission_id: str,
    key: str,
    about: dict[str, Any],
) -> Record:
    """Store a brief, or find the one with the same key.

    A key whose mission failed in a way that may pass gets a new mission: a client that asks
    again with it wants another try. The failed one stays under its id.

    ``about`` has ``session`` and ``accepted`` of a new mission. Another id than ``mission_id``
    comes back if the key was known.
    """
    sha256 = brief_digest(brief)
    if known := id_of(root, key):
        slots = stored(root, known).slots
        if slots["sha256"] != sha256:
            raise KeyReusedError(f"the key {key!r} was used for another brief")
        answer = slots["answer"] or {"type": ""}
        if answer["type"] != "error" or not answer["body"].get("retryable"):
            return read(root, known)
    obj = UvmObject(f"{RECORD}{mission_id}")
    obj.slots = {"key": key, "sha256": sha256, **about, "attempts": 0, "answer": None}
    root["unfinished"][mission_id] = obj
    root["unfinished"][_KEY + key] = mission_id
    mission = Mission(brief)
    write(root, mission_id, mission)
    return Record(mission_id, mission, **about, attempts=0, answer=None)


def stored(root: Mapping[str, Any], mission_id: str) -> UvmObject:
    """Return the object of a mission."""
    obj = root["missions"].get(mission_id)
    if obj is None and mission_id >= _IDS and mission_id in root["unfinished"]:
        obj = root["unfinished"][mission_id]
    if obj is None:
        raise NotFoundError(f"no request has the id {mission_id!r}; batos missions lists them")
    mission: UvmObject = obj
    return mission


def id_of(root: Mapping[str, Any], key: str) -> str:
    """Return the id of the mission that was asked for last with a key, or ""."""
    return str(root["unfinished"].get(_KEY + key) or root["keys"].get(key, ""))


def unfinished(root: Mapping[str, Any]) -> list[str]:
    """Return the ids of the missions that are to be run, the oldest first.

    A mission runs its errands itself; their ids are its own with a dot and a number behind it.
    """
    return [one for one in root["unfinished"].keys(min=_IDS) if "." not in one]


def ids_after(root: Mapping[str, Any], after: str) -> Iterator[str]:
    """Yield the ids of all missions behind one, the oldest first; "" begins with the first."""
    trees, first = (root["missions"], root["unfinished"]), max(after, _IDS)
    return merge(*(tree.keys(min=first, excludemin=bool(after)) for tree in trees))


def let_go(root: Mapping[str, Any], mission_id: str) -> None:
    """Move a mission, and its key, to those that are not run any more."""
    waiting = root["unfinished"]
    if mission_id not in waiting:
        return
    root["missions"][mission_id] = waiting.pop(mission_id)
    for key in [key for key, known in waiting.items(max=_IDS) if known == mission_id]:
        root["keys"][key.removeprefix(_KEY)] = waiting.pop(key)


def resume(
    root: MutableMapping[str, Any],
    mission_id: str,
    *,
    more: bool = False,
    leave: Callable[[MutableMapping[str, Any], Record], MissionResumed] | None = None,
) -> Record:
    """Have a mission that failed run again, from the state in which it failed; return it.

    ``leave`` returns the event for one that has to be let do something.

    Its key is its own again, unless another mission has it by now.

    Raises:
        TransitionError: It did not fail, or what it may draw is used up (``more`` allows it more).
        DamagedError: Its brief is not what was accepted.
    """
    record = check(root, mission_id)
    after = record.mission.advance(leave(root, record) if leave else MissionResumed(more))
    obj = stored(root, mission_id)
    root["unfinished"][mission_id] = root["missions"].pop(mission_id)
    key = obj.slots["key"]
    if root["keys"].get(key) == mission_id and _KEY + key not in root["unfinished"]:
        root["unfinished"][_KEY + key] = root["keys"].pop(key)
    obj.slots["attempts"] = 0
    write(root, mission_id, after)
    return read(root, mission_id)


def read(root: Mapping[str, Any], mission_id: str) -> Record:
    """Return a stored mission."""
    slots = stored(root, mission_id).slots
    try:
        return Record(
            mission_id,
            Mission.from_plain(slots["record"]),
            slots["session"],
            slots["accepted"],
            slots["attempts"],
            slots["answer"],
        )
    except (KeyError, TypeError) as error:
        raise TransitionError(f"the record of mission {mission_id} cannot be read") from error


def write(
    root: MutableMapping[str, Any],
    mission_id: str,
    mission: Mission,
    answer: Mapping[str, Any] | None = None,
) -> None:
    """Store a mission after its next event; a final state comes with the answer."""
    obj = stored(root, mission_id)
    before = obj.slots.get("record")
    if before is not None and len(before["events"]) + 1 != len(mission.events):
        raise TransitionError(f"the mission {mission_id} has advanced in the meantime")
    obj.slots["record"] = mission.to_plain()
    if mission.events:  # when each of them was stored
        times = obj.slots.get("times", [])[: len(mission.events) - 1]
        obj.slots["times"] = [*times, time.time()]
    obj.slots["answer"] = None if answer is None else dict(answer)
    obj._p_changed = True
    obj.parents = (root["objects"][state_name(mission.state)],)
    if mission.state.is_final:
        let_go(root, mission_id)
        for one in [*root["unfinished"].keys(f"{mission_id}.", f"{mission_id}/")]:  # its errands
            ended = read(root, one).mission.advance(MissionFailed("CANCELLED", "nobody waits"))
            write(root, one, ended, {"type": "error", "body": {"code": "CANCELLED"}})
        for kind, _, oid in mission.brief.once:  # what was given for this mission ends with it
            if "." in mission_id:
                break
            if kind == "grant" and (answer or {}).get("body", {}).get("code") != "GRANT_WANTED":
                grants.revoke(root, oid, time.time())


def take_up(root: Mapping[str, Any], mission_id: str) -> bool:
    """Count that one more kernel runs the mission; return False when it may not any more.

    A kernel that is stopped puts it down again, and so does the next one after a death that was not
    the mission's own. One that MAX_ATTEMPTS kernels died of after a first is not run again.
    """
    return _count(root, mission_id, 1) <= MAX_ATTEMPTS


def put_down(root: Mapping[str, Any], mission_ids: Iterable[str]) -> None:
    """Take back that these missions, as far as they have not ended, were taken up."""
    for mission_id in mission_ids:
        if mission_id in root["unfinished"]:
            _count(root, mission_id, -1)


def check(root: Mapping[str, Any], mission_id: str) -> Record:
    """Return a stored mission whose brief is the one that was accepted."""
    try:
        record = read(root, mission_id)
        sha256 = stored(root, mission_id).slots["sha256"]
    except (TransitionError, ValueError, AttributeError, KeyError) as error:
        raise DamagedError(f"the stored mission {mission_id} is damaged: {error}") from error
    if sha256 != brief_digest(record.mission.brief):
        raise DamagedError(f"the stored brief of mission {mission_id} is damaged")
    return record


def prune(
    root: MutableMapping[str, Any],
    before: float,
    after: str,
    limit: int,
    keep: Callable[[MutableMapping[str, Any], str], None] = lambda root, mission_id: None,
) -> tuple[int, str | None]:
    """Forget missions that ended before a moment, some at a time.

    Up to ``limit`` missions behind the id ``after`` are looked at; "" begins with the oldest.
    ``keep`` is called with the root and the id of each before it goes.

    Returns:
        How many are gone, and the id to go on behind; None when all were looked at.
    """
    kept = root["missions"]
    # Ids begin with the time, so what came later need not be looked at.
    ids = kept.keys(min=after, max=f"{int(before * 1000):012x}g", excludemin=bool(after))
    looked = [mission_id for _, mission_id in zip(range(limit), ids, strict=False)]
    old = [one for one in looked if ended(kept[one]) < before]
    for mission_id in old:
        keep(root, mission_id)
        key = kept.pop(mission_id).slots.get("key")
        if root["keys"].get(key) == mission_id:
            del root["keys"][key]
    return len(old), looked[-1] if len(looked) == limit else None


def ended(obj: UvmObject) -> float:
    """Return when a mission ended; infinity while it has not, or where that is unreadable."""
    answer, accepted = obj.slots.get("answer"), obj.slots.get("accepted")
    if type(answer) is not dict or type(accepted) is not float:
        return math.inf
    body = answer.get("body")
    took = body.get("seconds") if type(body) is dict else None
    return accepted + took if isinstance(took, int | float) else accepted


def _count(root: Mapping[str, Any], mission_id: str, by: int) -> int:
    obj = stored(root, mission_id)
    obj.slots["attempts"] = max(0, obj.slots["attempts"] + by)
    obj._p_changed = True
    return int(obj.slots["attempts"])


def state_name(state: State) -> str:
    """Return the root name of the prototype of ``state``."""
    return f"state_{state}_obj"


def make_states(traits: UvmObject) -> list[UvmObject]:
    """Return the prototypes, one for each state."""
    prototypes = []
    for state, (who, does) in WHO.items():
        prototype = UvmObject(state_name(state), (traits,))
        prototype.set_slot("state", str(state))
        prototype.set_slot("persona", who)
        prototype.set_slot("does", does)
        prototypes.append(prototype)
    return prototypes
