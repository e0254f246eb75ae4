"""The wish that a method was learned for, as a wording with slots.

    "Convert a number celsius to fahrenheit."  def convert(self, number)
    "convert {number} celsius to fahrenheit"

A wish names its values by kind or by parameter: "a text", "another number", "the price". English
only; a method that was learned from a sentence of another language keeps that sentence's own words
as a wording.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.text import parse
from bat_os.sentence.reading import Sentence, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LEARN: Final = re.compile(r"(?:learn|teach yourself|know|show me|tell me) (?:how )?to ")
_ARTICLE: Final = "a|an|another|the|some|two"
_NOUNS: Final[Mapping[str, str]] = {
    "number": "number", "numbers": "list", "text": "text", "string": "text", "list": "list",
    "items": "list", "words": "list", "names": "list", "dictionary": "map", "data": "map",
    "map": "map", "date": "date", "name": "text", "year": "number", "word": "text",
    "sentence": "text", "percent": "percent", "price": "number", "amount": "number",
}  # fmt: skip


# What ``core.brief.kinds`` calls an argument -> the kind of a sentence's value.
_OF_ARGUMENTS: Final[Mapping[str, str]] = {
    "number": "number", "text": "text", "numbers": "list", "items": "list", "data": "map",
}  # fmt: skip
_FINER: Final = frozenset({("number", "percent"), ("text", "date")})  # what only a name tells
_SLOT: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_SHOWN: Final = "0"  # stands for a value in a sentence that is made of a wish


def kind_of_name(name: str) -> str:
    """Return the kind of value that a parameter of this name takes; "" if that is open."""
    return _NOUNS.get(name.rpartition("_")[2], _NOUNS.get(name, ""))


def name_kinds(names: Iterable[str], given: Iterable[str] = ()) -> dict[str, str]:
    """Return the kind of value that each parameter takes; "" if that is open.

    Args:
        names: Of the parameters, in order.
        given: What ``core.brief.kinds`` says of the arguments; nothing where that is not known.

    >>> name_kinds(["letter", "by"], ["text", "by=numbers"])
    {'letter': 'text', 'by': 'list'}
    """
    nouns = [noun.rpartition("=") for noun in given]
    names = [*names]
    known = dict(zip(names, (noun for name, _, noun in nouns if not name), strict=False))
    known |= {name: noun for name, _, noun in nouns if name}
    found = {}
    for name in names:
        kind, own = _OF_ARGUMENTS.get(known.get(name, ""), ""), kind_of_name(name)
        found[name] = own if not kind or (kind, own) in _FINER else kind
    return found


def put_values(wish: str, kinds: Mapping[str, str], values: Mapping[str, Any]) -> Sentence:
    """Return a wish as a sentence that says the values which it names.

    Args:
        wish: One sentence.
        kinds: Of each parameter, in order.
        values: Of each parameter.
    """
    text = word_wish(wish, [*kinds.items()])
    said, masked, at = "", "", 0
    found: list[Value] = []
    for slot in _SLOT.finditer(text):
        before, kind = text[at : slot.start()], kinds[slot[1]] or "number"
        said, masked, at = said + before, f"{masked}{before}{{{kind}}}", slot.end()
        found.append(Value(kind, values[slot[1]], len(said), len(said) + len(_SHOWN), _SHOWN))
        said += _SHOWN
    return Sentence(said + text[at:], "en", tuple(found), masked + text[at:])


def parameters_of_line(line: str) -> list[tuple[str, bool]]:
    """Return the parameters of a ``def`` line, and whether each is required."""
    tree = parse(f"{line.rstrip(':')}: pass")
    node = tree.body[0] if isinstance(tree, ast.Module) and tree.body else None
    if not isinstance(node, ast.FunctionDef):
        return []
    own = node.args
    positional = [arg.arg for arg in (*own.posonlyargs, *own.args)][1:]
    needed = len(positional) - len(own.defaults)
    named = zip(own.kwonlyargs, own.kw_defaults, strict=True)
    return [
        *((name, at < needed) for at, name in enumerate(positional)),
        *((arg.arg, default is None) for arg, default in named),
    ]


def word_wish(wish: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Return a wish as a wording.

    Args:
        wish: One sentence.
        parameters: Name and kind of each, in order; a kind of "" fits any noun.
    """
    text = wish.partition("\n")[0].strip().rstrip(".!?").lower().replace("{", "").replace("}", "")
    for name, kind in parameters:
        spoken = name.replace("_", " ")
        nouns = [re.escape(spoken)]
        nouns += [noun for noun, of in _NOUNS.items() if not kind or of == kind]
        for noun in nouns:
            found = re.search(rf"\b(?:{_ARTICLE}) {noun}\b(?! of \w+s\b)", text)
            if found:
                text = f"{text[: found.start()]}{{{name}}}{text[found.end() :]}"
                break
    return text


def wish_in_name(selector: str) -> str:
    """Return what a message orders to learn by its name; "" if it orders nothing.

    >>> wish_in_name("teach_yourself_to_greet"), wish_in_name("greet")
    ('greet', '')
    """
    words = f"{selector.replace('_', ' ').strip()} "
    found = LEARN.match(words)
    return words[found.end() :].strip() if found else ""
