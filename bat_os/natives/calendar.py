"""Dates: weekdays, spans, ages, and what day it is so long from another, by dateutil.

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
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.natives.names import names

if TYPE_CHECKING:
    Date = dt.date | dt.datetime | str

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
CLOCK: Final = ("hours", "minutes", "seconds")
_UNITS: Final = ("years", "months", "weeks", "days", *CLOCK)


def today(*, now: dt.datetime) -> dt.date:
    """Return the date of today."""
    return now.date()


def tomorrow(*, now: dt.datetime) -> dt.date:
    """Return the date of tomorrow."""
    return _shifted(now.date(), 1, "days")


def yesterday(*, now: dt.datetime) -> dt.date:
    """Return the date of yesterday."""
    return _shifted(now.date(), -1, "days")


def weekday_name(*, now: dt.datetime) -> str:
    """Return the English name of today's weekday."""
    return f"{now:%A}"


def current_month(*, now: dt.datetime) -> str:
    """Return the English name of the current month."""
    return f"{now:%B}"


def current_year(*, now: dt.datetime) -> int:
    """Return the current year."""
    return now.year


def date_of(date: Date, *, now: dt.datetime) -> dt.date:
    """Return the date that words such as ``next friday`` or ``Easter`` mean."""
    return _coming(date, now)


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


def time_until(date: Date, unit: str, *, now: dt.datetime) -> int | str:
    """Return how many weeks, months, years, days or hours are left until a date.

    Weeks, months and years come with what is left over: ``4 weeks, 5 days``. Hours, minutes and
    seconds are counted from this moment to the beginning of the date.
    """
    return _apart(now.date(), _coming(date, now), unit, now)


def time_since(date: Date, unit: str, *, now: dt.datetime) -> int | str:
    """Return how many weeks, months, years, days or hours have passed since a date."""
    return _apart(read_date(date, now), now.date(), unit, now)


def time_between(first: Date, second: Date, unit: str, *, now: dt.datetime) -> int | str:
    """Return how many weeks, months, years, days or hours lie between two dates."""
    early, late = sorted((read_date(first, now), read_date(second, now)))
    return _apart(early, late, unit, None)


def difference(first: Date, second: Date, *, now: dt.datetime) -> str:
    """Return the time between two dates in words: ``1 year, 2 months, 3 days``."""
    apart = _relative(*sorted((read_date(first, now), read_date(second, now))))
    return in_words(year=apart.years, month=apart.months, day=apart.days)


def age(birthday: Date, *, now: dt.datetime) -> int:
    """Return the age in whole years of a person born on a date."""
    return age_on(birthday, now, now=now)


def age_on(birthday: Date, date: Date, *, now: dt.datetime) -> int:
    """Return the age in whole years that a person has on a date."""
    born, day = read_date(birthday, now), read_date(date, now)
    if born > day:
        raise ArgumentsError(f"{born} is after {day}")
    years: int = _relative(born, day).years
    return years


def birth_year(age: int, *, now: dt.datetime) -> str:
    """Return the year in which a person of that age was born: one of two."""
    if type(age) is not int or not 0 <= age <= 150:
        raise ArgumentsError("age must be a whole number from 0 to 150")
    return f"{now.year - age - 1} or {now.year - age}"


def days_until_birthday(birthday: Date, *, now: dt.datetime) -> int:
    """Return how many days are left until the next birthday of a person born on a date."""
    born = read_date(birthday, now)
    years = max(0, now.year - born.year)
    day = _shifted(born, years, "years")
    if day < now.date():
        day = _shifted(born, years + 1, "years")
    return (day - now.date()).days


def shift(date: Date, amount: int, unit: str, *, now: dt.datetime) -> dt.date:
    """Return the date so many days, weeks, months or years later; earlier if negative.

    A month later keeps the day, or is the last of a shorter month. ``workdays`` leaves out Saturday
    and Sunday.
    """
    start, name = read_date(date, now), unit_of_time(unit)
    check_amount(amount)
    if name == "workdays":
        return _shift_workdays(start, int(amount))
    if name not in _UNITS[:4]:
        raise ArgumentsError(f"a date is shifted by days, weeks, months or years, not {unit}")
    return _shifted(start, int(amount), name)


def shift_back(date: Date, amount: int, unit: str, *, now: dt.datetime) -> dt.date:
    """Return the date so many days, weeks, months or years before a date."""
    check_amount(amount)
    return shift(date, -amount, unit, now=now)


