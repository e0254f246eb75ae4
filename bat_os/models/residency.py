"""Which model a persona thinks with, which may stay in memory, which request goes next: pure rules.

    make_room(loaded, wanted, budget)   which models go before ``wanted`` comes in
    next_up(waiting, serving, now)       A B A B becomes A A B B, and no request starves
    expiry(now, keep_alive)              until when an idle model is kept

No clock and no engine: the roster hands in what it measured, and does what comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from bat_os.core.personas import MAX_TOKENS
from bat_os.core.schema import Record, number, text
from bat_os.ports import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Seconds after which a waiting request goes before those that suit the model in memory.
MAX_WAIT: Final = 15.0
_Text = Annotated[str, text(200, filled=True)]


class Assignment(Record, frozen=True):
    """What a persona thinks with."""

    model: str
    adapter: _Text = ""  # LoRA adapter that it always uses
    writing: _Text = ""  # the one it uses instead while it writes a method
    # Of candidates, second tries and answers in a discussion. A first try takes the most likely
    # text, whatever this is.
    temperature: Annotated[float, number(0.1, 2)] = 0.7
    top_p: Annotated[float, number(0, 1)] = 0.95
    top_k: Annotated[int, number(1, 1000)] = 40
    max_tokens: Annotated[int, number(1, MAX_TOKENS)] = 110  # of a method; see also ``Limits``
    keep_alive: Annotated[float, number(-1, 10**9)] = 300.0  # seconds unused; negative: for ever
    pinned: bool = False  # the model never leaves memory by itself

    @property
    def sampling(self) -> Sampling:
        """How it writes a method, without a seed and a stop."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
        )


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, as these rules see it."""

    name: str
    size: int  # bytes that it holds in memory, or will hold; 0 until that is measured
    last_use: float = 0.0  # larger is later
    in_use: bool = False  # a request is drawing from it
    pinned: bool = False  # the owner wants it to stay


@dataclass(frozen=True, slots=True)
class Room:
    """What has to happen before a model comes in."""

    evict: tuple[str, ...] = ()  # names, the first to go first
    short: int = 0  # bytes that are missing even then; 0 if it fits


def make_room(loaded: Iterable[LoadedModel], wanted: LoadedModel, budget: int) -> Room:
    """Return which models go so that those in memory hold at most ``budget`` bytes.

    Least recently used first; never one in use, never a pinned one, and none whose going
    would not be needed. If even all of them are too few, none goes. ``wanted`` may be among the
    loaded ones: it has just turned out larger than thought then.

    >>> old, new = LoadedModel("old", 4, last_use=1), LoadedModel("new", 4, last_use=2)
    >>> make_room([new, old], LoadedModel("next", 5), budget=10)
    Room(evict=('old',), short=0)
    >>> make_room([new, old], LoadedModel("next", 12), budget=10).short
    2
    """
    others = [model for model in loaded if model.name != wanted.name]
    over = wanted.size + sum(model.size for model in others) - budget
    idle = sorted(evictable(others), key=lambda model: model.last_use)
    short = over - sum(model.size for model in idle)
    if over <= 0 or short > 0:
        return Room(short=max(short, 0))
    going: list[LoadedModel] = []
    for model in idle:
        if over > 0:
            going.append(model)
            over -= model.size
    for model in reversed(tuple(going)):  # a large one may make an earlier one needless
        if over + model.size <= 0:
            going.remove(model)
            over += model.size
    return Room(tuple(model.name for model in going))


def evictable(loaded: Iterable[LoadedModel]) -> list[LoadedModel]:
    """Return the loaded models that may go: not in use, not pinned."""
    return [model for model in loaded if not model.in_use and not model.pinned]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for its turn."""

    number: int  # order of arrival; unique
    model: str  # what it needs in memory
    adapter: str  # what it needs switched on; "" for the model as it is
    since: float  # when it came


def next_up(
    waiting: Sequence[Waiting], serving: tuple[str, str], now: float, max_wait: float = MAX_WAIT
) -> Waiting:
    """Return the request to serve next.

    The oldest of those that have waited for ``max_wait`` seconds goes first. Else the oldest
    that needs nothing switched after ``serving``, the last model and adapter, else the oldest
    that needs the same model, else the oldest.

    >>> a, b = Waiting(1, "B", "", 0.0), Waiting(2, "A", "", 1.0)
    >>> next_up([a, b], ("A", ""), now=2.0).model, next_up([a, b], ("A", ""), now=60.0).model
    ('A', 'B')
    """
    model, adapter = serving

    def rank(request: Waiting) -> tuple[int, int]:
        if now - request.since >= max_wait:
            return 0, request.number
        if request.model != model:
            return 3, request.number
        return (1 if request.adapter == adapter else 2), request.number

    return min(waiting, key=rank)


def expiry(now: float, keep_alive: float) -> float:
    """Return when a model that was used ``now`` may go; a negative ``keep_alive`` is for ever.

    >>> expiry(100.0, 300), expiry(100.0, 0), expiry(100.0, -1)
    (400.0, 100.0, inf)
    """
    return math.inf if keep_alive < 0 else now + keep_alive
