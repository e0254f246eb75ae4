"""Dates, times of day, time zones and holidays, by dateutil, zoneinfo and holidays.

    weekday("2026-11-22")                           Sunday
    shift("2026-11-22", 3, "weeks")                 2026-12-13
    days_until("Christmas", now=...)                33

A date may be a date, a moment, or a text: ISO (``2026-11-22``), or with the month in words
(``3 May 2026``). What depends on the present moment takes it as ``now``, a moment with its zone,
so that the same call with the same moment gives the same answer. Every function raises
ArgumentsError for what it cannot read.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import zoneinfo
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.natives.table import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    Date = dt.date | dt.datetime | str
    Time = dt.time | dt.datetime | str

MAX_TEXT: Final = 60
MAX_SHIFT: Final = 1_000_000  # of any unit of time
FIRST_YEAR, LAST_YEAR = 1583, 4099  # of the Gregorian rule for Easter
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_YEAR: Final = re.compile(r"\b\d{4}\b")
_NUMBERS_ONLY: Final = re.compile(r"[\d\s./-]+")
_WEEKDAYS: Final = tuple(name.lower() for name in calendar.day_name)
_MONTH: Final = re.compile(
    r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\b", re.IGNORECASE
)
_UNITS: Final = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")


def today(*, now: dt.datetime) -> dt.date:
    """Return the date of today."""
    return now.date()


def weekday(date: Date, *, now: dt.datetime) -> str:
    """Return the English name of a date's weekday."""
    return f"{read_date(date, now):%A}"


def days_between(first: Date, second: Date, *, now: dt.datetime) -> int:
    """Return how many days the second date is after the first; negative if it is before."""
    return (read_date(second, now) - read_date(first, now)).days


def days_until(date: Date, *, now: dt.datetime) -> int:
    """Return how many days are left until a date, or until a holiday such as ``Christmas``.

    A date without its year is the next one to come.
    """
    return (_coming(date, now) - now.date()).days


def days_since(date: Date, *, now: dt.datetime) -> int:
    """Return how many days have passed since a date."""
    return (now.date() - read_date(date, now)).days


def difference(first: Date, second: Date, *, now: dt.datetime) -> dict[str, int]:
    """Return years, months and days between two dates; never negative."""
    from dateutil.relativedelta import relativedelta

    early, late = sorted((read_date(first, now), read_date(second, now)))
    apart = relativedelta(late, early)
    return {"years": apart.years, "months": apart.months, "days": apart.days}


def age(birthday: Date, *, now: dt.datetime) -> int:
    """Return the age in whole years of a person born on a date."""
    born = read_date(birthday, now)
    if born > now.date():
        raise ArgumentsError(f"{born} is in the future")
    return difference(born, now.date(), now=now)["years"]


def shift(date: Date, amount: int, unit: str, *, now: dt.datetime) -> dt.date:
    """Return the date so many days, weeks, months or years later; earlier if negative.

    A month later keeps the day, or is the last of a shorter month. ``workdays`` leaves out Saturday
    and Sunday.
    """
    start, name = read_date(date, now), _unit_of_time(unit)
    _check_amount(amount)
    if name == "workdays":
        return _shift_workdays(start, amount)
    if name not in _UNITS[:4]:
        raise ArgumentsError(f"a date is shifted by days, weeks, months or years, not {unit}")
    return _shifted(start, amount, name)


def from_now(amount: int, unit: str, *, now: dt.datetime) -> dt.date | dt.datetime:
    """Return the date, or for hours, minutes and seconds the moment, so long from now."""
    name = _unit_of_time(unit)
    _check_amount(amount)
    if name in _UNITS[4:]:
        # By way of UTC: an hour is an hour even where the clock changes.
        later = _later(now.astimezone(dt.UTC), dt.timedelta(**{name: amount}))
        return later.astimezone(now.tzinfo)
    return shift(now.date(), amount, unit, now=now)


