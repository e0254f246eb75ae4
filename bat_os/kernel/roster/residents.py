"""Which models are in memory: load, measure, make room, unload, see that the memory came back.

``core/residency.py`` decides who goes; here it is done, one move at a time. What a model counts
for is measured: what its engine says, or what the process grew by, whichever is more. Models on
a server hold no memory here and move without waiting for the others.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.models.profiles import show_size
from bat_os.core.models.residency import Tenant, evictable, expiry, make_room
from bat_os.errors import ArgumentsError, BatError, ModelMemoryError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from bat_os.ports import ModelEngine

log = logging.getLogger(__name__)

REMOTE: Final = "openai"  # the kind of engine whose work is done elsewhere
# An unload has worked when this share of what the load took has come back, within these waits.
RECOVERED: Final = 0.5
RECHECKS: Final = (0.0, 0.02, 0.08, 0.2, 0.4)  # seconds
SMALL: Final = 16_000_000  # bytes; a process breathes by as much by itself


@dataclass(slots=True, eq=False)
class Resident:
    """A model, and what is known of it.

    Attributes:
        name: Of the model.
        engine: What runs it.
        size: Bytes that it holds in memory: a guess before its first load, then measured.
        users: Requests whose turn it is.
        last_use: When the last one ended; None before.
        until: When it may go for being idle; None while nothing is planned.
        grown: Bytes by which the process grew at the last load.
        lost: Bytes that the last unload did not give back.
        level: Size of the process at which they have come back after all.
        moving: It is being unloaded.
    """

    name: str
    engine: ModelEngine
    size: int = 0
    users: int = 0
    last_use: float | None = None
    until: float | None = None
    grown: int = 0
    lost: int = 0
    level: int = 0
    moving: bool = False

    @property
    def is_remote(self) -> bool:
        """A server does the work."""
        return bool(self.engine.stats().get("engine") == REMOTE)

    @property
    def is_loaded(self) -> bool:
        """It can draw at once."""
        return bool(self.engine.stats().get("state") == "resident")

    def used(self, now: float, keep_alive: float) -> None:
        """Note that a request has ended; the longest promise of staying counts."""
        until = -math.inf if self.until is None else self.until
        self.last_use, self.until = now, max(until, expiry(now, keep_alive))


class Residents:
    """The models under one budget of memory.

    Args:
        budget: Bytes that all of them may hold together.
        memory: Returns the bytes that this process holds, on the device that counts.

    Attributes:
        seats: The models, by name.
        pinned: Names of those that stay.
    """

    def __init__(self, budget: int, memory: Callable[[], int]) -> None:
        self.seats: dict[str, Resident] = {}
        self.pinned: set[str] = set()
        self._budget = budget
        self._memory = memory
        self._move = asyncio.Lock()

    def add(self, name: str, engine: ModelEngine, size: int) -> None:
        """Take in one more model.

        Raises:
            ArgumentsError: There is one of that name.
        """
        if name in self.seats:
            raise ArgumentsError(f"there is a model {name} already; remove it first")
        self.seats[name] = Resident(name, engine, size)

    def get(self, name: str) -> Resident:
        """Return the model of that name.

        Raises:
            NotFoundError: There is none.
        """
        if name not in self.seats:
            raise NotFoundError(f"there is no model {name[:100]!r}; batos models lists them")
        return self.seats[name]

    async def bring_in(self, model: Resident) -> None:
        """Load the model, unless it is loaded; others go where the budget asks for it.

        Raises:
            ModelError: It cannot be had.
            ModelMemoryError: It does not fit, whoever else leaves.
        """
        if model.is_remote:
            await model.engine.load()
            return
        if model.is_loaded and not model.moving:
            return
        async with self._move:
            if not model.is_loaded:
                await self._make_room(model)
                await self._load(model)

    async def unload(self, model: Resident) -> None:
        """Take the model out of memory; waits for what is being drawn."""
        async with self._move:
            await self._unload(model)

    async def close(self, model: Resident) -> None:
        """Close the engine of a model that was taken out of ``seats``."""
        async with self._move:
            await model.engine.close()

    async def unload_others(self, model: Resident) -> bool:
        """Take all others out that may go; return True when there were any."""
        async with self._move:
            return await self._unload_idle(model)

    async def sweep(self, now: float, wanted: Collection[str]) -> list[str]:
        """Unload what has been idle for long enough and nobody waits for; return the names."""
        gone = []
        async with self._move:
            for model in list(self.seats.values()):
                if self._may_go(model, wanted) and model.until is not None and model.until <= now:
                    await self._unload(model)
                    gone.append(model.name)
        return gone

    def next_sweep(self, wanted: Collection[str]) -> float:
        """Return when the next idle model may go; infinity when none is to."""
        idle = (model for model in self.seats.values() if self._may_go(model, wanted))
        return min((model.until for model in idle if model.until is not None), default=math.inf)

    def facts(self) -> dict[str, Any]:
        """Return the budget and what is held of it, in bytes."""
        held = sum(tenant.size for tenant in self._tenants())
        return {"budget": self._budget, "used": held, "lost": self._lost()}

    def _may_go(self, model: Resident, wanted: Collection[str]) -> bool:
        pinned = model.name in self.pinned or model.name in wanted
        return not pinned and not model.users and not model.moving and model.is_loaded

    def _tenants(self) -> list[Tenant]:
        return [
            Tenant(
                model.name,
                max(model.size, int(model.engine.stats().get("bytes", 0))),
                -math.inf if model.last_use is None else model.last_use,
                in_use=model.users > 0,
                pinned=model.name in self.pinned,
            )
            for model in self.seats.values()
            if model.is_loaded and not model.is_remote
        ]

    def _lost(self, besides: Resident | None = None) -> int:
        """Return what unloaded models still hold; a model that comes back uses its own again."""
        now = self._memory()
        for model in self.seats.values():
            if model.lost and now <= model.level:
                model.lost = 0
        return sum(model.lost for model in self.seats.values() if model is not besides)

    async def _make_room(self, model: Resident) -> None:
        wanted = Tenant(model.name, model.size)
        room = make_room(self._tenants(), wanted, self._budget - self._lost(model))
        if room.short and (short := make_room(self._tenants(), wanted, self._budget).short):
            raise ModelMemoryError(self._explain(model, short))
        if room.short:  # only because memory was lost, which is no reason to refuse
            await self._unload_idle(model)
        for name in room.evict:
            await self._unload(self.seats[name])

    async def _load(self, model: Resident) -> None:
        before = self._memory()
        try:
            await model.engine.load()
        except ModelMemoryError as error:
            if not await self._unload_idle(model):
                raise ModelMemoryError(f"{error}; no other model could make room") from error
            before = self._memory()
            await model.engine.load()
        stats = model.engine.stats()
        model.grown = max(self._memory() - before, 0)
        model.size = max(int(stats.get("bytes", 0)), model.grown)
        model.lost = 0
        log.info("model %s: loaded, %s", model.name, show_size(model.size))
        try:
            await self._make_room(model)  # it may have turned out larger than thought
        except ModelMemoryError:
            await self._unload(model)
            raise

    async def _unload_idle(self, model: Resident) -> bool:
        idle = [tenant.name for tenant in evictable(self._tenants()) if tenant.name != model.name]
        for name in idle:
            await self._unload(self.seats[name])
        return bool(idle)

    async def _unload(self, model: Resident) -> None:
        model.moving = True
        try:
            before, was_loaded = self._memory(), model.is_loaded
            await model.engine.unload()
            model.until = None
            if was_loaded and not model.is_remote:
                await self._see_recovered(model, before)
        except BatError:  # it still counts as loaded; the request that wants room is told
            log.exception("model %s could not be unloaded", model.name)
            model.until = None
        finally:
            model.moving = False

    async def _see_recovered(self, model: Resident, before: int) -> None:
        """Wait, within a bound, for the memory to come back; else count it as still used."""
        level = before - int(model.grown * RECOVERED)
        for pause in RECHECKS:
            if self._memory() <= level or model.grown <= SMALL:
                log.info("model %s: unloaded", model.name)
                return
            await asyncio.sleep(pause)
        model.lost = model.grown - min(max(before - self._memory(), 0), model.grown)
        model.level = level
        text = "model %s: %s did not come back after unloading; they count as used"
        log.warning(text, model.name, show_size(model.lost))

    def _explain(self, model: Resident, short: int) -> str:
        held = [tenant for tenant in self._tenants() if tenant.name != model.name]
        staying = [tenant for tenant in held if tenant not in evictable(held)]
        return (
            f"model {model.name} needs {show_size(model.size)}, and {show_size(short)} of the "
            f"budget for models ({show_size(self._budget)}) are missing{_name(staying)}; "
            "unpin a model, raise the budget, or choose a smaller model or profile"
        )


def _name(staying: Iterable[Tenant]) -> str:
    names = [f"{tenant.name} ({show_size(tenant.size)})" for tenant in staying]
    return f" beside {', '.join(names)}" if names else ""
