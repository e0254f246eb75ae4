"""Proposals: what an idle mind found and a person may take, with its evidence.

    root["proposals"]  number -> plain data: ``kind``, ``key``, ``at``, ``what``, ``why``,
                       ``evidence``, ``choices`` (each ``shown`` and ``deed``), ``rests_on``
    root["idle"]       ``last`` (the highest number), ``kinds`` (how often each was accepted and
                       dismissed), ``refused`` (keys that were dismissed), ``heard`` (when somebody
                       heard of it last), ``day``, ``spent`` (seconds of that day), ``done``
                       (a tree: digest of a work -> when it was done), ``installed`` (what it
                       installed by itself: ``object``, ``selector``, ``at``)

A proposal stands as long as what it rests on: the versions of methods that it was found with. One
that does not stand is not shown, and goes with the next commit. At most MAX_KEPT are kept, the
newest. A kind that is dismissed often goes quiet for a while. All functions work on the root inside
``ImageStore.transact``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image import runs
from bat_os.image.history.faults import failing
from bat_os.image.objects import Method, object_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    Root = MutableMapping[str, Any]

PROPOSALS: Final = "proposals"
IDLE: Final = "idle"
BUDGET: Final = 600.0  # seconds of processor time a day
MAX_KEPT: Final = 50
MAX_REFUSED: Final = 500
MAX_INSTALLED: Final = 50
MAX_DONE: Final = 2_000  # works that are remembered; past that, the newer half is
QUIET_SECONDS: Final = 30 * 86_400.0
DECIDED: Final = 3  # before a kind can go quiet; then below one taken in three it does


@dataclass(frozen=True, slots=True)
class Proposal:
    """Something that a person may take."""

    # ``practice``, ``doubt``, ``mend``, ``canary``, ``duplicate``, ``unused``, ``slow``,
    # ``shadowed``, ``stale`` or ``forge``
    kind: str
    key: str  # the same for the same finding, so that it comes once
    what: str  # in one sentence
    why: str
    # what ``accept`` may do; the first if nothing else is said. Of each ``shown``, for people, and
    # ``deed``: a method to install, or a verb with what it takes
    choices: Sequence[Mapping[str, Any]]
    # maps with ``object``, ``selector``, ``version`` (0: not understood), and perhaps ``while``;
    # or with ``run``, a run of the forge that waits
    rests_on: Sequence[Mapping[str, Any]]
    evidence: Mapping[str, Any] = field(default_factory=dict)


def put(root: Root, found: Sequence[Proposal], *, at: float) -> list[int]:
    """Keep what is new of ``found``; return the numbers. The oldest go if they are too many."""
    tree, state = tree_of(root, PROPOSALS), _state(root)
    sweep(root)
    known = {one["key"] for one in tree.values()} | set(state.get("refused", ()))
    numbers = []
    for one in found:
        if one.key in known or is_quiet(root, one.kind, at) or not _stands(root, one.rests_on):
            continue
        number = state["last"] = state.get("last", 0) + 1
        tree[number] = {
            "kind": one.kind, "key": one.key, "at": at, "what": one.what, "why": one.why,
            "choices": [dict(choice) for choice in one.choices],
            "rests_on": [dict(rest) for rest in one.rests_on], "evidence": dict(one.evidence),
        }  # fmt: skip
        known.add(one.key)
        numbers.append(number)
    while len(tree) > MAX_KEPT:
        del tree[tree.minKey()]
    return numbers


def standing(root: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the proposals that still stand, the oldest first, each with its number ``n``."""
    rows = root.get(PROPOSALS, {}).items()
    return [{"n": number, **one} for number, one in rows if _stands(root, one["rests_on"])]


def sweep(root: Root) -> None:
    """Drop the proposals that do not stand any more."""
    tree = tree_of(root, PROPOSALS)
    for number in [n for n, one in tree.items() if not _stands(root, one["rests_on"])]:
        del tree[number]


