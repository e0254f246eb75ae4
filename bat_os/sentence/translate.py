"""A sentence in, a message out: target, selector and arguments, by rules and no model.

    "please create a method that calculates the factorial of 5, e.g. 3 gives 6"
      scan > examples > politeness, target, frame > literals > selector, args, text

Literals become arguments, what is left of the words becomes the selector, so the same request
with other values is the same message. Rules cannot know what was meant: they read the
common forms of an English request and make *some* valid selector of everything else.
"""

from __future__ import annotations

import bisect
import itertools
import keyword
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.errors import ArgumentsError
from bat_os.sentence.examples import Shown, take_examples
from bat_os.sentence.grammar import (
    fold_literals,
    read_name,
    read_numbers,
    strip_frame,
    strip_politeness,
    take_introduction,
    take_pairs,
    take_target,
)
from bat_os.sentence.tokens import ARTICLES, PREPOSITIONS, Token, parse_call, scan

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TARGET: Final = "genesis_obj"
MAX_CHARS: Final = 100_000
MAX_SELECTOR: Final = 60

_NOT_IN_SELECTOR: Final = ARTICLES | {"this", "these", "those", "please", "there", "it"}
_NOT_AT_END: Final = PREPOSITIONS | {"and", "or", "is", "are", "than", "then", "as", "equal"}
_NOT_AT_START: Final = {"and", "then", "of", "but", "so", "also"}
# What a method is tried with if the sentence says "a number" and no number. Of people the noun
# stays, because it says what is done: "greet a user".
_SAMPLES: Final[Mapping[str, Any]] = {
    "number": 5, "integer": 5, "text": "hello world", "string": "hello world", "word": "hello",
    "sentence": "The sun is warm", "list": [3, 1, 2], "date": "2026-05-01", "year": 2028,
    "character": "e", "letter": "e", "name": "Ann", "user": "Ann", "person": "Ann",
    "friend": "Ann", "guest": "Ann",
}  # fmt: skip
_PEOPLE: Final = frozenset({"user", "person", "friend", "guest"})
_FURTHER: Final = (3, 8, 2)  # of several numbers
_ITEMS: Final[Mapping[str, Any]] = {"words": ["pear", "fig", "apple"], "texts": ["pear", "fig"]}
_MANY: Final = {"two": 2, "three": 3, "four": 4}
_OPERATORS: Final = {
    "+": "add",
    "plus": "add",
    "-": "subtract",
    "minus": "subtract",
    "*": "multiply",
    "x": "multiply",
    "times": "multiply",
    "multiplied": "multiply",
    "/": "divide",
    "divided": "divide",
    "^": "power",
    "**": "power",
}


@dataclass(frozen=True, slots=True)
class Translated:
    """What a sentence asks for."""

    target: str  # name of the object, as written, or DEFAULT_TARGET
    selector: str  # a Python identifier, not a keyword, without a leading underscore
    args: list[Any]  # the literals of the sentence, in order; plain data
    kwargs: dict[str, Any]  # values given by name, ``radius=2``
    text: str  # the request with words in place of literals, for the writer of the method
    examples: list[dict[str, Any]]  # ``{"args": [5], "result": 120}`` for each "5 gives 120"
    # If the sentence has no values, and these are samples of what it speaks of: it with those.
    sampled: str = ""


def translate(sentence: str, *, sampled: bool = False) -> Translated:
    """Return the message that ``sentence`` asks to send.

    A call, ``robot_obj.wave(2, hand='left')``, is taken exactly as it is written.

    >>> translate("calculate the factorial of 5").selector
    'calculate_factorial'

    With ``sampled`` the sentence orders a method, and what it speaks of without a value gets one.

    >>> translate("create a method to calculate the factorial of a number", sampled=True).args
    [5]

    Raises:
        ArgumentsError: The sentence is empty or longer than MAX_CHARS.
    """
    if not sentence.strip():
        raise ArgumentsError("the sentence is empty; say what to do")
    if len(sentence) > MAX_CHARS:
        raise ArgumentsError(f"the sentence has {len(sentence)} characters of {MAX_CHARS} allowed")
    call = parse_call(sentence)
    if call and call[1].isidentifier() and not call[1].startswith("_"):
        target, selector, args, kwargs = call
        text = _describe([Token("word", word) for word in selector.split("_")])
        return Translated(target or DEFAULT_TARGET, selector, args, kwargs, text, [])
    tokens = read_numbers(list(scan(unicodedata.normalize("NFC", sentence))))
    shown = take_examples(tokens)
    return _translate(tokens, shown if shown and shown.examples else None, sampled=sampled)


