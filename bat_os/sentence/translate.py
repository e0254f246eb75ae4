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
from typing import Any, Final

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

DEFAULT_TARGET: Final = "genesis_obj"
MAX_CHARS: Final = 100_000
MAX_SELECTOR: Final = 60

_NOT_IN_SELECTOR: Final = ARTICLES | {"this", "these", "those", "please", "there", "it"}
_NOT_AT_END: Final = PREPOSITIONS | {"and", "or", "is", "are", "than", "then", "as", "equal"}
_NOT_AT_START: Final = {"and", "then", "of", "but", "so", "also"}
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


def translate(sentence: str) -> Translated:
    """Return the message that ``sentence`` asks to send.

    A call, ``robot_obj.wave(2, hand='left')``, is taken exactly as it is written.

    >>> translate("calculate the factorial of 5").selector
    'calculate_factorial'

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
    return _translate(tokens, shown if shown and shown.examples else None)


def translate_shown(shown: Shown) -> Translated:
    """Return what a sentence asks for that was read as examples already."""
    return _translate([], shown)


def _translate(tokens: list[Token], shown: Shown | None) -> Translated:
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
    if shown and shown.given is not None:
        args = list(shown.given)
    elif examples and not args and not kwargs:
        args = list(examples[0]["args"])
    selector = _as_selector(name or _selector_words(tokens))
    if not tokens:  # only a name was given
        tokens = [Token("word", word) for word in name or selector.split("_")]
    text = _describe(tokens, lead=frame.lead)
    return Translated(target or DEFAULT_TARGET, selector, args, kwargs, text, examples)


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
