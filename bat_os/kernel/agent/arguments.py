"""The arguments of a step: each is a part of the request, or of what an earlier step answered.

    "what time is it in Tokyo"           > timezone: Tokyo
    "search ~/notes for the word milk"   > path: ~/notes, text: milk

Values that the request names go to the parameters that are meant for them, whole. What is left is a
span of the request: after the words that introduce it, else the longest that names nothing else.
What no span gives is asked for; nothing is made up.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.kernel.agent.choosing import kind_of, meant_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.sentence.values import Value

# Words before a text: "search ~/notes for milk", "add the line buy bread to ...".
_INTRODUCES: Final = re.compile(
    r"\b(?:saying|says?|that|mentions?|contains?|containing|for|about|called|named|the words?"
    r"|the text|the line|with the text)\b:?\s+",
    re.IGNORECASE,
)
_CLOSES: Final = re.compile(
    r"\s+(?:in|into|to|at|on|from|of|anywhere|somewhere)\b.*$", re.IGNORECASE
)
_WORDS: Final = re.compile(r"^(?:the )?(?:words?|text|line|phrase) ", re.IGNORECASE)
_ENDING: Final = re.compile(r"(?<![\w/.])\.[a-z][a-z0-9]{0,5}\b", re.IGNORECASE)
_EDGE: Final = " \t.,;:!?'\"()"


def fill(
    text: str, values: Sequence[Value], takes: Sequence[str], needs: Sequence[str]
) -> tuple[dict[str, Any], str]:
    """Return the arguments that a request names for a tool, and a needed one that it does not.

    Args:
        text: The request.
        values: What it names, in order.
        takes: Names of the parameters, in order.
        needs: Those that a call must have.
    """
    left, given = list(values), dict[str, Any]()
    for name in takes:
        meant = meant_for(name)
        value = next((one for kind in meant for one in left if kind_of(one) == kind), None)
        if value is not None:
            left.remove(value)
            given[name] = value_of(value)
    for name in needs:
        if name not in given and (span := _open(text, values, left, name)):
            given[name] = span
    lacking = next((name for name in needs if name not in given), "")
    return {name: given[name] for name in takes if name in given}, lacking


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
    quoted = next((one for one in left if one.kind in ("text", "pattern")), None)
    if quoted is not None:
        left.remove(quoted)
        return quoted.value
    if meant_for(name) == ("pattern",) and (ending := _ENDING.search(text)):
        return f"*{ending[0]}"  # the one argument that is not said as it is meant
    if meant_for(name) not in ((), ("text",)):
        return ""
    rest = _without(text, [one for one in values if kind_of(one) in ("file", "path", "page")])
    for match in _INTRODUCES.finditer(rest):
        span = _CLOSES.sub("", rest[match.end() :]).strip(_EDGE)
        span = _WORDS.sub("", span)
        if span and span in text:
            return span
    return ""


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


_ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "changed": ("when", "changed", "modified", "edited", "updated", "old", "last"),
    "bytes": ("large", "big", "size", "bytes", "long", "many"),
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
