"""Dates in words and figures, relative days, weekdays, holidays.

    3 May   14 July 1789   next Friday   the day after tomorrow   Easter 2027   in 1999

A date without its year is the next one from ``now`` on; the last one before it where the sentence
looks back ("since", "ago", "was"). A weekday alone, or the next one, is the first after today; this
one may be today. A month is its first day, a year the first of January.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from bat_os.errors import ArgumentsError
from bat_os.natives.names import names
from bat_os.sentence.language import Phrases

if TYPE_CHECKING:
    from collections.abc import Callable

    from bat_os.sentence.language import Language
    from bat_os.sentence.values import Page, Value

    Found = tuple[list[Value], int]

FIRST_YEAR, LAST_YEAR = 1000, 2999  # of four figures that are taken for a year
_CENTURY: Final = 100
_PIVOT: Final = 30  # two figures beyond this many years from now are of the century before
_NUMERIC: Final = re.compile(
    r"(?<![\w.,/-])(?:"
    r"(?P<iso>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2})(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z?)?"
    r"|(?P<slash>[0-9]{4}/[0-9]{1,2}/[0-9]{1,2})"
    r"|(?P<one>[0-9]{1,2})(?P<sign>[./-])(?P<two>[0-9]{1,2})(?P=sign)(?P<year>[0-9]{4}|[0-9]{2})"
    r"|(?P<day>[0-9]{1,2})\.(?P<month>[0-9]{1,2})\.(?=\s|$)"
    r")(?![\w/]|[.,-][0-9])"
)
_GLUE: Final = 3  # words before a date, or between two, that belong to it: "from the", "to the"
_HOLIDAYS: Final = ("thanksgiving", "mothers day", "fathers day")


def find_numeric_dates(
    text: str, language: Language, now: dt.datetime
) -> list[tuple[int, int, str]]:
    """Return (start, end, ISO date) of the dates in figures, in order."""
    found = []
    for match in _NUMERIC.finditer(text):
        day = _numeric(match, language, now)
        if day is not None:
            found.append((match.start(), match.end(), day.isoformat()))
    return found


def _numeric(match: re.Match[str], language: Language, now: dt.datetime) -> dt.date | None:
    if whole := match["iso"] or match["slash"]:
        year, month, day = map(int, re.split("[-/]", whole))
        return _date(year, month, day)
    if match["day"]:
        if language.decimal == ".":
            return None
        return _next_or_last(int(match["month"]), int(match["day"]), now, past=False)
    one, two, year = int(match["one"]), int(match["two"]), int(match["year"])
    if len(match["year"]) == 2:
        if match["sign"] == "-":
            return None
        year = _century_of(year, now)
    month_first = language.month_first and match["sign"] != "."
    first, other = ((one, two), (two, one)) if month_first else ((two, one), (one, two))
    return _date(year, *first) or _date(year, *other)


def read_date(page: Page, at: int) -> Found | None:
    """Return the longest date at ``at``."""
    found = _read_longest(page, at)
    if found is None:
        return None
    day, end = _after_first(page, at, found)
    if end < len(page.words) and page.words[end].low in ("'s", "\u2019s"):
        return None  # today's weather
    return [page.value("date", day.isoformat(), at, end)], end


def _read_longest(page: Page, at: int) -> tuple[dt.date, int] | None:
    found = [each for each in (read(page, at) for read in _READERS) if each is not None]
    return max(found, key=lambda each: each[1]) if found else None


def _after_first(page: Page, at: int, found: tuple[dt.date, int]) -> tuple[dt.date, int]:
    """Return the second date of "from Monday to Friday" as the first one from the Monday on.

    Today and yesterday are what they are, and so is a date with its year.
    """
    before = page.found[-1] if page.found else None
    if before is None or before.kind != "date" or not _opens_range(page, at, before):
        return found
    first = dt.date.fromisoformat(before.value)
    if found[0] >= first or _read_relative(page, at):
        return found
    start = dt.datetime.combine(first, dt.time(), page.now.tzinfo)
    again = _read_longest(replace(page, now=start, past=False), at)
    return again if again and again[0] >= first and again[1] == found[1] else found


def _opens_range(page: Page, at: int, first: Value) -> bool:
    """Return whether ``first`` begins what ends at the word ``at``: "between Easter and"."""
    words = page.words
    begins = next(i for i, word in enumerate(words) if word.end > first.start)
    ends = next(i for i, word in enumerate(words) if word.end >= first.end)
    cues = page.language.phrases("dates", "from")
    cue = any(
        _skip(page, match[1]) == begins
        for start in range(max(begins - _GLUE, 0), begins)
        if (match := cues.match(words, start))
    )
    return cue and at - ends - 1 <= _GLUE


def _read_relative(page: Page, at: int) -> tuple[dt.date, int] | None:
    match = page.language.phrases("days").match(page.words, at)
    if match is None:
        return None
    return page.now.date() + dt.timedelta(days=match[0]), match[1]


def _read_weekday(page: Page, at: int) -> tuple[dt.date, int] | None:
    """Return ``friday``, ``next friday``, ``vendredi prochain``."""
    side, start = _side(page, at)
    match = page.language.phrases("weekdays").match(page.words, start)
    if match is None or _is_other_word(page, start):
        return None
    end = match[1]
    if not side:
        side, end = _side(page, end)
    ahead = (match[0] - page.now.isoweekday()) % 7
    if side == "last" or (not side and page.past):
        return page.now.date() - dt.timedelta(days=7 - ahead), end
    return page.now.date() + dt.timedelta(days=ahead or (0 if side == "this" else 7)), end


def _side(page: Page, at: int) -> tuple[str, int]:
    for side in ("next", "this", "last"):
        match = page.language.phrases("dates", side).match(page.words, at)
        if match:
            return side, match[1]
    return "", at


def _is_other_word(page: Page, at: int) -> bool:
    """Return whether the word is written like an ordinary one: may, march, sat."""
    word = page.words[at]
    return word.text.islower() and word.low in page.language.phrases("dates", "words_too")


def _read_calendar(page: Page, at: int) -> tuple[dt.date, int] | None:
    """Return a day and month, with a weekday before and a year behind if given."""
    weekday = page.language.phrases("weekdays").match(page.words, at)
    start = _skip(page, weekday[1]) if weekday else at
    day = _day(page, start)
    if day:
        month = _month(page, _skip(page, day[1]))
        if month is None:
            return None
        return _completed(page, month[0], day[0], month[1])
    month = _month(page, start)
    if month is None or _is_numbered(page, start):
        return None
    day = _day(page, _skip(page, month[1]))
    if day and not (day[2] and _year_at(page, month[1])):
        return _completed(page, month[0], day[0], day[1])
    return _month_alone(page, start, *month)


def _read_coming(page: Page, at: int) -> tuple[dt.date, int] | None:
    """Return ``next 14 february``, which is the one that is read without the word, too."""
    side, first = _side(page, at)
    if side != "next" or page.past or not _day(page, first):
        return None
    return _read_calendar(page, first)


def _is_numbered(page: Page, at: int) -> bool:
    """Return whether a day stands before a month, one that the month does not have."""
    for start in range(max(at - 4, 0), at):
        day = _day(page, start)
        if day and _skip(page, day[1]) == at:
            return True
    return False


def _read_nth_weekday(page: Page, at: int) -> tuple[dt.date, int] | None:
    """Return ``third thursday of november``, ``last friday in may 2027``."""
    which = page.language.phrases("dates", "last").match(page.words, at)
    start = which[1] if which else at
    day = None if which else _day(page, at)
    if day:
        start = day[1]
    weekday = page.language.phrases("weekdays").match(page.words, start) if start > at else None
    month = _month(page, _skip(page, weekday[1])) if weekday else None
    if weekday is None or month is None:
        return None
    year = _year_at(page, _skip(page, month[1]))
    years = [year[0]] if year else [page.now.year + step for step in (-1, 0, 1)]
    number = day[0] if day else 0
    days = [_nth_weekday(number, weekday[0], month[0], each) for each in years]
    today = page.now.date()
    if not year:
        days = [each for each in days if each and (each <= today if page.past else each >= today)]
    found = days[-1 if page.past else 0] if days else None
    return (found, year[1] if year else month[1]) if found else None


def _nth_weekday(number: int, weekday: int, month: int, year: int) -> dt.date | None:
    """Return the date of such a weekday in a month; the last one if the number is 0."""
    first = dt.date(year, month, 1)
    day = 1 + (weekday - first.isoweekday()) % 7
    days = [each for each in range(day, 32, 7) if _date(year, month, each)]
    return _date(year, month, days[number - 1]) if number <= len(days) else None


def _month_alone(page: Page, at: int, month: int, end: int) -> tuple[dt.date, int] | None:
    year = _year_at(page, _skip(page, end))
    if year:
        found = _date(year[0], month, 1)
        return (found, year[1]) if found else None
    if _is_other_word(page, at):
        return None
    if month == page.now.month:
        return page.now.date().replace(day=1), end
    first = _next_or_last(month, 1, page.now, past=page.past)
    return (first, end) if first else None


def _completed(page: Page, month: int, day: int, end: int) -> tuple[dt.date, int] | None:
    behind = end + 1 if end < len(page.words) and page.words[end].text == "," else _skip(page, end)
    year = _year_at(page, behind) or _short_year_at(page, end)
    if year:
        found, end = _date(year[0], month, day), year[1]
    else:
        found = _next_or_last(month, day, page.now, past=page.past)
    return (found, end) if found else None


def _short_year_at(page: Page, at: int) -> tuple[int, int] | None:
    """Return the year of "12 May 68": two figures that nothing follows which they could count."""
    behind = page.words[at + 1 : at + 2]
    if at >= len(page.words) or not re.fullmatch("[0-9]{2}", page.words[at].text):
        return None
    if behind and (behind[0].text not in ("?", "!", ".", ",") or page.words[at + 2 : at + 3]):
        return None
    return _century_of(int(page.words[at].text), page.now), at + 1


def _century_of(figures: int, now: dt.datetime) -> int:
    """Return the year that two figures mean."""
    year = figures + now.year // _CENTURY * _CENTURY
    return year - _CENTURY if year > now.year + _PIVOT else year


def _skip(page: Page, at: int) -> int:
    """Return the index behind ``the``, ``of`` or a comma."""
    glue = page.language.phrases("dates", "glue")
    for _ in range(_GLUE):
        match = glue.match(page.words, at)
        if match:
            at = match[1]
        elif at < len(page.words) and page.words[at].text in (",", "."):
            at += 1
        else:
            break
    return at


def _day(page: Page, at: int) -> tuple[int, int, bool] | None:
    """Return (day, index behind, written in figures alone)."""
    if at >= len(page.words):
        return None
    word = page.words[at]
    if word.kind != "digits":
        match = page.language.phrases("ordinals").match(page.words, at)
        match = match or page.language.phrases("numbers", "words").match(page.words, at)
        return (match[0], match[1], False) if match and 0 < match[0] <= 31 else None
    if not word.text.isdecimal() or not 0 < len(word.text) <= 2 or not 0 < int(word.text) <= 31:
        return None
    end = at + 1
    if end < len(page.words) and page.words[end].tight:
        suffixes = page.language.phrases("dates", "suffixes")
        if page.words[end].low in suffixes:
            return int(word.text), end + 1, False
    return int(word.text), end, True


def _month(page: Page, at: int) -> tuple[int, int] | None:
    match: tuple[int, int] | None = page.language.phrases("months").match(page.words, at)
    if match and match[1] < len(page.words) and page.words[match[1]].text == ".":
        behind = match[1] + 1  # an abbreviation
        if len(page.words[at].text) <= 4 and behind < len(page.words):
            return match[0], behind
    return match


def _year_at(page: Page, at: int) -> tuple[int, int] | None:
    if at >= len(page.words):
        return None
    word = page.words[at]
    if word.kind != "digits" or not re.fullmatch("[0-9]{4}", word.text):
        return None
    year = int(word.text)
    return (year, at + 1) if FIRST_YEAR <= year <= LAST_YEAR else None


def _read_year(page: Page, at: int) -> tuple[dt.date, int] | None:
    """Return the year of ``in 1999``; the word before it tells that it is one."""
    year = _year_at(page, at)
    if year is None:
        return None
    cues = page.language.phrases("dates", "year")
    for back in range(1, 4):
        match = cues.match(page.words, at - back) if at >= back else None
        if match and match[1] == at:
            behind = page.words[at + 1] if at + 1 < len(page.words) else None
            quantity = (
                behind is not None
                and behind.kind == "word"
                and (page.language.phrases("units").match(page.words, at + 1) is not None)
            )
            return None if quantity else (dt.date(year[0], 1, 1), at + 1)
    return None


def _read_holiday(page: Page, at: int) -> tuple[dt.date, int] | None:
    match = _holidays(page.language).match(page.words, at)
    if match is None:
        return None
    name, end = match
    year = _year_at(page, _skip(page, end))
    if year:
        found, end = _holiday(name, year[0]), year[1]
        return (found, end) if found else None
    days = [_holiday(name, page.now.year + step) for step in (-1, 0, 1)]
    today = page.now.date()
    if page.past:
        before = [day for day in days if day and day <= today]
        return (before[-1], end) if before else None
    ahead = [day for day in days if day and day >= today]
    return (ahead[0], end) if ahead else None


@cache
def _holidays(language: Language) -> Phrases:
    own = dict(language.phrases("holidays").items())
    shared = {name: name for name in (*names("holidays"), *names("easter"), *_HOLIDAYS)}
    apart = {
        name.replace("s day", "'s day").replace("s eve", "'s eve"): name
        for name in shared
        if "s day" in name or "s eve" in name
    }
    return Phrases({**shared, **apart, **own})


def _holiday(name: str, year: int) -> dt.date | None:
    # Here: dateutil is needed for few sentences.
    from bat_os.natives import calendar

    try:
        return calendar.holiday(name, year, now=dt.datetime(year, 1, 1, tzinfo=dt.UTC))
    except ArgumentsError:
        return None


def _next_or_last(month: int, day: int, now: dt.datetime, *, past: bool) -> dt.date | None:
    """Return the next such day from today on, or the last one up to today."""
    today = now.date()
    years = range(now.year, now.year - 9, -1) if past else range(now.year, now.year + 9)
    days = (_date(year, month, day) for year in years)
    return next((d for d in days if d and (d <= today if past else d >= today)), None)


def _date(year: int, month: int, day: int) -> dt.date | None:
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


_READERS: Final[tuple[Callable[[Page, int], tuple[dt.date, int] | None], ...]] = (
    _read_relative,
    _read_weekday,
    _read_nth_weekday,
    _read_calendar,
    _read_coming,
    _read_holiday,
    _read_year,
)
