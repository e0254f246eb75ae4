"""A timing on a clock: its rule and its first moment, and both in words. Pure.

    Timing(date="2026-11-24", time="09:00")   >  {"at": 1795507200.0}, "tomorrow at 09:00"
    Timing(every=(1, "week"), days=(1,))      >  {"cron": "0 9 * * 1"}, "every Monday at 09:00"

An hour that is over today is tomorrow's, and where people count to twelve, the other half of the
day comes first; ``Plan.note`` says so.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.natives.recurrence import local_time, moment_of, next_after
from bat_os.sentence.texts import read_texts, text
from bat_os.sentence.timing import SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.sentence.timing import Timing

USUAL: Final = "09:00"  # where only a day is said
_SHORT: Final = frozenset({"second", "minute", "hour"})
_NIGHT: Final = 6  # an hour before it is not meant by "at 3"
_HALF: Final = 12
_DAY: Final = dt.timedelta(days=1)
_WORKING: Final = (1, 2, 3, 4, 5)
_CRON: Final = re.compile(r"(\d+) (\d+) (\S+) (\S+) (\S+)")
_SAME: Final = 4 * 60  # minutes: what a timer says in words


@dataclass(frozen=True, slots=True)
class Plan:
    """When something is due."""

    rule: Mapping[str, Any]
    next: float  # Unix time
    note: str = ""  # what was taken for granted: a key of the texts


def plan(
    timing: Timing, now: float, zone: str, *, early: bool = False, near: dt.datetime | None = None
) -> Plan | None:
    """Return when a timing is due; None if it does not say when, or a moment that is over.

    Args:
        timing: What was said.
        now: The present moment, as Unix time.
        zone: Of the person; "" is the machine's own.
        early: An hour alone is one of the morning: a person wakes.
        near: What it was before, if it is moved: an hour alone is of that half of the day, and
            without a date of that day.
    """
    try:
        found = _plan(timing, now, zone, early=early, near=near)
    except (OverflowError, ValueError, OSError, ArgumentsError):
        return None
    if found is None or timing.lead is None:
        return found
    return _ahead(found, timing.lead, now, zone)


def is_over(timing: Timing, now: float, zone: str) -> bool:
    """Return whether a timing names a moment that has passed."""
    if timing.repeats or timing.span or not timing.date:
        return False
    here = local_time(now, zone)
    day = dt.date.fromisoformat(timing.date)
    if day != here.date():
        return day < here.date()
    return plan(timing, now, zone) is None and bool(timing.time or timing.part)


def _plan(
    timing: Timing, now: float, zone: str, *, early: bool, near: dt.datetime | None
) -> Plan | None:
    here = local_time(now, zone)
    if timing.repeats:
        return _repeat(timing, now, zone, early=early)
    if timing.span is not None:
        return _from_now(timing, timing.span, now, zone)
    time, note = _time_of(timing, early=early, near=near)
    if timing.date:
        return _on_date(timing, time, note, now, zone)
    day = max(near.date(), here.date()) if near is not None else here.date()
    twice = timing.is_bare and near is None and not early
    found = _next_hour(_combine(day, time), here, zone, twice=twice) if time else None
    return found if found is None or not early else replace(found, note="")


def _next_hour(local: dt.datetime, here: dt.datetime, zone: str, *, twice: bool) -> Plan:
    """Return when a time of day comes next; ``twice``: it may be of either half of the day."""
    other = _other_half(local) if twice else None
    coming = [each for each in (local, other) if each and each > here and each.hour >= _NIGHT]
    if coming or (local > here and other is None):
        best = min(coming, default=local)
        return _once(best, zone, "reminders.later" if best is other else "")
    tomorrow = local + _DAY
    if other is not None and local.hour < _NIGHT:
        tomorrow = other + _DAY
    return _once(tomorrow, zone, "reminders.tomorrow_then" if local.hour >= _NIGHT else "")


def _other_half(local: dt.datetime) -> dt.datetime:
    return local + dt.timedelta(hours=_HALF if local.hour < _HALF else -_HALF)


def _on_date(timing: Timing, time: str, note: str, now: float, zone: str) -> Plan | None:
    here, day = local_time(now, zone), dt.date.fromisoformat(timing.date)
    if not time and day == here.date():
        return None  # "today" says no hour
    local = _combine(day, time or USUAL)
    is_small = timing.is_bare and 1 <= local.hour < _NIGHT
    if timing.is_bare and (is_small or (local <= here and day == here.date())):
        local = _other_half(local) if local.hour < _HALF else local
    if local <= here:
        return None
    return _once(local, zone, note if time else "reminders.assumed")


def _time_of(timing: Timing, *, early: bool, near: dt.datetime | None) -> tuple[str, str]:
    """Return the time of day that is meant, or ""; "tomorrow evening at 7" is 19:00."""
    if not timing.time:
        time = timing.part or (f"{near:%H:%M}" if near is not None and timing.date else "")
        return time, ""
    hour, minute = map(int, timing.time.split(":"))
    is_late = timing.part >= "12:00" if timing.part else near is not None and near.hour >= _HALF
    if (timing.is_bare or timing.part) and is_late and hour < _HALF and not early:
        hour += _HALF
    return f"{hour:02}:{minute:02}", ""


def _combine(day: dt.date, time: str) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.fromisoformat(time))


def _once(local: dt.datetime, zone: str, note: str = "") -> Plan:
    moment = moment_of(local, zone)
    return Plan({"at": moment}, moment, note)


def _from_now(timing: Timing, span: tuple[float, str], now: float, zone: str) -> Plan | None:
    number, unit = span
    if number <= 0:
        return None
    if unit in _SHORT:
        moment = now + round(number * SECONDS[unit])
        return Plan({"at": moment}, moment)
    here = local_time(now, zone)
    time, note = _time_of(timing, early=False, near=None)
    local = here + _days_of(number, unit, here)
    if time:
        local = _combine(local.date(), time)
    return _once(local, zone, note) if local > here else None


def _days_of(number: float, unit: str, here: dt.datetime) -> dt.timedelta:
    if unit in ("day", "week"):
        return dt.timedelta(seconds=number * SECONDS[unit])
    months = round(number * (12 if unit == "year" else 1))
    year, month = divmod(here.year * 12 + here.month - 1 + months, 12)
    for day in range(here.day, 27, -1):  # the last one of a shorter month
        try:
            return here.replace(year=year, month=month + 1, day=day) - here
        except ValueError:
            continue
    return here.replace(year=year, month=month + 1) - here


def _repeat(timing: Timing, now: float, zone: str, *, early: bool) -> Plan | None:
    number, unit = timing.every or (1, "day")
    if unit in _SHORT:
        rule: dict[str, Any] = {"every": round(number * SECONDS[unit]), "start": now}
        return Plan(rule, now + rule["every"]) if rule["every"] >= 60 else None
    time, _ = _time_of(timing, early=early, near=None)
    hour, minute = map(int, (time or USUAL).split(":"))
    if timing.is_bare and not early and 1 <= hour < _NIGHT:
        hour += _HALF
    here, note = local_time(now, zone), "" if time else "reminders.assumed"
    if number != int(number):
        return None
    first = _first_day(timing, here)
    if first.date() < here.date():
        return None  # "the last Friday of each month" was read as a day of the past
    if unit in ("day", "week") and number > 1:
        days = int(number) * (7 if unit == "week" else 1)
        start = first.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if start <= here:
            start += _DAY * (1 if unit == "day" else 7 if timing.days or timing.date else 0)
        rule = {"days": days, "start": start.isoformat(timespec="minutes")}
        return _first(rule, now, zone, note)
    line = _cron(timing, int(number), unit, first)
    return _first({"cron": f"{minute} {hour} {line}"}, now, zone, note) if line else None


def _first_day(timing: Timing, here: dt.datetime) -> dt.datetime:
    """Return the first day from today on that a repetition may fall on."""
    if timing.date:
        return dt.datetime.combine(dt.date.fromisoformat(timing.date), dt.time())
    wanted = timing.days or (here.isoweekday(),)
    return next(
        day for at in range(7) if (day := here + at * _DAY).isoweekday() in wanted
    )  # fmt: skip


def _cron(timing: Timing, number: int, unit: str, first: dt.datetime) -> str:
    """Return the last three fields of a cron line, or "" if none says it."""
    if unit == "week":
        days = timing.days or (first.isoweekday(),)
        named = "1-5" if tuple(days) == _WORKING else ",".join(str(day % 7) for day in days)
        return f"* * {named}"
    day, months = timing.nth or first.day, ""
    if unit == "month" and 12 % number == 0:
        each = sorted((first.month - 1 + number * at) % 12 + 1 for at in range(12 // number))
        months = "*" if number == 1 else ",".join(map(str, each))
    elif unit == "year" and number == 1:
        months = str(first.month)
    return "* * *" if unit == "day" else f"{day} {months} *" if months else ""


def _first(rule: dict[str, Any], now: float, zone: str, note: str) -> Plan | None:
    moment = next_after(rule, zone, now)
    return None if moment is None else Plan(rule, moment, note)


def _ahead(found: Plan, lead: tuple[float, str], now: float, zone: str) -> Plan | None:
    """Return a plan that is due so long before."""
    number, unit = lead
    if unit not in SECONDS:
        return None
    seconds = number * SECONDS[unit]
    if "at" in found.rule:
        moment = found.next - seconds
        return replace(found, rule={"at": moment}, next=moment) if moment > now else None
    if "cron" not in found.rule:
        return None
    minute, hour, rest = str(found.rule["cron"]).split(" ", 2)
    minutes = int(hour) * 60 + int(minute) - int(seconds // 60)
    if minutes < 0 or seconds % 60:  # it would be on another day
        return None
    return _first({"cron": f"{minutes % 60} {minutes // 60} {rest}"}, now, zone, found.note)


def say_moment(moment: float, now: float, zone: str, language: str) -> str:
    """Return a moment in words: "tomorrow at 09:00"."""
    local, here = local_time(moment, zone), local_time(now, zone)
    days = (local.date() - here.date()).days
    clock = f"{local:%H:%M:%S}" if local.second and abs(moment - now) < _SAME else f"{local:%H:%M}"
    words: Mapping[str, Any] = {"time": clock, "weekday": _weekday(local.isoweekday(), language)}
    if days in (-1, 0, 1):
        key = {-1: "yesterday", 0: "today", 1: "tomorrow"}[days]
        return text(language, f"due.{key}", **words)
    return text(language, "due.date", date=local.date(), **words)


def say_span(seconds: float, language: str) -> str:
    """Return how long something takes, in words: "2 hours and 5 minutes"."""
    left, parts = max(0, round(seconds)), list[str]()
    for unit in ("day", "hour", "minute", "second"):
        count, left = divmod(left, SECONDS[unit])
        if count and len(parts) < 2:
            parts.append(text(language, f"due.{unit}s", count=count))
    return text(language, "talk.value", value=parts or [text(language, "due.seconds", count=0)])


def say_rule(rule: Mapping[str, Any], zone: str, language: str) -> str:
    """Return a repetition in words: "every Monday at 18:00"; "" for a single moment."""
    if "watch" in rule:
        return _say_watch(rule, language)
    if "at" in rule:
        return ""
    if "every" in rule:
        unit = "hour" if rule["every"] % SECONDS["hour"] == 0 else "minute"
        return text(language, f"due.every_{unit}s", count=round(rule["every"] / SECONDS[unit]))
    if "days" in rule:
        start = dt.datetime.fromisoformat(rule["start"])
        span = text(language, "due.days", count=int(rule["days"]))
        return text(language, "due.every_at", span=span, time=f"{start:%H:%M}")
    found = _CRON.fullmatch(str(rule["cron"]))
    key, words = _words_of(found.groups(), language) if found else ("", {})
    return text(language, key, **words) if key else str(rule["cron"])


def _say_watch(rule: Mapping[str, Any], language: str) -> str:
    """Return when a watch is due: "when a file appears in ~/inbox"."""
    event = rule["on"][0] if len(rule["on"]) == 1 else "change"
    where = "in" if rule["inside"] and len(rule["on"]) == 1 else "of"
    said = text(language, f"watches.when_{where}_{event}", what=rule["shown"])
    if not rule.get("pattern"):
        return said
    return text(language, "watches.only", when=said, pattern=rule["pattern"].replace(" ", ", "))


def _words_of(fields: Sequence[str], language: str) -> tuple[str, dict[str, Any]]:
    """Return the text for a cron line, and its words; "" for one that people do not say."""
    minute, hour, day, month, weekdays = fields
    words: dict[str, Any] = {"time": f"{int(hour):02}:{int(minute):02}"}
    key = ""
    if (day, month) == ("*", "*"):
        key = {"*": "due.daily", "1-5": "due.weekdays"}.get(weekdays, "")
        if re.fullmatch(r"[0-7](,[0-7])*", weekdays):
            key = "due.weekly"
            words["days"] = [_weekday(int(each) or 7, language) for each in weekdays.split(",")]
    elif day.isdecimal() and weekdays == "*":
        words["day"] = int(day)
        if month == "*":
            key = "due.monthly"
        elif month.isdecimal():
            key, months = "due.yearly", read_texts(language)["date"]["months"]
            words["month"] = months[int(month) - 1]
    return key, words


def _weekday(number: int, language: str) -> str:
    return text(language, "due.names").split()[number - 1]
