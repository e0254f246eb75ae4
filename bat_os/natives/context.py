"""context_obj: where the person is, and what follows from that: the time there, the holidays.

    batos.toml (place, zone, country)  <  slots of the object: setSlot("country", "Germany")

``kernel`` knows both. Messages that take a place or a country answer for the person's own here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from bat_os.errors import ArgumentsError
from bat_os.natives import almanac, clock

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from bat_os.natives.calendar import Date

PLACE, ZONE, COUNTRY = "place", "zone", "country"
_MAX: Final = 100  # characters


class Person(Protocol):
    """The kernel, as far as it knows the person."""

    def person(self) -> Mapping[str, Any]:
        """Return ``place``, ``zone``, ``country`` and ``language``; "" where nothing was said."""


async def facts(*, kernel: Person) -> dict[str, str]:
    """Return ``place``, ``zone``, ``country`` and ``language``; "" where nothing was said."""
    return {name: str(value)[:_MAX] for name, value in kernel.person().items()}


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
            "no country is set; send context_obj setSlot country Germany, or set it in batos.toml"
        )
    return known[COUNTRY]
