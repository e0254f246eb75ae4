"""Facts of years and months, public holidays by the library holidays, signs of the zodiac.

    days_in_month("february", 2028)                  29
    nth_weekday(3, "thursday", "november", 2026)     2026-11-19
    next_holiday("Germany", now=...)                 2026-12-25: Christmas Day

A month is its number, its name or a date in it; without a year it is of this year.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.natives.calendar import read_date, year_of

if TYPE_CHECKING:
    from bat_os.natives.calendar import Date

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth")
_SIGNS: Final = (
    (120, "Capricorn"), (219, "Aquarius"), (321, "Pisces"), (420, "Aries"), (521, "Taurus"),
    (621, "Gemini"), (723, "Cancer"), (823, "Leo"), (923, "Virgo"), (1023, "Libra"),
    (1122, "Scorpio"), (1222, "Sagittarius"), (1232, "Capricorn"),
)  # fmt: skip
_SHOWN: Final = {
    "GB": "United Kingdom",
    "KP": "North Korea",
    "KR": "South Korea",
}  # where the table has another name
_COUNTRIES: Final = {
    "america": "US", "britain": "GB", "england": "GB-ENG", "great britain": "GB", "holland": "NL",
    "northern ireland": "GB-NIR", "scotland": "GB-SCT", "south korea": "KR",
    "the netherlands": "NL", "the uk": "GB", "the united kingdom": "GB",
    "the united states": "US", "the us": "US", "the usa": "US", "uk": "GB", "usa": "US",
    "wales": "GB-WLS",
}  # fmt: skip


def is_leap_year(year: int) -> bool:
    """Return whether a year has 366 days.

    >>> is_leap_year(2024), is_leap_year(2100)
    (True, False)
    """
    return calendar.isleap(year_of(year))


def next_leap_year(year: int | None = None, *, now: dt.datetime) -> int:
    """Return the next leap year after a year, or after this one."""
    start = now.year if year is None else year_of(year)
    return next(each for each in range(start + 1, start + 9) if calendar.isleap(each))


def days_in_year(year: int) -> int:
    """Return how many days a year has.

    >>> days_in_year(2024), days_in_year(2027)
    (366, 365)
    """
    return 366 if is_leap_year(year) else 365


def days_left_in_year(*, now: dt.datetime) -> int:
    """Return how many days of this year come after today."""
    return (dt.date(now.year, 12, 31) - now.date()).days


def days_in_month(month: int | str, year: int | None = None, *, now: dt.datetime) -> int:
    """Return how many days a month has; of this year if none is given."""
    number, wanted = _month_of(month, year, now)
    return calendar.monthrange(wanted, number)[1]


def last_day_of_month(month: int | str, year: int | None = None, *, now: dt.datetime) -> dt.date:
    """Return the last day of a month; of this year if none is given."""
    number, wanted = _month_of(month, year, now)
    return dt.date(wanted, number, calendar.monthrange(wanted, number)[1])


def month_calendar(
    month: int | str | None = None, year: int | None = None, *, now: dt.datetime
) -> str:
    """Return the calendar of a month as text; of this month if none is given."""
    number, wanted = _month_of(now.month if month is None else month, year, now)
    return calendar.TextCalendar().formatmonth(wanted, number)


def nth_weekday(
    which: int | str, weekday: str, month: int | str, year: int | None = None, *, now: dt.datetime
) -> dt.date:
    """Return the date of the first, third or ``last`` Thursday of a month.

    Without a year it is the next one to come.
    """
    day, number = _weekday(weekday, now), _month(month)
    if year is None:
        found = _nth(which, day, number, now.year)
        return found if found >= now.date() else _nth(which, day, number, now.year + 1)
    return _nth(which, day, number, year_of(year))


def next_friday_13th(*, now: dt.datetime) -> dt.date:
    """Return the date of the next Friday the 13th; today if it is one."""
    months = ((now.year + at // 12, at % 12 + 1) for at in range(now.month - 1, now.month + 24))
    days = (dt.date(year, month, 13) for year, month in months)
    return next(day for day in days if day.weekday() == 4 and day >= now.date())


def century_of(year: int) -> int:
    """Return the number of the century to which a year belongs.

    >>> century_of(1789), century_of(1900), century_of(2001)
    (18, 19, 21)
    """
    return (year_of(year) + 99) // 100


def zodiac_sign(date: Date, *, now: dt.datetime) -> str:
    """Return the sign of the zodiac of a birthday."""
    day = read_date(date, now)
    return next(name for end, name in _SIGNS if day.month * 100 + day.day < end)


def holidays_in(country: str, year: int | None = None, *, now: dt.datetime) -> dict[str, str]:
    """Return the public holidays of a country in a year: date -> name in English.

    ``country`` is its English name, a two-letter code (``DE``), or one with its region (``DE-BY``).
    """
    return _holidays(country, now.year if year is None else year_of(year))


def next_holiday(country: str, *, now: dt.datetime) -> str:
    """Return the next public holiday of a country: its date and its name in English."""
    coming = _holidays(country, now.year) | _holidays(country, min(now.year + 1, dt.MAXYEAR))
    today = now.date().isoformat()
    found = next((f"{day}: {name}" for day, name in coming.items() if day >= today), None)
    if found is None:
        raise ArgumentsError(f"no public holiday of {country} is known")
    return found


def is_holiday(date: Date, country: str, *, now: dt.datetime) -> bool:
    """Return whether a date is a public holiday in a country."""
    day = read_date(date, now)
    return day.isoformat() in _holidays(country, day.year)


def code_of(country: str) -> str:
    """Return the code of a country, with its region if one is meant; "" if it is neither.

    >>> code_of("Austria"), code_of("the US"), code_of("Wales"), code_of("Springfield")
    ('AT', 'US', 'GB-WLS', '')
    """
    from holidays.registry import COUNTRIES  # here: see below

    name = " ".join(str(country)[:60].lower().replace(".", "").split())
    named = COUNTRIES.get(name.removeprefix("the ").replace(" ", "_"))
    return _COUNTRIES.get(name) or (named[1] if named else "")


def name_of(code: str) -> str:
    """Return the name of a country in English; the code itself if it is none.

    >>> name_of("AT"), name_of("DE-BY"), name_of("US")
    ('Austria', 'Germany (BY)', 'United States')
    """
    country, _, region = code.partition("-")
    table = resources.files("tzdata") / "zoneinfo" / "iso3166.tab"
    rows = (row.split("\t") for row in table.read_text(encoding="utf-8").splitlines())
    found = next((row[1] for row in rows if row[0] == country), country)
    name = _SHOWN.get(country, found)
    return f"{name} ({region})" if region else name


def holidays_of(country: str, year: int, language: str = "en") -> dict[dt.date, str]:
    """Return the public holidays of a country in a year, named in a language if that is known.

    Raises:
        ArgumentsError: It is not a country or region.
    """
    # Here: it has the rules of some two hundred countries.
    import holidays

    code, _, region = (code_of(country) or str(country)[:60].strip().upper()).partition("-")
    find = partial(holidays.country_holidays, code, region or None, year)
    try:
        found = find(language="en_US")
        if language in found.supported_languages:
            found = find(language=language)
    except NotImplementedError as error:
        raise ArgumentsError(
            f"{str(country)[:40]!r} is not a country or region that I know; write Germany, DE, "
            "US or US-CA"
        ) from error
    return dict(sorted(found.items()))


def _holidays(country: str, year: int) -> dict[str, str]:
    return {day.isoformat(): name for day, name in holidays_of(country, year).items()}


def _nth(which: int | str, weekday: int, month: int, year: int) -> dt.date:
    days = [
        dt.date(year, month, day)
        for day in range(1, calendar.monthrange(year, month)[1] + 1)
        if dt.date(year, month, day).weekday() == weekday
    ]
    word = str(which)[:20].strip().lower()
    number = _ORDINALS.index(word) + 1 if word in _ORDINALS else which
    if word == "last":
        return days[-1]
    if type(number) is not int or not 1 <= number <= len(days):
        raise ArgumentsError(f"the month has {len(days)} of them; name one of these, or 'last'")
    return days[number - 1]


def _weekday(text: Any, now: dt.datetime) -> int:
    name = str(text)[:20].strip().lower().rstrip("s")
    found = [at for at, each in enumerate(calendar.day_name) if each.lower().startswith(name)]
    if len(name) >= 3 and found:
        return found[0]
    return read_date(text, now).weekday()


def _month_of(month: Any, year: Any, now: dt.datetime) -> tuple[int, int]:
    """Return a month and its year; a date is read as the month that it is in."""
    if type(month) is str and _DATE.fullmatch(month.strip()):
        day = read_date(month.strip(), now)
        return day.month, day.year if year is None else year_of(year)
    return _month(month), now.year if year is None else year_of(year)


def _month(month: Any) -> int:
    if type(month) is str:
        name = month[:20].strip().lower().rstrip(".")
        found = [at for at in range(1, 13) if calendar.month_name[at].lower().startswith(name)]
        month = found[0] if len(name) >= 3 and found else month
    if type(month) is not int or not 1 <= month <= 12:
        raise ArgumentsError("month must be a number from 1 to 12, or its English name")
    return month
