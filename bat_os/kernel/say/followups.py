"""Follow-ups: a short sentence and the one before it make a whole one. Pure.

"what is 17% of 340", "and of 80?"           "what is 17% of 80"
"convert 26.2 miles to km", "in feet"        convert(26.2, "mile", "foot")
"double 21", "no, I meant triple it"         "triple 21"
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.quantities import measure_alike
from bat_os.sentence.reading import Value, read_sentence

if TYPE_CHECKING:
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
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
MAX_ELLIPSIS: Final = 6  # words of a sentence that leaves its value out
MAX_LITERAL: Final = 2_000  # characters of an earlier answer that is said again


def say_again(last: Mapping[str, Any], words: str, now: dt.datetime) -> str:
    """Return the last sentence with the values of ``words`` in place of its own, or "".

    Of several places that a value may take, it takes the last one.
    """
    return next(reversed(ways_to_say_again(last, words, now)), "")


def ways_to_say_again(last: Mapping[str, Any], words: str, now: dt.datetime) -> list[str]:
    """Return the last sentence with the values of ``words`` in each place that they may take.

    ``last`` is what the conversation noted of the last answer. A value takes the place of one of
    its kind and dimension; of several the one between the same words. One value that still fits
    several places makes a sentence of each: a person is asked.
    """
    before = read_sentence(last["text"], now, last.get("language", ""))
    after = read_sentence(words, now, before.language)
    if not after.values:
        span = _span_of_text(last, before)
        return _replaced(before, [[(*span, words.strip(" ?!."))]] if span else [])
    ways: list[list[tuple[int, int, str]]] = [[]]
    measured: dict[int, Value] = {}  # start of a unit -> the one behind the replaced number
    for at, value in enumerate(after.values):
        if value.start in measured:
            change = _change_unit(value, measured[value.start], before)
            ways = [[*way, *change] for way in ways]
            continue
        places = _places_for(at, before, after, ways[-1])
        if not places:
            return []
        unit, old = _unit_behind(after, at), _unit_behind(before, before.values.index(places[-1]))
        if unit and old:
            measured[unit.start] = old
        texts = [(place.start, place.end, _as_text(value, place)) for place in places]
        single = len(after.values) == 1
        ways = [[each] for each in texts] if single else [[*way, texts[-1]] for way in ways]
    return _replaced(before, ways)


def _replaced(before: Sentence, ways: Sequence[Sequence[tuple[int, int, str]]]) -> list[str]:
    """Return the sentence with each of several sets of changes, if they change something."""
    said = []
    for changes in ways:
        text = before.text
        for start, end, new in sorted(changes, reverse=True):
            text = f"{text[:start]}{new}{text[end:]}"
        said.append(text)
    return [text for text in said if text != before.text]


def _as_text(value: Value, place: Value) -> str:
    """Return how a value is said in its new place: in place of 6%, 4 is 4%."""
    return f"{value.text}%" if (value.kind, place.kind) == ("number", "percent") else value.text


def repeats(last: Mapping[str, Any], words: str, now: dt.datetime) -> bool:
    """Return whether a number is said behind the word that a number of the last sentence follows.

    "Split 90 among 3" and "among 4?" ask anew, even if "among" is an operator of the language.
    """
    before = read_sentence(last["text"], now, last.get("language", ""))
    after = read_sentence(words, now, before.language)
    said = {_word_before(after.text, v.start) for v in after.values if v.kind == "number"}
    known = {_word_before(before.text, v.start) for v in before.values if v.kind == "number"}
    return bool(said & known - {""})


def say_with(last: Mapping[str, Any], words: str, language: str) -> str:
    """Return ``words`` with the last value where they say "it", or "" if they do not.

    A sentence of its own ("I meant triple it") speaks of what the last sentence spoke of.
    """
    pattern = _pronouns(language)
    if pattern is None or not pattern.search(words):
        return ""
    literal = as_literal(last.get("value"))
    return pattern.sub(lambda _: literal, words, count=1) if literal else ""


def is_pronoun(words: str, language: str) -> bool:
    """Return whether some words are a pronoun, or several in any case: "that", "das Ergebnis"."""
    pattern = _pronouns(language)
    return pattern is not None and pattern.fullmatch(words.strip()) is not None


def say_of(subject: str, words: str, language: str) -> str:
    """Return ``words`` with the person who was spoken of for "she" or "her", or "".

    >>> say_of("Lena", "who is her father?", "en"), say_of("Lena", "she is six", "en")
    ("who is Lena's father?", 'Lena is six')
    """
    data = _pronoun_data().get("persons", {}).get(language)
    if not data or not subject:
        return ""
    whose = subject + data["genitive"]
    said = re.sub(rf"(?i)\b(?:{'|'.join(data['whose'])})\b(?=\s+\w)", lambda _: whose, words)
    said = re.sub(rf"(?i)\b(?:{'|'.join(data['who'])})\b", lambda _: subject, said)
    return said if said != words else ""


def opens_with_person(words: str, language: str) -> bool:
    """Return whether a sentence begins with "she" or "his", as a statement does."""
    data = _pronoun_data().get("persons", {}).get(language, {})
    known = {*data.get("who", ()), *data.get("whose", ())}
    return not known.isdisjoint(words.casefold().split(maxsplit=1)[:1])


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


def reckon(last: Mapping[str, Any], by: str, number: Any) -> str:
    """Return the last value calculated with as an expression, or "" without a number.

    ``by`` holds the places "it" and "number": "it * number". The same operation as in the last
    expression, said with a number alone, takes the place of its number: "14 * 23" and "times 31".
    """
    value: Any = last.get("value")
    if type(value) not in (int, float) or (number is not None and type(number) not in (int, float)):
        return ""
    words = {"it": f"({value})" if value < 0 else str(value), "number": str(number)}
    again = re.fullmatch(r"and (it [-+*/] number)", by)
    if again is None:
        return re.sub(r"\b(?:it|number)\b", lambda found: words[found[0]], by)
    before = re.fullmatch(r"(-?[\d.]+) ([-+*/]) -?[\d.]+", _expression_of(last))
    if before and before[2] == again[1].split()[1]:
        words["it"] = before[1]
    return re.sub(r"\b(?:it|number)\b", lambda found: words[found[0]], again[1])


def _expression_of(last: Mapping[str, Any]) -> str:
    call = last.get("call") or {}
    args = call.get("args") or ("",)
    return str(args[0]) if call.get("selector") == "evaluate" else ""


def convert_back(last: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the arguments of the last conversion the other way round, or None."""
    call = last.get("call") or {}
    if (call.get("target"), call.get("selector")) != _CONVERT or len(call["args"]) != 3:
        return None
    number, unit, to = call["args"]
    return number, to, unit