def from_now(amount: float, unit: str, *, now: dt.datetime) -> dt.date | dt.datetime:
    """Return the date, or for hours, minutes and seconds the moment, so long from now."""
    name = unit_of_time(unit)
    if name in CLOCK:
        # By way of UTC: an hour is an hour even where the clock changes.
        later = _later(now.astimezone(dt.UTC), span_of(amount, name))
        return later.astimezone(now.tzinfo).replace(microsecond=0)
    check_amount(amount)
    return shift(now.date(), int(amount), unit, now=now)


def ago(amount: float, unit: str, *, now: dt.datetime) -> dt.date | dt.datetime:
    """Return the date, or for hours, minutes and seconds the moment, so long ago."""
    if type(amount) not in (int, float):
        raise ArgumentsError("the amount must be a number")
    return from_now(-amount, unit, now=now)


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


def day_of_year(date: Date, *, now: dt.datetime) -> int:
    """Return which day of its year a date is."""
    return read_date(date, now).timetuple().tm_yday


def quarter_of(date: Date, *, now: dt.datetime) -> int:
    """Return the quarter of the year in which a date lies, from 1 to 4."""
    return (read_date(date, now).month + 2) // 3


def is_weekend(date: Date, *, now: dt.datetime) -> bool:
    """Return whether a date is a Saturday or a Sunday."""
    return read_date(date, now).weekday() >= 5


def holiday(name: str, year: int, *, now: dt.datetime) -> dt.date:
    """Return the date of a holiday such as ``Easter`` or ``Christmas Eve`` in a year."""
    found = _holiday(name, year_of(year))
    if found is None:
        raise ArgumentsError(f"{str(name)[:40]!r} is not a holiday that I know")
    return found


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


def in_words(**parts: int) -> str:
    """Return a span of time in words; parts of zero are left out.

    >>> in_words(hour=2, minute=1), in_words(week=1, day=0), in_words(day=0)
    ('2 hours, 1 minute', '1 week', '0 days')
    """
    said = [f"{count} {name}{'s' * (count != 1)}" for name, count in parts.items() if count]
    return ", ".join(said) or f"0 {[*parts][-1]}s"


def span_of(amount: float, unit: str) -> dt.timedelta:
    """Return a time of so many hours, minutes or seconds."""
    if type(amount) not in (int, float) or not abs(amount) <= MAX_SHIFT:
        raise ArgumentsError(f"the amount must be a number of at most {MAX_SHIFT:,}")
    return dt.timedelta(**{unit: amount})


def _apart(early: dt.date, late: dt.date, unit: str, now: dt.datetime | None) -> int | str:
    """Return the time between two dates in a unit; ``now`` is the moment that one of them is."""
    name, days = unit_of_time(unit), (late - early).days
    if name == "workdays":
        raise ArgumentsError("for working days, ask between two dates")
    if name in CLOCK:
        seconds = days * 86_400
        if now is not None:
            gone = (now.hour * 60 + now.minute) * 60 + now.second
            seconds += gone if late == now.date() else -gone
        return seconds // {"hours": 3600, "minutes": 60, "seconds": 1}[name]
    if name == "days":
        return days
    if days < 0:
        raise ArgumentsError(f"{late} is before {early}")
    if name == "weeks":
        return in_words(week=days // 7, day=days % 7)
    apart = _relative(early, late)
    if name == "months":
        return in_words(month=apart.years * 12 + apart.months, day=apart.days)
    return in_words(year=apart.years, month=apart.months, day=apart.days)


def _relative(early: dt.date, late: dt.date) -> Any:
    from dateutil.relativedelta import relativedelta

    return relativedelta(late, early)


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


def unit_of_time(unit: str) -> str:
    """Return the plural of a unit of time, or ``workdays``."""
    name = str(unit)[:20].strip().lower().rstrip("s") + "s"
    name = {"fortnights": "weeks", "workingdays": "workdays", "businessdays": "workdays"}.get(
        name.replace(" ", ""), name
    )
    if name not in (*_UNITS, "workdays"):
        raise ArgumentsError(f"{unit!r} is not one of {', '.join(_UNITS)}, workdays")
    return name


def check_amount(amount: Any) -> None:
    """Raise ArgumentsError unless it is a whole number of a sensible size."""
    if type(amount) not in (int, float) or amount != amount // 1 or abs(amount) > MAX_SHIFT:
        raise ArgumentsError(f"the amount must be a whole number of at most {MAX_SHIFT:,}")


def year_of(year: Any) -> int:
    """Return a year that the calendar has."""
    if type(year) is not int or not dt.MINYEAR <= year <= dt.MAXYEAR:
        raise ArgumentsError("year must be a number from 1 to 9999")
    return year
