"""A sentence as tokens: words, marks, and literals with their values.

Quoted text, numbers, dates, addresses, lists and JSON objects are taken out of a sentence
before any rule looks at its words, so no rule ever reads inside of them. The work is
linear in the length of the sentence, whatever it holds.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bat_os.core import syntax
from bat_os.core.values import check
from bat_os.errors import NotPlainError
from bat_os.method.text import words as word_set

if TYPE_CHECKING:
    from collections.abc import Iterator

# English words that say little by themselves.
ARTICLES: Final = frozenset({"a", "an", "the"})
PREPOSITIONS: Final = word_set(
    "of to in on at for from with by into onto between about using through over"
)
# Opening quote -> what closes it: straight, English, German (both ends), French, Japanese.
QUOTES: Final = {
    '"': '"',
    "'": "'",
    "`": "`",
    "\u201c": "\u201d",
    "\u2018": "\u2019",
    "\u201e": "\u201c\u201d",
    "\u201a": "\u2018\u2019",
    "\u00ab": "\u00bb",
    "\u00bb": "\u00ab",
    "\u2039": "\u203a",
    "\u300c": "\u300d",
}
APOSTROPHES: Final = "'\u2019"
# Bracketed prose is common and literals are few: stop guessing after some failures.
_BRACKET_TRIES: Final = 30
_BRACKET_CHARS: Final = 20_000

_TOKEN: Final = re.compile(
    r"""
    (?P<abbreviation> (?i:e\.g\.?|i\.e\.?)(?!\w) )
  | (?P<text> https?://[^\s<>"']+[\w/] | [\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}
      | \d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?(?![\w-]) | \d{1,2}:\d\d(?::\d\d)?(?!\w)
      | \d{1,9}(?:\.\d{1,9}){2,9}(?![\w.]*\w) | \#[0-9A-Fa-f]{3,8}\b )
  | (?P<number> (?:(?<!\w)[-+](?=[\d.]))?
      (?:\d{1,3}(?:,\d{3})+(?![\d,]) | \d+(?:\.\d+)? | \.\d+)(?:[eE][-+]?\d+)?(?!\w) )
  | (?P<word> \w+(?:['\u2019-]\w+)* )
  | (?P<arrow> -> | => | → | ↦ )
  | (?P<mark> \S )
    """,
    re.VERBOSE,
)
# All that a literal is made of. Python's parser may fail in ugly ways, or crash, on deep
# nesting, so it only gets text whose depth is the depth of its brackets.
_CALL_HEAD: Final = re.compile(r"\s*[^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)?\s*(?=\()")
_PART: Final = re.compile(
    r"""
    \s* (?: (?P<open>[\[({]) | (?P<close>[\])}]) | [,:] | (?:True|False|None)\b
      | [^\W\d]\w*\s*=(?!=) | [-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])
      | b?'(?:[^'\\\n]|\\.)*' | b?"(?:[^"\\\n]|\\.)*" ) \s*
    """,
    re.VERBOSE,
)
_DEPTH: Final = 30


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a sentence."""

    kind: str  # ``word``, ``literal``, ``mark``, ``arrow`` or ``abbreviation``
    text: str  # as it was written, without the quotes
    value: Any = None  # of a literal: plain data
    low: str = field(init=False, repr=False, compare=False)  # for comparison with words

    def __post_init__(self) -> None:
        """Fold the text once: rules compare each token many times."""
        low = self.text.lower().replace(APOSTROPHES[1], APOSTROPHES[0])
        object.__setattr__(self, "low", low)


def scan(sentence: str) -> Iterator[Token]:
    """Yield the tokens of ``sentence`` in order; blanks are dropped."""
    at, tries = 0, _BRACKET_TRIES
    unclosed: set[str] = set()
    while at < len(sentence):
        char = sentence[at]
        literal: tuple[Any, int] | None = None
        if char in QUOTES and char not in unclosed and not _inside_word(sentence, at):
            end = _closing(sentence, at)
            if end > 0:
                literal = sentence[at + 1 : end], end + 1
            else:
                unclosed.add(char)
        elif char in "[{" and tries:
            literal = read_bracketed(sentence, at)
            tries -= literal is None
        if literal:
            yield Token("literal", sentence[at : literal[1]], literal[0])
            at = literal[1]
        elif match := _TOKEN.match(sentence, at):
            yield _token(match)
            at = match.end()
        else:
            at += 1


def parse_call(sentence: str) -> tuple[str, str, list[Any], dict[str, Any]] | None:
    """Return (target, selector, args, kwargs) of ``target.selector(1, key='a')``, or None.

    The target is "" where only a selector is given; arguments are literals.
    """
    head = _CALL_HEAD.match(sentence)
    if not head or not _is_shallow(sentence[head.end() :]):
        return None
    call = _quietly(lambda: syntax.parse(sentence.strip(), "eval").body)
    if not isinstance(call, ast.Call):
        return None
    target, selector = "", ""
    if isinstance(call.func, ast.Name):
        selector = call.func.id
    elif isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        target, selector = call.func.value.id, call.func.attr
    names = [keyword.arg for keyword in call.keywords]
    given = _quietly(lambda: [ast.literal_eval(arg) for arg in call.args])
    named = _quietly(lambda: [ast.literal_eval(keyword.value) for keyword in call.keywords])
    if not selector or None in names or len(set(names)) < len(names):
        return None
    if not _is_plain(given) or not _is_plain(named):
        return None
    return target, selector, given, {str(k): v for k, v in zip(names, named, strict=True)}


def _token(match: re.Match[str]) -> Token:
    kind, text = str(match.lastgroup), match.group()
    if kind == "text":
        return Token("literal", text, text)
    if kind == "number":
        digits = text.replace(",", "").lstrip("+")
        try:
            value = int(digits) if digits.lstrip("-").isdecimal() else float(digits)
        except ValueError:  # more digits than Python reads
            return Token("literal", text, text)
        return Token("literal", text, value if _is_plain([value]) else text)
    return Token(kind, text)


def _inside_word(sentence: str, at: int) -> bool:
    return at > 0 and sentence[at - 1].isalnum() and sentence[at] not in "\u00ab\u00bb"


def _closing(sentence: str, start: int) -> int:
    """Return where the quote at ``start`` closes, or -1; ``it's`` closes nothing."""
    closers = QUOTES[sentence[start]]
    pattern = rf"[{re.escape(closers)}]" + (r"(?!\w)" if set(closers) & set(APOSTROPHES) else "")
    match = re.compile(pattern).search(sentence, start + 1)
    return match.start() if match else -1


def read_bracketed(
    sentence: str, start: int, limit: int = _BRACKET_CHARS
) -> tuple[Any, int] | None:
    """Return (list or dict, end) of the JSON or Python literal at ``start``, or None.

    A literal of Python, which JSON is not, may have ``limit`` characters.
    """
    decoded = _quietly(lambda: _JSON.raw_decode(sentence, start))
    if decoded is not None and _is_plain([decoded[0]]):
        return decoded[0], decoded[1]
    closer = "]" if sentence[start] == "[" else "}"
    end = start
    for _ in range(_BRACKET_TRIES):
        end = sentence.find(closer, end + 1, start + limit)
        if end < 0:
            return None
        part = sentence[start : end + 1]
        if not _is_shallow(part):
            continue
        value = _quietly(lambda part=part: syntax.parse_literal(part))
        if isinstance(value, list | dict) and _is_plain([value]):
            return value, end + 1
    return None


def _is_shallow(text: str) -> bool:
    """Return True if ``text`` has the parts of a literal, nested at most _DEPTH deep."""
    at = depth = 0
    while at < len(text):
        match = _PART.match(text, at)
        if not match:
            return False
        depth += (match["open"] is not None) - (match["close"] is not None)
        if not 0 <= depth <= _DEPTH:
            return False
        at = match.end()
    return depth == 0


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_JSON: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _quietly(read: Any) -> Any:
    """Return ``read()``, or None if the text it reads is not a literal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what people type may look odd as Python
        try:
            return read()
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            return None


def _is_plain(values: Any) -> bool:
    if values is None:
        return False
    try:
        check(values)
    except NotPlainError:
        return False
    return all(math.isfinite(value) for value in values if type(value) is float)


def singular(word: str) -> str:
    """Return a word without its plural.

    >>> singular("words"), singular("class"), singular("is")
    ('word', 'class', 'is')
    """
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word
