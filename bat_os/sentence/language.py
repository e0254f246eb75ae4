"""What the reader of values knows of each language: a file of data for each, and no code.

    find_language("wie spät ist es", "en")      "de"
    speak("de").months                          phrases -> numbers of months

A table of ``languages/<code>.toml`` holds words or phrases as people write them. Case and accents
do not count. The files are read when the first sentence is.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MIN_TELLING: Final = 3  # letters of a word of a table that tells the language; km is in all
DEFAULT: Final = "en"  # where nothing decides
_WORD: Final = re.compile(r"\b[^\W\d_]+\b")
_SPECIAL: Final = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "\u2019": "'", "ø": "o"})
_LETTERS: Final = re.compile(r"\b(?:[^\W\d_]\.){2,}")  # as e.g., whose letters are no words
_PHRASE: Final = re.compile(
    r"(?:[ldjmtsn]|qu|jusqu)'(?=[^\W\d_]|\Z)|'s\b|[^\W\d_]+(?:[0-9]+|(?:'(?!s\b)[^\W\d_]+)*)|\{\w+\}|\S"
)
_PLACE: Final = re.compile(r"\{\w+\}")
_HYPHEN: Final = re.compile(r"(?<=\w)-(?=\w)")
_HINT: Final = 1.5  # what a hint weighs; a word that no other language has weighs 2
_USUAL: Final = 0.6  # what the default language weighs without one: "19 plus 4" is English
_HYPHENS: Final = ("-", "\u2010", "\u2011")


def fold(text: str) -> str:
    """Return ``text`` in lower case without accents; its length may differ.

    >>> fold("Fünf Straßen, février")
    'funf strassen, fevrier'
    """
    low = text.lower()
    if low.isascii():
        return low
    apart = unicodedata.normalize("NFKD", low.translate(_SPECIAL))
    return "".join(char for char in apart if not unicodedata.combining(char))


@dataclass(frozen=True, slots=True)
class Word:
    """A word, a run of digits, a mark, or a literal, which no rule reads further."""

    kind: str  # ``word``, ``digits``, ``mark`` or ``literal``
    text: str
    low: str  # folded
    start: int
    end: int
    tight: bool  # no blank before it
    hyphen: bool = False  # a hyphen alone between it and the word before


class Phrases:
    """Phrases of one or several words, each with what it means."""

    def __init__(self, meanings: Mapping[str, Any]) -> None:
        self._meanings = meanings
        self._by_first: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
        for phrase, meaning in meanings.items():
            parts = tuple(_PHRASE.findall(_HYPHEN.sub(" ", fold(phrase))))
            self._by_first.setdefault(parts[0], []).append((parts, meaning))
        for each in self._by_first.values():
            each.sort(key=lambda pair: -len(pair[0]))

    def match(self, words: Sequence[Word], at: int) -> tuple[Any, int] | None:
        """Return (meaning, index behind it) of the longest phrase at ``at``."""
        if at >= len(words):
            return None
        for parts, meaning in self._by_first.get(words[at].low, ()):
            end = at + len(parts)
            if end <= len(words) and all(
                word.low == part for word, part in zip(words[at:end], parts, strict=True)
            ):
                return meaning, end
        return None

    def exact(self, low: str) -> Any:
        """Return the meaning of one folded word, or None."""
        for parts, meaning in self._by_first.get(low, ()):
            if len(parts) == 1:
                return meaning
        return None

    def __contains__(self, low: str) -> bool:
        return self.exact(low) is not None

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return the phrases as they were given."""
        return self._meanings.items()

    def pieces(self) -> dict[str, Any]:
        """Return the phrases of one word."""
        return {
            parts[0]: meaning
            for each in self._by_first.values()
            for parts, meaning in each
            if len(parts) == 1
        }


class Language:
    """The tables of one language."""

    def __init__(self, code: str, tables: Mapping[str, Any]) -> None:
        self.code = code
        self._tables = tables
        about = tables["language"]
        self.common: frozenset[str] = frozenset(map(fold, about["common"].split()))
        self.grammar: tuple[str, ...] = tuple(about.get("grammar", "").split())
        self.limits: frozenset[str] = frozenset(map(fold, about["limits"].split()))
        self.possessives: frozenset[str] = frozenset(map(fold, about["possessives"].split()))
        self.letters: str = about.get("letters", "")
        self.decimal: str = about["decimal"]
        self.month_first: bool = about.get("month_first", False)
        self.names_by_case: bool = about.get("names_by_case", True)

    def setting(self, table: str, key: str, default: Any = None) -> Any:
        """Return one entry of a table as it is in the file."""
        return self._tables.get(table, {}).get(key, default)

    @cache  # noqa: B019 - languages are few and live as long as the program
    def phrases(self, table: str, key: str = "") -> Phrases:
        """Return a table, or the list or map under ``key`` of it, as phrases.

        A list means its own entries; a map of lists means their key, a map of others their value.
        """
        found: Any = self._tables.get(table, {})
        if key:
            found = found.get(key, ())
        if not isinstance(found, dict):
            return Phrases({phrase: phrase for phrase in found})
        meanings: dict[str, Any] = {}
        for name, entry in found.items():
            if isinstance(entry, list) and table != "times":
                meanings.update(dict.fromkeys(entry, int(name) if name.isdecimal() else name))
            elif not isinstance(entry, (dict, list)):
                meanings[name] = entry
        return Phrases(meanings)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """All words of the tables: units, months, numbers in words and the rest."""
        found = set(self.common)
        for table in self._tables:
            if table not in ("language", "places"):
                found.update(w for w in _words_in(self._tables[table]) if len(w) >= MIN_TELLING)
        return frozenset(found)

    @cache  # noqa: B019 - as above
    def parts(self, pattern: str) -> tuple[str, ...]:
        """Return the words and places of a pattern such as ``half past {hour}``."""
        return tuple(_PHRASE.findall(fold(pattern)))

    @cached_property
    def fractions(self) -> Phrases:
        """Words of parts: ``third`` -> 1/3."""
        table = self._tables["numbers"].get("fractions", {})
        return Phrases({word: Fraction(str(value)) for word, value in table.items()})


