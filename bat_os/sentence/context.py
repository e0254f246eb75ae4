"""What a sentence says beside its wish: numbers as words, introductions, values by name.

"my name is Ann, greet me"              greet 'Ann'
"add twelve and thirty"                 add 12 and 30
"draw a box with width 2, height 3"     draw a box       width=2, height=3
"""

from __future__ import annotations

import re
from typing import Any, Final

from bat_os.sentence.grammar import JOINERS, mark_names
from bat_os.sentence.tokens import Token
from bat_os.sentence.words import PREPOSITIONS, word_set

# fmt: off
_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)
_TENS: Final = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)
# fmt: on
_NUMBERS: Final = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
# After these a number word is a value; before a noun ("two numbers") it tells how many.
_AFTER_NUMBER: Final = (
    JOINERS
    | PREPOSITIONS
    | word_set("plus minus times divided multiplied is gives becomes please together . ! ? ) ; :")
)
_INTRODUCTION: Final = re.compile(
    r"(?:my name is|my (?:\w+ ){1,3}(?:is|are)|i am|i'm|(?:i|we) have(?: got)?|i've got|"
    r"here(?: is|'s| are)|given|there(?: is| are)|this is|these are) "
)
_PRONOUNS: Final = word_set("me it them him her these those")
_GIVING: Final = word_set("give gives return returns answer answers say says")
_LOOK: Final = 60  # tokens of an introduction, at most


def read_numbers(tokens: list[Token]) -> list[Token]:
    """Return the tokens with "five" and "twenty-one" as numbers, where they are values."""
    read = list(tokens)
    for at in range(len(tokens) - 1, -1, -1):
        value = _number(tokens[at])
        follows = read[at + 1] if at + 1 < len(read) else None
        if value is None or not (follows is None or follows.low in _AFTER_NUMBER):
            continue
        if at and tokens[at - 1].low in _GIVING:  # "return seven": the answer, no argument
            continue
        if value == 1 and not _counts_on(read, at):  # "add one to it each time"
            continue
        read[at] = Token("literal", str(value), value)
    return read


def _number(token: Token) -> int | None:
    if token.kind != "word":
        return None
    tens, dash, ones = token.low.partition("-")
    if dash and tens in _TENS and _NUMBERS.get(ones, 0) in range(1, 10):
        return _NUMBERS[tens] + _NUMBERS[ones]
    return _NUMBERS.get(token.low)


def _counts_on(tokens: list[Token], at: int) -> bool:
    """Return True for the "one" of "one and two": a joiner and another number come next."""
    rest = [token for token in tokens[at + 1 : at + 4] if token.low not in JOINERS]
    joined = at + 1 < len(tokens) and tokens[at + 1].low in JOINERS | {"to", "plus"}
    return joined and any(token.kind == "literal" for token in rest)


def take_introduction(tokens: list[Token]) -> list[Token]:
    """Return the wish of "I have X. Do it": what was introduced stands where "it" stood."""
    head = tokens[:_LOOK]
    lead = "".join(f"{'0' if token.kind == 'literal' else token.low} " for token in head)
    if not _INTRODUCTION.match(lead):
        return tokens
    end = _end_of_introduction(head)
    told = [token for token in mark_names(tokens[:end]) if _is_told(token)]
    while told and told[-1].kind != "literal":
        told.pop()
    wish = tokens[end + 1 :]
    if not told or not any(token.kind == "word" for token in wish):
        return tokens
    place = next((at for at, token in enumerate(wish) if token.low in _PRONOUNS), None)
    if place is None:
        while wish[-1].kind == "mark":
            wish = wish[:-1]
        return [*wish, *told]
    return [*wish[:place], *told, *wish[place + 1 :]]


def _end_of_introduction(tokens: list[Token]) -> int:
    """Return where the mark stands that parts the introduction from the wish, or the end."""
    for marks in (".;:!", ",", ("and",)):
        for at, token in enumerate(tokens[:-1]):
            follows = tokens[at + 1]
            fits = follows.kind == "word" and follows.low not in JOINERS
            if token.kind != "literal" and token.low in marks and at > 1 and fits:
                return at
    return len(tokens)


def _is_told(token: Token) -> bool:
    return token.kind == "literal" or token.low in JOINERS


def take_pairs(tokens: list[Token]) -> tuple[list[Token], dict[str, Any]]:
    """Return (rest, kwargs) for "with width 2 and height 3"; one pair alone is no name."""
    for start, token in enumerate(tokens):
        if token.low != "with":
            continue
        pairs: dict[str, Any] = {}
        at = start + 1
        while at + 1 < len(tokens) and _is_pair(*tokens[at : at + 2]):
            pairs[tokens[at].low] = tokens[at + 1].value
            at += 2
            while at < len(tokens) and tokens[at].low in JOINERS:
                at += 1
        if len(pairs) > 1:
            return tokens[:start] + tokens[at:], pairs
    return tokens, {}


def _is_pair(name: Token, value: Token) -> bool:
    plain = name.kind == "word" and name.low.isascii() and name.low.isidentifier()
    return plain and value.kind == "literal" and name.low not in PREPOSITIONS
