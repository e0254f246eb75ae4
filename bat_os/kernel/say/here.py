"""What a person says and asks of where they are: place, time zone, country, language, holidays.

    "I live in Vienna"        >  place Vienna; zone and country follow from it
    "is tomorrow a holiday?"  >  the public holidays of the country, by the library holidays

What was said becomes slots of context_obj, in one commit that "undo that" takes back. A place that
nobody knows is a fact to remember, as "I live in a houseboat" is.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.errors import ArgumentsError
from bat_os.image.objects import UvmObject
from bat_os.image.store import watch_commits
from bat_os.kernel.say import recall
from bat_os.kernel.whereabouts import find_here
from bat_os.natives import almanac, clock, context
from bat_os.natives.context import COUNTRY, LANGUAGE, PLACE, ZONE
from bat_os.sentence.language import languages, speak
from bat_os.sentence.periods import find_period
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.recall import Act

    Root = MutableMapping[str, Any]

SOURCES: Final = "sources"  # a slot of context_obj: topic -> the page that a person named for it
MAX_SOURCE: Final = 500  # characters
SHOWN: Final = 20  # holidays in an answer
_YEAR: Final = re.compile(r"\b(?:1[6-9]|2\d)\d\d\b")
_OPENING: Final = frozenset({"the", "la", "le", "les", "der", "die", "das", "el", "los"})


async def source_of(mind: KernelContext, topic: str) -> str:
    """Return the page that a person named for the weather, the news or the like; "" if none."""

    def look(root: Root) -> str:
        obj = root["objects"].get(context.NAME)
        held = obj.slots.get(SOURCES) if obj is not None else None
        return str(held.get(topic, "")) if type(held) is dict and not obj.labels else ""

    return await mind.image.read((context.NAME, topic), look, note="look for a source")


async def _move(one: Act) -> Answer | None:
    place = _plain(one, one.slot("place"))
    known = await asyncio.to_thread(_known_place, place)
    if known is None:
        return await _remember(one)
    await _set(one, {PLACE: known, ZONE: None, COUNTRY: None})
    return await _say_place(one, "here.moved", acted=True)


async def _zone(one: Act) -> Answer | None:
    said = one.slot("zone")
    try:
        zone = clock.zone_of(said if "/" in said else _plain(one, said)).key
    except ArgumentsError:
        return one.answer("unable", "here.no_zone", zone=said)
    await _set(one, {ZONE: zone})
    return one.acted("here.zone_set", zone, zone=zone)


async def _country(one: Act) -> Answer | None:
    said = _plain(one, one.slot("country"))
    code = await asyncio.to_thread(_known_country, said)
    if not code:
        return await _remember(one) or one.answer("unable", "here.no_country", country=said)
    await _set(one, {COUNTRY: code})
    return one.acted("here.country_set", code, country=_named(one, code))


async def _language(one: Act) -> Answer | None:
    code = _tongues().get(one.slot("tongue").casefold())
    if code is None:
        known = [one.say(f"here.{each}") for each in languages()]
        return await _remember(one) or one.answer(
            "unable", "here.no_language", tongue=one.slot("tongue"), known=known
        )
    await _set(one, {LANGUAGE: code})
    return one.acted("here.language_set", code, tongue=one.say(f"here.{code}"))


async def _source(one: Act) -> Answer | None:
    topic, page = one.slot("for"), one.slot("path")[:MAX_SOURCE]
    if "." not in page:
        return None
    url = page if "://" in page else f"https://{page}"
    held = await one.mind.image.transact(_sources, note="look for sources")
    await _set(one, {SOURCES: {**held, topic: url}})
    return one.acted("here.source_set", url, page=url, topic=one.say(f"here.{topic}"))


def _sources(root: Root) -> dict[str, str]:
    obj = root["objects"].get(context.NAME)
    held = obj.slots.get(SOURCES) if obj is not None else None
    return dict(held) if type(held) is dict else {}


async def _where(one: Act) -> Answer | None:
    return await _say_place(one, "here.at")


async def _which_zone(one: Act) -> Answer:
    zone = (await find_here(one.mind))[ZONE]
    if not zone:
        return one.answer("recalled", "here.zone_of_machine", zone=one.now.strftime("UTC%z"))
    return one.answer("recalled", "here.zone_is", zone, zone=zone)


async def _say_place(one: Act, key: str, *, acted: bool = False) -> Answer:
    """Say where the person is, with what follows from it."""
    here = await find_here(one.mind)
    place = here[PLACE] or (_named(one, here[COUNTRY]) if here[COUNTRY] else "")
    if not place:
        return one.answer("unable", "here.unknown")
    said = [one.say(key, place=_local(one, place))]
    said += [one.say("here.with_zone", zone=here[ZONE])] if here[ZONE] else []
    if here[COUNTRY]:
        said.append(one.say("here.with_country", country=_named(one, here[COUNTRY])))
    if not here[ZONE]:
        said.append(one.say("here.lacks_zone"))
    told = " ".join(said)
    return one.done(told, one.commits, place) if acted else Answer(
        "recalled", told, place, language=one.language
    )  # fmt: skip


async def _holiday(one: Act) -> Answer | None:
    """Answer whether a day is a public holiday, or which are in a week."""
    span = find_period(one.slot("day"), one.now, one.language)
    country = await _which_country(one)
    if span is None or not country:
        return None if span is None else one.answer("unable", "here.which_country")
    found = await _between(one, country, *span)
    where, (first, last) = _named(one, country), span
    if found:
        days = [_shown(day, name, one) for day, name in found.items()]
        key = "here.holiday" if first == last else "here.holidays"
        (day, name), *_ = found.items()
        return _computed(one, key, True, day=day, name=name, country=where, days=days)
    key = "here.no_holiday" if first == last else "here.no_holidays"
    return _computed(one, key, False, day=first, country=where)


async def _next_holiday(one: Act) -> Answer | None:
    country = await _which_country(one)
    if not country:
        return one.answer("unable", "here.which_country")
    today = one.now.date()
    found = await _between(one, country, today, today + dt.timedelta(days=366))
    if not found:
        return one.answer("unable", "here.no_country", country=country)
    (day, name), *_ = found.items()
    where = _named(one, country)
    return _computed(one, "here.next", f"{day}: {name}", day=day, name=name, country=where)


async def _holidays(one: Act) -> Answer | None:
    """List the public holidays of a year or a span: this year's if none is named."""
    said, when = one.slot("country") or one.slot("day"), one.slot("country") and one.slot("day")
    span = _span(one, when or said)
    words = _YEAR.sub("", said).split()
    tried = [" ".join(words), " ".join(words[:-1])]  # "Germany in", once the year is gone
    country = ""
    for name in filter(None, tried):
        country = country or await asyncio.to_thread(_known_country, _plain(one, name))
    if not country and (not words or (span and not _YEAR.search(said))):  # "next year"
        country = (await find_here(one.mind))[COUNTRY]
    if not country:
        return one.answer("unable", "here.which_country")
    this_year = dt.date(one.now.year, 1, 1), dt.date(one.now.year, 12, 31)
    first, last = span or this_year
    found, where = await _between(one, country, first, last), _named(one, country)
    if not found:
        return _computed(one, "here.no_holidays", {}, country=where)
    days = [_shown(day, name, one) for day, name in found.items()]
    value = {day.isoformat(): name for day, name in found.items()}
    return _computed(one, "here.holidays", value, country=where, days=days[:SHOWN])


