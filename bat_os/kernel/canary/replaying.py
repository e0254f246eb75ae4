"""Calls whose answers are known, made again on a fork: as things are, and with a change.

    the last missions, the examples and kept calls of their methods ──→ answers, twice ──→ worse?

Both sides have the same seed, the same clock and the data of today. Without a change, the methods
of the day on which a call was answered are the other side: what they answer today as those of now
do is otherwise by the clock or by changed data, and no difference.

No model is asked, and nothing of it stays. A fork has no ways into the world, so a call that needs
one fails on both sides, and comes out equal.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief
from bat_os.core.choosing import meaning, preview
from bat_os.core.gate import BETTER, EQUAL, WORSE, weigh
from bat_os.core.values import Counted, ignore_progress, to_wire
from bat_os.errors import ArgumentsError, BatError, NotFoundError, NotUnderstoodError
from bat_os.image import missions
from bat_os.image.history import entries, versions
from bat_os.image.history.entries import REHEARSAL
from bat_os.image.history.golden import calls_in, shown_in
from bat_os.image.history.moments import survey
from bat_os.image.objects import Method, examples_of, find, ref_of
from bat_os.kernel.learning.trial import ITS_FAULT, SEED, try_turn
from bat_os.kernel.reach import Answers
from bat_os.kernel.verbs.moments import on_a_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence

    from bat_os.image.objects import MethodVersion, UvmObject
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]
    # Makes a change on a fork.
    Change = Callable[[KernelContext], Awaitable[None]]

MAX_OWN: Final = 50  # missions, and methods, the newest of each
MAX_CALLS: Final = 500
_LOOKED_AT: Final = 500
_FAILS: Final = (*ITS_FAULT, ArgumentsError, NotFoundError, NotUnderstoodError)


@dataclass(frozen=True, slots=True)
class Known:
    """A call whose answer is known."""

    brief: Brief
    answer: Any  # as clients get it
    mission: str  # in which it was asked, or its method was learned; "" for none
    at: float  # unix time: the methods of then answered it


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call came out."""

    known: Known
    before: str  # in short
    after: str
    verdict: str

    def to_plain(self) -> dict[str, Any]:
        """Return it for people."""
        brief = self.known.brief
        named = (f"{name}={preview(value)}" for name, value in brief.kwargs.items())
        given = ", ".join((*map(preview, brief.args), *named))
        return {
            "what": f"{brief.target}.{brief.selector}({given})",
            "mission": self.known.mission,
            "known": preview(self.known.answer),
            "before": self.before,
            "after": self.after,
        }


async def replay(
    mind: KernelContext,
    change: Change | None,
    tell: Callable[[str], None] = ignore_progress,
    also: Sequence[Known] = (),
) -> list[Outcome]:
    """Return how each known call comes out with a change; without one, how it does by now.

    ``also`` are calls beside those that ``read_known`` finds.

    Raises:
        CellUnavailableError: No learned code can run on this machine.
    """
    known = [*also, *await survey(mind.image, read_known, note="look for what was answered")]
    found, clock = [], time.time()
    async with on_a_fork(mind) as now, on_a_fork(mind) as there:
        if change is not None:
            await change(there)
        compare = _compare_with_then if change is None else _compare_with_change
        for done, one in enumerate(known, 1):
            found.append(await compare(now, there, one, clock))
            tell(Counted(f"{done} of {len(known)} calls", done, len(known)))
    return found


def as_version(target: str, selector: str, number: int) -> Change:
    """Return the change that makes a version of a method current."""

    async def change(there: KernelContext) -> None:
        picked = await there.image.transact(
            lambda root: versions.pick(root, find(root, target), selector, number), note="read it"
        )
        vectors = await there.catalog.embed(picked.summary.passages)
        move = {"at": time.time(), "what": "canary"}
        await there.image.transact(
            lambda root: versions.make_current(root, find(root, picked.oid), picked, vectors, move),
            note="try a version",
        )

    return change


def better(found: Sequence[Outcome]) -> list[Outcome]:
    """Return what is right with the change only."""
    return [one for one in found if one.verdict == BETTER]


def worse(found: Sequence[Outcome]) -> list[Outcome]:
    """Return what was right before, and is not with the change."""
    return [one for one in found if one.verdict == WORSE]


async def _compare_with_change(
    now: KernelContext, there: KernelContext, known: Known, clock: float
) -> Outcome:
    before = await _answer(now, known.brief, clock)
    after = await _answer(there, known.brief, clock)
    right = meaning(known.answer)
    verdict = weigh(before[0] == right, after[0] == right)
    if verdict != EQUAL and await _is_by_chance(now, known.brief, clock, before[0]):
        verdict = EQUAL
    return Outcome(known, before[1], after[1], verdict)


