"""What a wish and a method explain of each other, by what words go with what code elsewhere.

    words of the wish <-> names, constants and operators of the method, kinds of its arguments
      > the two words that most lack their code, and the code that most lacks its words

"highest" goes with ``max`` in the function library, so a mean has not explained it. The counts are
those of a translation from code to words (IBM's first model) that ``bat_os.training.explaining``
learned from the library and the writer's examples. They are English.
"""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, goal, kinds, parameters
from bat_os.method.text import parse_method
from bat_os.sentence.language import find_language, speak, split
from bat_os.sentence.numerals import digits_in, read_number
from bat_os.sentence.terms import stem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FILE: Final = "explaining.json"
ANY: Final = ""  # a piece that every method has: the reason of words that no other piece explains
# Smoothing: it is added to each count and to the expected one, since most pairs are rare.
DOUBT: Final = 0.3
LACKING: Final = 2  # words; a wish has many that no code goes with
LEAST_KNOWN: Final = 0.5  # of the words
MAX_TEXT: Final = 12  # characters of a constant
_WORD: Final = re.compile(r"[a-z]+|\d+(?:\.\d+)?")
_COMPARED: Final = re.compile(r"(?<=\w{3})(est|er)$")
_OPERATORS: Final = (ast.operator, ast.cmpop, ast.unaryop, ast.boolop)
_FORMS: Final = (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp, ast.For, ast.While,
                 ast.If, ast.IfExp, ast.Dict, ast.Tuple)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pairs:
    """How often a word was translated from a piece of code."""

    words: Mapping[str, float]  # the share of each word in all that were read
    code: Mapping[str, float]  # how many words each piece of code is the reason of
    seen: Mapping[str, Mapping[str, float]]  # word -> code -> how often

    def gain(self, word: str, code: str) -> float:
        """Return how much likelier, in nats, a known word is where this code is."""
        chance = self.words[word] * self.code.get(code, 0.0)
        return math.log((self.seen[word].get(code, 0.0) + DOUBT) / (chance + DOUBT))

    def best(self, word: str) -> float:
        """Return what the code that goes best with a known word gives."""
        return max(self.gain(word, code) for code in (*self.seen[word], ANY))


@cache
def read_pairs() -> Pairs:
    """Return what was learned."""
    text = (resources.files("bat_os.kernel.idle") / FILE).read_text(encoding="utf-8")
    return Pairs(**json.loads(text))


def words_of(text: str) -> list[str]:
    """Return the stems of the words of a text, each once; "highest" is "high".

    >>> words_of("The highest and the lowest of 3 temperatures.")
    ['the', 'high', 'and', 'low', 'of', '3', 'temperatur']
    """
    found = (stem(word, "en") for word in _WORD.findall(text.lower()))
    return list(dict.fromkeys(stem(_COMPARED.sub("", word), "en") for word in found))


def code_of(source: str, selector: str) -> set[str]:
    r"""Return the pieces of code that a method is made of; what it calls its values is none.

    >>> sorted(code_of("def f(self, a):\n    return max(a) - 2\n", "f"))
    ['2', 'Sub', 'max', 'number']
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return set()
    nodes = list(ast.walk(parsed[1]))
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    doc = ast.get_docstring(parsed[1], clean=False)
    return {piece for node in nodes for piece in _pieces(node, doc)} - own


def _pieces(node: ast.AST, doc: str | None) -> list[str]:
    match node:
        case ast.Constant():
            return _of_constant(node.value, doc)
        case ast.Name() | ast.Attribute():
            found = node.id if isinstance(node, ast.Name) else f".{node.attr}"
        case ast.keyword(arg=str()):
            found = f"{node.arg}="
        case ast.Subscript():
            found = f"[{_of_place(node.slice)}]"
        case ast.comprehension(ifs=[_, *_]):
            found = "if in"
        case _:
            found = type(node).__name__ if isinstance(node, _OPERATORS + _FORMS) else ""
    return [found] if found else []


def _of_constant(value: Any, doc: str | None) -> list[str]:
    if isinstance(value, str):
        return [] if value == doc else ["text", f"'{value[:MAX_TEXT].lower()}'"]
    return ["number", f"{abs(value):g}"] if type(value) in (int, float) else [repr(value)]


def _of_place(place: ast.expr) -> str:
    if isinstance(place, ast.Slice):
        return ":".join("x" if part else "" for part in (place.lower, place.upper, place.step))
    fixed = isinstance(place, ast.Constant | ast.UnaryOp)
    return ast.unparse(place)[:MAX_TEXT] if fixed else ""


def call_of(args: Sequence[Any], answer: Any) -> set[str]:
    """Return what is plain of a method without its code: kinds of its arguments and answer."""
    *taken, given = kinds(Brief("", "call", (*args, answer)))
    return {f"takes {kind}" for kind in taken} | {f"takes {len(taken)}", f"gives {given}"}


def find_unexplained(brief: Brief, source: str, answer: Any) -> float | None:
    """Return how much the wish of a brief and a method leave unexplained of each other, in nats.

    None where too few of the words are known.
    """
    wish, pairs = goal(brief), read_pairs()
    words = words_of(wish)
    known = [word for word in words if word in pairs.words]
    if len(known) < LEAST_KNOWN * len(words):
        return None
    code = code_of(source, brief.selector)
    all_code = code | call_of(brief.args, answer) | {ANY}
    lack = sorted(
        pairs.best(word) - max(pairs.gain(word, one) for one in all_code)
        for word in set(known) - _named(brief, wish, code)
    )
    odd = max((-max(pairs.gain(word, one) for word in known) for one in code), default=0.0)
    return sum(lack[-LACKING:]) + odd


def _named(brief: Brief, wish: str, code: set[str]) -> set[str]:
    """Return the words that stand in a method as such: parameters, texts and numbers."""
    texts = [*parameters(brief), *(piece for piece in code if piece.startswith("'"))]
    texts += [text for number, text in numbers_in(wish) if f"{number:g}" in code]
    return {word for text in texts for word in words_of(text)}


def numbers_in(wish: str) -> Iterator[tuple[int | float, str]]:
    """Yield the numbers that a wish names, with the digits or words of each; an article is none.

    >>> list(numbers_in("Add the tip of twenty percent to a bill."))
    [(20, 'twenty')]
    """
    language = speak(find_language(wish, ""))
    words, at = split(wish, digits_in(language)), 0
    while at < len(words):
        number = read_number(words, at, language)
        end = number.end if number is not None else at + 1
        if number is not None and not number.single:
            yield number.plain, " ".join(word.low for word in words[at:end])
        at = end
