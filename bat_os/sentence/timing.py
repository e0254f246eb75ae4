"""When something should happen, out of words: a moment, a span from now, or a repetition. Pure.

    "remind me tomorrow at 9 to call Ann"   >  Timing(date, time) and "call Ann"
    "take my pills every weekday at 8"      >  Timing(every="dow", days=(1, 2, 3, 4, 5), time)

The words are data, ``languages/timing.toml``: regular expressions over the sentence with its values
as tags. The longest row of phrases at the beginning and the one at the end are taken off; what is
left is what should happen. What a timing means on a clock is ``plan``.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.language import fold, speak
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.tokens import QUOTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.sentence.values import Value

MAX_CHARS: Final = 500  # of a sentence that is looked at
SECONDS: Final[Mapping[str, int]] = {
    "second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800,
}  # fmt: skip
_MOST: Final[Mapping[str, int]] = {
    "second": 10**9, "minute": 10**8, "hour": 10**6, "day": 18_000, "week": 2_600, "month": 600,
    "year": 50,
}  # fmt: skip
_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019](?=\w))?", re.UNICODE)
_BARE: Final = re.compile(r"\d{1,2}(?:[:.]\d\d)?|[^\W\d]+(?: [^\W\d]+)*")
_NTH: Final = r"\d{1,2}(?:st|nd|rd|th|er|e|ers|o|a)"
_PLACES: Final = re.compile(r"\{(unit|day|days|nth)\}")
_DATE: Final = r"\d{4}-\d\d-\d\d"
_NAMED: Final = frozenset({"noon", "midday"})
_HALF_DAY: Final = 12
_WEEK: Final = 7
_DAILY: Final[tuple[float, str]] = (1.0, "day")
TIME: Final = r"\{time\}"


@dataclass(frozen=True, slots=True)
class Timing:
    """What a sentence says of when; whatever is not said is empty."""

    date: str = ""  # ISO
    time: str = ""  # HH:MM
    part: str = ""  # the usual time of a part of the day
    is_bare: bool = False  # an hour alone, which may be one after noon
    span: tuple[float, str] | None = None  # from now: number and unit
    every: tuple[float, str] | None = None  # a repetition: number and unit of time
    days: tuple[int, ...] = ()  # weekdays, Monday is 1
    nth: int = 0  # day of the month
    lead: tuple[float, str] | None = None  # so long before
    is_today: bool = False  # a part of this day was said

    @property
    def repeats(self) -> bool:
        """Return whether it comes again."""
        return self.every is not None

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is said."""
        return self == Timing()


@dataclass(frozen=True, slots=True)
class _Row:
    """A sentence as tags and words, with what they mean."""

    text: str
    skeleton: str
    starts: tuple[int, ...]  # of each word in the skeleton
    spans: tuple[tuple[int, int], ...]  # of each word in the text
    values: tuple[Any, ...]  # of each word: the value behind a tag, or the word


@dataclass(slots=True)
class _Found:
    """What was read so far."""

    timing: Timing = field(default_factory=Timing)
    end: int = 0  # index of the word behind


def split_timing(
    text: str, now: dt.datetime, language: str, *, whole: bool = False
) -> tuple[Timing, str]:
    """Return what a sentence says of when, and the rest of it, which says what.

    The rest has no words that only lead to it, "to" or "that", unless it is wanted ``whole``.

    >>> split_timing("call Ann tomorrow at 9", dt.datetime(2026, 11, 23, 10), "en")[1]
    'call Ann'
    """
    code = speak(language).code
    row = _read_row(text[:MAX_CHARS], now, code)
    count = len(row.starts)
    front = _read_from(row, 0, code, now)
    back = _Found(end=count)
    first = count
    for at in range(front.end, count):
        found = _read_from(row, at, code, now)
        if found.end == count and not found.timing.is_empty:
            back, first = found, at
            break
    timing = _join(front.timing, back.timing) if front.end else back.timing
    if timing is None:  # both say a time: the one that stands first counts
        timing, first = front.timing, count
    start = row.spans[front.end - 1][1] if front.end else 0
    end = row.spans[first][0] if first < count else len(text)
    return timing, _trim(text[start:end], code, whole=whole)