def workdays_between(first: Date, second: Date, *, now: dt.datetime) -> int:
    """Return how many days from Monday to Friday lie from the first date up to the second.

    The first day counts and the last does not; holidays count as workdays.
    """
    start, end = read_date(first, now), read_date(second, now)
    if end < start:
        return -workdays_between(end, start, now=now)
    weeks, rest = divmod((end - start).days, 7)
    extra = sum((start.weekday() + day) % 7 < 5 for day in range(rest))
    return weeks * 5 + extra


def week_number(date: Date, *, now: dt.datetime) -> int:
    """Return the number of a date's week by ISO 8601."""
    return read_date(date, now).isocalendar().week


def is_leap_year(year: int) -> bool:
    """Return whether a year has 366 days.

    >>> is_leap_year(2024), is_leap_year(2100)
    (True, False)
    """
    return calendar.isleap(_year(year))


def days_in_month(month: int, year: int) -> int:
    """Return how many days a month has.

    >>> days_in_month(2, 2028)
    29
    """
    if type(month) is not int or not 1 <= month <= 12:
        raise ArgumentsError("month must be a number from 1 to 12")
    return calendar.monthrange(_year(year), month)[1]


def holiday(name: str, year: int, *, now: dt.datetime) -> dt.date:
    """Return the date of a holiday such as ``Easter`` or ``Christmas Eve`` in a year."""
    found = _holiday(name, _year(year))
    if found is None:
        raise ArgumentsError(f"{str(name)[:40]!r} is not a holiday that I know")
    return found


def holidays_in(country: str, year: int) -> dict[str, str]:
    """Return the public holidays of a country in a year: date -> name in English.

    ``country`` is a two-letter code (``DE``), or with its region (``DE-BY``).
    """
    # Here: it has the rules of some two hundred countries.
    import holidays

    code, _, region = str(country)[:10].upper().partition("-")
    try:
        found = holidays.country_holidays(
            code, subdiv=region or None, years=_year(year), language="en_US"
        )
    except NotImplementedError as error:
        raise ArgumentsError(
            f"{country!r} is not a country or region that I know; write DE, US or US-CA"
        ) from error
    return {day.isoformat(): name for day, name in sorted(found.items())}


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
    key = names("cities").get(name) or _zones().get(name)
    if key is None:
        raise ArgumentsError(
            f"{str(place)[:40]!r} is not a place whose time I know; name a large city near it, or "
            "its zone, such as Europe/Paris"
        )
    return zoneinfo.ZoneInfo(key)


def read_date(date: Date, now: dt.datetime) -> dt.date:
    """Return what a date, a moment or a text says; without a year, that of ``now``."""
    if isinstance(date, dt.datetime):
        return date.date()
    if isinstance(date, dt.date):
        return date
    if type(date) is not str or not date.strip() or len(date) > MAX_TEXT:
        raise ArgumentsError("a date is a text such as 2026-05-03 or '3 May 2026'")
    text = " ".join(date.split())
    near = {"today": 0, "tomorrow": 1, "yesterday": -1}.get(text.lower())
    if near is not None:
        return now.date() + dt.timedelta(days=near)
    year = _YEAR.search(text)
    named = _holiday(_YEAR.sub("", text), int(year[0]) if year else now.year)
    return named or _parse(text, now)


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


_MIDNIGHT: Final = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - only its time is used


def _parse(text: str, now: dt.datetime) -> dt.date:
    if _ISO.fullmatch(text):
        try:
            return dt.date.fromisoformat(text)
        except ValueError as error:
            raise ArgumentsError(f"{text} is not a date: {error}") from error
    if _NUMBERS_ONLY.fullmatch(text):
        raise ArgumentsError(
            f"{text!r} can be read in two ways; write 2026-05-03, or the month in words"
        )
    if coming := _weekday_named(text, now):
        return coming
    from dateutil import parser

    default = dt.datetime(now.year, 1, 1)  # noqa: DTZ001 - a date has no zone
    complaint = f"{text[:40]!r} is not a date; write 2026-05-03 or '3 May 2026'"
    if _MONTH.search(text) is None:  # dateutil reads "cat 3" and "3 pm" as days
        raise ArgumentsError(complaint)
    try:
        read: dt.datetime = parser.parse(text, default=default, dayfirst=True)
    except (ValueError, OverflowError) as error:
        raise ArgumentsError(complaint) from error
    if read.year != now.year and str(read.year) not in text:  # it takes 99 for the year 1999
        raise ArgumentsError(complaint)
    return read.date()


