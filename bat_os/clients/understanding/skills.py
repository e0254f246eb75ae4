"""Does the image know how already? Then the known message is sent, and nothing is written.

The kernel ranks what it has learned by meaning (``find``). Like meaning alone is not enough:
"count the vowels" and "list the vowels" lie close together, as do area and perimeter. So both
wishes are taken apart (``bat_os.core.wishes.parts``), and a skill serves where

1. it takes as many values, of the same kinds, with the same units beside them;
2. nothing sets the two apart: what is done, what comes out, yes or no, words that turn a wish;
3. no word of one is exchanged for an unknown word of the other. Where only one of the two says
   more, their meaning has to be like: a wrong answer is worse than a new lesson.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.wishes.concepts import MEASURES, forms, unbend
from bat_os.core.wishes.parts import ANY, Parts, take_apart
from bat_os.core.wishes.sameness import VALUES, is_one_wish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.clients.translate import Translated

RELATED: Final = 0.30  # cosine below which like words are a coincidence
SHORTER: Final = 0.50  # cosine from which a wish may lack words of the skill
LONGER: Final = 0.66  # cosine from which it may have words that the skill does not know
ALIKE: Final = 0.80  # cosine from which wishes without any word that counts are the same
LOOKED_AT: Final = 6
OFFERED: Final = 0.40  # cosine from which a skill is worth naming though it is not sent
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


def recognise(wish: Translated, skills: Sequence[Mapping[str, Any]]) -> Translated | None:
    """Return the message of the known skill that serves, or None.

    Args:
        wish: What was understood.
        skills: As ``find`` returns them: object, selector, wish, signature, similarity.
    """
    if wish.examples:
        return None  # they are to be learned from, or tried
    ranked = sorted(skills, key=lambda skill: -float(skill["similarity"]))
    for skill in ranked[:LOOKED_AT]:
        if serves(wish, skill):
            return replace(wish, target=str(skill["object"]), selector=str(skill["selector"]))
    return None


def suggest(wish: Translated, skills: Sequence[Mapping[str, Any]]) -> Translated | None:
    """Return the message of the skill that is most like the wish, for a person to judge.

    Args:
        wish: What was understood.
        skills: As for ``recognise``.

    Returns:
        None where no skill that takes these values is like it.
    """
    fitting = [one for one in skills if _takes(str(one["signature"]), wish)]
    best = max(fitting, key=lambda skill: float(skill["similarity"]), default=None)
    if best is None or wish.examples or float(best["similarity"]) < OFFERED:
        return None
    return replace(wish, target=str(best["object"]), selector=str(best["selector"]))


def serves(wish: Translated, skill: Mapping[str, Any]) -> bool:
    """Return True when a known skill does what was asked."""
    similarity, signature = float(skill["similarity"]), str(skill["signature"])
    if similarity < RELATED or not _takes(signature, wish):
        return False
    values, names = len(wish.args) + len(wish.kwargs), _parameters(signature)
    learned, title = str(skill["wish"]), str(skill["selector"]).replace("_", " ")
    said, told = _forms(wish.text), _forms(learned)
    asked = take_apart(wish.text, values=values, names=names, others=told)
    known = _Skill(
        take_apart(learned, values=values, names=names, others=said),
        frozenset(unbend(name) for name in names),
        frozenset(take_apart(title, others=said).concepts),
    )
    return (
        _has_kinds(wish.args, known.parts)
        and _is_given_the_same(asked, known)
        and is_one_wish(asked, known.parts)
        and _says_enough(asked, known, similarity, has_values=bool(values))
    )


def _parameters(signature: str) -> list[str]:
    inside = signature.partition("(")[2].rpartition(")")[0]
    names = [part.partition(":")[0].partition("=")[0].strip() for part in inside.split(",")]
    return [name for name in names if name not in ("", "self")]


def _takes(signature: str, wish: Translated) -> bool:
    """Return True when the signature has as many parameters as the wish has values."""
    if "(" not in signature:  # only the name was kept
        return True
    known = _parameters(signature)
    return len(known) == len(wish.args) + len(wish.kwargs) and set(wish.kwargs) <= set(known)


def _forms(text: str) -> frozenset[str]:
    return frozenset(form for word in _WORD.findall(text.lower()) for form in forms(word))


def _has_kinds(values: Sequence[Any], known: Parts) -> bool:
    """Return False for a list where the skill takes a text, and the like."""
    if len(values) != len(known.kinds):
        return True  # it cannot be told which is which
    given = [_KINDS.get(type(value), ANY) for value in values]
    return all(ANY in pair or len(set(pair)) == 1 for pair in zip(given, known.kinds, strict=True))


def _is_given_the_same(asked: Parts, known: _Skill) -> bool:
    """Return True when each value is the same thing to both, and none is what is asked for."""
    parts = known.parts
    first = asked.concepts[:1]
    if set(first) & known.names - VALUES - set(asked.beside) and parts.concepts[:1] != first:
        return False  # "which country has the capital 'Paris'?", where the country is given
    beside = parts.beside or tuple(MEASURES & set(parts.concepts) - {parts.target})
    said = {*asked.beside, *beside} & set(asked.concepts) & set(parts.concepts)
    joints = set(asked.joints) & set(parts.joints) - {""}
    return all(_is_at_one_value(word, asked.beside, beside) for word in said) and all(
        _is_at_one_value(word, asked.joints, parts.joints) for word in joints
    )


def _is_at_one_value(word: str, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return True when the word stands at the same value, as far as that can be told."""
    if word not in one or word not in other:
        return False
    return len(one) != len(other) or one.index(word) == other.index(word)


def _says_enough(asked: Parts, known: _Skill, similarity: float, *, has_values: bool) -> bool:
    """Return True when what only one of the wishes says can be left out."""
    kept = known.parts.objects | (asked.objects if "count" in asked.actions else set())
    left_out = VALUES - kept if has_values else frozenset()
    said = set(asked.concepts) - left_out
    told = set(known.parts.concepts) - left_out
    more, less = said - told - known.title - known.names, told - said
    if more:
        return not less and not more & asked.objects and similarity >= LONGER and bool(said & told)
    if less:
        return len(less) <= len(said & told) and similarity >= SHORTER
    return bool(said & told) or similarity >= ALIKE
