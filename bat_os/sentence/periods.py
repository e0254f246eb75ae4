"""Spans of days as people name them: "today", "last week", "this month", or a date. Pure.

The words are data, ``languages/periods.toml``.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from bat_os.sentence.reading import read_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHARS: Final = 200


def find_period(words: str, now: dt.datetime, language: str) -> tuple[dt.date, dt.date] | None:
    """Return the first and the last day of a span, or None if the words name none.

    >>> find_period("last week", dt.datetime(2026, 5, 6), "en")
    (datetime.date(2026, 4, 27), datetime.date(2026, 5, 3))
    """
    said, today = f" {' '.join(words[:MAX_CHARS].casefold().split())} ", now.date()
    known = _periods().get(language) or _periods()["en"]
    for name in sorted(known, key=len, reverse=True):
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said):
            back, unit = known[name]
            return _span(today, int(back), str(unit))
    for value in read_sentence(words[:MAX_CHARS], now, language).values:
        if value.kind == "date":
            day = dt.date.fromisoformat(str(value.value)[:10])
            return day, day
    return None


def _span(today: dt.date, back: int, unit: str) -> tuple[dt.date, dt.date]:
    one = dt.timedelta(days=1)
    if unit == "day":
        day = today - back * one
        return day, day
    if unit == "week":
        monday = today - (today.weekday() + 7 * back) * one
        return monday, monday + 6 * one
    if unit == "month":
        return _month(today, back), _month(today, back - 1) - one
    return dt.date(today.year - back, 1, 1), dt.date(today.year - back, 12, 31)


def _month(today: dt.date, back: int) -> dt.date:
    months = today.year * 12 + today.month - 1 - back
    return dt.date(months // 12, months % 12 + 1, 1)


@cache
def _periods() -> Mapping[str, Mapping[str, tuple[int, str]]]:
    file = resources.files("bat_os.sentence") / "languages" / "periods.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
