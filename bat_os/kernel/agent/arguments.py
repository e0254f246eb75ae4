"""The arguments of a step: each is a part of the request, or of what an earlier step answered.

    "what time is it in Tokyo"           > timezone: Tokyo
    "search ~/notes for the word milk"   > path: ~/notes, text: milk
    "make it 21 degrees in the nursery"  > degrees (a number): 21, room: the nursery

Values that the request names go to the parameters that are meant for them, by their types, formats
and names, whole. What is left is a span of the request: after the words that introduce it, else
the only phrase that says what the tool's own words do not. What no span gives, or several do, is
asked for; nothing is made up.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.image.facts import is_small
from bat_os.kernel.agent.choosing import MEANT, kind_of, meant_for, stems_of
from bat_os.kernel.agent.phrases import firmest, phrases_of
from bat_os.sentence.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# Words before a text: "search ~/notes for milk", "add the line buy bread to ...".
_INTRODUCES: Final = re.compile(
    r"\b(saying|says?|that|mentions?|contains?|containing|for|about|called|named|the words?"
    r"|the text|the line|with the text)\b:?\s+",
    re.IGNORECASE,
)
_CLOSES: Final = re.compile(
    r"\s+(?:in|into|to|at|on|from|of|anywhere|somewhere)\b.*$", re.IGNORECASE
)
_SAYS: Final = frozenset({"saying", "say", "says", "that"})  # a clause, to its end
_ENDS: Final = re.compile(r"\s+(?:in|into|to|on|of)\s*$", re.IGNORECASE)
_WORDS: Final = re.compile(r"^(?:the )?(?:words?|text|line|phrase) ", re.IGNORECASE)
_ENDING: Final = re.compile(r"(?<![\w/.])\.[a-z][a-z0-9]{0,5}\b", re.IGNORECASE)
_EDGE: Final = " \t.,;:!?'\"()"


# Names of parameters -> the word before what they get; "where" is in many descriptions.
_ROLES: Final[tuple[tuple[frozenset[str], re.Pattern[str]], ...]] = (
    (frozenset({"from", "origin", "start", "source", "departure"}),
     re.compile(r"(?:from|von|aus|de|desde)\s+$", re.IGNORECASE)),
    (frozenset({"to", "destination", "target", "end", "goal", "arrival"}),
     re.compile(r"(?:to|into|in|nach|zu[mr]?|\u00e0|a|para)\s+$", re.IGNORECASE)),
)  # fmt: skip
_NUMBERS: Final = ("number", "money", "percent", "quantity")
_TEXT: Final = ("text",)
_PATTERN: Final = ("pattern",)
_TEXTS: Final = (
    "message", "body", "content", "note", "fact", "question", "title", "subject", "summary",
    "description", "comment",
)  # fmt: skip
# As names of parameters say it; they tell too little to choose a tool by.
_MEANT: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(_TEXTS, _TEXT),
    **dict.fromkeys(("day", "week", "month", "year", "since", "until"), ("moment",)),
    "amount": ("money", "quantity"), "duration": ("quantity",),
}  # fmt: skip
_OF_PLACES: Final = frozenset({"file", "path", "page"})
_PLACE: Final = re.compile(r"[~.]{0,2}/\S*|[a-z]+://\S+|[^\s/]+(?:/[^\s/]+)*\.[A-Za-z]\w{0,5}")
_LONG: Final = frozenset({"text", "file", "path", "moment"})
_FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    "date": ("date",), "time": ("time",), "email": ("address",), "uri": ("address",),
}  # fmt: skip
_EVERY: Final = re.compile(r"\b(?:every|each|next|last|jeden|jede|chaque|cada)\s+$", re.IGNORECASE)
_AT: Final = re.compile(r",?\s+(?:(?:at|um|\u00e0|a las)\s+)?", re.IGNORECASE)
_PART_OF_DAY: Final = re.compile(r"\s+(?:morning|noon|afternoon|evening|night)\b", re.IGNORECASE)
_PIECE: Final = re.compile(r"[^\s,;:?!]+")
_NUMBERED: Final = frozenset({"number", "code", "id", "reference"})


def fill(
    text: str,
    values: Sequence[Value],
    takes: Sequence[str],
    needs: Sequence[str],
    own: frozenset[str] = frozenset(),
    schema: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], str]:
    """Return the arguments that a request names for a tool, and a needed one that it does not.

    Args:
        text: The request.
        values: What it names, in order.
        takes: Names of the parameters, in order.
        needs: Those that a call must have.
        own: Stems of the tool's own words, as of ``own_words``; without any, no phrase is taken.
        schema: JSON Schema of each parameter, of those that have one.
    """
    types = schema or {}
    left, given = [*_whole(values, text)] if types else list(values), dict[str, Any]()
    texts = [name for name in needs if not _is_typed(types.get(name, {}))]
    unclear = _give_quoted_places(text, left, texts, given)
    _give_values(text, left, takes, needs, types, given)
    open_ones = [name for name in texts if name not in given and name not in unclear]
    for name in sorted(open_ones, key=lambda one: _meant_for(one) != _TEXT):
        wordy = not types or _meant_for(name) in (_TEXT, _PATTERN)
        span = _open(text, values, left, name) if wordy else _quoted(left)
        span = span or (_called(text, name) if types else "")
        if span and span not in given.values():
            given[name] = span
    for name in open_ones:
        if types and name not in given and _is_number(name):
            pieces = [one.strip(_EDGE) for one in _PIECE.findall(text)]
            numbered = [one for one in pieces if re.search(r"\d", one)]
            given |= {name: numbered[0]} if len(numbered) == 1 else {}
    if own:  # a text is rarely one phrase, and a wrong file is worse than a question
        brief = [n for n in open_ones if not (n in given or _LONG & {*_meant_for(n)})]
        _give_phrases(text, values, [n for n in brief if not _is_number(n)], own, given)
    lacking = next((name for name in needs if name not in given), "")
    return {name: given[name] for name in takes if name in given}, lacking


def _give_values(
    text: str,
    left: list[Value],
    takes: Sequence[str],
    needs: Sequence[str],
    types: Mapping[str, Any],
    given: dict[str, Any],
) -> None:
    """Give parameters the values that a request names, by their types, formats and names."""
    for name in takes:
        form = types.get(name, {})
        if name in given:
            continue
        if name not in needs and _is_typed(form) and not _is_said(text, name, types):
            continue  # "the first 2 lines" is for one of two optional numbers
        found = _typed(left, form) if _is_typed(form) else _named(text, left, name, form)
        if found is not None:
            value, given[name] = found
            left.remove(value)
    for name, form in types.items():
        if name not in given and (option := _option(text, form)):
            given[name] = option


def _give_quoted_places(
    text: str, left: list[Value], names: Sequence[str], given: dict[str, Any]
) -> list[str]:
    """Give parameters for files and pages the quoted texts that are such; return those that lack.

    Of several quoted texts, one is a place if it is written like one, or stands behind a word for
    one: "the file 'a'". Else it is not guessed which is the file and which the text.
    """
    unclear = []
    for name in names:
        quoted = [one for one in left if one.kind == "text"]
        if len(quoted) < 2 or not _OF_PLACES & {*_meant_for(name)}:
            continue
        places = [one for one in quoted if _PLACE.fullmatch(str(one.value))]
        if len(places) != 1:
            places = [one for one in quoted if _stands_behind(text, one, name)]
        if len(places) == 1:
            given[name] = places[0].value
            left.remove(places[0])
        else:
            unclear.append(name)
    return unclear


def _stands_behind(text: str, value: Value, name: str) -> bool:
    """Return whether the word before a value is one for what a parameter is meant for."""
    words = re.findall(r"\w+", text[max(0, value.start - 40) : value.start])
    return bool(words) and bool({*meant_for(words[-1])} & {*_meant_for(name)})


def _is_number(name: str) -> bool:
    return bool(_NUMBERED & {*name.casefold().split("_")})


def _called(text: str, name: str) -> str:
    """Return the word behind a parameter's name: "the folder photos", "my project webshop"."""
    meant = meant_for(name)
    named = {name.casefold().replace("_", " ")} | {one for one in MEANT if meant and
             MEANT[one] == meant}  # fmt: skip
    words = "|".join(map(re.escape, sorted(named)))
    found = re.search(rf"\b(?:the|my|our) (?:{words}) ([^\s,;:?!'\"]+)", text, re.IGNORECASE)
    return "" if found is None or is_small(found[1]) else found[1].strip(_EDGE)


