"""Counters and logs: how often, how much, how long; with units, and by what the question asks for.

    "log 40 minutes of swimming"    swimming: 40 minutes
    "I swam 20 minutes"             the same counter, by its stem
    "what is my average weight"     of what was noted, not the sum

A counter keeps the unit that it began with; 2 hours are added as 120 minutes.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from bat_os.core.answer import Answer
from bat_os.errors import ArgumentsError, CellError, NotFoundError
from bat_os.image.facts import is_small
from bat_os.sentence.periods import find_period
from bat_os.sentence.terms import base_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from bat_os.kernel.say.recall import Act, Asked

COUNTERS: Final = "counters_obj"
MAX_NAME: Final = 100


async def count_up(one: Act) -> Answer | None:
    """Count a thing, or take it back; None if no counter is meant."""
    thing, number = one.slot("thing")[:MAX_NAME], one.values.get("number", 1)
    known = await _find_counter(one, thing, one.slot("unit")) if thing else None
    is_meant = known is not None or (thing and not one.values.get("known"))
    if not is_meant or type(number) not in (int, float):
        return None
    sign = -1 if one.name.endswith("subtract") else 1
    if sign < 0 and known is None:
        return one.answer("unable", "counters.unknown", thing=thing)
    return await _count(one, known, thing, sign * number)


async def _count(one: Act, known: str | None, thing: str, number: float) -> Answer:
    unit = await one.read(COUNTERS, "unit", known) if known else one.slot("unit")
    number = await _in_unit(one, number, unit)
    thing = known or await _name_apart(one, thing)
    day = find_period(one.slot("when"), one.now, one.language) if one.slot("when") else None
    day = day if day and day[0] == day[1] <= one.now.date() else (one.now.date(),) * 2
    await one.write(COUNTERS, "add", thing, number, unit, one.stamp(day[0]))
    noted = {"counter": thing}
    if not number:
        return one.done(one.say("counters.created", thing=thing), one.commits, 0, **noted)
    if one.values.get("is_value"):
        said = one.say("counters.noted", thing=thing, number=_with_unit(one, number, unit))
        return one.done(said, one.commits, number, **noted)
    total = await _total(one, thing, day)
    key = "counters.subtracted" if number < 0 else "counters.added"
    if unit or day[0] != one.now.date():
        key = "counters.measured" if day[0] == one.now.date() else "counters.noted"
    said = one.say(
        key, number=_with_unit(one, abs(number), unit), thing=thing,
        total=_with_unit(one, total, unit),
    )  # fmt: skip
    return one.done(said, one.commits, total, **noted)


async def _in_unit(one: Act, number: float, unit: str) -> float:
    """Return a number in the unit of its counter: 2 hours are 120 minutes."""
    said = one.slot("unit")
    if not unit or not said or said.casefold() == unit.casefold():
        return number
    try:
        return cast("float", await one.read("units_obj", "convert", number, said, unit))
    except (ArgumentsError, CellError):
        return number


async def _name_apart(one: Act, thing: str) -> str:
    """Return a name for a new counter that no other one is found by."""
    taken = await one.read(COUNTERS, "find", thing)
    return thing if taken is None else f"{thing} ({one.slot('unit')})"


def _with_unit(one: Act, number: float, unit: str) -> str:
    return f"{one.say('talk.value', value=number)} {unit}".strip()


def bases_of(one: Asked, thing: str) -> frozenset[str]:
    """Return the stems of what a counter is called: "swam" and "swimming" are one."""
    words = re.findall(r"[^\W_]+", thing)
    return frozenset(
        base_of(word, one.language) for word in words if not is_small(word, one.language)
    )


async def _find_counter(one: Act, thing: str, unit: str = "") -> str | None:
    """Return the counter that is meant by some words: by its name, else by the stems of it.

    With ``unit``, one that counts without a unit is another one: 250 ml are no glasses.
    """
    known: str | None = await one.read(COUNTERS, "find", thing)
    if known is None:
        wanted, names = bases_of(one, thing), await one.read(COUNTERS, "names")
        same = [name for name in names if wanted and bases_of(one, name) == wanted]
        near = [name for name in names if wanted and wanted & bases_of(one, name)]
        known = same[0] if same else near[0] if len(near) == 1 and not unit else None
        known = known or (None if unit else await _counted_in(one, thing, names))
    if known and unit and not await one.read(COUNTERS, "unit", known):
        return known if bases_of(one, known) == bases_of(one, thing) else None
    return known


async def _counted_in(one: Act, thing: str, names: Iterable[str]) -> str | None:
    """Return the one counter that counts in a unit: "how many km" after "I ran 5 km"."""
    wanted = bases_of(one, thing)
    units = {name: await one.read(COUNTERS, "unit", name) for name in names}
    found = [name for name, unit in units.items() if unit and bases_of(one, unit) == wanted]
    return found[0] if len(found) == 1 else None


async def _set(one: Act) -> Answer | None:
    """Let a counter stand at a number, whether it is there or not."""
    thing, number = one.slot("thing")[:MAX_NAME], one.values.get("number", 0)
    if not thing or type(number) not in (int, float):
        return None
    known = await _find_counter(one, thing)
    if known is None and one.values.get("known"):
        return None
    before = await _total(one, thing, None) if known else 0
    total = await one.write(COUNTERS, "add", thing, number - before, "", one.stamp())
    key = "counters.total" if known or number else "counters.created"
    return one.acted(key, total, thing=known or thing, total=total)


async def _total(one: Act, thing: str, span: tuple[dt.date, dt.date] | None) -> Any:
    if span is None:
        return await one.read(COUNTERS, "total", thing)
    after = span[1] + dt.timedelta(days=1)
    return await one.read(COUNTERS, "total", thing, span[0].isoformat(), after.isoformat())


async def _show_total(one: Act) -> Answer | None:
    thing, when = one.slot("thing"), one.slot("when")
    known = await _find_counter(one, thing) if thing else None
    span = find_period(when, one.now, one.language) if when else None
    if known is None and (one.values.get("known") or not thing):
        return None
    if known is None:
        return one.answer("unable", "counters.unknown", thing=thing)
    unit = await one.read(COUNTERS, "unit", known)
    numbers = await _numbers(one, known, span)
    found = _of_all(one.slot("of") or "total", numbers)
    if not numbers and span is not None:
        return one.answer("recalled", "counters.none_when", 0, thing=known, when=when)
    key = f"counters.{one.slot('of') or 'total'}"
    key = "counters.total_when" if span is not None and key == "counters.total" else key
    said = one.say(key, thing=known, when=when, total=_with_unit(one, found, unit))
    return Answer(
        "recalled", said, found, language=one.language, memory={"counter": known, "unit": unit}
    )


async def show_last(one: Act, question: str) -> Answer | None:
    """Answer "what is my weight?" by what was noted last; None if no counter has that name."""
    wanted = bases_of(one, question)
    try:
        names = await one.read(COUNTERS, "names") if wanted else ()
    except NotFoundError:  # a mind without the library
        return None
    for name in names:
        if bases_of(one, name) == wanted:
            return await _show_total(replace(one, values={"thing": name, "of": "last"}))
    return None


async def _numbers(one: Act, thing: str, span: tuple[dt.date, dt.date] | None) -> list[float]:
    """Return what was counted of a thing, perhaps on some days, in order."""
    entries = await one.read(COUNTERS, "entries", thing) or []
    days = (span[0].isoformat(), span[1].isoformat()) if span else ("", "9")
    return [entry["number"] for entry in entries if days[0] <= entry["at"][:10] <= days[1]]


def _of_all(wanted: str, numbers: list[float]) -> float:
    if not numbers:
        return 0
    by: Mapping[str, Callable[[list[float]], float]] = {
        "average": lambda each: sum(each) / len(each), "last": lambda each: each[-1],
        "highest": max, "lowest": min,
    }  # fmt: skip
    found = by.get(wanted, sum)(numbers)
    return round(found, 6) if isinstance(found, float) else found


async def _reset(one: Act) -> Answer | None:
    thing = one.slot("thing")
    known = await _find_counter(one, thing)
    if known is None and one.values.get("known"):
        return None
    if known is None:
        return one.answer("unable", "counters.unknown", thing=thing)
    total = await one.write(COUNTERS, "reset", known)
    return one.acted("counters.reset", total, thing=thing, total=total)


async def _counters(one: Act) -> Answer:
    totals = await one.read(COUNTERS, "names")
    if not totals:
        return one.answer("recalled", "counters.no_counters", {})
    things = [f"{name} ({one.say('talk.value', value=total)})" for name, total in totals.items()]
    return one.answer("recalled", "counters.names", totals, things=things)


ACTS: Final[Mapping[str, Callable[[Act], Awaitable[Answer | None]]]] = {
    "counters_obj.add": count_up,
    "counters_obj.subtract": count_up,
    "counters_obj.set": _set,
    "counters_obj.total": _show_total,
    "counters_obj.reset": _reset,
    "counters_obj.names": _counters,
}