def swap_units(last: Mapping[str, Any], now: dt.datetime) -> str:
    """Return the last sentence with its two units in each other's place."""
    return _swap(last, now, "unit") or str(last["text"])


def swap_values(last: Mapping[str, Any], now: dt.datetime) -> str:
    """Return the last sentence with its two values in each other's place, or ""."""
    kinds = ("number", "date", "name", "text")
    return next((said for kind in kinds if (said := _swap(last, now, kind))), "")


def _swap(last: Mapping[str, Any], now: dt.datetime, kind: str) -> str:
    said = read_sentence(last["text"], now, last.get("language", ""))
    both = [value for value in said.values if value.kind == kind]
    if len(both) != 2:
        return ""
    one, other = both
    middle = said.text[one.end : other.start]
    return said.text[: one.start] + other.text + middle + one.text + said.text[other.end :]


def shift_date(last: Mapping[str, Any], days: int, now: dt.datetime) -> str:
    """Return the last sentence with its date some days later, or "" if it has none."""
    said = read_sentence(last["text"], now, last.get("language", ""))
    dates = [value for value in said.values if value.kind == "date"]
    if not dates:
        return ""
    day, shift = dt.date.fromisoformat(str(dates[-1].value)[:10]), dt.timedelta(days=days)
    return f"{said.text[: dates[-1].start]}{day + shift}{said.text[dates[-1].end :]}"


