"""Sentences that carry their own example, in any of the usual frames.

    "double a number, e.g. 4 gives 8; 21?"        4 -> 8, asked about 21
    "if 3 becomes 9 and 4 becomes 16, and 5?"     3 -> 9, 4 -> 16, asked about 5
    "aus 'x' wird 'xx', aus 'ab' wird?"           'x' -> 'xx', asked about 'ab'
    "cat -> tac, dog -> ?"                        'cat' -> 'tac', asked about 'dog'
    "2, 4, 8, 16: what comes next?"               each number leads to the one after it

The words of each language are data: ``languages/examples.toml``. A sentence is cut into values and
phrases, and an example is what stands around a link: arguments, "gives", a result. A weak link, as
"is" or "to", says so only behind a lead ("from 'a' to 'b'"), after an announcement, or twice.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.language import find_language
from bat_os.sentence.templates import fold
from bat_os.sentence.tokens import Token, scan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_TOKENS: Final = 300  # a longer sentence is a text, and no request
MIN_TERMS: Final = 3  # of a sequence
MAX_AROUND: Final = 6  # words beside the numbers of a sequence
_FILE: Final = Path(__file__).with_name("languages") / "examples.toml"
_ROLES: Final = ("shown", "gives", "weak", "leads", "tails", "asks", "next", "joiners")
_MARKS: Final[Mapping[str, str]] = {
    "?": "end", ".": "stop", ";": "stop", "!": "stop", ":": "stop", ",": "comma", "(": "bracket",
    ")": "bracket", "\u00bf": "open", "\u00a1": "open", "\u2026": "dots", "-": "stop",
}  # fmt: skip
_BOUNDARY: Final = frozenset({"stop", "comma", "shown", "leads", "asks", "joiners", "open", "end"})
_AFTER: Final = frozenset({"stop", "comma", "end", "joiners", "asks", "tails", "dots"})


@dataclass(frozen=True, slots=True)
class Shown:
    """What a sentence says by example."""

    wish: list[Token]  # the words before the examples; literals only where one is asked about
    examples: list[dict[str, Any]]  # ``{"args": [4], "result": 8}``
    given: list[Any] | None  # the arguments that are asked about; None: those of the wish
    certain: bool  # the words leave no doubt that these are examples
    sequence: tuple[int | float, ...] = ()  # numbers whose next one is wanted; then no examples


@dataclass(frozen=True, slots=True)
class _Part:
    """A value, a phrase or a word."""

    roles: frozenset[str]
    start: int  # first token
    end: int
    value: Any = None
    text: str = ""


@dataclass(slots=True)
class _Found:
    """An example, or the beginning of one without its result."""

    start: int  # first part, with what leads to it
    end: int
    args: list[Any]
    result: Any
    strong: bool
    led: bool  # behind a lead or an announcement


@dataclass(frozen=True, slots=True)
class _Grammar:
    """The phrases of one language."""

    phrases: Mapping[tuple[str, ...], frozenset[str]]
    longest: int
    truth: Mapping[str, bool]
    tags: tuple[tuple[str, str], ...]  # beginning of a word, tag


@functools.cache
def _read_file() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


@functools.cache
def _grammar_of(language: str) -> _Grammar:
    data = _read_file()[language]
    phrases: dict[tuple[str, ...], set[str]] = {}
    for role in _ROLES:
        for phrase in data[role]:
            phrases.setdefault(_as_lows(phrase), set()).add(role)
    truth = {fold(word): value for value in (True, False) for word in data[str(value).lower()]}
    tags = tuple((fold(stem), tag) for tag, stems in data["tags"].items() for stem in stems.split())
    roles = {phrase: frozenset(each) for phrase, each in phrases.items()}
    return _Grammar(roles, max(map(len, roles)), truth, tags)


def _as_lows(phrase: str) -> tuple[str, ...]:
    return tuple(fold(token.low) for token in scan(phrase))


def example_languages() -> tuple[str, ...]:
    """Return the codes of the languages in which examples are understood."""
    return tuple(_read_file())


def words_of_examples(language: str) -> list[str]:
    """Return the words in which people give examples; typing errors in them are put right."""
    if language not in _read_file():
        return []
    phrases = _grammar_of(language).phrases
    return [word for phrase in phrases for word in phrase if word.isalpha() and len(word) > 1]


def name_operations(wish: str) -> frozenset[str]:
    """Return the operations that words of a wish name; see ``bat_os/method/operations.py``.

    >>> sorted(name_operations("pad with zeros"))
    ['pad', 'zero']
    """
    words = [fold(token.low) for token in scan(wish) if token.kind == "word"]
    for language in dict.fromkeys((find_language(wish), *_read_file())):
        tags = _grammar_of(language).tags if language in _read_file() else ()
        if found := {tag for stem, tag in tags if any(word.startswith(stem) for word in words)}:
            return frozenset(found)
    return frozenset()


def take_examples(tokens: Sequence[Token], language: str = "en") -> Shown | None:
    """Return what the tokens of a sentence say by example; None if they tell none."""
    if len(tokens) > MAX_TOKENS or language not in _read_file():
        return None
    grammar = _grammar_of(language)
    parts = _cut(tokens, grammar)
    return _read_sequence(parts, tokens) or _Reader(parts, tokens, grammar).read()


def _cut(tokens: Sequence[Token], grammar: _Grammar) -> list[_Part]:
    """Return the sentence as parts: at each place the longest phrase."""
    lows = [fold(token.low) for token in tokens]
    parts: list[_Part] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "literal":
            parts.append(_Part(frozenset({"value"}), at, at + 1, token.value, token.text))
            at += 1
            continue
        size = next(
            (
                size
                for size in range(min(grammar.longest, len(tokens) - at), 0, -1)
                if tuple(lows[at : at + size]) in grammar.phrases
            ),
            0,
        )
        roles = set(grammar.phrases.get(tuple(lows[at : at + size]), ()))
        if token.kind in ("arrow", "abbreviation"):
            roles |= {"gives", "arrow"} if token.kind == "arrow" else {"shown"}
        if not size or (size == 1 and token.kind == "mark"):
            roles.add(_MARKS.get(token.text, "mark") if token.kind == "mark" else "")
        roles -= {""}
        end = at + max(size, 1)
        parts.append(_Part(frozenset(roles or {"word"}), at, end, None, token.text))
        at = end
    return parts


def _read_sequence(parts: Sequence[_Part], tokens: Sequence[Token]) -> Shown | None:
    """Return the numbers whose next one is asked for: "2 4 6 ... what comes next?"."""
    words = [part for part in parts if part.roles == {"word"}]
    asked = any("next" in part.roles for part in parts)
    open_end = any(part.roles & {"dots", "end"} for part in parts[-2:])
    if len(words) > MAX_AROUND or not (asked or (open_end and not words)):
        return None
    runs: list[list[int | float]] = [[]]
    for part in parts:
        if isinstance(part.value, list) and asked:
            runs += [part.value, []]
        elif "value" in part.roles and _is_number(part.value):
            runs[-1].append(part.value)
        elif not part.roles & {"comma", "dots", "joiners"}:
            runs.append([])
    run = max(runs, key=len)
    others = sum("value" in part.roles for part in parts) - len(run)
    if len(run) < MIN_TERMS or others > 0 or not all(map(_is_number, run)):
        return None
    if any("gives" in part.roles for part in parts):
        return None
    wish = [Token("word", word) for word in ("next", "number")]
    return Shown(wish, [], None, certain=True, sequence=tuple(run))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass
class _Reader:
    """Reads the parts of one sentence."""

    parts: Sequence[_Part]
    tokens: Sequence[Token]
    grammar: _Grammar
    examples: list[_Found] = field(default_factory=list)
    questions: list[_Found] = field(default_factory=list)
    floor: int = 0  # where the last example ends

    def read(self) -> Shown | None:
        """Return the examples, what is asked about, and the wish."""
        self._find()
        if not self.examples:
            return None
        first, last = self.examples[0].start, self.examples[-1].end
        announced = self._is_announced(first)
        asked = self._asked(last)
        certain = announced or any(e.strong for e in self.examples) or len(self.examples) > 1
        if not certain and (asked is None or not self._is_clear(asked, last)):
            return None
        wish = self._wish(first)
        given = None if asked is None else self._fit(asked)
        inside = any(token.kind == "literal" for token in wish)
        arrow = any("arrow" in part.roles for part in self.parts)
        quoted = all(_is_number(v) or v in _texts(self.parts) for v in self.examples[0].args)
        if given is None and not ((inside and quoted) or announced or (arrow and wish)):
            return None
        if given is None and not _fits(wish, self.examples[0].args):
            given = [*self.examples[0].args]
        if given is not None:  # other values of the wish are part of it
            wish = [Token("word", t.text) if t.kind == "literal" else t for t in wish]
        examples = [{"args": e.args, "result": e.result} for e in self.examples]
        elliptic = bool(self.questions) and asked is self.questions[-1].args
        return Shown(wish, examples, given, certain or elliptic)

    def _find(self) -> None:
        """Find the examples, and what looks like one without its result."""
        weak: list[_Found] = []
        at, again, announced = 0, self._said_again(), self._announced()
        while at < len(self.parts):
            links = {"gives"} if at < announced else {"gives", "weak"}
            link = self._at_link(at) if self.parts[at].roles & links else None
            found = next((each for each in again if each.start <= at < each.end), link)
            if found is None:
                at += 1
                continue
            asks = found.result is _OPEN
            self.floor = found.end
            if asks:
                self.questions.append(found)
            elif found.strong or found.led or self.examples:
                self.examples += [*(w for w in weak if not self._begins(w.end, found.start)), found]
                weak = []
            else:
                weak.append(found)
            at = max(found.end, at + 1)
        if len(weak) + (sum(not q.strong for q in self.questions) if weak else 0) > 1:
            self.examples += weak
        if len(weak) == 1 and not self.examples and _are_texts(weak[0]):
            self.examples = weak  # "shorten 'Wednesday' to 'Wed', and 'Saturday'?"
        if self.examples and not all(_alike(e, self.examples[0]) for e in self.examples):
            self.examples = [e for e in self.examples if e.strong or e.led]
        if self.examples and not all(_alike(e, self.examples[0]) for e in self.examples):
            self.examples = []

    def _announced(self) -> int:
        """Return where examples are announced: "from 1 to 5" before it is a part of the wish."""
        last = max((at for at, p in enumerate(self.parts) if "gives" in p.roles), default=0)
        return max((at for at, p in enumerate(self.parts[:last]) if "shown" in p.roles), default=0)

    def _begins(self, start: int, end: int) -> bool:
        """Return whether examples are announced here: what lies before is the wish."""
        return any("shown" in part.roles for part in self.parts[start:end])

    def _said_again(self) -> list[_Found]:
        """Return the examples that say the wish with other values: "e.g. add 2 to 4 gives 6"."""
        shown = [at for at, part in enumerate(self.parts) if "shown" in part.roles]
        wish = self.parts[: shown[0]] if shown else []
        asked, found = [*map(_kind, _texts(wish))], list[_Found]()
        start = shown[0] + 1 if len(shown) == 1 and asked else len(self.parts)
        for at in range(start, len(self.parts)):
            args = _texts(self.parts[start:at])
            if "gives" in self.parts[at].roles and [*map(_kind, args)] == asked:
                end, result = self._right(at, strong=True)
                if result is not _OPEN and result is not _NOTHING:
                    found.append(_Found(start, end, args, result, strong=True, led=True))
                    start = end
        return found

    def _at_link(self, at: int) -> _Found | None:
        """Return the example around a link, or its beginning."""
        part = self.parts[at]
        strong = "gives" in part.roles
        start, args = self._left(at, strong)
        if not args:
            return None
        end, result = self._right(at, strong)
        if result is _NOTHING:
            return None
        led = bool(start) and bool(self.parts[start - 1].roles & {"leads", "shown"})
        while start and self.parts[start - 1].roles & {"leads"}:
            start -= 1
        literal = self.tokens[self.parts[end - 1].start]
        if (
            args == [result]
            and "value" not in self.parts[at - 1].roles
            and literal.text[1:-1] == result
        ):
            result = literal.text  # hello gives "hello": the quotes are the point
        return _Found(start, end, args, result, strong, led)

    def _left(self, at: int, strong: bool) -> tuple[int, list[Any]]:
        """Return where the arguments before a link begin, and what they are."""
        start = at
        args: list[Any] = []
        floor = self.floor
        if strong and start - 1 > floor and "comma" in self.parts[start - 1].roles:
            start -= 1  # "if you get 'abc', answer 'c'"
        while start > floor:
            part = self.parts[start - 1]
            if "value" in part.roles:
                args.insert(0, part.value)
            elif "bracket" not in part.roles and not (
                args and part.roles & {"joiners", "comma"} and self._continues(start - 1, floor)
            ):
                break
            start -= 1
        if args:
            named = start > floor and "bracket" in self.parts[start].roles
            if named and self.parts[start - 1].roles == {"word"}:
                start -= 1  # the name of a function: f(3) = 9
            clean = start == 0 or "mark" not in self.parts[start - 1].roles
            return start, args if clean else []
        if strong and at > floor and self._is_bare(at - 1) and self._ends_before(at - 1):
            return at - 1, [self.parts[at - 1].text]
        return at, []

    def _continues(self, at: int, floor: int) -> bool:
        return at > floor and "value" in self.parts[at - 1].roles

    def _is_bare(self, at: int) -> bool:
        """Return whether a part may be a text without its quotes."""
        part = self.parts[at]
        single = part.end - part.start == 1 and self.tokens[part.start].kind == "word"
        return single and (part.roles == {"word"} or not part.roles & {"gives", "shown", "leads"})

    def _ends_before(self, at: int) -> bool:
        """Return whether a text without quotes may begin here."""
        some = {"comma", "joiners"} if self.examples else set()
        allowed = {"stop", "shown", "leads", "open"} | some
        return at == 0 or bool(self.parts[at - 1].roles & allowed)

    def _right(self, at: int, strong: bool) -> tuple[int, Any]:
        """Return where the result behind a link ends, and what it is."""
        after = at + 1
        while after < len(self.parts) and self.parts[after].roles & {"bracket", "weak"}:
            if self.parts[after].roles & {"stop", "comma"} and not self._is_value(after + 1):
                break
            after += 1
        if after >= len(self.parts):
            return after, _OPEN
        part = self.parts[after]
        end = after + 1
        while end < len(self.parts) and "tails" in self.parts[end].roles:
            end += 1
        behind = end >= len(self.parts) or bool(self.parts[end].roles & _AFTER)
        bare = strong and self._is_bare(after) and not part.roles & {"asks", "tails"}
        if "value" in part.roles:
            result = part.value
        elif behind and fold(part.text) in self.grammar.truth:
            result = self.grammar.truth[fold(part.text)]
        elif part.roles & {"end", "stop", "dots"}:
            end, result = after, _OPEN
        else:
            result = part.text if bare and behind else _NOTHING
        return end, result

    def _is_value(self, at: int) -> bool:
        return at < len(self.parts) and "value" in self.parts[at].roles

    def _is_announced(self, first: int) -> bool:
        return any("shown" in part.roles for part in self.parts[: first + 1])

    def _asked(self, last: int) -> list[Any] | None:
        """Return the values that the sentence asks about behind its examples."""
        for question in reversed(self.questions):
            if question.start >= last or not self.examples:
                return question.args
        runs: list[list[Any]] = [[]]
        for at in range(last, len(self.parts)):
            part = self.parts[at]
            if "value" in part.roles:
                runs[-1].append(part.value)
            elif not part.roles & {"joiners", "comma", "bracket"}:
                runs.append([])
        if found := [run for run in runs if run]:
            return found[-1]
        for at in range(len(self.parts) - 1, last - 1, -1):
            part = self.parts[at]
            behind = [p for p in self.parts[at + 1 :] if not p.roles & {"end", "stop", "gives"}]
            if not behind and self._is_bare(at) and not part.roles & {"asks", "gives", "tails"}:
                before = self.parts[at - 1].roles
                return [part.text] if before & (_BOUNDARY | {"gives"}) else None
        return None

    def _is_clear(self, asked: list[Any], last: int) -> bool:
        """Return whether the end of a sentence with one weak example only asks about values."""
        if self.questions and asked is self.questions[-1].args:
            return True
        rest = self.parts[last:]
        allowed = {"asks", "joiners", "comma", "stop", "end", "open", "value", "leads"}
        asks = any(part.roles & {"asks", "joiners"} for part in rest)
        kinds = [type(value) for value in self.examples[0].args]
        return asks and all(part.roles & allowed for part in rest) and [*map(type, asked)] == kinds

    def _fit(self, asked: list[Any]) -> list[Any]:
        """Return the values that are asked about, as texts where the examples have texts."""
        shown = self.examples[0].args
        if len(asked) > len(shown):
            asked = asked[-len(shown) :]
        return [
            str(value) if isinstance(like, str) and _is_number(value) else value
            for value, like in zip(asked, shown, strict=False)
        ]

    def _wish(self, first: int) -> list[Token]:
        """Return the words before the first example, without what announces it."""
        end = first
        while end and self.parts[end - 1].roles & (_BOUNDARY | {"shown", "weak"}):
            end -= 1
        kept = [part for part in self.parts[:end] if "shown" not in part.roles]
        if not any(part.roles == {"word"} for part in kept):
            kept = [part for part in kept if "value" in part.roles]
        return [token for part in kept for token in self.tokens[part.start : part.end]]


_OPEN: Final = object()  # a link without a result: it is asked for
_NOTHING: Final = object()  # a link that links no values


def _alike(one: _Found, other: _Found) -> bool:
    """Return whether two examples have arguments of the same kinds."""
    return [_kind(value) for value in one.args] == [_kind(value) for value in other.args]


def _kind(value: Any) -> str:
    return "number" if _is_number(value) else type(value).__name__


def _texts(parts: Sequence[_Part]) -> list[Any]:
    return [part.value for part in parts if "value" in part.roles]


def _fits(wish: Sequence[Token], args: Sequence[Any]) -> bool:
    """Return whether the last values of a wish are of the kinds of the arguments in the examples.

    Those before them belong to the wish: "five times the number 3, e.g. 2 gives 10".
    """
    values = [token.value for token in wish if token.kind == "literal"]
    return not values or [*map(_kind, values[-len(args) :])] == [*map(_kind, args)]


def _are_texts(found: _Found) -> bool:
    return all(isinstance(value, str) for value in (*found.args, found.result))
