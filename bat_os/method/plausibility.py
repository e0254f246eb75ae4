"""What a right answer seldom looks like: rules on the wish, the source and its answers.

Some rules read English words, and words mislead: "how much do I save" asks for a number and not for
a change. So whatever they find is a doubt, which costs a candidate its vote and refuses nothing; an
example that the candidate reproduces silences them.

Others look at the answers to perturbed arguments: ``is_prime(7)`` is True for a method that says
True to everything, and a few neighbours of the caller's arguments show which candidates agree.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.text import parse_method

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ASKS_VALUE: Final = re.compile(
    r"\b(return|calculate|compute|count|how (many|much|often|long|old)|check|whether|find|get|"
    r"give|tell|show|list|report|convert|extract|reverse|sort|what|which|sum|average|generate)\b",
    re.IGNORECASE,
)
_ASKS_MEMORY: Final = re.compile(
    r"\b(remember|store|memori[sz]e|save|keep track|note down|forget)\b", re.IGNORECASE
)
_ASKS_CHANGE: Final = re.compile(
    r"\b(add|append|put|set|increase|increment|decrease|decrement|remove|delete|clear|reset|"
    r"update|rename)\b",
    re.IGNORECASE,
)
_ASKS_TRUTH: Final = re.compile(
    r"^(check (whether|if|that)|(tell|say|decide|determine|test|see) (whether|if)"
    r"|(is|are|does|has)\b)",
    re.IGNORECASE,
)
_TRUTH_SELECTOR: Final = re.compile(r"^(is|has|can|are|does)_")
_ASKS_COUNT: Final = re.compile(
    r"^(count (the|how many|all)\b(?!.*\b(each|every|per)\b)|how many\b)", re.IGNORECASE
)
_COUNTED: Final = re.compile(
    r"^(?:count(?: the| all| how many)?(?: number of| occurrences of)?(?: the)?|how many) "
    r"(?P<what>\S.*)",
    re.IGNORECASE,
)
_ONE_LETTER: Final = re.compile(r"(?:letters?|characters?) ['\"]?\w['\"]?(?!\w)", re.IGNORECASE)
_WORDS: Final = frozenset({"word", "words", "tokens", "names", "items", "terms", "numbers", "parts",
                           "things", "entries", "values", "elements"})  # fmt: skip
_CHARACTERS: Final = frozenset({"character", "characters", "letter", "letters", "symbols", "items",
                                "elements", "digits", "length", "bytes", "things"})  # fmt: skip
_ASKS_SEVERAL: Final = re.compile(
    r"\b(list|return|show|give|tell|get) (me )?(back )?(all|every|the (whole )?list)\b",
    re.IGNORECASE,
)
_ASKS_MORE: Final = re.compile(
    r"^(add|append|put|insert|store|save|remember|memori[sz]e|note down|record|register|collect)\b",
    re.IGNORECASE,
)


def keeps_more(wish: str, answer: Any) -> bool:
    """Say whether another call like this one is to give more than ``answer``.

    >>> keeps_more("Add an item to the list and return the list.", ["bread"])
    True
    """
    return bool(_ASKS_MORE.match(wish.strip())) and isinstance(answer, list | dict) and bool(answer)


def find_unused(source: str, selector: str) -> str:
    """Return the name of a parameter that the method never reads, or "".

    The caller's arguments forced the parameters on the method, so its answer should depend on each.
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return ""
    method = parsed[1]
    named = [a.arg for a in (*method.args.posonlyargs, *method.args.args)][1:]
    named += [a.arg for a in method.args.kwonlyargs]
    read = {
        node.id
        for node in ast.walk(method)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return next((name for name in named if name not in read), "")


def find_blind_count(wish: str, source: str, selector: str) -> str:
    r"""Return what was to be counted in a text if the method counts whatever is there, or "".

    >>> find_blind_count("Count the trolls.", "def f(self, text):\n    return len(text)", "f")
    'trolls'
    """
    asked = _COUNTED.match(wish.strip())
    parsed = parse_method(source, selector) if asked else None
    if asked is None or parsed is None:
        return ""
    ends = [node.value for node in ast.walk(parsed[1]) if isinstance(node, ast.Return)]
    if len(ends) != 1:
        return ""
    by_words = {_counted_whole(end) for end in ends}.pop()
    if by_words is None:
        return ""
    letter = _ONE_LETTER.match(asked["what"])
    noun = letter[0] if letter else asked["what"].split()[0].strip(",.;:'\"").casefold()
    return "" if not letter and noun in (_WORDS if by_words else _CHARACTERS) else noun


def _counted_whole(value: ast.expr | None) -> bool | None:
    """Return whether an expression is the number of words or of characters; None if neither."""
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name)):
        return None
    if value.func.id != "len" or len(value.args) != 1:
        return None
    held = value.args[0]
    if isinstance(held, ast.Name):
        return False
    if not (isinstance(held, ast.Call) and isinstance(held.func, ast.Attribute)):
        return None
    return True if held.func.attr == "split" and not held.args else None


