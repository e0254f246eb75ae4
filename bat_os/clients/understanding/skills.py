"""Does the image know how already? Then the known message is sent, and nothing is written.

The kernel ranks what it has learned by meaning (``find``). Like meaning alone is not enough:
"count the vowels" and "list the vowels" lie close together. So a skill serves only where it
takes as many values, of kinds that it speaks of, and no word of the wish turns it into
another one; and then its words have to say all that was asked, or the meaning be very like.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.clients.phrase import ARTICLES, PREPOSITIONS, word_set
from bat_os.clients.understanding.agreement import singular
from bat_os.core.judging.likeness import is_same_wish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.clients.translate import Translated

LIKE: Final = 0.55  # cosine from which words that the skill does not know are no hindrance
ALIKE: Final = 0.66  # the same where the wish lacks words of the skill, too
RELATED: Final = 0.30  # cosine below which like words are a coincidence
LOOKED_AT: Final = 6
_KINDS: Final = {str: ("text", "name", "date", "word"), list: ("list",), dict: ("dictionary",)}
_VALUES: Final = word_set(
    "number text list name dictionary truth value values numbers another one word person date"
)
_ASKING: Final = (
    ARTICLES
    | PREPOSITIONS
    | word_set(
        "what which who how much many is are was were does do did has have be it its that this "
        "these those me my you your i we please can could would say tell show give get return "
        "report print calculate compute find check determine whether if and or all every each "
        "know need want write turn put new "
        "now current currently there here s"
    )
)
# What is done to the same things: "count the vowels" is not "list the vowels".
_ACTIONS: Final = word_set(
    "count list remove delete sort reverse sum add subtract multiply divide average join split "
    "convert encode decode encrypt translate greet insult roll flip draw remember forget open "
    "close start stop square double halve replace repeat upper lower"
)
_YES_OR_NO: Final = word_set("is are was were does do did has have can")
# A noun that makes another thing of the one before it: the square, the square root.
_HEADS: Final = word_set("root power sum product difference factor digit length index position")
# Other words for the same; both sides are read with these.
_SYNONYMS: Final = {
    **dict.fromkeys(("largest", "biggest", "greatest", "highest", "max"), "maximum"),
    **dict.fromkeys(("smallest", "lowest", "least", "min"), "minimum"),
    **dict.fromkeys(("backwards", "backward", "reversed", "inverted"), "reverse"),
    **dict.fromkeys(("repeated", "duplicate", "duplicates"), "duplicate"),
    "total": "sum", "mean": "average", "dice": "die", "sqrt": "square root",
    "weekday": "day week", "drop": "remove", "delete": "remove", "throw": "roll",
    "kilometres": "kilometers", **dict.fromkeys(("make", "create", "produce"), "generate"),
    "deduplicate": "remove duplicate", "metres": "meters", "colour": "color", "centre": "center",
    "factors": "factor", "degrees": "", "uppercase": "upper case", "lowercase": "lower case",
}  # fmt: skip
_WORD: Final = re.compile(r"[^\W_]+")
# Ways to say it in several words, as one: (what is said, what is read).
_PHRASES: Final = (
    (re.compile(r"^(do you know|can you|could you|would you|will you)\b"), "tell"),
    (re.compile(r"\b(say|tell) hello to\b"), "greet"),
    (re.compile(r"\badd(s|ed)? up\b"), "sum"),
    (re.compile(r"^(turn|put) (.*) around$"), r"reverse \2"),
    (re.compile(r"^(?:make|keep) (.*) unique$"), r"remove duplicates \1"),
    (re.compile(r"^count (\w+) (?:in )?a number (\w+)$"), r"convert \2 to \1"),
)


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


def serves(wish: Translated, skill: Mapping[str, Any]) -> bool:
    """Return True when a known skill does what was asked."""
    learned, similarity = str(skill["wish"]), float(skill["similarity"])
    if similarity < RELATED or not _takes(str(skill["signature"]), wish):
        return False
    said, told = _plain(wish.text), _plain(learned)
    if not is_same_wish(_things(said), _things(told)) or not _fits_kinds(wish.args, learned):
        return False
    if _asks_whether(wish.text) != _asks_whether(learned):
        return False
    has_values = bool(wish.args or wish.kwargs)
    asked = _content(said, has_values=has_values)
    name = _plain(str(skill["selector"]).replace("_", " "))
    known = _content(told, has_values=has_values) | _content(name, has_values=has_values)
    for turning in (_ACTIONS, _HEADS):
        if asked & turning != known & turning and (turning is _HEADS or asked & turning):
            return False
    explained = bool(asked & known) and asked <= known
    return explained or similarity >= (LIKE if known <= asked | _ACTIONS else ALIKE)


def _takes(signature: str, wish: Translated) -> bool:
    """Return True when the signature has as many parameters as the wish has values."""
    inside = signature.partition("(")[2].rpartition(")")[0]
    names = [part.partition(":")[0].partition("=")[0].strip() for part in inside.split(",")]
    known = [name for name in names if name not in ("", "self")]
    if not inside:  # only the name was kept
        return True
    return len(known) == len(wish.args) + len(wish.kwargs) and set(wish.kwargs) <= set(known)


def _fits_kinds(values: Sequence[Any], learned: str) -> bool:
    """Return False for a list where the skill speaks of a text, and the like."""
    words = set(_WORD.findall(learned.lower()))
    spoken = {kind for kind, nouns in _KINDS.items() if words & set(nouns)}
    given = {type(value) for value in values}
    return not given or not spoken or not given & set(_KINDS) or bool(given & spoken)


def _asks_whether(text: str) -> bool:
    """Return True for a wish that is answered by yes or no."""
    words = _read(text).split()
    return bool(words) and (words[0] in _YES_OR_NO or "whether" in words[:3])


def _read(text: str) -> str:
    """Return the text in small letters, phrases that mean one word as that word."""
    read = text.lower().strip(" .?!")
    for said, word in _PHRASES:
        read = said.sub(word, read)
    return read


def _things(text: str) -> str:
    """Return the text without the words for any value: "a number", "the list"."""
    return " ".join(word for word in text.split() if singular(word) not in _VALUES)


def _plain(text: str) -> str:
    """Return the text with one word for what has several, each where it is said last."""
    words = [_SYNONYMS.get(word, word) for word in _WORD.findall(_read(text))]
    return " ".join(word for at, word in enumerate(words) if word not in words[at + 1 :])


def _content(text: str, *, has_values: bool) -> frozenset[str]:
    """Return the words that say what is wanted; where values are, not what kind they are of."""
    words = [singular(word) for word in text.split()]
    left_out = _ASKING | _VALUES if has_values else _ASKING
    # "list the vowels" says what to do; elsewhere a list is a value.
    return frozenset({word for word in words if word not in left_out} | (set(words[:1]) & _ACTIONS))