def _span(one: Act, words: str) -> tuple[dt.date, dt.date] | None:
    """Return the days that are meant: a year, or what else names a span; None if nothing does."""
    if year := _YEAR.search(words):
        return dt.date(int(year[0]), 1, 1), dt.date(int(year[0]), 12, 31)
    return find_period(words, one.now, one.language) if words else None


async def _between(one: Act, country: str, first: dt.date, last: dt.date) -> dict[dt.date, str]:
    def find() -> dict[dt.date, str]:
        years = range(first.year, min(last.year, first.year + 1) + 1)
        each = (almanac.holidays_of(country, year, one.language) for year in years)
        return {day: name for held in each for day, name in held.items() if first <= day <= last}

    return await asyncio.to_thread(find)


async def _which_country(one: Act) -> str:
    """Return the country that was named, else the person's; "" if neither is known."""
    if said := one.slot("country"):
        return await asyncio.to_thread(_known_country, _plain(one, said))
    return (await find_here(one.mind))[COUNTRY]


async def _set(one: Act, slots: Mapping[str, Any]) -> None:
    """Set slots of context_obj in one commit, if they are not so already; None takes one away."""

    def work(root: Root) -> None:
        obj = root["objects"].get(context.NAME)
        if type(obj) is not UvmObject:
            raise ArgumentsError(f"the image has no {context.NAME}")
        for name, value in slots.items():
            if obj.slots.get(name) == value and name not in obj.labels:
                continue
            if value is not None:
                obj.set_slot(name, value)
            elif name in obj.slots:
                obj.remove_slot(name)

    with watch_commits() as commits:
        await one.mind.image.transact(work, note=f"set {', '.join(slots)}"[:70])
    one.commits.extend(commits)