def read_timing(text: str, now: dt.datetime, language: str) -> Timing | None:
    """Return what a text says of when, if it says nothing else."""
    timing, rest = split_timing(text, now, language)
    return timing if not timing.is_empty and not rest else None


def repeats(text: str, language: str) -> bool:
    """Return whether a sentence may say that something comes again: "every Monday"."""
    return _patterns(speak(language).code)["again"].search(fold(text[:MAX_CHARS])) is not None


def read_by(text: str, now: dt.datetime, language: str) -> tuple[float, str] | None:
    """Return the span of "by 20 minutes" or "10 minutes later"; None if the text is no such."""
    code = speak(language).code
    row = _read_row(text[:MAX_CHARS], now, code)
    found = _patterns(code)["by"].fullmatch(row.skeleton)
    return _span_in(row, 0, len(row.starts), code) if found else None


def _read_row(text: str, now: dt.datetime, code: str) -> _Row:
    """Return a text with its values as tags, marks left out."""
    tags = _find_tags(text, now, code)
    words: list[tuple[str, int, int, Any]] = []
    at = 0
    while at < len(text):
        if at in tags:
            end, tag, meant = tags[at]
            words.append((tag, at, end, meant))
            at = end
        elif (match := _WORD.match(text, at)) is not None:
            end = min([match.end(), *(start for start in tags if at < start < match.end())])
            low = fold(text[at:end]).replace("\u2019", "'")
            words.append((low, at, end, low))
            at = end
        else:
            at += 1
    starts, position = [], 0
    for low, _, _, _ in words:
        starts.append(position)
        position += len(low) + 1
    skeleton = " ".join(low for low, _, _, _ in words)
    return _Row(
        text, skeleton, tuple(starts), tuple((start, end) for _, start, end, _ in words),
        tuple(meant for _, _, _, meant in words),
    )  # fmt: skip


def _find_tags(text: str, now: dt.datetime, code: str) -> dict[int, tuple[int, str, Any]]:
    """Return where values stand that say when: first character -> end, tag, meaning."""
    values = read_sentence(text, now, code).values
    tags: dict[int, tuple[int, str, Any]] = {}
    for at, value in enumerate(values):
        behind = values[at + 1] if at + 1 < len(values) else None
        if (found := _tag_of(value, behind, text, code)) is not None:
            tags[value.start] = found
    return tags


def _tag_of(
    value: Value, behind: Value | None, text: str, code: str
) -> tuple[int, str, Any] | None:
    """Return end, tag and meaning of a value; None if it does not say when."""
    if value.kind == "time":
        return value.end, "{time}", (str(value.value), _is_bare(value))
    if value.kind == "date":  # a weekday stays a word
        is_day = speak(code).phrases("weekdays").exact(fold(value.text)) is not None
        return None if is_day else (value.end, "{date}", str(value.value)[:10])
    if value.kind != "number":
        return None
    is_time = behind is not None and behind.kind == "unit" and behind.value in _MOST
    if behind is not None and is_time and not text[value.end : behind.start].strip():
        return behind.end, "{span}", (float(value.value), str(behind.value))
    return None if _is_nth(value.text) else (value.end, "{number}", value.value)


def _is_bare(value: Value) -> bool:
    """Return whether a time may be one of the morning or of the evening."""
    hour = int(str(value.value)[:2])
    said = _BARE.fullmatch(value.text) is not None and not value.text.startswith("0")
    return said and 1 <= hour <= _HALF_DAY and value.text.casefold() not in _NAMED


def _is_nth(text: str) -> bool:
    return re.fullmatch(_NTH, text.casefold()) is not None