def as_literal(value: Any) -> str:
    """Return a value as a sentence can hold it, or "" if it cannot."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str) and _DATE.fullmatch(value):
        return value
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= MAX_LITERAL and '"' not in value else ""
    flat = isinstance(value, list) and all(isinstance(each, int | float | str) for each in value)
    text = repr(value).replace("'", '"') if flat else ""
    return text if len(text) <= MAX_LITERAL else ""


def _places_for(
    at: int, before: Sentence, after: Sentence, taken: Sequence[tuple[int, int, str]]
) -> list[Value]:
    """Return the values of the sentence before that the value at ``at`` may take the place of."""
    value, unit = after.values[at], _unit_behind(after, at)
    starts = {start for start, _, _ in taken}
    kinds = (value.kind, *_ALIKE.get(value.kind, ()))
    found: list[tuple[int, Value]] = []
    for place, old in enumerate(before.values):
        if old.kind not in kinds or old.start in starts:
            continue
        own = _unit_behind(before, place)
        alike = bool(unit and own and measure_alike(unit.value, own.value))
        if unit and own and not alike:
            continue  # 90 kg are no height
        word, behind = _word_before(after.text, value.start), _word_behind(after.text, value.end)
        same = bool(word) and word == _word_before(before.text, old.start)
        same_behind = bool(behind) and behind == _word_behind(before.text, old.end)
        score = 4 * alike + 2 * same + 2 * same_behind + (old.kind == value.kind)
        found.append((score, old))
    best = [old for score, old in found if score == max(each for each, _ in found)]
    ends = _pronoun_data()["ends"].get(before.language, {})
    words = set(re.findall(r"\w+", after.text[max(0, value.start - 40) : value.start])[-2:])
    if not words.isdisjoint(ends.get("first", ())):
        return best[:1]
    return best[-1:] if not words.isdisjoint(ends.get("last", ())) else best


def _unit_behind(sentence: Sentence, at: int) -> Value | None:
    """Return the unit right behind the value at ``at``, or None."""
    number, unit = sentence.values[at], next(iter(sentence.values[at + 1 : at + 2]), None)
    if unit is None or unit.kind != "unit" or number.kind != "number":
        return None
    return unit if not sentence.text[number.end : unit.start].strip() else None


def _change_unit(new: Value, old: Value, before: Sentence) -> list[tuple[int, int, str]]:
    """Return the changes that put ``new`` in the place of ``old``.

    If it is the unit that was asked for, the old one is asked for now: nobody wants km in km.
    """
    changes = [(old.start, old.end, new.text)]
    others = [v for v in before.values if v.kind == "unit" and v is not old]
    if new.value != old.value:
        changes += [(v.start, v.end, old.text) for v in others if v.value == new.value]
    return changes


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
    """Return the last word before a place.

    >>> _word_before("Add 5", 4), _word_before("5", 0)
    ('add', '')
    """
    found = re.search(r"(\w+)\W*$", text[max(0, start - 40) : start])
    return found[1].casefold() if found else ""


def _word_behind(text: str, end: int) -> str:
    found = re.match(r"\W*(\w+)", text[end : end + 40])
    return found[1].casefold() if found else ""


@cache
def _pronouns(language: str) -> re.Pattern[str] | None:
    """Return the pronouns of a language as a pattern, or None."""
    words = _pronoun_data().get(language)
    return (
        re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE) if words else None
    )


@cache
def _pronoun_data() -> Mapping[str, Any]:
    file = resources.files("bat_os.sentence") / "languages" / "pronouns.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
