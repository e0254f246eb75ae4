"""Counters and logs: how often, how much, how long; with units, and by what the question asks for.

    "log 40 minutes of swimming"    swimming: 40 minutes
    "I swam 20 minutes"             the same counter, by its stem
    "what is my average weight"     of what was noted, not the sum

A counter keeps the unit that it began with; 2 hours are added as 120 minutes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from bat_os.core.answer import Answer
from bat_os.errors import ArgumentsError, CellError, NotFoundError
from bat_os.kernel.naming import Named, content_of, find_named
from bat_os.sentence.periods import find_period

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from bat_os.kernel.say.recall import Act

COUNTERS: Final = "counters_obj"
MAX_NAME: Final = 100


async def count_up(one: Act) -> Answer | None:
    """Count a thing, or take it back; None if no counter is meant."""
    thing, number = one.slot("thing")[:MAX_NAME], one.values.get("number", 1)
    sign = -1 if one.name.endswith("subtract") else 1
    if not thing or type(number) not in (int, float):
        return None
    named = await find_counter(one, thing, one.slot("unit"))
    begins = sign > 0 and not one.values.get("known")  # a counter that is not there
    if named.found and (named.one is None or (begins and not named.whole)):
        asks = begins or named.sure or one.certain
        return _ask_which(one, named, thing if begins else "") if asks else None
    if named.one is None and one.values.get("known"):
        return None
    if named.one is None and not begins:
        return one.answer("unable", "counters.unknown", thing=thing)
    return await _count(one, named.one, thing, sign * number)


def _ask_which(one: Act, named: Named[str], new: str = "") -> Answer:
    """Ask which counter is meant: one of those that are there, or the ``new`` one."""
    return one.ask_which({
        **{name: {"thing": name, "known": True} for name in named.found},
        **({new: {"thing": new, "new": True}} if new else {}),
    })  # fmt: skip


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
    """Return a name for a new counter that no other one has: 250 ml are no glasses."""
    names = await one.read(COUNTERS, "names")
    unit, taken = (
        one.slot("unit"),
        find_named(thing, dict(zip(names, names, strict=True)), one.language),
    )
    return f"{thing} ({unit})" if unit and taken.found else thing


def _with_unit(one: Act, number: float, unit: str) -> str:
    return f"{one.say('talk.value', value=number)} {unit}".strip()


async def find_counter(one: Act, thing: str, unit: str = "") -> Named[str]:
    """Return the counters that some words name.

    One that counts without a unit has to have all the words of what is counted in a ``unit``.
    """
    if one.values.get("new"):
        return Named()
    names = await one.read(COUNTERS, "names")
    named = find_named(thing, {name: name for name in names}, one.language)
    if unit and not named.whole:
        units = {name: await one.read(COUNTERS, "unit", name) for name in named.found}
        return replace(named, found=tuple(name for name, own in units.items() if own))
    return named


async def _find_near(one: Act, thing: str) -> str | None:
    """Return the counter that a question is about: that it names, or the nearest one."""
    if (named := (await find_counter(one, thing)).one) is not None:
        return named
    wanted, names = content_of(thing, one.language), await one.read(COUNTERS, "names")
    near = [name for name in names if wanted & content_of(name, one.language)]
    return near[0] if len(near) == 1 else await _counted_in(one, thing, names)


async def _counted_in(one: Act, thing: str, names: Iterable[str]) -> str | None:
    """Return the one counter that counts in a unit: "how many km" after "I ran 5 km"."""
    wanted = content_of(thing, one.language)
    units = {name: await one.read(COUNTERS, "unit", name) for name in names}
    found = [n for n, unit in units.items() if unit and content_of(unit, one.language) == wanted]
    return found[0] if len(found) == 1 else None


async def _set(one: Act) -> Answer | None:
    """Let a counter stand at a number, whether it is there or not."""
    thing, number = one.slot("thing")[:MAX_NAME], one.values.get("number", 0)
    if not thing or type(number) not in (int, float):
        return None
    named = await find_counter(one, thing)
    if named.found and (named.one is None or not named.whole) and not one.values.get("known"):
        return _ask_which(one, named, thing)
    known = named.one
    if known is None and one.values.get("known"):
        return None
    before = await _total(one, known, None) if known else 0
    total = await one.write(COUNTERS, "add", known or thing, number - before, "", one.stamp())
    key = "counters.total" if known or number else "counters.created"
    return one.acted(key, total, thing=known or thing, total=total)


async def _total(one: Act, thing: str, span: tuple[dt.date, dt.date] | None) -> Any:
    if span is None:
        return await one.read(COUNTERS, "total", thing)
    after = span[1] + dt.timedelta(days=1)
    return await one.read(COUNTERS, "total", thing, span[0].isoformat(), after.isoformat())


async def _show_total(one: Act) -> Answer | None:
    thing, when = one.slot("thing"), one.slot("when")
    known = await _find_near(one, thing) if thing else None
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
    wanted = content_of(question, one.language)
    try:
        names = await one.read(COUNTERS, "names") if wanted else ()
    except NotFoundError:  # a mind without the library
        return None
    for name in names:
        if content_of(name, one.language) == wanted:
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
    named = await find_counter(one, thing)
    if named.found and named.one is None:
        return _ask_which(one, named) if named.sure or one.certain else None
    if named.one is None and one.values.get("known"):
        return None
    if named.one is None:
        return one.answer("unable", "counters.unknown", thing=thing)
    total = await one.write(COUNTERS, "reset", named.one)
    return one.acted("counters.reset", total, thing=named.one, total=total)


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