@cache
def languages() -> tuple[str, ...]:
    """Return the codes of the languages that there are files for."""
    files = (resources.files("bat_os.sentence") / "languages").iterdir()
    found = (re.fullmatch(r"([a-z]{2,3})\.toml", file.name) for file in files)
    return tuple(sorted(match[1] for match in found if match))


@cache
def speak(code: str) -> Language:
    """Return what is known of a language; English for one that is not known."""
    known = code if code in languages() else DEFAULT
    source = resources.files("bat_os.sentence") / "languages" / f"{known}.toml"
    tables = tomllib.loads(source.read_text(encoding="utf-8"))
    return Language(known, MappingProxyType(tables))


def find_language(text: str, hint: str = "") -> str:
    """Return the code of the language of ``text``; ``hint`` where its words do not decide.

    >>> find_language("double a number, e.g. 4 gives 8")
    'en'
    >>> find_language("19 plus 4"), find_language("19 plus 4", "de")
    ('en', 'de')
    """
    low = " ".join(word for word in text.lower().split() if not _is_address(word))
    low = _LETTERS.sub(" ", low)
    words = [fold(word) for word in _WORD.findall(low)]
    first = hint if hint in languages() else DEFAULT
    scores = dict.fromkeys((first, *languages()), 0.0)  # of equals, max takes the first
    scores[first] += _HINT if hint else _USUAL
    for word in words:
        known = [code for code in scores if word in speak(code).vocabulary]
        for code in known:
            scores[code] += (2 if word in speak(code).common else 1) / len(known)
    for code in scores:
        scores[code] += 2 * sum(letter in low for letter in speak(code).letters)
    return max(scores, key=lambda code: scores[code])


def _is_address(word: str) -> bool:
    """Return whether it is a path, an address or the name of a program: in no language."""
    return "@" in word or "_" in word or word.count("/") + word.count("\\") > 1


def before_file(text: str, start: int, language: str) -> int:
    """Return where "the file" begins that stands before the path at ``start``; else ``start``.

    >>> before_file("how long is the file a.txt?", 21, "en")
    12
    """
    head = text[:start].rstrip().lower()
    for noun in speak(language).setting("files", "nouns", ()):
        if head.endswith(f" {noun.lower()}"):
            return len(head) - len(noun)
    return start


def _words_in(entry: Any) -> Iterator[str]:
    """Yield all words in a table, of keys and values."""
    if isinstance(entry, str):
        yield from _WORD.findall(fold(_PLACE.sub("", entry)))
    elif isinstance(entry, dict):
        for key, value in entry.items():
            # Keys are words of the language only where they lead to a number, a sign or a name.
            if not isinstance(value, (list, dict)):
                yield from _words_in(key)
            if not isinstance(value, str):
                yield from _words_in(value)
    elif isinstance(entry, list):
        for each in entry:
            yield from _words_in(each["say"] if isinstance(each, dict) else each)


def split(text: str, digits: re.Pattern[str], spans: Iterable[tuple[int, int]] = ()) -> list[Word]:
    """Return the words of ``text``; each span is a literal and one word of its own.

    ``digits`` is how the language writes a number.
    """
    words: list[Word] = []
    at = 0
    for start, end in [*spans, (len(text), len(text))]:
        _split_plain(text, at, start, digits, words)
        if end > start:
            words.append(Word("literal", text[start:end], "", start, end, tight=False))
        at = end
    return words


_PART: Final = re.compile(
    r"(?P<word>(?:[ldjmtsn]|qu|jusqu)['\u2019](?=[^\W\d_])|['\u2019]s\b"
    # With the digits behind its letters (sha256), but not those of 15h30 or 4x4.
    r"|(?<![0-9])(?:[^\W\d_][\u0300-\u036f]*)+[0-9]+"
    r"|(?:[^\W\d_][\u0300-\u036f]*)+(?:['\u2019](?!s\b)[^\W\d_]+)*)"
    r"|(?P<mark>\S)",
    re.IGNORECASE,
)


def _split_plain(text: str, at: int, stop: int, digits: re.Pattern[str], words: list[Word]) -> None:
    behind = at
    while at < stop:
        char = text[at]
        if char.isspace():
            at += 1
            continue
        found = digits.match(text, at, stop) if char in "0123456789." else None
        kind = "digits"
        if found is None:
            found = _PART.match(text, at, stop)
            kind = str(found.lastgroup) if found else "mark"
        end = found.end() if found else at + 1
        tight = bool(words) and at == behind and at > 0
        if kind == "digits" and tight and _hyphenated(words) and words[-2].kind == "word":
            kind = "word"  # covid-19
        hyphen = kind == "word" and tight and _hyphenated(words)
        if hyphen:
            words.pop()
        words.append(Word(kind, text[at:end], fold(text[at:end]), at, end, tight, hyphen))
        at = behind = end


def _hyphenated(words: list[Word]) -> bool:
    return (
        len(words) > 1
        and words[-1].low in _HYPHENS
        and words[-1].tight
        and words[-2].kind in ("word", "digits")
    )