def _is_typed(form: Any) -> bool:
    """Return whether a schema says more of a parameter than that it is a text."""
    told = isinstance(form, dict)
    return told and ("enum" in form or form.get("type", "string") != "string" or "format" in form)


def _is_said(text: str, name: str, types: Mapping[str, Any]) -> bool:
    """Return whether a request has a word that is said of this parameter, and of no other one."""
    said = {
        one: stems_of(f"{one} {form.get('description', '')}")
        for one, form in types.items()
        if isinstance(form, dict)
    }
    others = frozenset[str]().union(*(stems for one, stems in said.items() if one != name))
    return bool((said.get(name, frozenset()) - others) & stems_of(text))


def _typed(left: Sequence[Value], form: Mapping[str, Any]) -> tuple[Value, Any] | None:
    """Return a value of the type, or the format, of a schema, as a tool gets it."""
    if "enum" in form:
        return None
    if form.get("type") in ("number", "integer"):
        for value in left:
            if value.kind in _NUMBERS:
                number = value.value["amount"] if value.kind == "money" else value.value
                if form["type"] == "number" or number == int(number):
                    return value, number if form["type"] == "number" else int(number)
        return None
    kinds = _FORMATS.get(str(form.get("format")), ())
    return next(((one, one.value) for one in left if one.kind in kinds), None)


