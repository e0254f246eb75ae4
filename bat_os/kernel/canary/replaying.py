"""Calls whose answers are known, made again on a fork: as things are, and with a change.

    the last missions, the examples and kept calls of their methods ──→ answers, twice ──→ worse?

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
from bat_os.image.objects import examples_of, find, ref_of
from bat_os.kernel.learning.trial import ITS_FAULT, try_turn
from bat_os.kernel.verbs.moments import on_a_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence

    from bat_os.image.objects import Method, UvmObject
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
    found = []
    async with on_a_fork(mind) as now, on_a_fork(mind) as there:
        if change is not None:
            await change(there)
        for done, one in enumerate(known, 1):
            found.append(await _compare(now, there if change is not None else None, one))
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


async def _compare(now: KernelContext, there: KernelContext | None, known: Known) -> Outcome:
    recorded = meaning(known.answer), preview(known.answer)
    before = await _answer(now, known.brief)
    if there is None:
        before, after = recorded, before
    else:
        after = await _answer(there, known.brief)
    verdict = weigh(before[0] == recorded[0], after[0] == recorded[0])
    if verdict != EQUAL and (await _answer(now, known.brief))[0] != (before if there else after)[0]:
        verdict = EQUAL  # by chance, or by the clock
    return Outcome(known, before[1], after[1], verdict)


async def _answer(there: KernelContext, brief: Brief) -> tuple[str, str]:
    """Return (meaning of what a message is answered with, the same in short)."""
    try:
        value = to_wire((await try_turn(there.image, there.cell, brief, None, there)).value)
    except _FAILS as error:
        return "", f"fails: {error.code}"
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
    mission = str(method.versions[number - 1].provenance.get("mission", ""))
    return [
        Known(_brief(holder, method, args, kwargs), to_wire(result), mission)
        for args, kwargs, result in calls_in(shown_in(root, method, number))
    ]


def _of_methods(root: Root) -> Iterator[Known]:
    learned = sorted(entries.learned(root), key=lambda pair: _mission_of(pair[1]), reverse=True)
    for holder, method in learned[:MAX_OWN]:
        mission = _mission_of(method)
        for args, kwargs, result in _calls_of(root, method):
            yield Known(_brief(holder, method, args, kwargs), to_wire(result), mission)


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
            yield Known(brief, answer["body"]["result"], mission_id)
