"""What was asked, and the words for it: parameter names, signature, goal."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.naming import name_numbers, name_texts
from bat_os.core.values import check_selector, check_slot_name
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOUNS: Final = {bool: "flag", int: "number", float: "number", str: "text", dict: "data"}


@dataclass(frozen=True, slots=True)
class Brief:
    """What the image was asked.

    Attributes:
        target: Name or oid of the receiver.
        selector: Name of the message.
        args: Positional arguments, plain data.
        kwargs: Keyword arguments, plain data.
        text: The wish in words, without the literal arguments; may be "".
        examples: Maps with args, kwargs and result that the method has to reproduce.
        fresh: Write a new method even where a known skill would serve.
        mode: ``cascade`` sends it through all personas as well; else "".
    """

    target: str
    selector: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()
    fresh: bool = False
    mode: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return plain data that ``from_plain`` reads back."""
        # Not asdict, which copies all of it, for a third of what storing a brief costs.
        told = {name: getattr(self, name) for name in _NAMES}
        if not self.mode:  # as it was stored, and hashed, before there were modes
            del told["mode"]
        return told

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Brief:
        """Return the brief that ``to_plain`` wrote."""
        return cls(
            data["target"],
            data["selector"],
            tuple(data["args"]),
            dict(data["kwargs"]),
            data["text"],
            tuple(data["examples"]),
            bool(data.get("fresh")),
            str(data.get("mode", "")),
        )


_NAMES: Final = tuple(field.name for field in fields(Brief))


def checked(brief: Brief) -> Brief:
    """Return a brief that came from outside, once its names can be a message's.

    Raises:
        ArgumentsError: The selector, or the name of an argument, cannot be used.
    """
    check_selector(brief.selector)
    for name in brief.kwargs:
        check_slot_name(name)
        if keyword.iskeyword(name):
            raise ArgumentsError(f"{name!r} is a word of Python and cannot be an argument")
    return brief


def parameters(brief: Brief) -> tuple[str, ...]:
    """Return names for the positional arguments, from their types and the wish.

    One number is ``number``; two are ``a`` and ``b``; a list of numbers is ``numbers``. Where the
    wish names them, they are called that.
    """
    nouns = [_noun(value) for value in brief.args]
    texts = [value for value in brief.args if type(value) is str]
    told = {
        "text": iter(name_texts(brief.text, texts)),
        "number": iter(name_numbers(brief.text, nouns.count("number"))),
    }
    nouns = [next(told[noun], noun) if noun in told else noun for noun in nouns]
    names: list[str] = []
    for place, noun in enumerate(nouns):
        many = nouns.count(noun) > 1
        name = noun
        if many:
            letter = noun == "number" and place < 26
            name = chr(ord("a") + place) if letter else f"{noun}{place + 1}"
        while name in brief.kwargs:
            name += f"_{place + 1}"
        names.append(name)
    return tuple(names)


def kinds(brief: Brief) -> list[str]:
    """Return what kind of value each argument is, keyword arguments by name at the end.

    >>> kinds(Brief("genesis_obj", "scale", (3, "x"), {"by": [1, 2]}))
    ['number', 'text', 'by=numbers']
    """
    named = (f"{name}={_noun(value)}" for name, value in sorted(brief.kwargs.items()))
    return [*map(_noun, brief.args), *named]


def signature(brief: Brief) -> str:
    """Return the ``def`` line that a candidate has to have."""
    return f"def {brief.selector}({', '.join(('self', *parameters(brief), *brief.kwargs))}):"


def goal(brief: Brief) -> str:
    """Return the wish as one sentence, for a docstring and for people."""
    words = brief.text.strip() or brief.selector.strip("_").replace("_", " ")
    words = "".join(c if c.isprintable() else " " for c in words)
    words = re.sub(r"\s+", " ", words).rstrip(".!? ").replace('"', "'").replace("\\", " ")
    return f"{words[:1].upper()}{words[1:300]}."


def _noun(value: Any) -> str:
    if type(value) is list:
        numbers = value and all(type(item) in (int, float) for item in value)
        return "numbers" if numbers else "items"
    return _NOUNS.get(type(value), "value")
