"""Exact forms: sentences whose shape alone says what is wanted, whatever stands in their slots.

    "please remember that my car is on level 3"  ->  memory_obj.remember {text: "my car is ..."}
    "add milk and eggs to my shopping list"      ->  lists_obj.add {items: [...], list: "shopping"}
    "no, I meant triple it"                      ->  talk.meant {text: "triple it"}

The templates are data, one file per language: ``languages/forms.<code>.toml``; another language
is another file. The most literal template wins. A form that is not ``certain`` is a general one,
as "what is my ...": a skill that fits goes first.

What a slot holds: ``number`` is a number; ``items`` is a list; every other one is the person's own
words, with their case and marks. A sentence that tells examples is ``lesson.example``, and its
``shown`` is what it says by them.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.examples import example_languages, take_examples, words_of_examples
from bat_os.sentence.grammar import read_numbers
from bat_os.sentence.reading import MAX_READ, Slip, put_back, read_sentence
from bat_os.sentence.templates import Limit, Match, Spelling, Templates, Word, fold, split_words
from bat_os.sentence.tokens import scan

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from bat_os.sentence.reading import Sentence

LANGUAGES: Final = Path(__file__).with_name("languages")
_SHORT: Final = 4  # words of a sentence whose language may be taken for another
_EDGES: Final = " \t\r\n,;:.!?\u00a1\u00bf…"
_OPENING: Final = "\"'\u201c\u2018\u00ab\u201e([{$\u20ac\u00a3-"
_CLOSING: Final = "\"'\u201d\u2019\u00bb\u201c)]}%\u20ac"
_PAIRS: Final = {
    '"': '"',
    "'": "'",
    "\u201c": "\u201d",
    "\u2018": "\u2019",
    "\u00ab": "\u00bb",
    "\u201e": "\u201c",
    "\u00bb": "\u00ab",
}
# Slots that name what is known already; others hold words as they were typed.
_MEANT: Final = frozenset({"list", "thing", "question"})
_MARK: Final = re.compile(r"[,.:;!?\u2013\u2014]")
_QUOTED: Final = re.compile(
    r"[\"\u201c-\u201e\u00ab\u00bb`]|(?<!\w)['\u2018\u2019]|['\u2018\u2019](?!\w)"
)
# Slots that hold the entries of a list.
_ITEMS: Final = frozenset({"items", "item", "_more", "_goods"})
_APART: Final = re.compile("\u00ab[ \u00a0\u202f]+\\Z")
_ENDING: Final = re.compile(r"[!?]+(?=\s)")
_SIGNS: Final = re.compile("[\u2600-\u27bf\u2b50\U0001f000-\U0001faff]")
_WHOLE: Final = re.compile("|".join(
    f"(?<!\\w){re.escape(one)}[^{one}{other}]+{re.escape(other)}(?!\\w)"
    for one, other in _PAIRS.items()
))  # fmt: skip
_ARROW: Final = re.compile(r"->|=>|\u2192|\u21a6")
_QUESTION: Final = re.compile(r"\?[\s!.\"')]*\Z")


@dataclass(frozen=True, slots=True)
class Form:
    """What a sentence of an exact shape wants."""

    name: str  # "lists_obj.add", "memory_obj.remember", "talk.yes", ...
    values: Mapping[str, Any]  # slot -> text or typed value
    certain: bool = True  # False: a skill that fits goes first
    language: str = "en"  # of the template: a short sentence may be taken for another language


@dataclass(frozen=True, slots=True)
class _Group:
    """What the templates of one form have in common."""

    order: int  # of all groups of the language
    name: str
    certain: bool
    question: bool | None  # whether it ends with a question mark; None: either
    whole: str  # slot that gets the whole sentence without its politeness, or ""
    given: Mapping[str, Any]  # values that are not in the sentence, or made of others
    doubts_numbers: bool  # not certain with a number in a slot: it may be a calculation
    exact: bool  # what stands at the end is kept to its last character
    must: re.Pattern[str] | None  # found somewhere in the sentence, marks included


class _Forms:
    """The templates of one language."""

    def __init__(self, language: str, data: Mapping[str, Any]) -> None:
        self.language = language
        contractions = {fold(said): fold(meant) for said, meant in data["contractions"].items()}
        self.spelling = Spelling(contractions, frozenset(data.get("elided", ())))
        self.numbers = {fold(word): value for word, value in data["numbers"].items()}
        self.joiners = re.compile(data.get("joiners", r"\s*[,;&\n]\s*"), re.IGNORECASE)
        sets = {name: frozenset(fold(text).split()) for name, text in data.get("words", {}).items()}
        limits = {name: _limit(each, sets) for name, each in data.get("slots", {}).items()}
        polite = data.get("polite", {})
        self.templates = Templates(
            data.get("rules", {}),
            limits,
            self.spelling,
            (polite.get("before", ()), polite.get("after", ()), polite.get("maybe", ())),
            frozenset(fold(polite.get("said", "")).split()),
        )
        self.indirect = [
            (re.compile(rf"\A{asked}\Z", re.IGNORECASE), order)
            for asked, order in data.get("indirect", ())
        ]
        self._count = 0
        for form in data.get("form", ()):
            self._add(form)

    def _add(self, form: Mapping[str, Any]) -> None:
        for key, certain in (("say", True), ("unsure", False)):
            for entry in form.get(key, ()):
                template, given = (entry["say"], entry) if isinstance(entry, dict) else (entry, {})
                self._count += 1
                group = _Group(
                    self._count,
                    form["name"],
                    certain,
                    given.get("question", form.get("question")),
                    given.get("whole", form.get("whole", "")),
                    {**form.get("with", {}), **given.get("with", {})},
                    form.get("doubts_numbers", False),
                    form.get("exact", False),
                    re.compile(must) if (must := given.get("must", form.get("must"))) else None,
                )
                self.templates.add(template, group)

    def read(
        self, text: str, typed: Mapping[int, tuple[int, Any]], slips: Sequence[Slip] = ()
    ) -> Form | None:
        """Return the form that fits best.

        Args:
            text: Of the sentence.
            typed: First character of a number -> its end and value.
            slips: Words of the text that were typed otherwise.
        """
        if _SIGNS.search(text) and (form := self._read(text, typed, slips, signs=True)):
            return form
        return self._read(text, typed, slips)

    def _read(
        self,
        text: str,
        typed: Mapping[int, tuple[int, Any]],
        slips: Sequence[Slip],
        *,
        signs: bool = False,
    ) -> Form | None:
        """Return the form that fits best; with ``signs`` one that keeps emoji as words."""
        words = split_words(text, self.spelling, signs=signs)
        numbers = self._find_numbers(words, typed)
        spans = {at: ("number", end) for at, (end, _) in numbers.items()}
        matches = self.templates.match(words, spans)
        fit = [m for m in matches if not _is_quoted(text, words, m.last)]
        found = [m for m in fit if _may_be(m, text) and _has_name(m, words)]
        found = [m for m in found if _keeps(m)] if signs else found
        if not found:
            return None
        best = max(found, key=lambda m: (m.payload.certain, m.score, -m.payload.order))
        return self._fill(best, text, words, numbers, slips)

    def _find_numbers(
        self, words: list[Word], typed: Mapping[int, tuple[int, Any]]
    ) -> dict[int, tuple[int, Any]]:
        """Return the number that begins at a word -> the word behind it, and its value."""
        numbers: dict[int, tuple[int, Any]] = {}
        for at, word in enumerate(words):
            if word.start in typed:
                end, value = typed[word.start]
                behind = at + 1
                while behind < len(words) and words[behind].end <= end:
                    behind += 1
                numbers[at] = behind, value
            elif word.low in self.numbers:
                numbers[at] = at + 1, self.numbers[word.low]
            elif re.fullmatch(r"[+-]?\d{1,15}(?:\.\d{1,15})?", word.low):
                numbers[at] = at + 1, float(word.low) if "." in word.low else int(word.low)
        return numbers

    def _fill(
        self,
        match: Match,
        text: str,
        words: list[Word],
        numbers: Mapping[int, tuple[int, Any]],
        slips: Sequence[Slip],
    ) -> Form:
        group: _Group = match.payload

        def cut(name: str, first: int, last: int) -> str:
            start, end = _find_said(text, words, first, last, whole=name in _ITEMS)
            if last == len(words) and name not in _MEANT and text[end:].strip(_EDGES):
                end = len(text.rstrip())  # "cheer :-)"
            if group.exact and last == match.last:
                start, end = _find_exact(text, words, first, match, ordered=not group.whole)
            meant = name in _MEANT or self.templates.takes_only_some(name)
            return text[start:end] if meant else put_back(text, slips, start, end)

        slots = {
            name: numbers[first][1] if name == "number" else cut(name, first, last)
            for name, first, last in match.slots
        }
        said = defaultdict(str, slots)  # an optional slot may be missing
        values = {
            name: each.format_map(said) if isinstance(each, str) else each
            for name, each in group.given.items()
        }
        if group.whole and group.whole not in values:
            values[group.whole] = cut(group.whole, match.first, match.last)
        values |= {name: each for name, each in slots.items() if name[0] != "_"}
        if "items" in values:
            values["items"] = _split_items(values["items"], self.joiners)
        numeric = any(
            word.is_numeric for _, first, last in match.slots for word in words[first:last]
        )
        certain = group.certain and not (numeric and group.doubts_numbers)
        return Form(group.name, values, certain, self.language)


def read_form(sentence: Sentence) -> Form | None:
    """Return the form of the sentence, or None if none fits.

    >>> from bat_os.sentence.reading import Sentence
    >>> form = read_form(Sentence("Please add milk to my shopping list.", "en", (), ""))
    >>> form.name, form.values
    ('lists_obj.add', {'list': 'shopping', 'items': ['milk']})
    """
    text = sentence.text.strip()
    if not text or len(text) > MAX_READ:
        return None
    lead = len(sentence.text) - len(sentence.text.lstrip())
    typed = {
        value.start - lead: (value.end - lead, value.value)
        for value in sentence.values
        if value.kind == "number"
    }
    forms = _forms_of(sentence.language)
    slips = [replace(s, start=s.start - lead, end=s.end - lead) for s in sentence.slips]
    form = forms.read(text, typed, slips)
    arrows = _ARROW.search(text) is not None  # "cat -> tac" shows no file
    if form is None or form.name == "lesson.learn" or not form.certain or arrows:
        said = put_back(text, slips, 0, len(text))  # a lesson has its words as they were typed
        ordered = form is not None and form.name == "lesson.learn"
        lesson = _read_example(sentence.language, said, text, ordered=ordered)
        form = lesson or form or _read_short(sentence.language, text, typed)
    return form


def write_out(word: str, language: str) -> str:
    """Return a short form in full, "what is" for "whats"; "" if it is none."""
    short = fold(word.replace("\u2019", "'"))
    return _forms_of(language).spelling.contractions.get(short, "")


def find_core(text: str, language: str) -> tuple[int, int]:
    """Return where a sentence begins and ends without its politeness.

    >>> text = "Could you please tell me what 3 + 4 is, thanks?"
    >>> start, end = find_core(text, "en")
    >>> text[start:end]
    'what 3 + 4 is'
    """
    forms = _forms_of(language)
    words = split_words(text[:MAX_READ], forms.spelling)
    if not words or len(text) > MAX_READ:
        return 0, len(text)
    ends = [*(word.start for word in words[1:]), len(text)]
    marked = [
        bool(_MARK.search(text, word.end, end)) for word, end in zip(words, ends, strict=True)
    ]
    first, last = forms.templates.find_core(
        words, frozenset(at for at, has in enumerate(marked) if has)
    )
    start = words[first - 1].end if first else 0
    end = words[last].start if last < len(words) else len(text)
    if _QUOTED.search(text, 0, start):
        start = first = 0
    if _QUOTED.search(text, end) or text[:end].rstrip().endswith(":"):
        end, last = len(text), len(words)
    if first:
        start = end - len(text[start:end].lstrip(_EDGES + "-\u2013\u2014"))
    if last < len(words):
        end = start + len(text[start:end].rstrip(_EDGES + "-\u2013\u2014"))
    return start, end


def read_core(sentence: Sentence, now: dt.datetime) -> Sentence:
    """Return a sentence without its politeness; the same object if it has none.

    "Tell me what 3 + 4 is" asks "what is 3 + 4".
    """
    text = sentence.text
    start, end = find_core(text, sentence.language)
    if (start, end) == (0, len(text)) or not text[start:end].strip(_EDGES):
        return sentence
    core = text[start:end].rstrip(_EDGES)
    for pattern, order in _forms_of(sentence.language).indirect:
        core = pattern.sub(order, core)
    slips, at = [], 0
    for slip in sentence.slips:
        word = text[slip.start : slip.end]
        if (found := core.find(word, at)) >= 0:
            at = found + len(word)
            slips.append(Slip(found, at, slip.typed))
    return replace(read_sentence(core, now, sentence.language), slips=tuple(slips))


def short_forms(language: str) -> Iterable[str]:
    """Return the short forms of a language: "whats", "don't"."""
    return _forms_of(language).spelling.contractions if language in find_languages() else ()


def words_of(language: str) -> Iterable[str]:
    """Yield the words that forms of a language are made of, one as often as they have it."""
    if language in find_languages():
        forms = _forms_of(language)
        yield from forms.templates.words()
        yield from forms.numbers
        yield from words_of_examples(language)


def _read_short(language: str, text: str, typed: Mapping[int, tuple[int, Any]]) -> Form | None:
    """Return the form of a few words in any language: "Hallo" does not say which one it is."""
    if len(text.split(maxsplit=_SHORT)) > _SHORT:
        return None
    others = (code for code in find_languages() if code != language)
    found = (_forms_of(code).read(text, typed) for code in others)
    return next((form for form in found if form and form.certain), None)


@functools.cache
def find_languages() -> tuple[str, ...]:
    """Return the codes of the languages that have forms, English first."""
    codes = {file.name.split(".")[1] for file in LANGUAGES.glob("forms.*.toml")}
    return ("en", *sorted(codes - {"en"}))


def _read_example(language: str, *texts: str, ordered: bool = False) -> Form | None:
    """Return the lesson of a sentence that holds examples: "double 21, e.g. 4 gives 8".

    ``texts`` are the sentence as it was typed and as it was meant.
    """
    own = [code for code in example_languages() if code == language]
    read = [read_numbers(list(scan(text))) for text in dict.fromkeys(texts)]
    for code in dict.fromkeys((*own, *example_languages())):
        for tokens in read:
            if shown := take_examples(tokens, code):
                values = {"shown": shown, "ordered": ordered}
                return Form("lesson.example", values, shown.certain, language)
    return None


@functools.cache
def _forms_of(language: str) -> _Forms:
    """Return the templates of a language, or the English ones."""
    if language not in find_languages():
        return _forms_of("en")
    file = LANGUAGES / f"forms.{language}.toml"
    return _Forms(language, tomllib.loads(file.read_text(encoding="utf-8")))


def _has_name(match: Match, words: Sequence[Word]) -> bool:
    """Return whether a list is named by more than numbers: "2027 goals", and not "1, 2, 3"."""
    named = (words[first:last] for name, first, last in match.slots if name == "list")
    return all(any(not word.is_numeric for word in each) for each in named)


def _may_be(match: Match, text: str) -> bool:
    """Return True if the marks of the sentence do not speak against the template."""
    group: _Group = match.payload
    if group.must and not group.must.search(text):
        return False
    asks = _QUESTION.search(text) is not None and not _ends_in_quotes(text)
    # "could you add milk?" asks for it politely
    return group.question in (None, asks) or (asks and match.first > 0)


def _is_quoted(text: str, words: Sequence[Word], last: int) -> bool:
    """Return whether what a template takes for politeness stands in what is quoted."""
    return last < len(words) and _QUOTED.search(text, words[last].start) is not None


def _ends_in_quotes(text: str) -> bool:
    """Return whether a sentence ends with what it quotes: its last mark belongs to that."""
    quoted = [found.span() for found in _WHOLE.finditer(text)]
    return bool(quoted) and quoted[-1][0] > 0 and not text[quoted[-1][1] :].strip(" .")


def _limit(data: Mapping[str, Any], sets: Mapping[str, frozenset[str]]) -> Limit:
    """Return a limit; its sets of words are named in the data."""
    given = {**data}
    for key in ("never", "only"):
        if key in given:
            given[key] = sets[given[key]]
    return Limit(**given)


def _keeps(match: Match) -> bool:
    """Return whether a form surely keeps words as they were said."""
    names = {name for name, _, _ in match.slots}
    return match.payload.certain and (match.payload.exact or not _ITEMS.isdisjoint(names))


def _split_items(said: str, joiners: re.Pattern[str]) -> list[str]:
    """Return the entries of a row; what stands in quotation marks is one."""
    quoted = [found.span() for found in _WHOLE.finditer(said)]
    items, at = [], 0
    for found in joiners.finditer(said):
        if not any(start < found.end() and found.start() < end for start, end in quoted):
            items.append(said[at : found.start()])
            at = found.end()
    items = [each.strip() for each in (*items, said[at:])]
    return [each[1:-1].strip() if _WHOLE.fullmatch(each) else each for each in items if each]


def _find_exact(
    text: str, words: list[Word], first: int, match: Match, *, ordered: bool
) -> tuple[int, int]:
    """Return where stands what is kept: to the end, but for one full stop.

    What is polite behind an order and a mark does not belong to it.
    """
    start = words[first].start
    floor = words[first - 1].end if first else 0
    while start > floor and text[start - 1] in _OPENING:
        start -= 1
    end = len(text.rstrip(" \t\r\n?" if match.first else None))  # "could you remember ...?"
    if match.last < len(words) and ordered:
        behind = words[match.last - 1].end
        marks = re.match(r"\S*(?<=[,.;:!?])(?=\s)", text[behind : words[match.last].start])
        if marks:
            end = behind + len(marks[0].rstrip(",;:"))
    if text[:end].endswith(".") and not text[:end].endswith(".."):
        end -= 1
    return start, end


def _find_said(
    text: str, words: list[Word], first: int, last: int, *, whole: bool = False
) -> tuple[int, int]:
    """Return where stands what was said from word ``first`` to before ``last``, with its marks.

    A ``whole`` one keeps quotation marks around it, and marks that end a name inside the sentence.
    """
    if first >= last:
        return 0, 0
    start, end = words[first].start, words[last - 1].end
    floor = words[first - 1].end if first else 0
    ceiling = words[last].start if last < len(words) else len(text)
    while start > floor and text[start - 1] in _OPENING:
        start -= 1
    if whole and (apart := _APART.search(text[:start], floor)):
        start, end = apart.start(), text.find("\u00bb", end, ceiling) + 1 or end
    while end < ceiling and text[end] in _CLOSING:
        end += 1
    start, end = _trim(text, start, end, _EDGES)
    if whole:
        mark = _ENDING.match(text, end) if last < len(words) else None
        return start, mark.end() if mark else end
    said = text[start:end]
    if len(said) > 1 and _PAIRS.get(said[0]) == said[-1] and said[0] not in said[1:-1]:
        return _trim(text, start + 1, end - 1, " \t\r\n")
    return start, end


def _trim(text: str, start: int, end: int, marks: str) -> tuple[int, int]:
    """Return the span without ``marks`` at both ends."""
    end = start + len(text[start:end].rstrip(marks))
    return end - len(text[start:end].lstrip(marks)), end
