"""Briefs and missions in the image: plain data in the slots of an object per mission.

A brief is stored under its idempotency key before the client hears that it was accepted. A
mission's record is stored at each transition; what is not final is found again at start, and
what has ended is kept for KEEP_SECONDS. All functions here work on the root inside
``ImageStore.transact``.

    unfinished   kernel -> its desk: id -> mission   written when a brief is accepted
      '--ended--> missions   id -> mission           written with the answer
    keys         shard -> key -> id                  written when a brief is accepted

Only the kernel whose desk a mission lies on runs and writes it; a lone kernel is "". Kernels that
share an image do not conflict: each has its desk, and keys are spread over SHARDS trees. A lone one
lays the key on its desk, "#" + key -> id, until the mission ends: one record less to wait for.

A mission's parent is the prototype of its state, so what a state has to say (who acts, what
they do) is inherited, and a transition is a change of parent. Which state follows which is
decided in ``bat_os.core.mission`` alone.

NotFoundError: there is no mission of that id. TransitionError: what is stored cannot be read, or
has advanced since it was read. FencedError: another kernel owns the mission.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.core.mission import Mission, MissionFailed, State
from bat_os.core.values import to_wire
from bat_os.errors import DamagedError, FencedError, KeyReusedError, NotFoundError, TransitionError
from bat_os.image import grants
from bat_os.image.objects import UvmObject, connection_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, MutableMapping

    from bat_os.core.brief import Brief

# An object's name that people give cannot begin like this.
RECORD: Final = "mission "
KEEP_SECONDS: Final = 7 * 86_400
SHARDS: Final = 64
# Ids are hexadecimal: keys sort before them. FIRST is never removed, since BTrees cannot merge two
# changes of a bucket if one removes its first entry, and the oldest mission usually ends first.
FIRST, _KEY, _IDS = "", "#", "$"
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
    owner: str = ""  # the kernel that runs it


def brief_digest(brief: Brief) -> str:
    """Return the SHA-256 of what is asked, in any order of its keys, for any scope."""
    plain = brief.to_plain()
    plain.pop("may", None)
    return digest(json.dumps(to_wire(plain), sort_keys=True, default=repr))


def open_brief(
    root: MutableMapping[str, Any],
    brief: Brief,
    *,
    mission_id: str,
    key: str,
    about: dict[str, Any],
    asked: str = "",
) -> Record:
    """Store a brief, or find the one with the same key.

    A key whose mission failed in a way that may pass gets a new mission: a client that asks
    again with it wants another try. The failed one stays under its id.

    ``asked`` is a digest of the request that the brief was made of, if it was made of one: the key
    belongs to that, and what is made of it for another try may be another brief.

    ``about`` has ``session`` and ``accepted`` of a new mission. Another id than ``mission_id``
    comes back if the key was known.
    """
    sha256 = brief_digest(brief)
    if known := id_of(root, key):
        slots = stored(root, known).slots
        passes = may_pass(slots["answer"])
        is_asked_again = passes and asked and slots.get("asked") == asked
        if slots["sha256"] != sha256 and not is_asked_again:
            raise KeyReusedError(f"the key {key!r} was used for another brief")
        if not passes:
            return read(root, known)
    obj = UvmObject(f"{RECORD}{mission_id}")
    obj.slots = {"key": key, "sha256": sha256, **about, "attempts": 0, "answer": None}
    if asked:
        obj.slots["asked"] = asked
    owner = own(root, mission_id, obj)
    if owner:
        tree_of(root["keys"], shard_of(key))[key] = mission_id
    else:
        root["unfinished"][owner][_KEY + key] = mission_id
    mission = Mission(brief)
    write(root, mission_id, mission)
    return Record(mission_id, mission, **about, attempts=0, answer=None, owner=owner)


def stored(root: Mapping[str, Any], mission_id: str) -> UvmObject:
    """Return the object of a mission."""
    obj = desk_with(root, mission_id).get(mission_id)
    if obj is None:  # the tree of many days comes last: it is large, and need not be loaded
        obj = root["missions"].get(mission_id)
    if obj is None:
        raise NotFoundError(f"no request has the id {mission_id!r}; batos missions lists them")
    return obj


def desk_with(root: Mapping[str, Any], mission_id: str) -> MutableMapping[str, UvmObject]:
    """Return the desk on which an unfinished mission lies; an empty map if none has it."""
    desks = root["unfinished"].values() if mission_id >= _IDS else ()
    return next((desk for desk in desks if mission_id in desk), {})


def ids_on(desk: Any) -> list[str]:
    """Return the ids of the missions on a desk, the oldest first."""
    return list(desk.keys(min=_IDS))


def shard_of(key: str) -> str:
    """Return the name of the tree that has the mission of a key."""
    return f"{int(digest(key)[:2], 16) % SHARDS:02x}"


def own(root: Mapping[str, Any], mission_id: str, obj: UvmObject) -> str:
    """Lay a mission on the desk of this kernel; return which kernel that is."""
    me: str = connection_of(root).db().kernel
    if me or "owner" in obj.slots:
        obj.slots |= {"owner": me, "epoch": obj.slots.get("epoch", -1) + 1}
        obj._p_changed = True
    desk = tree_of(root["unfinished"], me)
    desk.setdefault(FIRST, None)
    desk[mission_id] = obj
    return me


def check_owner(root: Mapping[str, Any], mission_id: str, obj: UvmObject) -> None:
    """Refuse to change a mission of another kernel."""
    if (owner := obj.slots.get("owner", "")) != connection_of(root).db().kernel:
        raise FencedError(f"the request {mission_id} is run by the kernel {owner or 'alone'}")


def id_of(root: Mapping[str, Any], key: str) -> str:
    """Return the id of the mission that was asked for last with a key, or ""."""
    waiting = root["unfinished"].get("", {}).get(_KEY + key)
    return str(waiting or root["keys"].get(shard_of(key), {}).get(key, ""))


def has_answer(root: Mapping[str, Any], key: str) -> bool:
    """Return whether a key has a mission whose answer counts, or will."""
    known = id_of(root, key)
    return bool(known) and not may_pass(stored(root, known).slots["answer"])


def may_pass(answer: Mapping[str, Any] | None) -> bool:
    """Return whether a mission has failed for a reason that may pass: the next try is another."""
    return bool(answer and answer["type"] == "error" and answer["body"].get("retryable"))


def unfinished(root: Mapping[str, Any]) -> list[str]:
    """Return the ids of the missions that are to be run, by any kernel, the oldest first.

    A mission runs its errands itself; their ids are its own with a dot and a number behind it.
    """
    desks = map(ids_on, root["unfinished"].values())
    return [one for one in merge(*desks) if "." not in one]


def ids_after(root: Mapping[str, Any], after: str) -> Iterator[str]:
    """Yield the ids of all missions behind one, the oldest first; "" begins with the first."""
    trees, first = (root["missions"], *root["unfinished"].values()), max(after, _IDS)
    return merge(*(tree.keys(min=first, excludemin=bool(after)) for tree in trees))


def let_go(root: Mapping[str, Any], mission_id: str, key: str = "") -> None:
    """Move a mission to those that are not run any more; a record that is lost has no key."""
    if desk := desk_with(root, mission_id):
        root["missions"][mission_id] = desk.pop(mission_id)
        put_keys(root, desk, (mission_id,), key)


def put_keys(root: Mapping[str, Any], desk: Any, mission_ids: Collection[str], key: str) -> None:
    """Move the keys of some missions from a desk to where several kernels look for them."""
    is_known = desk.get(_KEY + key) in mission_ids  # else all are looked through
    names = [_KEY + key] if is_known else [n for n, i in desk.items(max=_IDS) if i in mission_ids]
    for name in names:
        own = name.removeprefix(_KEY)
        tree_of(root["keys"], shard_of(own))[own] = desk.pop(name)


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
            slots.get("owner", ""),
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
    check_owner(root, mission_id, obj)
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
        desk = desk_with(root, mission_id)
        let_go(root, mission_id, obj.slots["key"])
        for one in [one for one in desk if one.startswith(f"{mission_id}.")]:  # its errands
            ended = read(root, one).mission.advance(MissionFailed("CANCELLED", "nobody waits"))
            write(root, one, ended, {"type": "error", "body": {"code": "CANCELLED"}})
        for kind, _, oid in mission.brief.once:  # what was given for this mission ends with it
            if "." in mission_id:
                break
            if kind == "grant" and (answer or {}).get("body", {}).get("code") != "GRANT_WANTED":
                grants.revoke(root, oid, time.time())


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


def forget_key(root: Mapping[str, Any], key: object, mission_id: str) -> None:
    """Forget the key of a mission, unless another mission has it by now."""
    if isinstance(key, str) and id_of(root, key) == mission_id:
        del root["keys"][shard_of(key)][key]


def state_name(state: State) -> str:
    """Return the root name of the prototype of ``state``."""
    return f"state_{state}_obj"