def _named(
    text: str, left: Sequence[Value], name: str, form: Mapping[str, Any]
) -> tuple[Value, Any] | None:
    """Return a value that a parameter of this name is meant for, as a tool gets it."""
    for kind in _meant_for(name):
        for value in left:
            if kind == (value.kind if kind == "quantity" else kind_of(value)):
                # What a schema calls a text, without a format, gets what was said.
                if form and kind == "moment":
                    return value, _whole_moment(text, value, left)
                said = form and kind in ("quantity", "money")
                return value, value.text if said else value_of(value)
    return None


def _whole_moment(text: str, value: Value, values: Sequence[Value]) -> str:
    """Return a moment with what belongs to it: "every Sunday", "tomorrow at 9", "Friday night"."""
    start, end = value.start, value.end
    for other in values:
        between = text[end : other.start] if other.start >= end else None
        if between is not None and _AT.fullmatch(between):
            end = other.end
    if before := _EVERY.search(text[:start]):
        start = before.start()
    part = _PART_OF_DAY.match(text[end:])
    return text[start : end + (part.end() if part else 0)]


def _option(text: str, form: Any) -> str:
    """Return the one option of an enumeration that a request says; "" if it says none, or more."""
    options = form.get("enum") if isinstance(form, dict) else None
    if not isinstance(options, list):
        return ""
    words = stems_of(text)
    said = [one for one in options if isinstance(one, str) and stems_of(one) and
            stems_of(one) <= words]  # fmt: skip
    return said[0] if len(said) == 1 else ""


def _whole(values: Sequence[Value], text: str) -> Iterator[Value]:
    """Yield values; a number and the unit behind it are one quantity."""
    rest = list(values)
    while rest:
        value = rest.pop(0)
        if value.kind == "number" and rest and rest[0].kind == "unit":
            unit = rest.pop(0)
            said = text[value.start : unit.end]
            value = Value("quantity", value.value, value.start, unit.end, said)
        yield value


def _give_phrases(
    text: str,
    values: Sequence[Value],
    names: Sequence[str],
    own: frozenset[str],
    given: dict[str, Any],
) -> None:
    """Give open parameters the phrases of a request that nothing else accounts for.

    "from" and "to" say which is which. Of what is left, one phrase is for one parameter; else none.
    """
    taken = [*_spans_of(given.values(), text)]
    named = [*((v.start, v.end) for v in values if v.kind != "name"), *taken]
    phrases = [*phrases_of(text, named, own)]
    left = list(names)
    for name in names:
        words = set(name.casefold().split("_"))
        for role, before in _ROLES:
            fitting = [one for one in phrases if before.search(text[: one[0]])]
            if words & role and len(fitting) == 1:
                start, end = fitting[0]
                given[name] = text[start:end]
                left.remove(name)
                phrases.remove(fitting[0])
    roles = {one for role, _ in _ROLES for one in role}
    if len(left) == 1 and not roles & set(left[0].split("_")):
        start, end = firmest(text, phrases)
        if end:
            given[left[0]] = text[start:end]