def _read_from(row: _Row, at: int, code: str, now: dt.datetime) -> _Found:
    """Return what the row of phrases says that begins with the word ``at``."""
    known, found, here = _patterns(code), _Found(end=at), at
    while here < len(row.starts):
        longest, kind = here, ""
        for name in _KINDS:
            for key, pattern in _of_kind(known, name):
                match = pattern.match(row.skeleton, row.starts[here])
                end = _word_at(row, match.end()) if match else 0
                if end > longest:
                    longest, kind = end, key
        joined: Timing | None = None
        if kind:
            said = _build(kind, row, here, longest, code, now)
            joined = None if said.is_empty else _join(found.timing, said)
        elif here > at and known["fill"].fullmatch(str(row.values[here])):
            here += 1
            continue
        if joined is None:
            break
        found.timing, found.end = joined, longest
        here = longest
    if here == len(row.starts) and found.end > at:
        found.end = here  # "at nine, please"
    return found


def _of_kind(
    known: Mapping[str, re.Pattern[str]], name: str
) -> Sequence[tuple[str, re.Pattern[str]]]:
    if name.endswith("."):
        return [(key, pattern) for key, pattern in known.items() if key.startswith(name)]
    return [(name, known[name])] if name in known else []


def _word_at(row: _Row, position: int) -> int:
    """Return the index of the word behind a place in the skeleton; 0 inside of a word."""
    if position >= len(row.skeleton):
        return len(row.starts)
    at = position + 1
    return row.starts.index(at) if row.skeleton[position] == " " and at in row.starts else 0


def _build(kind: str, row: _Row, at: int, end: int, code: str, now: dt.datetime) -> Timing:
    """Return what one phrase says."""
    theme, _, name = kind.partition(".")
    if theme in ("parts", "today", "each"):
        return _part(theme, name, row.values[at:end], code, now)
    if theme == "coming":
        return _ahead(int(_data(code)["coming"][name]), now)
    if theme == "regular":
        return Timing(every=(1, _data(code)["regular"][name]))
    return _BUILDERS[kind](row, at, end, code, now)


def _part(theme: str, name: str, values: Sequence[Any], code: str, now: dt.datetime) -> Timing:
    dates = {str(value) for value in values if re.fullmatch(_DATE, str(value))}
    near = {(now.date() + dt.timedelta(days=ahead)).isoformat() for ahead in (0, 1)}
    if dates - near:  # "jeden letzten Freitag" is no morning, which is read as tomorrow
        return Timing()
    time = str(_data(code)[theme][name])
    if theme == "today":
        return Timing(part=time, date=now.date().isoformat(), is_today=True)
    return Timing(part=time, every=(1, "day") if theme == "each" else None)


def _at(row: _Row, at: int, end: int, code: str, _: dt.datetime) -> Timing:
    time, bare = next(value for value in row.values[at:end] if isinstance(value, tuple))
    return Timing(time=time, is_bare=bare and bool(_data(code).get("twelve")))


def _hour(row: _Row, at: int, end: int, code: str, _: dt.datetime) -> Timing:
    hour = next(value for value in row.values[at:end] if not isinstance(value, str))
    if hour != int(hour) or not 0 <= hour <= 2 * _HALF_DAY:
        return Timing()
    bare = bool(_data(code).get("twelve"))
    return Timing(time=f"{int(hour) % 24:02}:00", is_bare=bare and 1 <= hour <= _HALF_DAY)


def _on(row: _Row, at: int, end: int, _code: str, _: dt.datetime) -> Timing:
    dates = (value for value in row.values[at:end] if re.fullmatch(_DATE, str(value)))
    return Timing(date=str(next(dates)))


def _day(row: _Row, at: int, end: int, code: str, now: dt.datetime) -> Timing:
    return _ahead(_weekdays_in(row, at, end, code)[0], now)


