"""What training asks of the program: answers of the library, and vectors.

Two methods that give one answer to the same values are both right: it does not matter which of
them a sentence is sent to. Runs sources of this program only, in this process.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bat_os.core.choosing import meaning
from bat_os.engines.minilm import packaged_embedder
from bat_os.method.shelf import SHELF, seeds_of
from bat_os.natives import table as natives

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Embed = Callable[[Sequence[str]], NDArray[np.float32]]

SECONDS: Final = 0.5  # for one call
CHANCE: Final = ("random_obj", "game_obj")
NOW: Final = dt.datetime(2026, 5, 18, 12, tzinfo=dt.UTC)


def _stop(*_: object) -> None:
    raise TimeoutError


@cache
def _sources() -> Mapping[tuple[str, str], str]:
    return {(name, seed.selector): seed.source for name in SHELF for seed in seeds_of(name)}


@cache
def _function(target: str, selector: str) -> Callable[..., Any] | None:
    native = natives.NATIVES.get(target)
    if native is not None and selector in native.selectors:
        return lambda *args, **kwargs: natives.run(f"{target}.{selector}", args, kwargs, NOW)
    source = _sources().get((target, selector))
    if source is None:
        return None
    scope: dict[str, Any] = {}
    exec(source, scope)  # noqa: S102 - a seed of this program
    function = scope[selector]
    return lambda *args, **kwargs: function(None, *args, **kwargs)


@cache
def _warm() -> None:
    """Import the libraries that the first calls need."""
    natives.run("units_obj.convert", [1, "mile", "kilometer"], {}, NOW)
    natives.run("calendar_obj.weekday", ["2026-05-18"], {}, NOW)


def answer(target: str, selector: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return a key of the answer, or "" if there is none, or if it is left to chance."""
    _warm()
    function = None if target in CHANCE else _function(target, selector)
    if function is None:
        return ""
    try:
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            return meaning(function(*args, **kwargs))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Exception:  # noqa: BLE001 - whatever a method raises, it has no answer
        return ""


def answers_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """Return keys of what a skill answers to these values and to others of their kinds, or ()."""
    target, _, selector = name.partition(".")
    first = answer(target, selector, args, kwargs)
    named = {key: _vary(value) for key, value in kwargs.items()}
    other = first and answer(target, selector, [*map(_vary, args)], named)
    return (first, other) if first and other else ()


def _vary(value: Any) -> Any:
    """Return another value of the same kind, the same one for the same value."""
    if type(value) in (int, float):
        return value * 2 + 3
    if isinstance(value, list):
        return [*map(_vary, value), *value]
    named = isinstance(value, str) and (len(value.split()) > 1 or not value.islower())
    return f"{value} Zebra apple" if named and not any(map(str.isdigit, value)) else value


def make_embed() -> Embed:
    """Return what embeds texts; the model is loaded once."""
    embedder = packaged_embedder()
    if embedder is None:
        raise SystemExit("the embedding model is not installed: ./run.sh installs it")

    runner = asyncio.Runner()

    def embed(texts: Sequence[str]) -> Any:
        wanted = sorted(set(texts), key=lambda text: (len(text), text))
        rows = runner.run(embedder.embed(wanted))
        known = dict(zip(wanted, rows, strict=True))
        return np.stack([known[text] for text in texts]) if texts else rows

    weakref.finalize(embed, runner.close)  # its event loop ends with it
    return embed
