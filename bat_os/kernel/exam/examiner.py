"""When an exam is held, and what becomes of its figures.

    a model of the profile without figures ── while nothing else is wanted ──→ Sitting ──→ image
    ``models.exam NAME``                    ── the same, also on battery ────→

An exam costs minutes of a processor, so it gives way to everything: a batch is drawn only while
no mission runs and no message came lately; if one comes, the batch is dropped and drawn again
later. The figures are one entry in the image, written at the end, so a killed exam leaves nothing.

A key names what was examined: the digest of the stored model, and that of its adapter for
writing. A server's model has no digest here, and is known by its name and its answer to a fixed
question. A server that asks for a key may cost money, and is examined when a person asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.ability import Ability
from bat_os.core.digest import digest
from bat_os.core.schema import read_toml
from bat_os.errors import BatError, BusyError, ModelError, NotFoundError, SettingsError
from bat_os.image.models import keep_ability, list_models, read_abilities
from bat_os.kernel.exam.sitting import PARTS, Sitting, read_paper
from bat_os.kernel.idle.politeness import Politeness
from bat_os.ports import Prompt, Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Completion

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.05
QUIET_SECONDS: Final = 2.0  # without a message, before a batch is drawn
IDLE_SECONDS: Final = 30.0  # before an exam begins that nobody asked for
_FIXED: Final = Prompt((("user", "Name the seven days of the week, separated by commas."),))
_FIXED_TOKENS: Final = 32
_ABSENT: Final = "{model} is not in the image; run: batos models add {model} SOURCE"
CANCELLED: Final = "cancelled"  # in an entry without figures: a person did not want the exam


@dataclass(frozen=True, slots=True)
class Examinee:
    """A model, with the adapter that it writes through."""

    model: str
    adapter: str  # "" for none
    persona: str  # the first that thinks with it
    key: str  # of its figures
    unasked: bool  # it may be examined without being asked for


class Examiner:
    """Holds exams, one at a time, and knows the figures.

    Args:
        context: Its ``abilities`` are filled.
        unasked: Models without figures are examined as soon as there is time.
        paid: Names of the models whose server asks for a key.

    Attributes:
        is_quiet: Says whether nothing else is wanted of this kernel for now; the kernel sets it.
        politeness: Says whether the machine is better left alone.
        examinees: The models of the profile that are there, each with its adapter.
    """

    def __init__(
        self, context: KernelContext, *, unasked: bool = False, paid: Sequence[str] = ()
    ) -> None:
        self.is_quiet: Callable[[float], bool] = lambda _seconds: True
        self.politeness = Politeness(polite=context.options.polite)
        self._context = context
        self._unasked = unasked
        self._paid = frozenset(paid)
        self._entries: dict[str, dict[str, Any]] = {}
        self.examinees: list[Examinee] = []
        self._wanted: dict[str, None] = {}  # models that were asked for, in order
        self._due: list[Examinee] = []  # of the model whose turn it is
        self._faults: dict[str, str] = {}  # model -> why its last exam was not held
        self._served: dict[str, str] = {}  # what a server's model is known by
        self._failed: set[str] = set()  # keys; not tried again unasked
        self._wake = asyncio.Event()
        self._sitting: Sitting | None = None
        self._current: Examinee | None = None
        self._task: asyncio.Task[None] | None = None

    async def recall(self) -> None:
        """Learn from the image and the package which abilities are known; asks no model."""
        self._entries = {**read_shipped(), **await read_abilities(self._context.image)}
        await self._look(ask_servers=False)

    async def keep(self) -> None:
        """Hold exams until cancelled."""
        while True:
            if (one := await self._next()) is None:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._wake.wait()
                continue
            task = self._task = asyncio.create_task(self.hold(one), name=f"exam {one.model}")
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
                self._sitting = self._current = self._task = None
            if task.cancelled():
                continue
            if (error := task.exception()) is None:
                self._failed.discard(one.key)
                own = (other.key for other in self.examinees if other.model == one.model)
                if self._failed.isdisjoint(own):
                    self._faults.pop(one.model, None)
            else:
                self._failed.add(one.key)
                self._faults[one.model] = str(error) or repr(error)
                log.warning("the exam of %s has failed: %r", one.model, error)

    def start(self, model: str) -> dict[str, Any]:
        """Have a model examined, again if need be; return what ``facts`` says.

        Raises:
            NotFoundError: No persona of the profile thinks with it.
        """
        personas = self._context.cast.assigned.values()
        if model not in {one.model for one in personas}:
            raise NotFoundError(
                f"no persona of the profile {self._context.profile.name} thinks with {model[:60]}; "
                "only a model that is in use can be examined"
            )
        self._wanted[model] = None
        self._faults.pop(model, None)
        self._served.pop(model, None)  # another one may be there by now
        self._wake.set()
        return self.facts()

    async def cancel(self, model: str) -> bool:
        """End or withdraw a model's exam, and do not begin it unasked again; False if none is."""
        was_wanted = model in self._wanted or any(one.model == model for one in self._due)
        self._wanted.pop(model, None)
        self._due = [one for one in self._due if one.model != model]
        task, one = self._task, self._current
        if task is not None and one is not None and one.model == model:
            task.cancel()
            await asyncio.wait([task])
            for each in [each for each in self.examinees if each.model == model]:
                if each.key not in self._entries:
                    await self._note(each, {CANCELLED: True})
            return True
        return was_wanted

    def facts(self) -> dict[str, Any]:
        """Return plain facts: the exam that runs, or those that wait, and what failed."""
        failed = {"failed": dict(self._faults)} if self._faults else {}
        if self._current is not None and self._sitting is not None:
            sitting = self._sitting
            return {
                "name": self._current.model,
                "part": sitting.part,
                "parts": len(PARTS),
                "done": sitting.done,
                "of": sitting.of,
                **failed,
            }
        waiting = list(dict.fromkeys([*(one.model for one in self._due), *self._wanted]))
        return ({"waiting": waiting} if waiting else {}) | failed

    def figures(self, model: str) -> list[dict[str, Any]]:
        """Return what is known of a model: one map for each adapter that it writes through."""
        return [
            {"adapter": one.adapter, **Ability.from_plain(entry).to_plain()}
            for one in self.examinees
            if one.model == model
            and (entry := self._entries.get(one.key)) is not None
            and CANCELLED not in entry
        ]

    async def _next(self) -> Examinee | None:
        """Return who is to be examined now, or None."""
        while self._wanted and not self._due:
            model = next(iter(self._wanted))
            await self._look(ask_servers=True)
            if model not in self._wanted:  # withdrawn, or its server does not answer
                continue
            del self._wanted[model]
            self._due = [one for one in self.examinees if one.model == model]
            if not self._due:
                self._faults[model] = _ABSENT.format(model=model)
        if self._due:
            return self._due.pop(0)
        if not (self._unasked and self.is_quiet(IDLE_SECONDS)) or await self.politeness.ask():
            return None
        await self._look(ask_servers=True)  # a model may have come since
        left = (one for one in self.examinees if one.unasked and one.key not in self._failed)
        return next((one for one in left if one.key not in self._entries), None)

    async def hold(self, one: Examinee) -> None:
        """Examine a model now, and keep its figures.

        Raises:
            ModelError: It cannot be had.
            CellUnavailableError: No learned code can run on this machine.
        """

        async def ask(
            prompts: Sequence[Prompt], sampling: Sampling, writing: bool
        ) -> Sequence[Completion]:
            return await self.draw(one.persona, prompts, sampling, writing)

        log.info("the exam of %s begins", one.model)
        self._current = one
        self._sitting = Sitting(self._context, one.persona, read_paper(), ask)
        ability = await self._sitting.take()
        await self._note(one, {**ability.to_plain(), "at": time.time()})
        log.info("the exam of %s has ended: %s", one.model, ability.to_plain())

    async def _note(self, one: Examinee, found: Mapping[str, Any]) -> None:
        entry = {"model": one.model, "adapter": one.adapter, **found}
        await keep_ability(self._context.image, one.key, entry)
        self._entries[one.key] = entry
        self._publish()

    async def draw(
        self, persona: str, prompts: Sequence[Prompt], sampling: Sampling, writing: bool,
        through: str | None = None,
    ) -> Sequence[Completion]:  # fmt: skip
        """Return one completion per prompt, drawn while nothing else is wanted.

        A message breaks it off, and it is drawn anew later. ``through`` is as in ``generate``.
        """
        while True:
            while not self.is_quiet(QUIET_SECONDS):  # noqa: ASYNC110 - many things end a rest
                await asyncio.sleep(POLL_SECONDS)
            cancel = threading.Event()
            watch = asyncio.create_task(self._give_way(cancel), name="exam gives way")
            try:
                drawn = await self._context.roster.generate(
                    persona, prompts, sampling, writing=writing, through=through, cancel=cancel
                )
                if not cancel.is_set():
                    return drawn
            except BusyError:  # many others wait
                await asyncio.sleep(POLL_SECONDS)
            finally:
                watch.cancel()

    async def _give_way(self, cancel: threading.Event) -> None:
        begun = time.monotonic()
        while self.is_quiet(time.monotonic() - begun):  # noqa: ASYNC110 - as above
            await asyncio.sleep(POLL_SECONDS)
        cancel.set()

    async def _look(self, *, ask_servers: bool) -> None:
        """Find out which models there are, and by which key each is known."""
        context = self._context
        try:
            stored = {row["name"]: row["digest"] for row in await list_models(context.image)}
        except BatError as error:  # the disk, say; what is known stays known
            log.warning("the models cannot be listed for an exam: %s", error)
            return
        found: dict[tuple[str, str], Examinee] = {}
        for persona in context.profile.personas:
            try:
                model = context.roster.model_of(persona)
                adapter = context.roster.adapter_of(persona, writing=True)
            except ModelError:  # it is not in the image
                continue
            if (model, adapter) in found:
                continue
            if context.roster.is_remote(model):
                may_ask = ask_servers and (model not in self._paid or model in self._wanted)
                key = await self._ask_who(persona, model, may_ask=may_ask)
            else:
                key = stored.get(model, "") or context.roster.digest_of(persona)
            if key:
                key += f"+{stored.get(adapter, adapter)}" if adapter else ""
                unasked = model not in self._paid
                found[model, adapter] = Examinee(model, adapter, persona, key, unasked)
        known = {(one.model, one.adapter) for one in found.values()}
        kept = [one for one in self.examinees if (one.model, one.adapter) not in known]
        self.examinees = [*found.values(), *kept]
        self._publish()

    async def _ask_who(self, persona: str, model: str, *, may_ask: bool) -> str:
        """Return what a server's model is known by; "" if that cannot be found out now."""
        if model not in self._served and may_ask:
            sampling = Sampling(max_tokens=_FIXED_TOKENS)
            try:
                [answer] = await self.draw(persona, [_FIXED], sampling, False)
            except BatError as error:
                log.info("the server of %s does not say which model it has: %s", model, error)
                if model in self._wanted:
                    del self._wanted[model]
                    self._faults[model] = str(error)
                return ""
            self._served[model] = digest(f"{model}\n{answer.text}")
        return self._served.get(model, "")

    def _publish(self) -> None:
        """Let the steps know what each persona's model can do."""
        context = self._context
        by_use = {(one.model, one.adapter): one.key for one in self.examinees}
        for persona in context.profile.personas:
            with contextlib.suppress(ModelError):
                model = context.roster.model_of(persona)
                use = model, context.roster.adapter_of(persona, writing=True)
                entry = self._entries.get(by_use.get(use, ""), {})
                context.abilities[persona] = Ability.from_plain(entry)


@cache
def read_shipped() -> Mapping[str, dict[str, Any]]:
    """Return the figures that come with the package, by key."""
    file = resources.files("bat_os.kernel.exam") / "figures.toml"
    return read_toml(file.read_text(encoding="utf-8"), SettingsError, "figures.toml")