def _ahead(weekday: int, now: dt.datetime) -> Timing:
    """Return the next such day after today."""
    ahead = (weekday - now.isoweekday()) % _WEEK
    return Timing(date=(now.date() + dt.timedelta(days=ahead or _WEEK)).isoformat())


def _in(row: _Row, at: int, end: int, code: str, _: dt.datetime) -> Timing:
    return Timing(span=_span_in(row, at, end, code))


def _before(row: _Row, at: int, end: int, code: str, _: dt.datetime) -> Timing:
    return Timing(lead=_span_in(row, at, end, code))


def _month(row: _Row, at: int, end: int, code: str, _: dt.datetime) -> Timing:
    for value in row.values[at:end]:
        nth = speak(code).phrases("ordinals").exact(value) if isinstance(value, str) else value
        if isinstance(value, str) and (match := re.match(r"\d{1,2}", value)):
            nth = int(match[0])
        if nth is not None and nth == int(nth) and 1 <= nth <= 31:
            return Timing(every=(1, "month"), nth=int(nth))
    return Timing()


def _units(times: int) -> Callable[..., Timing]:
    def build(row: _Row, at: int, end: int, code: str, _: dt.datetime) -> Timing:
        number, unit = _span_in(row, at, end, code, (1, ""))
        return Timing(every=(number * times, unit)) if unit else Timing()

    return build


def _days(weeks: int) -> Callable[..., Timing]:
    def build(row: _Row, at: int, end: int, code: str, _: dt.datetime) -> Timing:
        return Timing(every=(weeks, "week"), days=tuple(_weekdays_in(row, at, end, code)))

    return build


def _fixed(*days: int) -> Callable[..., Timing]:
    def build(*_: Any) -> Timing:
        return Timing(every=(1, "week" if days else "day"), days=days)

    return build


_BUILDERS: Final[Mapping[str, Callable[..., Timing]]] = {
    "at": _at, "hour": _hour, "on": _on, "day": _day, "in": _in, "before": _before,
    "month": _month, "every.day": _fixed(), "every.weekday": _fixed(1, 2, 3, 4, 5),
    "every.weekend": _fixed(6, 7), "every.units": _units(1), "every.other": _units(2),
    "every.days": _days(1), "every.other_days": _days(2),
}  # fmt: skip
_KINDS: Final = (
    "every.", "each.", "regular.", "today.", "coming.", "month", "in", "before", "at", "hour", "on",
    "day", "parts.",
)  # fmt: skip


def _weekdays_in(row: _Row, at: int, end: int, code: str) -> list[int]:
    known, plural = speak(code).phrases("weekdays"), _data(code).get("plural", {})
    words = [value for value in row.values[at:end] if isinstance(value, str)]
    found = [known.exact(word) or plural.get(word) for word in words]
    return sorted({int(day) for day in found if day})


def _span_in(
    row: _Row, at: int, end: int, code: str, one: tuple[float, str] = (1, "")
) -> tuple[float, str]:
    """Return number and unit of a phrase: "2 hours", "an hour", "an hour and a half"."""
    values = row.values[at:end]
    whole = next((v for v in values if isinstance(v, tuple) and isinstance(v[0], float)), None)
    units = speak(code).phrases("units")
    named = (units.exact(v) for v in values if isinstance(v, str))
    number, unit = whole or (one[0], next((str(u) for u in named if u in _MOST), one[1]))
    rest = " ".join(str(v) for v in values)
    halves = re.search(rf"(?:{_data(code)['halves']})$".replace(r"{number}", r"0\.5"), fold(rest))
    return (number + 0.5 if halves and unit else number), unit


