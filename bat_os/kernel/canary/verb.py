"""The verb ``canary``: what came out better, equal and worse with a change, before it counts.

    nothing                    what was answered before, as it is answered now
    OBJECT SELECTOR [VERSION]  the known calls, with that version; without one: with the version
                               that waits for approval, or else the one before
    PERSONA ENTRY [VALUE]      the wishes of the last methods, drafted with that value; without
                               one: with what counts now, beside the value before
    MODEL, ADAPTER             the same, with ALFRED writing by it

Nothing is changed: calls run on a fork, and drafts in the cell.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.gate import ASKS, BETTER, EQUAL, WORSE, WRITES, count, outcome_of
from bat_os.core.values import Counted
from bat_os.errors import ArgumentsError, BusyError, CancelledError, ModelError, NotFoundError
from bat_os.image.history import marks, versions
from bat_os.image.models import list_models
from bat_os.image.objects import find
from bat_os.image.preferences import list_entries
from bat_os.kernel import views
from bat_os.kernel.canary.replaying import as_version, replay
from bat_os.kernel.cast import Cast
from bat_os.kernel.entries import ENTRIES, check_entry
from bat_os.kernel.forge.comparing import Side, Trial, as_task, find_own, side_of
from bat_os.kernel.idle.curator import curate
from bat_os.kernel.verbs.personas import with_part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from bat_os.core.gate import Wish
    from bat_os.core.protocol import Request
    from bat_os.kernel.canary.replaying import Change
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.kernel.exam.examiner import Examiner
    from bat_os.ports import Completion, Prompt, Sampling

    Root = MutableMapping[str, Any]

WRITER: Final = "ALFRED"
MAX_ROWS: Final = 50
_CODEX: Final = ("core_identity", "voice", "pillars")
_SIDES: Final = ("as it is", "as it would be")


@dataclass(frozen=True, slots=True)
class Tried:
    """One entry with two values."""

    name: str  # of its object
    key: str
    values: tuple[Any, Any]  # before and after
    take: str  # the command that has the second one count; "" if it does
    leave: str

    @property
    def persona(self) -> str:
        """Who writes with it."""
        name = self.name.removesuffix("_obj").upper()
        return name if self.key in WRITES else WRITER


class Canary:
    """Replays, one at a time; belongs to one event loop.

    Args:
        examiner: Draws while nothing else is wanted.
    """

    def __init__(self, examiner: Examiner) -> None:
        self._examiner = examiner
        self._task: asyncio.Task[dict[str, Any]] | None = None

    async def serve(self, mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        """Return what came out better, equal and worse; with ``body.cancel`` end the one that runs.

        Raises:
            BusyError: One runs.
            NotFoundError: There is no such object, version, entry, model or adapter.
            ArgumentsError: It has no part in what is replayed, or is used already.
            CancelledError: Somebody has ended it.
        """
        if request.body["cancel"]:
            return {"cancelled": await self._cancel()}
        if self._task is not None:
            raise BusyError("a canary runs already; batos canary --cancel ends it")
        begun, of = time.monotonic(), list(request.body["of"])
        task = self._task = asyncio.create_task(
            self._find(mind, of, lambda line: say(views.progress(line))), name="canary"
        )
        try:
            return {**await task, "seconds": round(time.monotonic() - begun, 3)}
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():  # the kernel goes down
                raise
            raise CancelledError("the canary was ended; nothing was changed") from None
        finally:
            task.cancel()
            self._task = None

    async def _cancel(self) -> bool:
        if (task := self._task) is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    async def _find(
        self, mind: KernelContext, of: Sequence[str], tell: Callable[[str], None]
    ) -> dict[str, Any]:
        await mind.refresh()
        if not of:
            return await _calls(mind, None, ("", ""), tell)
        if tried := await _entry(mind, of) or await _stored(mind, of):
            return await self._drafts(mind, tried, tell)
        change, commands = await _version(mind, of)
        return await _calls(mind, change, commands, tell)

    async def _drafts(
        self, mind: KernelContext, tried: Tried, tell: Callable[[str], None]
    ) -> dict[str, Any]:
        records = find_own(await curate(mind))
        tasks = [(task, True) for record in records for task in as_task(record)]
        tell(f"{len(tasks)} wishes are written anew, 8 drafts each, in two ways")
        begun = time.monotonic()

        def progress(done: int, of: int) -> None:
            left = (time.monotonic() - begun) / done * (of - done)
            text = f"{done} of {of} sets of drafts, {left / 60:.0f} minutes left"
            tell(Counted(text, done, of))

        try:
            sides = [await self._side(mind, tried, place) for place in (0, 1)]
            wishes = await Trial(mind, sides[0], sides[1], progress).compare(tasks)
        finally:
            for name in _SIDES:
                mind.cast.assigned.pop(name, None)
            mind.roster.assign(mind.cast.assigned)
        missions = {one["wish"]: one["lineage"]["mission"] for one in records}
        rows = [(outcome_of(wish), _row(wish, missions)) for wish in wishes]
        return _report(rows, (tried.take, tried.leave))

    async def _side(self, mind: KernelContext, tried: Tried, place: int) -> Side:
        """Return how the persona writes with one of the two values."""
        seen = {**mind.cast.seen}
        seen[tried.name] = {**seen.get(tried.name, {}), tried.key: tried.values[place]}
        cast = Cast(mind.profile, mind.personas, mind.options)
        cast.read(seen)
        thinks, name = cast.assigned[tried.persona], _SIDES[place]
        if not mind.roster.has(thinks.model) and mind.adopt is not None:
            await mind.adopt(thinks.model)
        # Beside the personas, so that the roster draws by it, and keeps it when they change.
        mind.cast.assigned[name] = thinks
        mind.roster.assign(mind.cast.assigned)
        wanted = thinks.writing or thinks.adapter
        is_new = place == 1 and wanted == tried.values[1]
        if is_new and mind.roster.adapter_of(name, writing=True) != wanted:
            raise ModelError(f"adapter {wanted[:60]} is not one for the model {thinks.model}")

        async def draw(prompts: Sequence[Prompt], sampling: Sampling) -> Sequence[Completion]:
            return await self._examiner.draw(name, prompts, sampling, True)

        return side_of(cast, tried.persona, draw)


async def _calls(
    mind: KernelContext, change: Change | None, commands: tuple[str, str],
    tell: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    found = await replay(mind, change, tell)
    return _report([(one.verdict, one.to_plain()) for one in found], commands)


def _report(
    rows: Sequence[tuple[str, Mapping[str, Any]]], commands: tuple[str, str]
) -> dict[str, Any]:
    by = {name: [row for verdict, row in rows if verdict == name] for name in (BETTER, WORSE)}
    return {
        **{name: found[:MAX_ROWS] for name, found in by.items()},
        EQUAL: len(rows) - sum(map(len, by.values())),
        "replayed": len(rows),
        "take": commands[0],
        "leave": commands[1],
    }


def _row(wish: Wish, missions: Mapping[str, str]) -> dict[str, Any]:
    before, after = count(wish.before), count(wish.after)
    of = len(wish.before)
    return {
        "what": wish.name, "mission": missions.get(wish.name, ""), "known": "",
        "before": f"{before} of {of} drafts right", "after": f"{after} of {of}",
    }  # fmt: skip


async def _entry(mind: KernelContext, of: Sequence[str]) -> Tried | None:
    """Return what is to be tried if the words name an entry of a persona or a state."""
    short = of[0].lower().removesuffix("_obj").removeprefix("state_")
    name = next((n for n in (f"{short}_obj", f"state_{short}_obj") if n in ENTRIES), "")
    if not name or len(of) < 2:
        if name:
            raise ArgumentsError(f"which entry of {short}? batos canary {short} voice, say")
        return None
    key, path = ("codex", [of[1]]) if of[1] in _CODEX else (of[1], [])
    tells = WRITES if not name.startswith("state_") else ASKS if "synthesizing" in name else ()
    if key not in tells:
        raise ArgumentsError(
            f"{of[1][:60]} of {short} has no part in how methods are written, which is what the "
            "canary replays; set it, and batos personas or batos states undo takes it back"
        )
    verb = "personas" if key in WRITES else "states"
    kept = await mind.image.transact(lambda root: list_entries(root, name), note="read entries")
    now = mind.cast.entries[short].get(key)
    if len(of) > 2:
        text = " ".join(of[2:])
        value = check_entry(name, key, with_part(now, path, _read(text)))
        take = shlex.join(["batos", verb, "set", short, of[1], text])
        return Tried(name, key, (now, value), take, "")
    record = kept.get(key, {"current": 0})
    if not record["current"]:
        raise ArgumentsError(f"{of[1]} of {short} is as the program has it; give a value to try")
    before = record["versions"][record["current"] - 1]["value"]
    leave = shlex.join(["batos", verb, "undo", short, of[1]])
    return Tried(name, key, (before, now), "", leave)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


async def _stored(mind: KernelContext, of: Sequence[str]) -> Tried | None:
    """Return what is to be tried if the only word names a model or an adapter."""
    rows = {row["name"]: row for row in await list_models(mind.image)}
    if len(of) != 1 or not (of[0] in rows or mind.roster.has(of[0])):
        return None
    key = "writing" if rows.get(of[0], {}).get("kind") == "adapter" else "model"
    name, short = f"{WRITER.lower()}_obj", WRITER.lower()
    now = getattr(mind.cast.assigned[WRITER], key)
    if now == of[0]:
        raise ArgumentsError(f"{WRITER} writes by {of[0]} already; to look back: batos canary")
    take = shlex.join(["batos", "personas", "set", short, key, of[0]])
    return Tried(name, key, (now, of[0]), take, "")


async def _version(mind: KernelContext, of: Sequence[str]) -> tuple[Change, tuple[str, str]]:
    """Return what makes a version current on a fork, and the commands that do so here."""
    if len(of) not in (2, 3) or not (len(of) == 2 or of[2].isdecimal()):
        raise NotFoundError(
            f"found no model, adapter or persona {of[0][:60]!r}; of a method: batos canary OBJECT "
            "SELECTOR VERSION"
        )
    target, selector = of[0], of[1]
    number = int(of[2]) if len(of) == 3 else 0
    wanted = await mind.image.transact(
        lambda root: _number(root, target, selector, number), note="look for a version"
    )

    command = shlex.join(["batos", "redo", target, selector, str(wanted)])
    return as_version(target, selector, wanted), (command, "")


def _number(root: Root, target: str, selector: str, number: int) -> int:
    """Return the version to try; 0 is the one that waits, or the one before the current."""
    method = versions.own(find(root, target), selector)
    wanted = number or marks.waiting(root, method).get("version", method.current)
    if wanted < 1:
        raise ArgumentsError(f"{selector} has no earlier version; name the one to try")
    return versions.version_of(method, wanted).number


def make_canary_verbs(examiner: Examiner) -> Mapping[str, Handler]:
    """Return the verb ``canary``."""
    return {"canary": Canary(examiner).serve}