def _weekday_named(text: str, now: dt.datetime) -> dt.date | None:
    """Return the day that ``friday``, ``next friday`` (the coming one) or ``last friday`` is."""
    near, _, name = text.lower().rpartition(" ")
    if name not in _WEEKDAYS or near not in ("", "on", "next", "this", "coming", "last"):
        return None
    ahead = (_WEEKDAYS.index(name) - now.weekday()) % 7
    if near == "last":
        return now.date() - dt.timedelta(days=7 - ahead)
    return now.date() + dt.timedelta(days=ahead or (0 if near == "this" else 7))


def _coming(date: Date, now: dt.datetime) -> dt.date:
    day = read_date(date, now)
    if type(date) is not str or _YEAR.search(date) or day >= now.date():
        return day
    return _holiday(date, now.year + 1) or _shifted(day, 1, "years")


def _holiday(name: str, year: int) -> dt.date | None:
    plain = " ".join(re.sub(r"['\u2019.]", "", str(name)[:MAX_TEXT]).lower().split())
    plain = plain.removeprefix("the ")
    if plain in names("holidays"):
        month, day = names("holidays")[plain]
        if (month, day) == (2, 29):
            year += -year % 4
        return dt.date(year, month, day)
    if plain == "thanksgiving":  # of the United States: the fourth Thursday of November
        first = dt.date(year, 11, 1)
        return first + dt.timedelta(days=(3 - first.weekday()) % 7 + 21)
    if plain in ("mothers day", "fathers day"):  # second Sunday of May, third of June
        month, weeks = (5, 1) if plain == "mothers day" else (6, 2)
        first = dt.date(year, month, 1)
        return first + dt.timedelta(days=(6 - first.weekday()) % 7 + 7 * weeks)
    if plain not in names("easter") or not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    from dateutil.easter import easter

    sunday: dt.date = easter(year)
    return sunday + dt.timedelta(days=names("easter")[plain])


def _shifted(start: dt.date, amount: int, name: str) -> dt.date:
    from dateutil.relativedelta import relativedelta

    try:
        moved: dt.date = start + relativedelta(**{name: amount})
    except (ValueError, OverflowError) as error:
        raise ArgumentsError("that is beyond the years 1 to 9999") from error
    return moved


def _shift_workdays(start: dt.date, amount: int) -> dt.date:
    step = 1 if amount >= 0 else -1
    weeks, rest = divmod(abs(amount), 5)
    day = _shifted(start, step * 7 * weeks, "days")
    while rest:
        day = _shifted(day, step, "days")
        rest -= day.weekday() < 5
    return day


def _later(moment: dt.datetime, span: dt.timedelta) -> dt.datetime:
    try:
        return moment + span
    except OverflowError as error:
        raise ArgumentsError("that is beyond the years 1 to 9999") from error


def _unit_of_time(unit: str) -> str:
    name = str(unit)[:20].strip().lower().rstrip("s") + "s"
    name = {"fortnights": "weeks", "workingdays": "workdays", "businessdays": "workdays"}.get(
        name.replace(" ", ""), name
    )
    if name not in (*_UNITS, "workdays"):
        raise ArgumentsError(f"{unit!r} is not one of {', '.join(_UNITS)}, workdays")
    return name


def _check_amount(amount: Any) -> None:
    if type(amount) is not int or abs(amount) > MAX_SHIFT:
        raise ArgumentsError(f"the amount must be a whole number of at most {MAX_SHIFT:,}")


def _year(year: Any) -> int:
    if type(year) is not int or not dt.MINYEAR <= year <= dt.MAXYEAR:
        raise ArgumentsError("year must be a number from 1 to 9999")
    return year


@cache
def _zones() -> Mapping[str, str]:
    """Return the zones by their whole name and by their city, in lower case."""
    names = sorted(zoneinfo.available_timezones())
    cities = {name.rpartition("/")[2].replace("_", " ").lower(): name for name in names}
    return cities | {name.replace("_", " ").lower(): name for name in names}
