"""What methods of the library answer, to tell which of them are the same to a person.

Two methods that give one answer to the same values are both right: it does not matter which of
them a sentence is sent to. Runs sources of this program only, in this process.
"""

from __future__ import annotations

import datetime as dt
import signal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.choosing import meaning
from bat_os.method.shelf import SHELF, seeds_of
from bat_os.natives import table as natives

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SECONDS: Final = 0.5  # for one call
CHANCE: Final = ("random_obj", "game_obj")
NOW: Final = dt.datetime(2026, 5, 18, 12, tzinfo=dt.UTC)


class _TooLongError(Exception):
    """A call took longer than SECONDS."""


def _stop(*_: object) -> None:
    raise _TooLongError


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