def find_implausible(
    wish: str, selector: str, answer: Any, *, writes: bool, slots: Iterable[str] = ()
) -> str:
    """Return in one line why ``answer`` is hardly what was wished for, or "".

    >>> find_implausible("Remember a note and list all notes.", "note", "milk", writes=True)
    'several things were asked for; str came back'

    ``writes`` says that the candidate changed an object.
    """
    words = wish.strip()
    if not writes and (_ASKS_MEMORY.search(words) or _changes_slot(words, slots)):
        return "was to change the object and changed nothing"
    if answer is None and (not writes or _ASKS_VALUE.search(words)):
        return "returned nothing" + ("" if writes else " and changed nothing")
    kind, wanted = type(answer), ""
    if (_ASKS_TRUTH.match(words) or _TRUTH_SELECTOR.match(selector)) and kind is not bool:
        wanted = "a yes or no was"
    elif _ASKS_COUNT.match(words) and kind not in (int, float):
        wanted = "a number was"
    elif _ASKS_SEVERAL.search(words) and kind in (str, int, float, bool):
        wanted = "several things were"
    return f"{wanted} asked for; {kind.__name__} came back" if wanted else ""


def _changes_slot(words: str, slots: Iterable[str]) -> bool:
    """Say whether the wish changes what a slot of the receiver is named for."""
    if not _ASKS_CHANGE.match(words):
        return False
    folded = words.casefold()
    return any(name.strip("_").replace("_", " ").casefold() in folded for name in slots if name)


MAX_PROBES: Final = 4
MAX_LENGTH: Final = 2_000  # of a text or list that is varied: probes have to stay cheap


def perturb(args: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
    """Return up to MAX_PROBES argument lists; one argument differs from ``args`` in each.

    The same arguments give the same probes. What cannot be varied (a reference, a moment)
    stays as it is.

    >>> perturb((7,))
    ((8,), (2,), (0,), (70,))
    """
    columns = [[put(args, place, value) for value in near(args[place])]
               for place in range(len(args))]  # fmt: skip
    probes: list[tuple[Any, ...]] = []
    for row in range(max(map(len, columns), default=0)):
        probes += [column[row] for column in columns if row < len(column)]
    return tuple(probes[:MAX_PROBES])


def find_uninformative(args: Sequence[Any], value: Any, probed: Sequence[tuple[Any, Any]]) -> str:
    """Return in one line why the answers of a method say nothing, or "".

    A right method may look like that on unlucky arguments, so this is a doubt and refuses nothing.

    ``probed`` has (arguments, answer) of each probe that was answered.

    >>> find_uninformative(("abc",), "abc", [(("ABC",), "ABC"), (("cba",), "cba")])
    'gives its argument back as it is'
    """
    if not args:
        return ""
    if is_nothing(value):
        return "answers with nothing"
    if any(_gives_back(own, place, value, probed) for place, own in enumerate(args)):
        return "gives its argument back as it is"
    if type(value) is not bool and len(probed) > 1 and all(_is(v, value) for _, v in probed):
        return "answers everything alike"
    return ""


def is_nothing(value: Any) -> bool:
    """Return whether an answer is None, blank or empty."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, list | dict | tuple | set) and not value)


def _gives_back(own: Any, place: int, value: Any, probed: Sequence[tuple[Any, Any]]) -> bool:
    return bool(probed) and _is(value, own) and all(_is(v, given[place]) for given, v in probed)


def _is(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def put(args: Sequence[Any], place: int, value: Any) -> tuple[Any, ...]:
    """Return arguments with another value in one place."""
    return (*args[:place], value, *args[place + 1 :])


def near(value: Any) -> list[Any]:
    """Return a few other values of the same kind; [] for what cannot be varied."""
    kind = type(value)
    if kind is bool:
        return [not value]
    if kind is int:
        return _others(value, (value + 1, 2, 0, value * 10)) if abs(value) < 10**12 else []
    if kind is float:
        return _others(value, (value + 1.5, value * 2, 0.0))
    if kind in (str, list) and len(value) <= MAX_LENGTH:
        return _near_text(value) if kind is str else _near_list(value)
    return []


def _near_text(value: str) -> list[str]:
    return _others(value, (value.swapcase(), f"{value} {value}", value[::-1], ""))


def _near_list(value: list[Any]) -> list[Any]:
    return _others(value, (value[::-1], value + value[:1], value[:1], []))


def _others(value: Any, varied: Iterable[Any]) -> list[Any]:
    others: list[Any] = []
    for other in varied:
        if other != value and other not in others:
            others.append(other)
    return others