def translate_shown(shown: Shown) -> Translated:
    """Return what a sentence asks for that was read as examples already."""
    return _translate([], shown)


def _translate(tokens: list[Token], shown: Shown | None, *, sampled: bool = False) -> Translated:
    examples = shown.examples if shown else []
    tokens = shown.wish if shown else tokens
    target, tokens = take_target(take_introduction(strip_politeness(tokens)))
    frame = strip_frame(strip_politeness(tokens))
    name, tokens = read_name(frame.name), frame.tokens
    tokens, kwargs = _take_kwargs(tokens)
    tokens, pairs = take_pairs(tokens)
    kwargs |= pairs
    tokens = _fit_to_examples(fold_literals(tokens), examples)
    args = [token.value for token in tokens if token.kind == "literal"]
    sampled, told = sampled and not (args or kwargs or examples), tokens
    if sampled:
        tokens = _with_samples(tokens)
        args = [token.value for token in tokens if token.kind == "literal"]
    if shown and shown.given is not None:
        args = list(shown.given)
    elif examples and not args and not kwargs:
        args = list(examples[0]["args"])
    selector = _as_selector(name or _selector_words(tokens))
    if not tokens:  # only a name was given
        told = [Token("word", word) for word in name or selector.split("_")]
    said = " ".join(token.text for token in tokens) if sampled and args else ""
    text = _describe(told, lead=frame.lead)
    return Translated(target or DEFAULT_TARGET, selector, args, kwargs, text, examples, said)


def sample_of(noun: str) -> Any:
    """Return a value of the kind that a noun names; None if it names none.

    >>> sample_of("number"), sample_of("victory")
    (5, None)
    """
    return _SAMPLES.get(noun)


def _with_samples(tokens: list[Token]) -> list[Token]:
    """Return the tokens with a value where they speak of "a number" or of "two numbers"."""
    read: list[Token] = []
    at = 0
    while at < len(tokens):
        lead, noun, *after = [token.low for token in tokens[at : at + 4]] + ["", ""]
        count = _MANY.get(lead, 0)
        value = sample_of(noun.removesuffix("s") if count else noun)
        if value is None or not (count or lead in ("a", "an", "any")):
            read.append(tokens[at])
            at += 1
            continue
        if noun in _PEOPLE:
            read += tokens[at : at + 2]
        at += 2
        if noun == "list" and after[0] == "of":
            value = _ITEMS.get(after[1], value)
            at += 2
        values = [value, *(_FURTHER if value == sample_of("number") else [value] * 3)]
        read += [Token("literal", repr(each), each) for each in values[: count or 1]]
    return read


def _take_kwargs(tokens: list[Token]) -> tuple[list[Token], dict[str, Any]]:
    """Return the tokens with ``name`` for ``name = literal``, and those as a dict."""
    rest: list[Token] = []
    kwargs: dict[str, Any] = {}
    at = 0
    while at < len(tokens):
        name, *after = tokens[at : at + 3]
        if (
            [token.kind for token in after] == ["mark", "literal"]
            and after[0].text == "="
            and name.text.isidentifier()
            and not keyword.iskeyword(name.text)
        ):
            kwargs[name.text] = after[1].value
            rest.append(Token("name", name.text))
            at += 3
        else:
            rest.append(name)
            at += 1
    return rest, kwargs


