"""Times of day and time zones, by zoneinfo.

    time_in("Tokyo", now=...)                        2026-11-22T22:30:00+09:00
    until_time("5 pm", now=...)                      2 hours, 30 minutes
    time_after("14:30", 90, "minutes")               16:00

A time of day is ``17:30``, ``5 pm`` or a moment; one that is the answer is ``HH:MM``. What depends
on the present moment takes it as ``now``, a moment with its zone.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from bat_os.errors import ArgumentsError
from bat_os.natives.calendar import CLOCK, MAX_TEXT, in_words, span_of, unit_of_time
from bat_os.natives.names import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    Time = dt.time | dt.datetime | str

_DAY: Final = dt.timedelta(days=1)


def current_time(*, now: dt.datetime) -> str:
    """Return the time of day."""
    return f"{now:%H:%M}"


def greeting_of_the_hour(*, now: dt.datetime) -> str:
    """Return a greeting for the time of day."""
    return f"Good {'morning' if now.hour < 12 else 'afternoon' if now.hour < 18 else 'evening'}"


def until_time(time: Time, *, now: dt.datetime) -> str:
    """Return how long it is until a time of day, today or else tomorrow, in words."""
    return _in_words(_next(read_time(time), now) - now.astimezone(dt.UTC))


def since_time(time: Time, *, now: dt.datetime) -> str:
    """Return how long ago a time of day was, today or else yesterday, in words."""
    return _in_words(now.astimezone(dt.UTC) - _next(read_time(time), now - _DAY))


def from_to(start: Time, end: Time) -> str:
    """Return how long it is from one time of day to the next, in words.

    >>> from_to("9:15", "17:45"), from_to("22:00", "6:00")
    ('8 hours, 30 minutes', '8 hours')
    """
    return _in_words(_from_to(start, end))


def minutes_between(start: Time, end: Time) -> int:
    """Return how many minutes it is from one time of day to the next.

    >>> minutes_between("22:30", "23:15"), minutes_between("23:50", "00:10")
    (45, 20)
    """
    return _from_to(start, end) // dt.timedelta(minutes=1)


def time_after(
    time: Time, amount: float, unit: str, amount2: float = 0, unit2: str = "minute"
) -> str:
    """Return the time of day so many hours, minutes or seconds after another.

    >>> time_after("14:30", 90, "minutes"), time_after("9:00", 2, "hours", 15, "minutes")
    ('16:00', '11:15')
    """
    return _shifted(time, _clock_span(amount, unit) + _clock_span(amount2, unit2))


def time_before(
    time: Time, amount: float, unit: str, amount2: float = 0, unit2: str = "minute"
) -> str:
    """Return the time of day so many hours, minutes or seconds before another.

    >>> time_before("8:15", 40, "minutes"), time_before("8:30", 25, "minutes", 1, "hour")
    ('07:35', '07:05')
    """
    return _shifted(time, -_clock_span(amount, unit) - _clock_span(amount2, unit2))


def _clock_span(amount: float, unit: str) -> dt.timedelta:
    name = unit_of_time(unit)
    if name not in CLOCK:
        raise ArgumentsError(f"a time of day is shifted by hours, minutes or seconds, not {unit}")
    return span_of(amount, name)


def _shifted(time: Time, span: dt.timedelta) -> str:
    moved = dt.datetime.combine(dt.date(2000, 1, 1), read_time(time)) + span
    return f"{moved:%H:%M:%S}".removesuffix(":00")


def to_twelve_hours(time: Time) -> str:
    """Return a time of day with am or pm.

    >>> to_twelve_hours("14:30"), to_twelve_hours("00:05")
    ('2:30 PM', '12:05 AM')
    """
    return f"{read_time(time):%I:%M %p}".removeprefix("0")


def to_twenty_four_hours(time: Time) -> str:
    """Return a time of day as the clock of 24 hours shows it.

    >>> to_twenty_four_hours("2:30 PM")
    '14:30'
    """
    return f"{read_time(time):%H:%M}"


def time_in(place: str, *, now: dt.datetime) -> dt.datetime:
    """Return the present moment in a place: a city, or a zone such as ``Europe/Paris``."""
    return now.astimezone(zone_of(place)).replace(microsecond=0)


def convert_time(time: Time, place: str, to: str, *, now: dt.datetime) -> dt.datetime:
    """Return what the clock shows in ``to`` when it is ``time`` today in ``place``."""
    today_there = now.astimezone(zone_of(place)).date()
    clock = read_time(time)
    return dt.datetime.combine(today_there, clock, zone_of(place)).astimezone(zone_of(to))


def hours_between(place: str, other: str, *, now: dt.datetime) -> float:
    """Return how many hours the clocks of the second place are ahead of those of the first."""
    first, second = (now.astimezone(zone_of(name)).utcoffset() for name in (place, other))
    return ((second or dt.timedelta()) - (first or dt.timedelta())) / dt.timedelta(hours=1)


def zone_of(place: str) -> zoneinfo.ZoneInfo:
    """Return the time zone of a city, of some countries, or by its own name.

    >>> zone_of("New York").key, zone_of("munich").key, zone_of("UTC").key
    ('America/New_York', 'Europe/Berlin', 'UTC')
    """
    name = " ".join(str(place)[:MAX_TEXT].lower().replace("_", " ").split())
    key = names("cities").get(name) or _zones().get(name) or _zone_of_country(name)
    if key is None:
        raise ArgumentsError(
            f"{str(place)[:40]!r} is not a place whose time I know; name a large city near it, or "
            "its zone, such as Europe/Paris"
        )
    return zoneinfo.ZoneInfo(key)


def _zone_of_country(name: str) -> str | None:
    """Return the zone of a country whose clocks all show the same time, summer and winter."""
    code = names("countries").get(name)
    if code is None:
        return None
    keys = [key for key, country in _countries().items() if country == code]
    days = [dt.datetime(2026, month, 15, tzinfo=dt.UTC) for month in (1, 7)]
    shown = {
        tuple(day.astimezone(zoneinfo.ZoneInfo(key)).utcoffset() for day in days) for key in keys
    }
    return keys[0] if len(shown) == 1 else None


def read_time(time: Time) -> dt.time:
    """Return what a time of day, a moment or a text says.

    >>> read_time("5pm"), read_time("17:30")
    (datetime.time(17, 0), datetime.time(17, 30))
    """
    if isinstance(time, dt.datetime):
        return time.time()
    if isinstance(time, dt.time):
        return time
    from dateutil import parser

    text = str(time)[:MAX_TEXT].strip().lower().replace(".", ":").replace("noon", "12:00")
    text = text.replace("midnight", "00:00")
    if not re.fullmatch(r"\d{1,2}(:\d{2}){0,2}\s*([ap]:?m:?)?", text):
        raise ArgumentsError(f"{str(time)[:40]!r} is not a time of day; write 17:30 or 5 pm")
    try:
        read: dt.datetime = parser.parse(re.sub(r"([ap]):?m:?", r"\1m", text), default=_MIDNIGHT)
    except (ValueError, OverflowError) as error:
        raise ArgumentsError(f"{str(time)[:40]!r} is not a time of day") from error
    return read.time()


def country_of_zone(key: str) -> str:
    """Return the two-letter code of the country that a zone is named for; "" if it is of none.

    >>> country_of_zone("Europe/Vienna"), country_of_zone("UTC")
    ('AT', '')
    """
    return _countries().get(key, "")


@cache
def _countries() -> Mapping[str, str]:
    """Return the country of each zone that is named for a place in one."""
    table = resources.files("tzdata") / "zoneinfo" / "zone.tab"
    rows = (row.split("\t") for row in table.read_text(encoding="utf-8").splitlines())
    return {row[2]: row[0] for row in rows if not row[0].startswith("#")}


def _next(clock: dt.time, now: dt.datetime) -> dt.datetime:
    """Return the next moment, in UTC, at which the clock shows a time of day."""
    found = dt.datetime.combine(now.date(), clock, now.tzinfo).astimezone(dt.UTC)
    if found <= now.astimezone(dt.UTC):
        tomorrow = now.date() + _DAY
        found = dt.datetime.combine(tomorrow, clock, now.tzinfo).astimezone(dt.UTC)
    return found


def _from_to(start: Time, end: Time) -> dt.timedelta:
    day = dt.date(2000, 1, 1)
    first, last = (dt.datetime.combine(day, read_time(each)) for each in (start, end))
    return (last - first) % _DAY


def _in_words(span: dt.timedelta) -> str:
    minutes = round(span / dt.timedelta(minutes=1))
    return in_words(hour=minutes // 60, minute=minutes % 60)


_MIDNIGHT: Final = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - only its time is used


@cache
def _zones() -> Mapping[str, str]:
    """Return the zones by their whole name and by their city, in lower case."""
    names = sorted(zoneinfo.available_timezones())
    cities = {name.rpartition("/")[2].replace("_", " ").lower(): name for name in names}
    return cities | {name.replace("_", " ").lower(): name for name in names}