def read(root: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a proposal.

    Raises:
        NotFoundError: No proposal has this number, or its reason has gone.
    """
    one = root.get(PROPOSALS, {}).get(number)
    if one is None or not _stands(root, one["rests_on"]):
        raise NotFoundError(f"no proposal has the number {number}; batos proposals lists them")
    return dict(one)


def choice_of(one: Mapping[str, Any], choice: int) -> dict[str, Any]:
    """Return what accepting a proposal does, by the number of the choice.

    Raises:
        ArgumentsError: It has no such choice.
    """
    choices = one["choices"]
    if not 1 <= choice <= len(choices):
        raise ArgumentsError(f"the proposal has the choices 1 to {len(choices)}")
    return dict(choices[choice - 1])


def decide(root: Root, number: int, *, taken: bool, at: float) -> None:
    """Take a proposal from the list, and count what became of its kind."""
    one, state = root[PROPOSALS].pop(number, None), _state(root)
    if one is None:
        raise NotFoundError(f"the proposal {number} is gone")
    kinds = dict(state.get("kinds", {}))
    counts = dict(kinds.get(one["kind"], {"taken": 0, "dismissed": 0, "at": 0.0}))
    counts["taken" if taken else "dismissed"] += 1
    state["kinds"] = kinds | {one["kind"]: counts | {"at": at}}
    if not taken:
        state["refused"] = [*state.get("refused", ()), one["key"]][-MAX_REFUSED:]


def is_quiet(root: Mapping[str, Any], kind: str, now: float) -> bool:
    """Return whether a kind is not to be proposed: it was dismissed too often lately."""
    counts = root.get(IDLE, {}).get("kinds", {}).get(kind)
    if counts is None or now - counts["at"] > QUIET_SECONDS:
        return False
    decided = counts["taken"] + counts["dismissed"]
    return bool(decided >= DECIDED and counts["taken"] * 3 < decided)


def spent_on(root: Mapping[str, Any], day: str) -> float:
    """Return how many seconds of processor time idle work took on a day."""
    state = root.get(IDLE, {})
    return float(state.get("spent", 0.0)) if state.get("day") == day else 0.0


def note_spent(root: Root, day: str, seconds: float) -> None:
    """Note what idle work took on a day so far."""
    _state(root).update(day=day, spent=round(seconds, 1))


def was_done(root: Mapping[str, Any], work: str) -> bool:
    """Return whether a work was done, by its digest."""
    return work in root.get(IDLE, {}).get("done", ())


def note_done(root: Root, work: str, at: float) -> None:
    """Note that a work was done."""
    state = _state(root)
    done = state.setdefault("done", OOBTree())
    done[work] = at
    if len(done) > MAX_DONE:
        newest = sorted(done.items(), key=lambda one: -one[1])[: MAX_DONE // 2]
        state["done"] = OOBTree(newest)


def note_installed(root: Root, name: str, selector: str, at: float) -> None:
    """Note that a method was installed without a question, so that somebody hears of it."""
    one = {"object": name, "selector": selector, "at": at}
    _state(root)["installed"] = [*_state(root).get("installed", ()), one][-MAX_INSTALLED:]


def installed_since(root: Mapping[str, Any], at: float) -> list[dict[str, Any]]:
    """Return what was installed without a question after a moment, the oldest first."""
    return [one for one in root.get(IDLE, {}).get("installed", ()) if one["at"] > at]


def heard_at(root: Mapping[str, Any]) -> float:
    """Return when somebody heard last of what was found."""
    return float(root.get(IDLE, {}).get("heard", 0.0))


def note_heard(root: Root, at: float) -> None:
    """Note that somebody has heard of all that was found so far."""
    _state(root)["heard"] = at


def _state(root: Root) -> PersistentMapping:
    if IDLE not in root:
        root[IDLE] = PersistentMapping()
    state: PersistentMapping = root[IDLE]
    return state


def _stands(root: Mapping[str, Any], rests_on: Sequence[Mapping[str, Any]]) -> bool:
    return all(_holds(root, rest) for rest in rests_on)


def _holds(root: Mapping[str, Any], rest: Mapping[str, Any]) -> bool:
    if "run" in rest:
        return runs.waits(root, rest["run"])
    obj = root["objects"].get(rest["object"]) or object_of(root, rest["object"])
    found = obj.lookup(rest["selector"]) if obj is not None else None
    if found is None or not isinstance(found[1], Method) or found[1].current < 0:
        return obj is not None and found is None and not rest["version"]
    method = found[1]
    if method.current + 1 != rest["version"]:
        return False
    wanted = rest.get("while", "")
    if wanted == "failing":
        return bool(failing(root, method))
    return wanted != "provisional" or bool(method.status == wanted)
