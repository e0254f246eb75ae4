"""Times of day: 15:30, 3pm, half past three, halb vier, 15h30, las tres y media."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bat_os.sentence.values import Page, Value

    Found = tuple[list[Value], int]

_NOON: Final = 12
_DAY: Final = 24 * 60


def read_time(page: Page, at: int) -> Found | None:
    """Return the time of day at ``at``."""
    found = _read_figures(page, at) or _read_named(page, at) or _read_around(page, at)
    found = found or _read_hour(page, at)
    if found is None:
        return None
    minutes, end = found
    return [page.value("time", f"{minutes // 60:02}:{minutes % 60:02}", at, end)], end


def _read_named(page: Page, at: int) -> tuple[int, int] | None:
    match = page.language.phrases("times", "named").match(page.words, at)
    if match is None:
        return None
    hour, minute = map(int, match[0].split(":"))
    return hour * 60 + minute, match[1]


def _read_figures(page: Page, at: int) -> tuple[int, int] | None:
    """Return ``15:30``, ``15:30:00``, ``3:30 pm``, ``15h30``, ``15.30 Uhr``."""
    words = page.words
    if words[at].kind != "digits":
        return None
    end = at + 1
    match = re.fullmatch(r"([0-9]{1,2})[.,]([0-9]{2})", words[at].text)
    behind = page.language.phrases("times", "hour").match(words, end)
    if match:
        half = _half(page, end)
        if not behind and not half:
            return None
        hour, minute = int(match[1]), int(match[2])
        end = behind[1] if behind else end
    elif (
        end + 1 < len(words)
        and words[end].tight
        and words[end].low in (":", "h")
        and words[end + 1].tight
        and re.fullmatch("[0-9]{2}", words[end + 1].text)
        and len(words[at].text) <= 2
    ):
        hour, minute, end = int(words[at].text), int(words[end + 1].text), end + 2
        if end + 1 < len(words) and words[end].text == ":" and words[end + 1].kind == "digits":
            end += 2
        behind = page.language.phrases("times", "hour").match(words, end)
        end = behind[1] if behind else end
    else:
        return None
    return _shift(page, hour, minute, end)


def _shift(page: Page, hour: int, minute: int, end: int) -> tuple[int, int] | None:
    """Return (minutes of the day, index behind) after ``am`` or ``pm``, if it is there."""
    half = _half(page, end)
    if half:
        if hour > 2 * _NOON or (hour > _NOON and half[0] == "am"):
            return None
        if hour <= _NOON:
            hour = hour % _NOON + (_NOON if half[0] == "pm" else 0)
        end = half[1]
    if hour == 2 * _NOON and minute == 0:
        hour = 0
    return (hour * 60 + minute, end) if hour < 2 * _NOON and minute < 60 else None


def _half(page: Page, at: int) -> tuple[str, int] | None:
    for half in ("am", "pm"):
        match = page.language.phrases("times", half).match(page.words, at)
        if match:
            return half, match[1]
    return None


def _read_hour(page: Page, at: int) -> tuple[int, int] | None:
    """Return ``3pm``, ``3 o'clock``, ``drei Uhr dreißig``, ``à 15 heures``."""
    hour = _small(page, at, 24)
    if hour is None:
        return None
    value, end = hour
    clock = page.language.phrases("times", "hour").match(page.words, end)
    if clock is None:
        clock = _read_after_cue(page, at, end)
    if clock is None:
        half = _half(page, end)
        is_time = half and page.words[half[1] - 1].start - page.words[end - 1].end <= 20
        return _shift(page, value, 0, end) if is_time else None
    end = clock[1]
    minute = _small(page, end, 59)
    if minute and page.language.phrases("units").match(page.words, minute[1]) is None:
        return _shift(page, value, *minute)
    return _shift(page, value, 0, end)


def _read_after_cue(page: Page, at: int, end: int) -> tuple[Any, int] | None:
    """Return the word for hours where the word before tells a time: "à 15 heures"."""
    if not _is_cued(page, at):
        return None
    found = page.language.phrases("times", "hours").match(page.words, end)
    bare = page.language.setting("times", "bare", default=False)
    ends = end >= len(page.words) or page.words[end].kind == "mark"
    follows = page.language.phrases("times", "behind").match(page.words, end)
    follows = follows or page.language.phrases("days").match(page.words, end)
    return found or (("", end) if follows or (bare and ends) else None)


def _is_cued(page: Page, at: int) -> bool:
    """Return whether the words before ``at`` tell that a time follows."""
    before = page.language.phrases("times", "before")
    cues = (before.match(page.words, at - back) for back in (1, 2) if at >= back)
    return any(cue and cue[1] == at for cue in cues)


def _read_around(page: Page, at: int) -> tuple[int, int] | None:
    """Return ``half past three`` and the like; the patterns are data of the language."""
    cued = _is_cued(page, at)
    for pattern in page.language.setting("times", "around", ()):
        if pattern.get("cue") and not cued:
            continue
        found = _match(page, at, pattern)
        if found:
            return found
    return None


def _match(page: Page, at: int, pattern: dict[str, Any]) -> tuple[int, int] | None:
    hour, minutes, end = -1, 0, at
    for part in page.language.parts(pattern["say"]):
        if part in ("{hour}", "{minutes}"):
            number = _small(page, end, 24 if part == "{hour}" else 59)
            if number is None:
                return None
            hour, minutes = (number[0], minutes) if part == "{hour}" else (hour, number[0])
            end = number[1]
        elif end < len(page.words) and page.words[end].low == part:
            end += 1
        else:
            return None
    around = pattern.get("minutes", 0) + pattern.get("sign", 1) * minutes
    shifted = _shift(page, hour, 0, end)
    return ((shifted[0] + around) % _DAY, shifted[1]) if shifted else None


def _small(page: Page, at: int, most: int) -> tuple[int, int] | None:
    """Return a whole number up to ``most``, in figures or words."""
    number = page.whole(at)
    if number is None or number.value != int(number.value) or not 0 <= number.value <= most:
        return None
    if number.digits and len(page.words[at].text) > 2:
        return None
    return int(number.value), number.end