def _spans_of(given: Iterable[Any], text: str) -> Iterator[tuple[int, int]]:
    """Yield where the texts that are given stand, with the word that introduces each."""
    for one in given:
        if isinstance(one, str) and (at := text.find(one)) >= 0:
            before = (each.start() for each in _INTRODUCES.finditer(text) if each.end() == at)
            yield next(before, at), at + len(one)


def value_of(value: Value) -> Any:
    """Return a value as a tool gets it: a path whole, an expression as it was said."""
    if value.kind == "path":
        said = str(value.value)
        return str(Path(said).expanduser()) if said.startswith("~") else said
    if value.kind in ("expression", "name", "address"):
        return value.text
    return value.value


def _open(text: str, values: Sequence[Value], left: list[Value], name: str) -> Any:
    """Return what an open parameter gets: a quoted text, then what is introduced; "" if nothing."""
    if quoted := _quoted(left):
        return quoted
    if _meant_for(name) == _PATTERN and (ending := _ENDING.search(text)):
        return f"*{ending[0]}"  # the one argument that is not said as it is meant
    if _meant_for(name) not in ((), ("text",)):
        return ""
    rest = _without(text, [one for one in values if kind_of(one) in ("file", "path", "page")])
    for match in _INTRODUCES.finditer(rest):
        ends = _ENDS if match[1].casefold() in _SAYS else _CLOSES
        span = ends.sub("", rest[match.end() :]).strip(_EDGE)
        while more := _INTRODUCES.match(span):  # "that mentions milk"
            span = span[more.end() :]
        span = _WORDS.sub("", span)
        if span and span in text:
            return span
    return ""


def _meant_for(parameter: str) -> tuple[str, ...]:
    own = (_MEANT[word] for word in reversed(parameter.casefold().split("_")) if word in _MEANT)
    return meant_for(parameter) or next(own, ())


def _quoted(left: list[Value]) -> Any:
    """Take a quoted text, or a pattern, from what is left; "" if there is none."""
    quoted = next((one for one in left if one.kind in ("text", "pattern")), None)
    if quoted is None:
        return ""
    left.remove(quoted)
    return quoted.value


def _without(text: str, values: Sequence[Value]) -> str:
    for value in sorted(values, key=lambda one: -one.start):
        text = f"{text[: value.start].rstrip()} in {text[value.end :].lstrip()}"
    return text


def comes_from(value: Any, texts: Sequence[str], known: Sequence[Any]) -> bool:
    """Return whether a value is a part of the request, or of what steps answered.

    >>> comes_from("milk", ["find milk"], []), comes_from("beer", ["find milk"], [["tea"]])
    (True, False)
    """
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        return all(comes_from(each, texts, known) for each in value)
    if isinstance(value, bool) or value is None:
        return True
    return any(_holds(each, value) for each in (*texts, *known))


def _holds(known: Any, value: Any) -> bool:
    if isinstance(known, dict):
        known = [*known, *known.values()]
    if isinstance(known, list | tuple):
        return any(_holds(each, value) for each in known)
    if not isinstance(known, str):
        return bool(type(known) is type(value) and known == value)
    if isinstance(value, int | float):
        return re.search(rf"(?<![\d.]){re.escape(str(value))}(?![\d.])", known) is not None
    return " ".join(str(value).split()) in " ".join(known.split())


# Words that ask for a field beside its name. A question word asks for none: "when", "how many".
_ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "changed": ("modified", "edited", "updated"),
    "bytes": ("large", "big", "size"),
    "title": ("title", "called", "headline"),
    "datetime": ("time", "late", "hour", "now", "date", "when"),
    "day_of_week": ("day", "weekday"),
}


def pick(value: Any, request: str) -> tuple[Any, tuple[Any, ...]]:
    """Return the part of an answer that a request is about, and the keys that lead there.

    >>> pick({"kind": "file", "bytes": 12, "changed": "2026-11-23"}, "how large is a.txt?")
    (12, ('bytes',))
    """
    if not isinstance(value, dict) or not value:
        return value, ()
    words = re.findall(r"[a-z]+", request.casefold())
    found = [
        (min(words.index(word) for word in names if word in words), key)
        for key in value
        if isinstance(key, str)
        and (names := (*_ASKED.get(key, ()), *key.casefold().split("_")))
        and set(names) & set(words)
    ]
    if not found:
        return value, ()
    key = min(found)[1]
    return value[key], (key,)