async def _remember(one: Act) -> Answer | None:
    """Keep a sentence that names no known place as a fact, if it is one."""
    if not one.values.get("keep"):
        return None
    fact = recall.Act(
        one.mind, "memory_obj.remember", {"text": one.slot("text")}, one.language, one.now,
        one.has_values, one.certain, one.caller, send=one.send, commits=one.commits,
    )  # fmt: skip
    return await recall.ACTS[fact.name](fact)


def _computed(one: Act, key: str, value: Any, **said: Any) -> Answer:
    return Answer("computed", one.say(key, **said), value, language=one.language)


def _shown(day: dt.date, name: str, one: Act) -> str:
    return one.say("here.day", day=day, name=name)


def _plain(one: Act, said: str) -> str:
    """Return a place by its English name, without an article."""
    words = said.split()
    while len(words) > 1 and words[0].casefold() in _OPENING:
        words = words[1:]
    short = " ".join(words)
    sentence = read_sentence(short, one.now, one.language)
    whole = [v for v in sentence.values if v.kind == "name" and v.text.strip() == short]
    return str(whole[0].value) if whole else short


def _known_place(place: str) -> str | None:
    """Return a place whose zone or country is known, else None."""
    known = context.settle({PLACE: place})
    return known[PLACE] if known[ZONE] or known[COUNTRY] else None


def _known_country(said: str) -> str:
    code = almanac.code_of(said) or said.upper()
    try:
        return code if almanac.holidays_of(code, 2026) else ""
    except ArgumentsError:
        return ""


def _named(one: Act, code: str) -> str:
    """Return the name of a country in the person's language."""
    return _local(one, almanac.name_of(almanac.code_of(code) or code))


def _local(one: Act, english: str) -> str:
    names = speak(one.language).setting("places", english, ())
    if not names or one.language == "en":
        return english
    return " ".join(word[:1].upper() + word[1:] for word in str(max(names, key=len)).split())


def _tongues() -> dict[str, str]:
    """Return what each language is called, in each language -> its code."""
    return {
        text(own, f"here.{code}").casefold(): code for own in languages() for code in languages()
    }


ACTS: Final[Mapping[str, Callable[[Act], Awaitable[Answer | None]]]] = {
    "context_obj.move": _move,
    "context_obj.zone": _zone,
    "context_obj.country": _country,
    "context_obj.language": _language,
    "context_obj.source": _source,
    "context_obj.where": _where,
    "context_obj.which_zone": _which_zone,
    "context_obj.holiday": _holiday,
    "context_obj.next_holiday": _next_holiday,
    "context_obj.holidays": _holidays,
}