def _fit_to_examples(tokens: list[Token], examples: list[dict[str, Any]]) -> list[Token]:
    """Return the tokens with as many literals as the examples have values; the others are words.

    "five times the number 3, e.g. 2 gives 10" asks for one number: the last one is the value, and
    what comes before it belongs to the wish.
    """
    counts = {len(example["args"]) for example in examples}
    places = [at for at, token in enumerate(tokens) if token.kind == "literal"]
    most = counts.pop() if len(counts) == 1 else len(places)
    if not 0 < most < len(places):
        return tokens
    fixed = places[: len(places) - most]
    return [Token("word", token.text) if at in fixed else token for at, token in enumerate(tokens)]


def _selector_words(tokens: list[Token]) -> list[str]:
    """Return the words that name the wish: those of the first sentence that has any."""
    words: list[str] = []
    marks: list[str] = []
    for token in tokens:
        if token.kind == "mark" and token.text in ".!?;" and words:
            break
        if token.kind == "word" and token.low not in _NOT_IN_SELECTOR:
            words.append(token.low.removesuffix("'s"))
        elif token.kind == "mark":
            words += ["percent"] if token.text == "%" else []
            marks.append(token.text)
    literals = sum(token.kind == "literal" for token in tokens)
    if literals >= 2 and (not words or (words[0] in _OPERATORS and words[1:] in ([], ["by"]))):
        symbol = words[0] if words else "".join(mark for mark in marks if mark not in ",.?!=")
        return [_OPERATORS[symbol]] if symbol in _OPERATORS else words
    return words


def _as_selector(words: list[str]) -> str:
    """Return ``words`` as an identifier, or one made of a digest where letters get lost."""
    plain = [_to_ascii(word) for word in words]
    parts = [part for word in plain for part in re.findall(r"[a-z0-9]+", word)]
    parts = list(itertools.dropwhile(_NOT_AT_START.__contains__, parts))
    ends = list(itertools.accumulate(len(part) + 1 for part in parts))
    parts = parts[: max(1, bisect.bisect_right(ends, MAX_SELECTOR + 1))]
    while len(parts) > 1 and parts[-1] in _NOT_AT_END:
        parts.pop()
    letters = sum(char.isalnum() for word in words for char in word)
    kept = sum(char.isalnum() for word in plain for char in word)
    if not parts or 2 * kept < letters:
        return f"skill_{digest(' '.join(words))[:8]}"
    selector = "_".join(parts)
    if selector[0].isdigit():
        selector = f"do_{selector}"
    selector = selector[:MAX_SELECTOR]
    return f"{selector}_it" if keyword.iskeyword(selector) else selector


def _to_ascii(word: str) -> str:
    folded = unicodedata.normalize("NFKD", word.replace("'", "").casefold())
    return folded.encode("ascii", "ignore").decode()


def _describe(tokens: list[Token], *, lead: str = "") -> str:
    """Return the tokens as text, with "a number" and the like where literals stood."""
    parts: list[str] = []
    seen: set[str] = set()
    for i, token in enumerate(tokens):
        if token.kind == "literal":
            noun = _noun(token)
            # "the text 'hello'" names its argument already; "greet 'Ann'" does not.
            if i > 1 and tokens[i - 2].low in ARTICLES and tokens[i - 1].kind == "word":
                continue
            joint = " and" if i and tokens[i - 1].kind == "literal" else ""
            parts.append(f"{joint} {'another' if noun in seen else 'a'} {noun}")
            seen.add(noun)
        elif token.kind == "mark" and token.text in ".,;:!?%)":
            parts.append(token.text)
        else:
            parts.append(f" {token.text}")
    return f"{lead} {''.join(parts).strip(' ,;:.!?')}".strip()


def _noun(token: Token) -> str:
    if token.text == token.value and token.text[:1].isupper():
        return "name"
    nouns = {list: "list", tuple: "list", dict: "dictionary", str: "text", bool: "truth value"}
    return nouns.get(type(token.value), "number")
