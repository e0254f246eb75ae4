"""Follow-ups: a short sentence and the one before it make a whole one. Pure.

"what is 17% of 340", "and of 80?"           "what is 17% of 80"
"convert 26.2 miles to km", "in feet"        convert(26.2, "mile", "foot")
"double 21", "no, I meant triple it"         "triple 21"
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.reading import Value, read_sentence

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from bat_os.sentence.reading import Sentence

# Which values of the sentence before may be replaced if it has none of the same kind.
_ALIKE: Final[Mapping[str, tuple[str, ...]]] = {
    "number": ("number", "percent", "money", "expression"),
    "percent": ("percent", "number"),
    "money": ("money", "number"),
    "name": ("name", "text"),
    "text": ("text", "name"),
    "date": ("date", "name"),
}
_CONVERT: Final = ("units_obj", "convert")
MAX_ELLIPSIS: Final = 6  # words of a sentence that leaves its value out
MAX_LITERAL: Final = 2_000  # characters of an earlier answer that is said again


def say_again(last: Mapping[str, Any], words: str, now: dt.datetime) -> str:
    """Return the last sentence with the values of ``words`` in place of its own, or "".

    ``last`` is what the conversation noted of the last answer. A value takes the place of one of
    its kind, of several the one behind the same word, else the last.
    """
    before = read_sentence(last["text"], now, last.get("language", ""))
    after = read_sentence(words, now, before.language)
    changes: list[tuple[int, int, str]] = []
    for value in after.values:
        place = _place_for(value, before, after, changes)
        if place is None:
            return ""
        changes.append((place.start, place.end, value.text))
    if not after.values:
        span = _span_of_text(last, before)
        if span is None:
            return ""
        changes = [(*span, words.strip(" ?!."))]
    text = before.text
    for start, end, new in sorted(changes, reverse=True):
        text = f"{text[:start]}{new}{text[end:]}"
    return "" if text == before.text else text


def say_with(last: Mapping[str, Any], words: str, language: str) -> str:
    """Return ``words`` with the last value where they say "it", or "" if they do not.

    A sentence of its own ("I meant triple it") speaks of what the last sentence spoke of.
    """
    pattern = _pronouns(language)
    if pattern is None or not pattern.search(words):
        return ""
    literal = as_literal(last.get("value"))
    return pattern.sub(lambda _: literal, words, count=1) if literal else ""


def say_about(last: Mapping[str, Any], words: str) -> str:
    """Return a few words with the last value behind them, or "" if that makes no sentence."""
    literal = as_literal(last.get("value"))
    short = 0 < len(words.split()) <= MAX_ELLIPSIS and "?" not in words
    return f"{words.rstrip(' .!')} {literal}" if short and literal else ""


def subject_of(last: Mapping[str, Any], now: dt.datetime) -> Any:
    """Return the first value that the last sentence spoke of, or None."""
    values = read_sentence(last["text"], now, last.get("language", "")).values
    return values[0].value if values else None


def convert_to(last: Mapping[str, Any], unit: str, now: dt.datetime) -> tuple[Any, ...] | None:
    """Return the arguments of ``units_obj.convert`` for the last answer in another unit, or None.

    A conversion is made anew from its own quantity; of another number, the unit is the one that
    was asked for ("how many days until ...").
    """
    call = last.get("call") or {}
    if (call.get("target"), call.get("selector")) == _CONVERT and len(call["args"]) >= 2:
        return (*call["args"][:2], unit)
    value = last.get("value")
    if type(value) not in (int, float):
        return None
    said = [v for v in read_sentence(last["text"], now, "").values if v.kind == "unit"]
    return (value, said[0].value, unit) if said else None


def as_literal(value: Any) -> str:
    """Return a value as a sentence can hold it, or "" if it cannot."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= MAX_LITERAL and '"' not in value else ""
    flat = isinstance(value, list) and all(isinstance(each, int | float | str) for each in value)
    text = repr(value).replace("'", '"') if flat else ""
    return text if len(text) <= MAX_LITERAL else ""


def _place_for(
    value: Value, before: Sentence, after: Sentence, taken: Sequence[tuple[int, int, str]]
) -> Value | None:
    """Return the value of the sentence before that ``value`` takes the place of, or None."""
    starts = {start for start, _, _ in taken}
    for kind in (value.kind, *_ALIKE.get(value.kind, ())):
        places = [v for v in before.values if v.kind == kind and v.start not in starts]
        if not places:
            continue
        word = _word_before(after.text, value.start)
        same = [v for v in places if word and _word_before(before.text, v.start) == word]
        return (same or places)[-1]
    return None


def _span_of_text(last: Mapping[str, Any], before: Sentence) -> tuple[int, int] | None:
    """Return where the last free text argument stands in the sentence before, or None."""
    call, form = last.get("call") or {}, last.get("form") or {}
    said = [*call.get("args", ()), *form.get("values", {}).values()]
    for text in reversed([each for each in said if isinstance(each, str) and each]):
        start = before.text.casefold().rfind(text.casefold())
        if start >= 0:
            return start, start + len(text)
    named = [v for v in before.values if v.kind in ("name", "text", "date")]
    return (named[-1].start, named[-1].end) if named else None


def _word_before(text: str, start: int) -> str:
    found = re.search(r"(\w+)\W*$", text[max(0, start - 40) : start])
    return found[1].casefold() if found else ""


@cache
def _pronouns(language: str) -> re.Pattern[str] | None:
    """Return the pronouns of a language as a pattern, or None."""
    file = resources.files("bat_os.sentence") / "languages" / "pronouns.toml"
    words = tomllib.loads(file.read_text(encoding="utf-8")).get(language)
    return (
        re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE) if words else None
    )
