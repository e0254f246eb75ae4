"""Which models are in memory: load, measure, make room, unload, see that the memory came back.

``residency.py`` decides which models go; here it is done, one move at a time. What a model counts
for is measured: what its engine says, or what the process grew by, whichever is more. Main memory
and the GPU's have a budget each, and a model counts where it is. Models on a server hold no memory
here and move without waiting for the others.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError, ModelMemoryError, NotFoundError
from bat_os.models.profiles import show_size
from bat_os.models.residency import LoadedModel, evictable, expiry, make_room

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bat_os.ports import ModelEngine

log = logging.getLogger(__name__)

REMOTE: Final = "openai"  # the kind of engine whose work is done elsewhere
REMOTE_WIDTH: Final = 4  # requests at a time for a server that says nothing else
# An unload has worked when this share of what the load took has come back, within these waits.
RECOVERED: Final = 0.5
RECHECKS: Final = (0.0, 0.02, 0.08, 0.2, 0.4)  # seconds
SMALL: Final = 16_000_000  # bytes; a process breathes by as much by itself

MAIN, GPU = "cpu", "cuda"  # where a model can be, as engines call it
USES_GPU: Final = "transformers"  # the kind of engine that takes a GPU where there is one


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """The memory of one device, in bytes."""

    most: int  # that the models there may hold together
    held: Callable[[], int]  # returns what this process holds there


@dataclass(slots=True, eq=False)
class KnownModel:
    """A model, and what is known of it; sizes in bytes."""

    name: str
    engine: ModelEngine
    size: int = 0  # what it holds in memory: a guess before its first load, then measured
    measured: bool = False  # ``size`` is not a guess
    users: int = 0  # requests whose turn it is
    last_use: float | None = None  # when the last of them ended
    until: float | None = None  # when it may go for being idle; None while nothing is planned
    grown: int = 0  # by how much the process grew at the last load
    lost: int = 0  # what the last unload did not give back
    level: int = 0  # size of the process at which that has come back after all
    moving: bool = False  # it is being unloaded

    @property
    def is_remote(self) -> bool:
        """A server does the work."""
        return bool(self.engine.stats().get("engine") == REMOTE)

    @property
    def places(self) -> int:
        """How many requests at a time the servers take that do the work."""
        return int(self.engine.stats().get("places", REMOTE_WIDTH))

    @property
    def is_loaded(self) -> bool:
        """It can draw at once."""
        return bool(self.engine.stats().get("state") == "resident")

    def used(self, now: float, keep_alive: float) -> None:
        """Note that a request has ended; the longest promise of staying counts."""
        until = -math.inf if self.until is None else self.until
        self.last_use, self.until = now, max(until, expiry(now, keep_alive))


class ModelMemory:
    """The models, each under the budget of the device where it is."""

    def __init__(self, main: MemoryBudget) -> None:
        self.budgets = {MAIN: main}  # and of ``GPU`` where there is one
        self.models: dict[str, KnownModel] = {}  # by name
        self.pinned: set[str] = set()  # names of those that stay
        self._move = asyncio.Lock()

    def get(self, name: str) -> KnownModel:
        """Return the model of that name."""
        if name not in self.models:
            raise NotFoundError(f"there is no model {name[:100]!r}; batos models lists them")
        return self.models[name]

    async def bring_in(self, model: KnownModel) -> None:
        """Load the model, unless it is loaded; others go where the budget asks for it."""
        if model.is_remote:
            await model.engine.load()
            return
        if model.is_loaded and not model.moving:
            return
        async with self._move:
            if not model.is_loaded:
                await self._make_room(model)
                await self._load(model)

    def has_room(self, model: KnownModel) -> bool:
        """Return whether the model could come in without another one leaving."""
        place = self.place_of(model)
        budget = self.budgets[place].most - self._lost(place, model)
        room = make_room(self._loaded(place), LoadedModel(model.name, model.size), budget)
        return not room.evict and not room.short

    async def unload(self, model: KnownModel) -> None:
        """Take the model out of memory; waits for what is being drawn."""
        async with self._move:
            await self._unload(model)

    async def change_engine(self, model: KnownModel, engine: ModelEngine) -> ModelEngine:
        """Let another engine run the model from now on; return the one before, unloaded."""
        async with self._move:  # who waits to load the model loads the new one
            await self._unload(model)
            before, model.engine = model.engine, engine
        return before

    async def unload_others(self, model: KnownModel) -> bool:
        """Take all others out that may go; return True when there were any."""
        async with self._move:
            return await self._unload_idle(model)

    async def sweep(
        self, now: float, wanted: Collection[str], unused: float = math.inf
    ) -> list[str]:
        """Unload what has been idle for long enough and no request wants; return the names.

        Long enough is what was promised, or ``unused`` seconds if that is less.
        """
        gone = []
        async with self._move:
            for model in list(self.models.values()):
                if model.until is None or not self._may_go(model, wanted):
                    continue
                last = now if model.last_use is None else model.last_use
                if model.until <= now or now - last >= unused:
                    await self._unload(model)
                    gone.append(model.name)
        return gone

    def next_sweep(self, wanted: Collection[str]) -> float:
        """Return when the next idle model may go; infinity when none is to."""
        idle = (model for model in self.models.values() if self._may_go(model, wanted))
        return min((model.until for model in idle if model.until is not None), default=math.inf)

    def facts(self) -> dict[str, Any]:
        """Return each budget and what is held of it, in bytes; the GPU's under ``gpu``."""
        facts = {
            place: {
                "budget": budget.most,
                "used": sum(model.size for model in self._loaded(place)),
                "lost": self._lost(place),
            }
            for place, budget in self.budgets.items()
        }
        return {**facts[MAIN], **({"gpu": facts[GPU]} if GPU in facts else {})}

    def place_of(self, model: KnownModel) -> str:
        """Return where the model is, or will be; main memory for a device without a budget."""
        stats = model.engine.stats()
        place = stats.get("device") or (GPU if stats.get("engine") == USES_GPU else MAIN)
        return place if place in self.budgets else MAIN

    def _may_go(self, model: KnownModel, wanted: Collection[str]) -> bool:
        pinned = model.name in self.pinned or model.name in wanted
        return not pinned and not model.users and not model.moving and model.is_loaded

    def _loaded(self, place: str) -> list[LoadedModel]:
        return [
            LoadedModel(
                model.name,
                max(model.size, int(model.engine.stats().get("bytes", 0))),
                -math.inf if model.last_use is None else model.last_use,
                in_use=model.users > 0,
                pinned=model.name in self.pinned,
            )
            for model in self.models.values()
            if model.is_loaded and not model.is_remote and self.place_of(model) == place
        ]

    def _lost(self, place: str, besides: KnownModel | None = None) -> int:
        """Return what unloaded models still hold; a model that comes back uses its own again."""
        now = self.budgets[place].held()
        there = [model for model in self.models.values() if self.place_of(model) == place]
        for model in there:
            if model.lost and now <= model.level:
                model.lost = 0
        return sum(model.lost for model in there if model is not besides)

    async def _make_room(self, model: KnownModel) -> None:
        place = self.place_of(model)
        budget = self.budgets[place].most
        # A size that was not measured yet does not refuse a model that has all to itself.
        size = model.size if model.measured else min(model.size, budget)
        wanted, loaded = LoadedModel(model.name, size), self._loaded(place)
        room = make_room(loaded, wanted, budget - self._lost(place, model))
        if room.short and (short := make_room(loaded, wanted, budget).short):
            raise ModelMemoryError(self._explain(model, short))
        if room.short:  # only because memory was lost, which is no reason to refuse
            await self._unload_idle(model)
        for name in room.evict:
            await self._unload(self.models[name])

    async def _load(self, model: KnownModel) -> None:
        before = {place: budget.held() for place, budget in self.budgets.items()}
        try:
            await model.engine.load()
        except ModelMemoryError as error:
            if not await self._unload_idle(model):
                raise ModelMemoryError(f"{error}; no other model could make room") from error
            before = {place: budget.held() for place, budget in self.budgets.items()}
            await model.engine.load()
        place = self.place_of(model)  # known for certain now
        model.grown = max(self.budgets[place].held() - before[place], 0)
        model.size = max(int(model.engine.stats().get("bytes", 0)), model.grown)
        model.measured, model.lost = True, 0
        log.info("model %s: loaded, %s (%s)", model.name, show_size(model.size), place)
        try:
            await self._make_room(model)  # it may have turned out larger than thought
        except ModelMemoryError:
            await self._unload(model)
            raise

    async def _unload_idle(self, model: KnownModel) -> bool:
        loaded = self._loaded(self.place_of(model))
        idle = [other.name for other in evictable(loaded) if other.name != model.name]
        for name in idle:
            await self._unload(self.models[name])
        return bool(idle)

    async def _unload(self, model: KnownModel) -> None:
        model.moving = True
        try:
            budget, was_loaded = self.budgets[self.place_of(model)], model.is_loaded
            before = budget.held()
            await model.engine.unload()
            model.until = None
            if was_loaded and not model.is_remote:
                await self._see_recovered(model, budget, before)
        except BatError:  # it still counts as loaded; the request that wants room fails
            log.exception("model %s could not be unloaded", model.name)
            model.until = None
        finally:
            model.moving = False

    async def _see_recovered(self, model: KnownModel, budget: MemoryBudget, before: int) -> None:
        """Wait, within a bound, for the memory to come back; else count it as still used."""
        level = before - int(model.grown * RECOVERED)
        for pause in RECHECKS:
            if budget.held() <= level or model.grown <= SMALL:
                log.info("model %s: unloaded", model.name)
                return
            await asyncio.sleep(pause)
        model.lost = model.grown - min(max(before - budget.held(), 0), model.grown)
        model.level = level
        text = "model %s: %s did not come back after unloading; they count as used"
        log.warning(text, model.name, show_size(model.lost))

    def _explain(self, model: KnownModel, short: int) -> str:
        place = self.place_of(model)
        held = [other for other in self._loaded(place) if other.name != model.name]
        staying = ", ".join(
            f"{other.name} ({show_size(other.size)})"
            for other in held
            if other not in evictable(held)
        )
        return (
            f"model {model.name} needs {show_size(model.size)}, and {show_size(short)} of the "
            f"budget for models ({show_size(self.budgets[place].most)}"
            f"{' of the GPU' if place == GPU else ''}) are missing"
            f"{f' beside {staying}' if staying else ''}; "
            "unpin a model, raise the budget, or choose a smaller model or profile"
        )
