"""Sentence templates as one automaton over words, matched in one pass.

    add {items} (to|on) [my] {list} list        words, [optional], (one|other), {slot}, <rule>

Every word and every slot of every template is a state. A sentence is read word by word with all
states that are possible so far, and each state keeps only its best thread: the one with the most
literal words. So the work grows with the length of a sentence, whatever it holds, and with the
states that are alive, which is few, since most templates end at their first word.

A slot takes as few words as it can. This module knows no language and no name of a form.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_WORDS: Final = 300  # of a sentence; a longer one is no command
_POLITE: Final = 0.4  # what a polite word counts: less than a literal, more than one in a slot
_TYPED: Final = 0.5  # what a slot counts that takes a typed value, or only some words
_PART: Final = re.compile(r"[\[\]()|]|\{[\w]+\}|<[\w]+>|[^\s\[\]()|{}<>]+")
# A number keeps its marks; a word may have apostrophes inside; a sign of arithmetic is a word.
_WORD: Final = re.compile(
    r"[+-]?\d+(?:[.,:]\d+)*|[^\W\d_](?:[^\W\d_]|[\u0300-\u036f]|'(?=[^\W\d_]))*|\w+"
    r"|[+*/=<>%€$£^~@#&|{}\[\]→]|(?<=\w)\("
)
# Pictures, with what joins and colours them.
_SIGN: Final = (
    r"[\u2190-\u2bff\U0001f000-\U0001faff][\u200d\ufe0f\u2190-\u2bff\U0001f000-\U0001faff]*"
)
_SIGN_OR_WORD: Final = re.compile(f"{_WORD.pattern}|{_SIGN}")


class Word(NamedTuple):
    """One word of a sentence, and where it stands."""

    low: str  # lower case, without accents
    start: int
    end: int

    @property
    def is_numeric(self) -> bool:
        """True where the word begins with a digit, apart from its sign."""
        return self.low.lstrip("+-")[:1].isdigit()


@dataclass(frozen=True, slots=True)
class Spelling:
    """What a language writes as one word and means as several."""

    contractions: Mapping[str, str] = field(default_factory=dict)  # "what's" -> "what is"
    elided: frozenset[str] = frozenset()  # "l'", "qu'": a word of its own before another one


@dataclass(frozen=True, slots=True)
class Limit:
    """What a slot takes."""

    words: int = 60
    numbers: bool = True  # words with digits
    ending: str = ""  # of its words
    never: frozenset[str] = frozenset()  # words that it does not take
    only: frozenset[str] = frozenset()  # words that it takes besides numbers; empty: any
    typed: bool = False  # one value of the reader, and no words

    def allows(self, word: Word, held: int = 0) -> bool:
        """Return True if the word may stand in a slot that holds ``held`` words."""
        if self.typed or held >= self.words:
            return False
        if word.is_numeric:
            return self.numbers
        if word.low in self.never or not word.low.endswith(self.ending):
            return False
        return not self.only or word.low in self.only


@dataclass(frozen=True, slots=True)
class Match:
    """A template that fits a whole sentence: which, how well, and where its slots are."""

    payload: Any
    score: float
    first: int  # the words from here ...
    last: int  # ... to here, excluded, are the sentence without its politeness
    slots: tuple[tuple[str, int, int], ...]  # name, first word, word behind the last


# A thread: score, slots so far as a linked list, where the open slot began, the first word.
_Thread = tuple[float, Any, int, int]
_Wave = dict[int, _Thread]


def split_words(text: str, spelling: Spelling, *, signs: bool = False) -> list[Word]:
    """Return the words of ``text``, folded, contractions written out; with ``signs`` also emoji.

    >>> [word.low for word in split_words("What\u2019s 1,5 km?", Spelling({"what's": "what is"}))]
    ['what', 'is', '1,5', 'km']
    """
    plain = text.replace("\u2019", "'").replace("\u02bc", "'").replace("`", "'")
    words: list[Word] = []
    for found in (_SIGN_OR_WORD if signs else _WORD).finditer(plain):
        low, start, end = fold(found.group()), found.start(), found.end()
        head = low.find("'") + 1
        if head and low[:head] in spelling.elided and low not in spelling.contractions:
            words.append(Word(low[: head - 1], start, start + head))
            low, start = low[head:], start + head
        parts = spelling.contractions.get(low, low).split()
        # the first of the words that a contraction is made of ends where the apostrophe is
        middle = min(start + max(1, low.find("'")), end) if len(parts) > 1 else end
        words.append(Word(parts[0], start, middle))
        words += [Word(part, middle, end) for part in parts[1:]]
    return words


def fold(text: str) -> str:
    """Return ``text`` in lower case and without accents: they are often left out."""
    low = text.lower()
    if low.isascii():
        return low
    apart = unicodedata.normalize("NFKD", low.replace("ß", "ss"))
    return "".join(char for char in apart if not unicodedata.combining(char)) or low


class Templates:
    """An automaton over all templates of one language.

    Attributes:
        after: State -> word -> the states that it leads to. State 0 is the start.
        slots_after: State -> the slot states that may follow.
        ends: State -> the payloads of templates that may end there.
    """

    def __init__(
        self,
        rules: Mapping[str, str],
        limits: Mapping[str, Limit],
        spelling: Spelling,
        polite: tuple[Sequence[str], Sequence[str], Sequence[str]] = ((), (), ()),
        said: frozenset[str] = frozenset(),
    ) -> None:
        self._rules, self._limits, self._spelling = rules, limits, spelling
        self._split: dict[str, list[str]] = {}  # part of a template -> its words
        self.after: list[dict[str, list[int]]] = [{}]
        self.slots_after: list[list[int]] = [[]]
        self.ends: list[list[Any]] = [[]]
        self._slot: list[tuple[str, Limit] | None] = [None]
        self._said = said  # "say please": what is polite behind such a word may be what is said
        before, behind, maybe = polite
        self._before, self._behind = self._index([*before, *maybe]), self._index(behind)
        self._maybe = frozenset(phrase for each in self._index(maybe).values() for phrase in each)

    def add(self, template: str, payload: Any) -> None:
        """Add a template; several may have one payload."""
        parts = self._read(template)
        ends = self._build(_parse(parts), {0})
        if parts or 0 in ends:
            raise ValueError(f"not a template: {template!r}")
        for state in ends:
            self.ends[state].append(payload)

    def words(self) -> Iterator[str]:
        """Yield the words of the templates, one as often as states follow it."""
        for after in self.after:
            yield from after
        for limit in self._limits.values():
            yield from limit.only
        for index in (self._before, self._behind):
            for phrases in index.values():
                yield from itertools.chain.from_iterable(phrases)

    def takes_only_some(self, slot: str) -> bool:
        """Return whether a slot takes only words of a set, or a typed value."""
        limit = self._limits.get(slot, Limit())
        return limit.typed or bool(limit.only)

    def find_core(self, words: list[Word], marked: frozenset[int]) -> tuple[int, int]:
        """Return the first word of a sentence without its politeness, and the one behind it.

        ``marked`` are the words with a mark behind them: "right, ..." is politeness, "right
        triangle" may be none.
        """
        first = max(self._heads(words, marked))
        tails = self._tails(words)
        return first, min(at for at, counts in tails.items() if at > first and counts >= 0)

    def match(self, words: list[Word], typed: Mapping[int, tuple[str, int]]) -> list[Match]:
        """Return the templates that fit all words, the most literal first.

        Args:
            words: Of the sentence.
            typed: First word of a typed value -> its kind, and the word behind its last.
        """
        if len(words) > MAX_WORDS:
            return []
        heads, tails = self._heads(words), self._tails(words)
        waves: list[_Wave] = [{} for _ in range(len(words) + 1)]
        found: list[Match] = []
        for at, wave in enumerate(waves):
            if at in heads:
                wave[0] = (heads[at], None, -1, at)
            if at in tails:
                found += self._finish(wave, at, tails[at])
            if at < len(words):
                self._step(waves, at, words[at], typed.get(at))
        return sorted(found, key=lambda match: -match.score)

    def _step(self, waves: list[_Wave], at: int, word: Word, value: tuple[str, int] | None) -> None:
        """Lead every thread before the word at ``at`` over it."""
        wave, onward = waves[at], waves[at + 1]
        for state, thread in wave.items():  # staying first, so that an earlier slot wins a tie
            slot = self._slot[state]
            if slot and slot[1].allows(word, at - thread[2]):
                _put(onward, state, thread)
        for state, (score, slots, opened, first) in wave.items():
            slot = self._slot[state]
            closed = (slot[0], opened, at, slots) if slot else slots
            for target in self.after[state].get(word.low, ()):
                _put(onward, target, (score + 1, closed, -1, first))
            for target in self.slots_after[state]:
                name, limit = self._slot[target] or ("", Limit())
                if limit.typed:
                    if value and value[0] == name.strip("_"):
                        _put(waves[value[1]], target, (score + _TYPED, closed, at, first))
                elif limit.allows(word):
                    more = _TYPED if limit.only or limit.ending else 0
                    _put(onward, target, (score + more, closed, at, first))

    def _finish(self, wave: _Wave, at: int, more: float) -> Iterator[Match]:
        for state, (score, slots, opened, first) in wave.items():
            if not self.ends[state]:
                continue
            slot = self._slot[state]
            chain, taken = ((slot[0], opened, at, slots) if slot else slots), []
            while chain:
                taken.append(chain[:3])
                chain = chain[3]
            for payload in self.ends[state]:
                yield Match(payload, score + more, first, at, tuple(reversed(taken)))

    def _heads(self, words: list[Word], marked: frozenset[int] | None = None) -> dict[int, float]:
        """Return where the sentence may begin behind its politeness -> what that counts."""
        heads, lows = {0: 0.0}, [word.low for word in words]
        for at, low in enumerate(lows):
            if at in heads:
                for phrase in self._before.get(low, ()):
                    end = at + len(phrase)
                    if marked is not None and phrase in self._maybe and end - 1 not in marked:
                        continue
                    if end < len(lows) and tuple(lows[at:end]) == phrase:
                        heads[end] = max(heads.get(end, 0), heads[at] + _POLITE * len(phrase))
        return heads

    def _tails(self, words: list[Word]) -> dict[int, float]:
        """Return where the sentence may end before its politeness -> what that counts."""
        lows = [word.low for word in words]
        tails = {len(lows): 0.0}
        for at in range(len(lows) - 1, 0, -1):
            for phrase in self._behind.get(lows[at], ()):
                end = at + len(phrase)
                if end in tails and tuple(lows[at:end]) == phrase:
                    counts = -_POLITE if lows[at - 1] in self._said else _POLITE
                    tails[at] = max(tails.get(at, -1), tails[end] + counts * len(phrase))
        return tails

    def _index(self, phrases: Sequence[str]) -> dict[str, list[tuple[str, ...]]]:
        """Return the phrases of the polite templates, by their first word."""
        index: dict[str, list[tuple[str, ...]]] = {}
        for template in phrases:
            for phrase in _expand(_parse(self._read(template))):
                if phrase:
                    index.setdefault(phrase[0], []).append(phrase)
        return index

    def _read(self, template: str, depth: int = 0) -> list[str]:
        """Return the parts of a template, last first; its rules and contractions written out."""
        parts: list[str] = []
        for part in _PART.findall(template):
            if part[0] == "<" and depth < 5:
                parts += ["(", *reversed(self._read(self._rules[part[1:-1]], depth + 1)), ")"]
            elif part[0] in "[]()|{":
                parts.append(part)
            else:
                if part not in self._split:
                    words = split_words(part, self._spelling)
                    self._split[part] = [word.low for word in words]
                parts += self._split[part]
        return parts[::-1]

    def _build(self, node: Any, starts: set[int], last: int = -1) -> set[int]:
        """Add a part of a template behind the states ``starts``; return where it may end.

        A final word leads to the state ``last``, if it is given: choices share where they end.
        """
        kind, parts = node
        if kind == "any":
            if len(parts) > 1 and last < 0:
                last = self._add_state(None)
            return set().union(*(self._build(part, starts, last) for part in parts))
        if kind == "all":
            for at, part in enumerate(parts, 1):
                starts = self._build(part, starts, last if at == len(parts) else -1)
            return starts
        if kind == "slot":
            new = self._add_state((parts, self._limits.get(parts, Limit())))
        else:
            new = last if last >= 0 else self._add_state(None)
        for state in starts:
            if kind == "slot":
                self.slots_after[state].append(new)
            else:
                self.after[state].setdefault(parts, []).append(new)
        return {new}

    def _add_state(self, slot: tuple[str, Limit] | None) -> int:
        self.after.append({})
        self.slots_after.append([])
        self.ends.append([])
        self._slot.append(slot)
        return len(self.after) - 1


def _put(wave: _Wave, state: int, thread: _Thread) -> None:
    """Keep the better thread of a state; of two equal ones, the earlier."""
    known = wave.get(state)
    if known is None or thread[0] > known[0]:
        wave[state] = thread


def _parse(parts: list[str]) -> Any:
    """Return ("any", sequences) of the parts, which are taken from the end of the list."""
    choices: list[Any] = [("all", [])]
    while parts and parts[-1] not in "])":
        part = parts.pop()
        if part == "|":
            choices.append(("all", []))
        elif part in "[(":
            inner = _parse(parts)
            if not parts or parts.pop() != {"[": "]", "(": ")"}[part]:
                raise ValueError("a bracket is not closed")
            if part == "[":
                inner[1].append(("all", []))
            choices[-1][1].append(inner)
        elif part[0] == "{":
            choices[-1][1].append(("slot", part[1:-1]))
        else:
            choices[-1][1].append(("word", part))
    return ("any", choices)


def _expand(node: Any) -> Iterable[tuple[str, ...]]:
    """Return every phrase that fits a template without slots."""
    kind, parts = node
    if kind == "word":
        return [(parts,)]
    if kind == "any":
        return list(itertools.chain.from_iterable(_expand(part) for part in parts))
    return [tuple(itertools.chain(*each)) for each in itertools.product(*map(_expand, parts))]