def _join(one: Timing, other: Timing) -> Timing | None:
    """Return what two phrases say together; None if both say the same of when."""
    if one.is_empty or other.is_empty:
        return other if one.is_empty else one
    joined = one
    for name in ("date", "time", "part", "span", "nth", "lead"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine and theirs and not (name == "date" and one.is_today):
            return None
        joined = replace(joined, **{name: mine or theirs})
    every = _join_every(one, other)
    if every is None:
        return None
    return replace(
        joined, is_bare=one.is_bare or other.is_bare, is_today=one.is_today or other.is_today,
        every=every[0], days=every[1],
    )  # fmt: skip


def _join_every(
    one: Timing, other: Timing
) -> tuple[tuple[float, str] | None, tuple[int, ...]] | None:
    """Return how two phrases repeat together; None if they do so in two ways."""
    if one.every is None or other.every is None:
        return one.every or other.every, one.days or other.days
    daily: list[Timing] = [each for each in (one, other) if each.every == _DAILY]
    if daily:  # "every morning on weekdays"
        more = other if daily[0] is one else one
        return more.every, more.days
    if {one.every[1], other.every[1]} == {"week"} and not (one.days and other.days):
        most = max(one.every, other.every)  # "every two weeks on Mondays"
        return most, one.days or other.days
    return None


def _trim(text: str, code: str, *, whole: bool) -> str:
    """Return what is to be done, without the words and marks that lead to it."""
    said = text.strip(" \t\n,;:.!?\u00a1\u00bf\u2013\u2014-")
    if not whole and (lead := _patterns(code)["lead"].match(said.replace("\u2019", "'"))):
        said = said[lead.end() :].lstrip(" ,:")
    closed = len(said) > 1 and QUOTES.get(said[0], "") and said[-1] in QUOTES[said[0]]
    return said[1:-1].strip() if closed else said


@cache
def _data(code: str) -> Mapping[str, Any]:
    file = resources.files("bat_os.sentence") / "languages" / "timing.toml"
    known = tomllib.loads(file.read_text(encoding="utf-8"))
    found: Mapping[str, Any] = known.get(code) or known["en"]
    return found


@cache
def _patterns(code: str) -> Mapping[str, re.Pattern[str]]:
    """Return the expressions of a language by kind: "at", "every.day", "parts.tonight"."""
    data, language = _data(code), speak(code)
    units = (word for word, unit in language.phrases("units").items() if unit in _MOST)
    ordinals = [word for word, _ in language.phrases("ordinals").items()]
    places = {
        "unit": _any_of(units),
        "day": _any_of(word for word, _ in language.phrases("weekdays").items()),
        "days": _any_of(data.get("plural", {})) or "(?!)",
        "nth": f"(?:{_NTH}|{_any_of(ordinals)})",
    }
    span = rf"(?:\{{span\}}|(?:{data['articles']}) {places['unit']})(?: (?:{data['halves']}))?"

    def compiled(text: str) -> re.Pattern[str]:
        whole = text.replace("{span}", span)
        whole = _PLACES.sub(lambda place: places[place[1]], whole)
        whole = whole.replace("{number}", r"\{number\}").replace("{date}", r"\{date\}")
        return re.compile(f"(?:{whole.replace('{time}', TIME)})(?![^ ])")

    found = {
        f"{theme}.{key}": compiled(text if theme == "every" else key)
        for theme in ("every", "regular", "parts", "today", "each", "coming")
        for key, text in data.get(theme, {}).items()
    }
    found |= {
        key: compiled(data[key])
        for key in ("at", "hour", "on", "day", "in", "before", "by", "month", "fill")
        if key in data
    }
    again = "|".join(each.pattern for key, each in found.items() if key[:4] in ("ever", "each"))
    found["again"] = re.compile(rf"(?<!\w)(?:{again})".replace(r"\{span\}", r"\S+ \S+"))
    found["lead"] = re.compile(rf"(?:(?:{data['lead']})(?: |(?<=')|,))+", re.IGNORECASE)
    return found


def _any_of(words: Any) -> str:
    each = sorted({fold(word) for word in words}, key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, each))})" if each else ""
