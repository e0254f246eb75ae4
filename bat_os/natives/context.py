"""context_obj: where the person is, and what follows from that: the time there, the holidays.

    batos.toml (place, zone, country)  <  slots of the object: setSlot("country", "Germany")

A place brings its zone, and a zone its country, where those were not said. ``kernel`` knows all of
it. Messages that take a place or a country answer for the person's own here.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from bat_os.errors import ArgumentsError
from bat_os.natives import almanac, clock

if TYPE_CHECKING:
    import datetime as dt
    import zoneinfo
    from collections.abc import Mapping

    from bat_os.natives.calendar import Date

NAME: Final = "context_obj"
PLACE, ZONE, COUNTRY, LANGUAGE = "place", "zone", "country", "language"
SLOTS: Final = (PLACE, ZONE, COUNTRY, LANGUAGE)  # what a person says of themselves
_MAX: Final = 100  # characters


def settle(said: Mapping[str, Any]) -> dict[str, str]:
    """Return ``said`` with what follows from it: the zone of a place, the country of both.

    >>> settle({"place": "Vienna"})
    {'place': 'Vienna', 'zone': 'Europe/Vienna', 'country': 'AT', 'language': ''}
    """
    held = (str(said.get(name) or "") for name in SLOTS)
    known = {name: " ".join(each.split())[:_MAX] for name, each in zip(SLOTS, held, strict=True)}
    parts = [known[PLACE], *known[PLACE].split(",")[:0:-1]]  # "Lech, Austria"
    for part in filter(None, map(str.strip, parts)):
        if not known[ZONE]:
            with contextlib.suppress(ArgumentsError):  # a village, or a country of several zones
                known[ZONE] = clock.zone_of(part).key
        by_zone = clock.country_of_zone(known[ZONE])
        known[COUNTRY] = known[COUNTRY] or by_zone or almanac.code_of(part)
    known[COUNTRY] = known[COUNTRY] or clock.country_of_zone(known[ZONE])
    return known


def zone_in(known: Mapping[str, str]) -> zoneinfo.ZoneInfo | None:
    """Return the zone of the person; None if it is not known, or not one that there is."""
    try:
        return clock.zone_of(known[ZONE]) if known[ZONE] else None
    except ArgumentsError:
        return None


class Person(Protocol):
    """The kernel, as far as it knows the person."""

    async def person(self) -> Mapping[str, str]:
        """Return what ``settle`` makes of what was said; the same to one message."""


async def facts(*, kernel: Person) -> dict[str, str]:
    """Return ``place``, ``zone``, ``country`` and ``language``; "" where nothing was said."""
    known = await kernel.person()
    return {**known, LANGUAGE: known[LANGUAGE] or "en"}


async def local_time(*, kernel: Person, now: dt.datetime) -> dt.datetime:
    """Return the present moment where the person is."""
    known = await facts(kernel=kernel)
    named = known[ZONE] or known[PLACE]
    return clock.time_in(named, now=now) if named else now.replace(microsecond=0)


async def next_holiday(*, kernel: Person, now: dt.datetime) -> str:
    """Return the next public holiday where the person is: its date and its name in English."""
    return almanac.next_holiday(await _country(kernel), now=now)


async def holidays_in(
    year: int | None = None, *, kernel: Person, now: dt.datetime
) -> dict[str, str]:
    """Return the public holidays of a year where the person is: date -> name in English."""
    return almanac.holidays_in(await _country(kernel), year, now=now)


async def is_holiday(date: Date, *, kernel: Person, now: dt.datetime) -> bool:
    """Return whether a date is a public holiday where the person is."""
    return almanac.is_holiday(date, await _country(kernel), now=now)


async def _country(kernel: Person) -> str:
    known = await facts(kernel=kernel)
    if not known[COUNTRY]:
        raise ArgumentsError(
            'no country is set; say "I live in Vienna", or set country in batos.toml'
        )
    return known[COUNTRY]