async def _compare_with_then(
    now: KernelContext, there: KernelContext, known: Known, clock: float
) -> Outcome:
    after = await _answer(now, known.brief, clock)
    verdict = weigh(before=True, after=after[0] == meaning(known.answer))
    if verdict != EQUAL:
        await there.image.transact(lambda root: _go_back(root, known.at), note="methods of then")
        then = await _answer(there, known.brief, clock)
        if then[0] == after[0] or await _is_by_chance(now, known.brief, clock, after[0]):
            verdict = EQUAL
    return Outcome(known, preview(known.answer), after[1], verdict)


def _go_back(root: Root, at: float) -> None:
    """Make the methods current that were there at a moment."""
    for obj in root["objects"].values():
        for method in obj.slots.values():
            if isinstance(method, Method) and method.versions:
                known = [one for one in method.versions if _created(one) <= at]
                if method.current != len(known) - 1:
                    method.current = len(known) - 1


async def _is_by_chance(mind: KernelContext, brief: Brief, clock: float, answered: str) -> bool:
    return (await _answer(mind, brief, clock, SEED + 1))[0] != answered


async def _answer(
    there: KernelContext, brief: Brief, clock: float, seed: int = SEED
) -> tuple[str, str]:
    """Return (meaning of what a message is answered with, the same in short)."""
    given = Answers(seed=seed, now=clock)
    try:
        answer = await try_turn(there.image, there.cell, brief, None, there, given)
    except _FAILS as error:
        return "", f"fails: {error.code}"
    value = to_wire(answer.value)
    return meaning(value), preview(value)


def read_known(root: Root) -> list[Known]:
    """Return the calls whose answers are known, each once: examples first, then missions.

    To be called inside ``ImageStore.transact``.
    """
    once: dict[str, Known] = {}
    for one in (*_of_methods(root), *islice(_of_missions(root), MAX_OWN)):
        brief = one.brief
        once.setdefault(repr((brief.target, brief.selector, brief.args, brief.kwargs)), one)
    return [*once.values()][:MAX_CALLS]


def read_calls(root: Root, holder: UvmObject, method: Method, number: int) -> list[Known]:
    """Return the kept calls of a version, with what it answered."""
    version = method.versions[number - 1]
    mission, at = str(version.provenance.get("mission", "")), _created(version)
    return [
        Known(_brief(holder, method, args, kwargs), to_wire(result), mission, at)
        for args, kwargs, result in calls_in(shown_in(root, method, number))
    ]


def _of_methods(root: Root) -> Iterator[Known]:
    learned = sorted(entries.learned(root), key=lambda pair: _mission_of(pair[1]), reverse=True)
    for holder, method in learned[:MAX_OWN]:
        mission, at = _mission_of(method), _created(method.versions[method.current])
        for args, kwargs, result in _calls_of(root, method):
            yield Known(_brief(holder, method, args, kwargs), to_wire(result), mission, at)


def _calls_of(root: Root, method: Method) -> Iterator[tuple[Any, Mapping[str, Any], Any]]:
    """Yield (args, kwargs, answer) of the current version, what a person has said first."""
    version = method.versions[method.current]
    for one in examples_of(method, version):
        if not (one.get("world") or one.get("effects")):
            yield one["args"], one.get("kwargs", {}), one["result"]
    if not version.provenance.get("effects"):
        yield from calls_in(shown_in(root, method, version.number))


def _brief(holder: UvmObject, method: Method, args: Any, kwargs: Mapping[str, Any]) -> Brief:
    return Brief(holder.name or ref_of(holder).oid, method.selector, tuple(args), dict(kwargs))


def _mission_of(method: Method) -> str:
    return str(method.versions[method.current].provenance.get("mission", ""))


def _of_missions(root: Root) -> Iterator[Known]:
    """Yield the messages of missions that were answered, the newest first."""
    for mission_id in islice(reversed(list(root["missions"].keys())), _LOOKED_AT):
        try:
            record = missions.read(root, mission_id)
        except BatError:
            continue
        answer, asked = record.answer or {}, record.mission.brief
        if answer.get("type") != "result" or asked.mode or record.session == REHEARSAL:
            continue
        if "result" in answer["body"] and not answer["body"].get("effects"):
            brief = Brief(asked.target, asked.selector, asked.args, asked.kwargs)
            at = max(record.accepted, _learned_at(root, brief, mission_id))
            yield Known(brief, answer["body"]["result"], mission_id, at)


def _learned_at(root: Root, brief: Brief, mission: str) -> float:
    """Return when the mission's method was made, which is after the mission began; else 0."""
    obj = root["objects"].get(brief.target)
    method = obj.slots.get(brief.selector) if obj is not None else None
    versions = method.versions if isinstance(method, Method) else ()
    made = (one for one in versions if one.provenance.get("mission") == mission)
    return max(map(_created, made), default=0.0)


def _created(version: MethodVersion) -> float:
    return float(version.provenance.get("created", 0.0))
