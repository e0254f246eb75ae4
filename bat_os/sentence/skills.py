"""Does the image know how already? Then the known message is sent, and nothing is written.

The kernel ranks what it has learned by meaning (``find``). Like meaning alone is not enough:
"count the vowels" and "list the vowels" lie close together, as do area and perimeter. So both
requests are taken apart (``bat_os.sentence.sameness``), and a skill serves if

1. it takes as many values, of the same kinds, with the same units beside them;
2. nothing sets the two apart: what is done, what comes out, yes or no, words that turn a request;
3. neither says more than the other: of the sentences that only add a word to a known request, or
   leave one out, every second wants something else (docs/decisions/0009).

A wrong answer is worse than a question, so where words differ a person is asked (``suggest``).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.text import parse
from bat_os.sentence.sameness import (
    ANY,
    VALUES,
    Parts,
    find_base_form,
    has_same_parts,
    list_base_forms,
    read_english,
    take_apart,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.sentence.translate import Translated

RELATED: Final = 0.30  # cosine below which like words are a coincidence
ALIKE: Final = 0.80  # cosine from which requests without any word that counts are the same
LOOKED_AT: Final = 6
OFFERED: Final = 0.45  # cosine from which a skill is worth asking about though it is not sent
CHOICES: Final = 3
_KINDS: Final = {
    str: "text", bool: "truth", int: "number", float: "number", list: "list", tuple: "list",
    dict: "dictionary",
}  # fmt: skip
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class _Skill:
    """A known skill, as far as it is compared: names of its parameters, words of its selector."""

    parts: Parts
    names: frozenset[str]
    title: frozenset[str]


@dataclass(frozen=True, slots=True)
class Near:
    """A known skill that may do what was asked."""

    message: Translated  # what to send, with the values of the request
    wish: str  # what it was learned for


def recognise(wish: Translated, skills: Sequence[Mapping[str, Any]]) -> Translated | None:
    """Return the message of the known skill that serves, or None."""
    if wish.examples:
        return None  # they are to be learned from, or tried
    for skill in _rank(skills)[:LOOKED_AT]:
        if serves(wish, skill):
            return replace(wish, target=str(skill["object"]), selector=str(skill["selector"]))
    return None


def suggest(wish: Translated, skills: Sequence[Mapping[str, Any]]) -> tuple[Near, ...]:
    """Return the skills that are most like the request, for a person to judge, the nearest first.

    Returns:
        Up to CHOICES of those that take these values.
    """
    if wish.examples:
        return ()
    fitting = [
        skill
        for skill in _rank(skills)
        if float(skill["similarity"]) >= OFFERED and _takes(str(skill["signature"]), wish)
    ]
    return tuple(
        Near(
            replace(wish, target=str(skill["object"]), selector=str(skill["selector"])),
            str(skill["wish"]),
        )
        for skill in fitting[:CHOICES]
    )


def _rank(skills: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(skills, key=lambda skill: -float(skill["similarity"]))


def serves(wish: Translated, skill: Mapping[str, Any]) -> bool:
    """Return True if a known skill does what was asked."""
    similarity, signature = float(skill["similarity"]), str(skill["signature"])
    if similarity < RELATED or not _takes(signature, wish):
        return False
    values, names = len(wish.args) + len(wish.kwargs), _parameters(signature)
    learned, title = str(skill["wish"]), str(skill["selector"]).replace("_", " ")
    said, known_forms = _forms(wish.text), _forms(learned)
    asked = take_apart(wish.text, values=values, names=names, others=known_forms)
    known = _Skill(
        take_apart(learned, values=values, names=names, others=said),
        frozenset(find_base_form(name) for name in names),
        frozenset(take_apart(title, others=said).concepts),
    )
    return (
        _has_kinds(wish.args, known.parts)
        and _is_given_the_same(asked, known)
        and has_same_parts(asked, known.parts)
        and _says_the_same(asked, known, similarity, has_values=bool(values))
    )


def _arguments(signature: str) -> ast.arguments | None:
    """Return the parameters in a ``def`` line, or None where only the name was kept."""
    tree = parse(f"{signature.rstrip(':')}: pass")
    function = tree.body[0] if isinstance(tree, ast.Module) else None
    return function.args if isinstance(function, ast.FunctionDef) else None


def _parameters(signature: str) -> list[str]:
    arguments = _arguments(signature)
    return [arg.arg for arg in _positional(arguments)] if arguments else []


def _positional(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args][1:]


def _takes(signature: str, wish: Translated) -> bool:
    """Return True if the skill takes the values of the request, no more and no fewer."""
    arguments = _arguments(signature)
    if arguments is None:
        return True
    positional = [arg.arg for arg in _positional(arguments)]
    named = [arg.arg for arg in arguments.kwonlyargs]
    defaults = zip(named, arguments.kw_defaults, strict=True)
    optional = {*positional[len(positional) - len(arguments.defaults) :]}
    optional |= {name for name, default in defaults if default is not None}
    left = {*positional[len(wish.args) :], *named}
    fits = len(wish.args) <= len(positional) or arguments.vararg
    return bool(
        fits
        and (left >= set(wish.kwargs) or arguments.kwarg)
        and left - optional <= set(wish.kwargs)
    )


def _forms(text: str) -> frozenset[str]:
    return frozenset(form for word in _WORD.findall(text.lower()) for form in list_base_forms(word))


def _has_kinds(values: Sequence[Any], known: Parts) -> bool:
    """Return False for a list where the skill takes a text, and the like."""
    if len(values) != len(known.kinds):
        return True  # which is which is not known
    given = [_KINDS.get(type(value), ANY) for value in values]
    return all(ANY in pair or len(set(pair)) == 1 for pair in zip(given, known.kinds, strict=True))


def _is_given_the_same(asked: Parts, known: _Skill) -> bool:
    """Return True if each value means the same thing to both, and none is what is asked for."""
    parts = known.parts
    first = asked.concepts[:1]
    if set(first) & known.names - VALUES - set(asked.beside) and parts.concepts[:1] != first:
        return False  # "which country has the capital 'Paris'?", where the country is given
    beside = parts.beside or tuple(read_english().measures & set(parts.concepts) - {parts.target})
    said = {*asked.beside, *beside} & set(asked.concepts) & set(parts.concepts)
    joints = set(asked.joints) & set(parts.joints) - {""}
    return all(_is_at_one_value(word, asked.beside, beside) for word in said) and all(
        _is_at_one_value(word, asked.joints, parts.joints) for word in joints
    )


def _is_at_one_value(word: str, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return True if the word is beside the same value, as far as that is known."""
    if word not in one or word not in other:
        return False
    return len(one) != len(other) or one.index(word) == other.index(word)


def _says_the_same(asked: Parts, known: _Skill, similarity: float, *, has_values: bool) -> bool:
    """Return True if neither request says anything that the other does not."""
    kept = known.parts.objects | (asked.objects if "count" in asked.actions else set())
    left_out = VALUES - kept if has_values else frozenset()
    said = set(asked.concepts) - left_out
    learned = set(known.parts.concepts) - left_out
    differs = said - learned - known.title - known.names or learned - said
    return not differs and (bool(said & learned) or similarity >= ALIKE)
