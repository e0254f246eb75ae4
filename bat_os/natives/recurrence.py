"""When something is due: a rule in, the next moment out. By cronsim and zoneinfo; no clock.

    {"at": 1764000000.0}                              once, at that Unix time
    {"every": 1200, "start": 1764000000.0}            every so many seconds
    {"days": 14, "start": "2026-11-23T09:00"}         every so many days, at that time of day
    {"cron": "30 8 * * 1-5"}                          five fields, in the zone of the schedule

A zone is a name such as ``Europe/Berlin``, or "" for the machine's own. A time of day that a night
leaves out comes once, right after the gap; one that a night has twice comes the first time.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import zoneinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cronsim import CronSim, CronSimError
from dateutil import tz

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Rule = Mapping[str, Any]

SHORTEST: Final = 60  # seconds between two moments of a rule
LONGEST: Final = 366 * 50  # days
COUNTED: Final = 1_000  # missed moments beyond which nobody counts
_MAX_CRON: Final = 100  # characters
_DAY: Final = dt.timedelta(days=1)
_DAYS: Final = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")


def check_rule(rule: Rule, zone: str) -> None:
    """Check a rule that comes from outside.

    Raises:
        ArgumentsError: It is none, or its moments lie too near.
    """
    find_zone(zone)
    if "cron" in rule:
        _check_cron(str(rule["cron"]))
    elif "every" in rule:
        if not SHORTEST <= rule["every"] <= LONGEST * 86_400:
            raise ArgumentsError(f"a repetition takes {SHORTEST} seconds or more")
    elif "days" in rule:
        if not 1 <= rule["days"] <= LONGEST:
            raise ArgumentsError("a repetition in days takes one day or more")
    elif not math.isfinite(rule.get("at", math.nan)):
        raise ArgumentsError("a rule is a moment, a repetition or a cron line")


def _check_cron(line: str) -> None:
    if len(line) > _MAX_CRON or len(line.split()) != 5:  # six fields would have seconds
        raise ArgumentsError(f"{line[:60]!r} is not a cron line of five fields: '30 8 * * 1-5'")
    try:
        CronSim(line, dt.datetime(2026, 1, 1))  # noqa: DTZ001 - no moment is taken from it
    except CronSimError as error:
        raise ArgumentsError(f"{line[:60]!r} is not a cron line: {error}") from error


def as_rrule(rule: Rule) -> dict[str, Any] | None:
    """Return a rule as the parts of an RRULE of RFC 5545; None if that has no words for it.

    >>> as_rrule({"cron": "30 8 * * 1-5"})["byday"]
    ['MO', 'TU', 'WE', 'TH', 'FR']
    """
    if "every" in rule:
        return {"freq": "SECONDLY", "interval": int(rule["every"])}
    if "days" in rule:
        return {"freq": "DAILY", "interval": int(rule["days"])}
    if not re.fullmatch(r"[\d*,/ -]+", str(rule.get("cron", ""))):
        return None
    minute, hour, day, month, weekday = str(rule["cron"]).split()
    if "*" not in (day, weekday):
        return None  # of two, cron takes either, and RFC 5545 both
    parts: dict[str, Any] = {"freq": "DAILY"}
    for name, text, low, high in (
        ("byminute", minute, 0, 59), ("byhour", hour, 0, 23), ("bymonthday", day, 1, 31),
        ("bymonth", month, 1, 12), ("byday", weekday, 0, 7),
    ):  # fmt: skip
        if text != "*" or name in ("byminute", "byhour"):
            parts[name] = _expand(text, low, high)
    if "byday" in parts:
        parts["byday"] = [_DAYS[one] for one in sorted({each % 7 for each in parts["byday"]})]
    return parts


def _expand(text: str, low: int, high: int) -> list[int]:
    """Return the numbers of one field of a cron line.

    >>> _expand("*/15", 0, 59), _expand("1-3,7", 0, 7)
    ([0, 15, 30, 45], [1, 2, 3, 7])
    """
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = low if span == "*" else int(first)
        end = int(last) if dash else high if span == "*" or step else start
        found.update(range(start, end + 1, int(step or 1)))
    return sorted(found)


def find_zone(zone: str) -> dt.tzinfo:
    """Return a zone by its name; "" is the machine's own.

    Raises:
        ArgumentsError: No such zone is known.
    """
    if not zone:
        local: dt.tzinfo = tz.tzlocal()
        return local
    try:
        return zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ArgumentsError(f"{zone[:40]!r} is not a zone; write Europe/Berlin") from error


def moment_of(local: dt.datetime, zone: str) -> float:
    """Return the Unix time of a time on the clock of a zone; one in a gap is right after it."""
    aware = local.replace(tzinfo=find_zone(zone), fold=0)
    while not tz.datetime_exists(aware):  # an hour as a rule, a day at most
        aware = aware.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
    return aware.timestamp()


def local_time(moment: float, zone: str) -> dt.datetime:
    """Return what the clock of a zone shows at a Unix time, without its zone."""
    return dt.datetime.fromtimestamp(moment, find_zone(zone)).replace(tzinfo=None, fold=0)


def next_after(rule: Rule, zone: str, moment: float) -> float | None:
    """Return the first moment of a rule that is later than ``moment``; None if none is."""
    if "watch" in rule:
        return None
    if "at" in rule:
        return float(rule["at"]) if rule["at"] > moment else None
    if "every" in rule:
        step, start = float(rule["every"]), float(rule["start"])
        return start + step * max(1, math.floor((moment - start) / step) + 1)
    if "days" in rule:
        return _next_day(rule, zone, moment)
    return _next_of_cron(str(rule["cron"]), zone, moment)


def _next_day(rule: Rule, zone: str, moment: float) -> float:
    start = dt.datetime.fromisoformat(rule["start"])
    gone = (local_time(moment, zone) - start) // _DAY
    turn = max(0, gone // int(rule["days"]))
    while True:
        found = moment_of(start + turn * int(rule["days"]) * _DAY, zone)
        if found > moment:
            return found
        turn += 1


@lru_cache(maxsize=4096)
def _next_of_cron(line: str, zone: str, moment: float) -> float | None:
    here = find_zone(zone)
    # The moments of a night that has an hour twice may come again: only later ones count.
    for found in CronSim(line, dt.datetime.fromtimestamp(moment, here)):
        if found.timestamp() > moment:
            return found.timestamp()
    return None


def moments_between(rule: Rule, zone: str, first: float, until: float) -> list[float]:
    """Return the moments of a rule from ``first``, which is one, up to ``until``.

    Beyond COUNTED only the latest are returned where they can be reckoned, else the first.
    """
    if "every" in rule:
        count = math.floor((until - first) / rule["every"])
        begin = max(0, count - COUNTED + 1)
        return [first + at * rule["every"] for at in range(begin, count + 1)]
    found: list[float] = []
    moment: float | None = first
    while moment is not None and moment <= until and len(found) < COUNTED:
        found.append(moment)
        moment = next_after(rule, zone, moment)
    return found
