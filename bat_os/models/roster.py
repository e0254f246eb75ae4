"""Whose turn it is: the one way from a persona to its language model.

A request waits until its model may compute, which one request at a time does on this machine
(a server takes a few). Waiting requests are grouped by model, then by adapter.

    generate ── waiting ── next_up ──→ bring the model in ── draw ──→ completions
                                        (memory.py)
    sweep, by a timer: models go when their keep-alive is over

A request runs in a task of the roster's own. So a caller who leaves frees its place at once, and
the machine as soon as the engine has let go.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BusyError, ModelError, ModelMemoryError, ShuttingDownError
from bat_os.models.memory import GPU, KnownModel, MemoryBudget, ModelMemory
from bat_os.models.residency import Waiting, next_up
from bat_os.ports import Completion

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.models.residency import Assignment
    from bat_os.ports import ModelEngine, Prompt, Sampling

log = logging.getLogger(__name__)

MAX_WAITING: Final = 256
# A threading.Event cannot be awaited; this is how often a waiting request looks at it.
POLL_SECONDS: Final = 0.05
_CLOSED: Final = "the daemon is shutting down; ask again in a moment"


class Roster:
    """The models of the personas: one budget of memory, one queue per device.

    Naming a persona that has no model is a ModelError, naming an unknown model a NotFoundError.

    Args:
        models: Name -> engine.
        assign: Persona -> its model and sampling.
        budget: Bytes of main memory that all models may hold together.
        clock: Seconds, monotonic.
        memory: Returns the bytes of main memory that this process holds.
        sizes: Name -> bytes that the model will hold; until its first load is measured.
    """

    def __init__(
        self,
        models: Mapping[str, ModelEngine],
        assign: Mapping[str, Assignment],
        budget: int,
        clock: Callable[[], float] = time.monotonic,
        memory: Callable[[], int] = lambda: 0,
        sizes: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._assign = dict(assign)
        self._clock = clock
        self._memory = ModelMemory(MemoryBudget(budget, memory))
        self._memory.pinned |= {assigned.model for assigned in assign.values() if assigned.pinned}
        self._devices = {HERE: Device(width=1)}
        self._waiting: dict[int, Ticket] = {}
        self._running: set[asyncio.Task[list[Completion]]] = set()
        self._sweeping: asyncio.Task[list[str]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._count = 0
        self._missed: set[tuple[str, str]] = set()
        self._closing = False
        self._memory.models = {
            name: KnownModel(name, engine, sizes.get(name, 0)) for name, engine in models.items()
        }

    async def generate(  # noqa: PLR0913 - a request, and how it is drawn
        self,
        persona: str,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        writing: bool = False,
        through: str | None = None,
        cancel: threading.Event | None = None,
        on_text: Callable[[int, str], None] | None = None,
    ) -> list[Completion]:
        """Return one completion per prompt from the persona's model; see ``ModelEngine``.

        Waiting and loading count towards ``sampling.seconds``. Raising ``cancel`` while the
        request waits returns at once, with nothing drawn. ``writing`` says that a method is to be
        written, with the persona's adapter for that; ``through`` names another adapter, "" none.

        Raises:
            ModelError: The persona has no model, or it cannot be had.
            ModelMemoryError: It does not fit, though all others left.
            BusyError: MAX_WAITING requests wait already.
            ShuttingDownError: The roster is closed, or closes.
        """
        adapter = self.adapter_of(persona, writing=writing) if through is None else through
        if self._closing:
            raise ShuttingDownError(_CLOSED)
        if len(self._waiting) >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} requests wait for a model", queued=MAX_WAITING)
        if not prompts:
            return []
        model = self._model(persona)
        self._count += 1
        ticket = Ticket(
            rank=Waiting(self._count, model.name, adapter, self._clock()),
            model=model,
            keep_alive=self._assign[persona].keep_alive,
            prompts=tuple(prompts),
            sampling=sampling,
            cancel=cancel,
            on_text=on_text,
            done=asyncio.get_running_loop().create_future(),
        )
        self._waiting[self._count] = ticket
        self._start_next()
        try:
            return await self._answer(ticket)
        finally:
            self._leave(ticket)

    async def load_ahead(self, persona: str, report: Callable[[str], None]) -> None:
        """Load the persona's model before it is asked for; it stays for its keep-alive.

        Nothing is loaded while a request waits or runs, where another model would have to leave,
        or where the model goes at once when it is not used.
        """
        model, keep_alive = self._model(persona), self._assign[persona].keep_alive
        stays = keep_alive != 0 or model.name in self._memory.pinned
        busy = self._closing or self._waiting or self._running
        if model.is_remote or model.is_loaded or busy or not stays:
            return
        if self._memory.has_room(model):
            report(f"loading the model {model.name}")
            await self._memory.bring_in(model)
            model.used(self._clock(), keep_alive)
            self._arm()

    def has(self, model: str) -> bool:
        """Return True if an engine runs the model."""
        return model in self._memory.models

    def assign(self, assign: Mapping[str, Assignment]) -> None:
        """Let personas think with other models from now on; what waits keeps its own."""
        self._memory.pinned |= {one.model for one in assign.values() if one.pinned}
        self._assign = dict(assign)

    def add(self, model: str, engine: ModelEngine, size: int = 0) -> None:
        """Make a model known, with the bytes that it will hold."""
        self._memory.models.setdefault(model, KnownModel(model, engine, size))

    def users_of(self, name: str) -> list[str]:
        """Return the personas that use a model or an adapter."""
        uses = {who: (one.model, one.adapter, one.writing) for who, one in self._assign.items()}
        return sorted(who for who, names in uses.items() if name in names)

    def model_of(self, persona: str) -> str:
        """Return the name of the persona's model."""
        if persona not in self._assign:
            raise ModelError(f"{persona[:60]} has no model; its profile has to name one")
        return self._assign[persona].model

    def adapter_of(self, persona: str, *, writing: bool = False) -> str:
        """Return the adapter that the persona's requests are drawn through; "" for none.

        One that the model does not have is left out, and that is logged once.
        """
        model, assigned = self._model(persona), self._assign[persona]
        name = (assigned.writing if writing else "") or assigned.adapter
        if not name or name in model.engine.stats().get("adapters", ()):
            return name
        if (model.name, name) not in self._missed:
            self._missed.add((model.name, name))
            log.warning("model %s has no adapter %s and goes without it", model.name, name)
        return ""

    def scores(self, persona: str) -> bool:
        """Return True if the persona's model can say how likely a given text is."""
        return self._model(persona).engine.scores

    def is_remote(self, model: str) -> bool:
        """Return True if a server thinks."""
        return self._memory.get(model).is_remote

    @property
    def waiting(self) -> int:
        """How many requests wait for a model."""
        return len(self._waiting)

    def digest_of(self, persona: str) -> str:
        """Return the SHA-256 of the persona's model; "" before that is known."""
        return self._model(persona).engine.digest

    def stats(self) -> dict[str, Any]:
        """Return plain facts: the budget, and each model's place, size and use."""
        waiting = Counter(ticket.model.name for ticket in self._waiting.values())
        models = self._memory.models.values()
        return {
            **self._memory.facts(),
            "waiting": len(self._waiting),
            "models": [self._facts(model, waiting[model.name]) for model in models],
        }

    def pin(self, model: str) -> None:
        """Keep the model in memory once it is there."""
        self._memory.pinned.add(self._memory.get(model).name)

    def unpin(self, model: str) -> None:
        """Let the model go when its memory is needed or its keep-alive is over."""
        self._memory.pinned.discard(self._memory.get(model).name)
        self._arm()

    async def unload(self, model: str) -> None:
        """Take the model out of memory, a pinned one too; waits for what is being drawn."""
        await self._memory.unload(self._memory.get(model))

    async def sweep(self) -> list[str]:
        """Unload the idle models whose keep-alive is over, and return their names."""
        gone = await self._memory.sweep(self._clock(), self._wanted())
        self._arm()
        return gone

    async def unload_unused(self, seconds: float) -> list[str]:
        """Unload what nobody has used for so long, whatever its keep-alive; return the names."""
        gone = await self._memory.sweep(self._clock(), self._wanted(), seconds)
        self._arm()
        return gone

    async def change_engine(self, model: str, engine: ModelEngine) -> None:
        """Let another engine run the model, and close the one before; waits for what is drawn."""
        before = await self._memory.change_engine(self._memory.get(model), engine)
        # What has begun with it still takes its text from it, and may have to load it again.
        begun = [task for task in self._running if task.get_name() == f"draw {model}"]
        if begun:
            await asyncio.wait(begun)
        await before.close()

    def budget_gpu(self, budget: int, memory: Callable[[], int]) -> None:
        """Give the models on the GPU a budget of their own; without it they count as here.

        Both are bytes of its memory: what they may hold together, and what this process holds.
        """
        self._memory.budgets[GPU] = MemoryBudget(budget, memory)

    async def close(self) -> None:
        """Fail what waits, stop what draws, and close the engines. Idempotent."""
        self._closing = True
        self._arm()
        while self._waiting:
            self._waiting.popitem()[1].fail(ShuttingDownError(_CLOSED))
        tasks: list[asyncio.Task[Any]] = list(self._running)
        if self._sweeping is not None:
            tasks.append(self._sweeping)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        engines = [model.engine.close() for model in self._memory.models.values()]
        for result in await asyncio.gather(*engines, return_exceptions=True):
            if isinstance(result, BaseException):
                log.error("an engine was not closed: %r", result)

    def _model(self, persona: str) -> KnownModel:
        name = self.model_of(persona)
        if name not in self._memory.models:
            raise ModelError(
                f"model {name} of {persona} is not in the image; "
                f"run: batos models add {name} SOURCE, or choose another profile"
            )
        return self._memory.models[name]

    async def _answer(self, ticket: Ticket) -> list[Completion]:
        can_end_early = ticket.cancel is not None or ticket.sampling.seconds
        pause = POLL_SECONDS if can_end_early else None
        while not ticket.done.done():
            if not ticket.drawing and ticket.is_over(self._clock()):
                return ticket.unfinished()
            await asyncio.wait({ticket.done}, timeout=pause)
        return ticket.done.result()

    def _leave(self, ticket: Ticket) -> None:
        """Free what a caller who leaves still holds; nothing if it has its answer."""
        ticket.left = True
        self._waiting.pop(ticket.rank.number, None)
        if ticket.task is not None and ticket.drawing:
            ticket.task.cancel()  # while it loads, the load goes on for the next caller

    def _start_next(self) -> None:
        for name in {ticket.device for ticket in self._waiting.values()}:
            device = self._devices.get(name) or Device(self._memory.get(name).places)
            self._devices[name] = device
            while device.running < device.width:
                waiting = self._waiting.values()
                ranks = [ticket.rank for ticket in waiting if ticket.device == name]
                if not ranks:
                    break
                rank = next_up(ranks, device.last, self._clock())
                device.last = (rank.model, rank.adapter)
                device.running += 1
                ticket = self._waiting.pop(rank.number)
                ticket.model.users += 1
                task = asyncio.create_task(self._serve(ticket), name=f"draw {rank.model}")
                ticket.task = task
                self._running.add(task)
                task.add_done_callback(partial(self._finish, ticket, device))

    async def _serve(self, ticket: Ticket) -> list[Completion]:
        await self._memory.bring_in(ticket.model)
        if ticket.left or ticket.is_over(self._clock()):
            return ticket.unfinished()
        try:
            return await ticket.draw(self._clock())
        except ModelMemoryError:
            # Others may be in the way; but a caller gets no text twice.
            ticket.drawing = False
            if ticket.spoken or not await self._memory.unload_others(ticket.model):
                raise
            return await ticket.draw(self._clock())

    def _finish(self, ticket: Ticket, device: Device, task: asyncio.Task[list[Completion]]) -> None:
        self._running.discard(task)
        device.running -= 1
        ticket.model.users -= 1
        ticket.model.used(self._clock(), ticket.keep_alive)
        error = ShuttingDownError(_CLOSED) if task.cancelled() else task.exception()
        if error is not None:
            ticket.fail(error)
        elif not ticket.done.done():
            ticket.done.set_result(task.result())
        if not self._closing:
            self._start_next()
            self._arm()

    def _wanted(self) -> set[str]:
        return {ticket.model.name for ticket in self._waiting.values()}

    def _arm(self) -> None:
        """Set the timer to when the next idle model may go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = math.inf if self._closing else self._memory.next_sweep(self._wanted())
        if when < math.inf:
            delay = max(when - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._sweep_now)

    def _sweep_now(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self.sweep(), name="sweep idle models")

    def _facts(self, model: KnownModel, waiting: int) -> dict[str, Any]:
        stats = model.engine.stats()
        idle = None if model.last_use is None else round(self._clock() - model.last_use, 3)
        return {
            "name": model.name, "engine": stats.get("engine", ""), "state": stats.get("state", ""),
            "device": "" if model.is_remote else self._memory.place_of(model),
            "bytes": max(model.size, int(stats.get("bytes", 0))) if model.is_loaded else 0,
            "lost": model.lost, "idle_seconds": idle,
            "load_seconds": stats.get("load_seconds", 0.0), "in_use": model.users,
            "waiting": waiting, "pinned": model.name in self._memory.pinned,
            "replicas": stats.get("replicas", []), "hedged": stats.get("hedged", 0),
            "adapters": list(stats.get("adapters", ())),
            "personas": [name for name, own in self._assign.items() if own.model == model.name],
        }  # fmt: skip


HERE: Final = ""  # the name of this machine among the devices
LEAST_SECONDS: Final = 0.001


@dataclass(slots=True, eq=False)
class Device:
    """What computes."""

    width: int  # how many requests at a time
    running: int = 0  # how many now
    last: tuple[str, str] = ("", "")  # model and adapter that are in place


@dataclass(slots=True, eq=False)
class Ticket:
    """One request."""

    rank: Waiting  # what the rule for the next request looks at
    model: KnownModel
    keep_alive: float  # seconds that the model stays after it
    prompts: Sequence[Prompt]
    sampling: Sampling
    cancel: threading.Event | None
    on_text: Callable[[int, str], None] | None
    done: asyncio.Future[list[Completion]]  # the answer; set once
    task: asyncio.Task[list[Completion]] | None = None  # loads and draws
    drawing: bool = False  # the engine has it
    spoken: bool = False  # its caller has had some of the text
    left: bool = False  # its caller has gone

    @property
    def device(self) -> str:
        """Name of what computes it: a server, or this machine."""
        return self.model.name if self.model.is_remote else HERE

    def is_over(self, now: float) -> bool:
        """Return True when it was withdrawn or its time has run out."""
        return (self.cancel is not None and self.cancel.is_set()) or self._seconds_left(now) <= 0

    def unfinished(self) -> list[Completion]:
        """Return the answer to a request for which nothing was drawn."""
        return [Completion("", 0, finished=False) for _ in self.prompts]

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless there is an answer."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # seen: its caller may be leaving at this moment

    async def draw(self, now: float) -> list[Completion]:
        """Let the engine answer, in the time that is left."""
        sampling = self.sampling
        if sampling.seconds:
            sampling = replace(sampling, seconds=max(self._seconds_left(now), LEAST_SECONDS))
        self.drawing = True
        return await self.model.engine.generate(
            self.prompts,
            sampling,
            adapter=self.rank.adapter,
            cancel=self.cancel,
            on_text=None if self.on_text is None else self._speak,
        )

    def _seconds_left(self, now: float) -> float:
        return (self.sampling.seconds or math.inf) - (now - self.rank.since)

    def _speak(self, index: int, text: str) -> None:
        if self.on_text is not None and not self.left:
            self.spoken = True
            self.on_text(index, text)
