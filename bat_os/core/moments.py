"""Moments as people write them: a transaction, a mission, a time of day, two hours ago.

    0414c8f1a2b3c4d5          a transaction: 16 hexadecimal digits
    019a2b3c4d5e0f1a2b3c4d5e  a mission: 24 hexadecimal digits; the moment of its end
    2026-11-21                that day's beginning
    2026-11-21 14:30          with a time; seconds and a time zone may follow
    2 hours ago, 3d ago       also minutes, days, weeks
    yesterday, now

Pure: what time it is now is passed in.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final, Literal

from bat_os.errors import ArgumentsError

_TID: Final = re.compile(r"[0-9a-f]{16}\Z")
_MISSION: Final = re.compile(r"[0-9a-f]{24}\Z")
_AGO: Final = re.compile(r"(\d{1,9}|an?)\s*([a-z]+)\s+ago\Z")
_UNITS: Final = {
    "s": 1, "sec": 1, "second": 1,
    "m": 60, "min": 60, "minute": 60,
    "h": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400,
    "w": 604_800, "week": 604_800,
}  # fmt: skip
MAX_TEXT: Final = 60
FIRST_YEAR: Final = 1970  # no image is older, and a transaction cannot name a time before 1900


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the image's history."""

    kind: Literal["transaction", "mission", "time"]  # what ``text`` or ``time`` says
    text: str = ""  # hexadecimal digits of a transaction or mission; else ""
    time: dt.datetime | None = None  # with its time zone; None for a transaction or mission


def parse_when(text: str, now: dt.datetime) -> Moment:
    """Return the moment that ``text`` names.

    >>> now = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
    >>> parse_when("2 hours ago", now).time.isoformat()
    '2026-11-21T10:00:00+00:00'
    >>> parse_when("0414c8f1a2b3c4d5", now).kind
    'transaction'

    Args:
        text: One of the forms above, in any case.
        now: The present moment with its time zone, which a time without one is in.

    Raises:
        ArgumentsError: It is of no such form, or lies in the future or before FIRST_YEAR.
    """
    words = " ".join(text.split()).lower()
    if len(words) > MAX_TEXT:
        raise _unreadable(text)
    if _TID.match(words):
        return Moment("transaction", words)
    if _MISSION.match(words):
        return Moment("mission", words)
    moment = _read_time(words, now)
    if moment is None:
        raise _unreadable(text)
    if moment.year < FIRST_YEAR:  # before it is compared: year 1 has no moment in UTC
        raise ArgumentsError(f"{text[:MAX_TEXT]!r} is before {FIRST_YEAR}; no image is that old")
    if moment > now:
        raise ArgumentsError(f"{text[:MAX_TEXT]!r} lies in the future")
    return Moment("time", time=moment)


def _read_time(words: str, now: dt.datetime) -> dt.datetime | None:
    if words == "now":
        return now
    if words == "yesterday":
        return now - dt.timedelta(days=1)
    try:
        if ago := _AGO.match(words):
            count = 1 if ago[1].startswith("a") else int(ago[1])
            seconds = _UNITS.get(ago[2]) or _UNITS.get(ago[2].removesuffix("s"))
            return now - dt.timedelta(seconds=count * seconds) if seconds else None
        moment = dt.datetime.fromisoformat(words.upper())
        # Across a change of the clocks it is the local time of then that counts.
        return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
    except (ValueError, OverflowError):
        return None


def _unreadable(text: str) -> ArgumentsError:
    return ArgumentsError(
        f"{text[:MAX_TEXT]!r} is not a moment; write a time (2026-11-21 14:30), '2 hours ago', or "
        "the id of a transaction or mission"
    )
