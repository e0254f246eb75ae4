"""What a wording takes of a sentence, and what it leaves out although it changes the meaning.

    how many days are left in this month    days_left_in_year()         leaves "month"
    the sum from 1 to 10 except 5           sum_up_to(10)               leaves "except" and 5
    my oven knows only celsius, 300 F?      convert(300, F, C)          leaves nothing that counts

Some kinds of values serve a parameter of another kind, at a cost. Of what is left, a name or a noun
may be of the situation. A number, a unit, a period, an order, a comparison or a negation asks for
something else, or for a part of it; and so does what a person owns, where no value is read:

    what time is my appointment             current_time()              leaves "my appointment"
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.language import fold, speak
from bat_os.sentence.quantities import size_of
from bat_os.sentence.values import as_kind, lies_outside

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.terms import Term
    from bat_os.sentence.values import Value

# kind of a parameter -> kinds of values that fill it (``as_kind``), and what that costs
FITS: Final[Mapping[str, Mapping[str, float]]] = {
    "number": {"number": 0.0, "money": 0.2, "expression": 0.3, "percent": 0.4, "date": 0.6},
    "percent": {"percent": 0.0, "number": 0.3, "expression": 0.5},
    "expression": {"expression": 0.0, "number": 0.3, "percent": 0.3},
    "money": {"money": 0.0, "number": 0.1, "expression": 0.3},
    "unit": {"unit": 0.0},
    "date": {"date": 0.0},
    "time": {"time": 0.0},
    "text": {
        "text": 0.0, "name": 0.2, "address": 0.2, "date": 0.5, "time": 0.5, "number": 0.5,
        "expression": 0.5, "percent": 0.6, "money": 0.6, "list": 0.7, "unit": 0.7,
        "map": 0.7,
    },
    "name": {"name": 0.0, "text": 0.2},
    "list": {"list": 0.0, "number": 0.7},
    "map": {"map": 0.0},
    "path": {"path": 0.0, "text": 0.3},
    "address": {"address": 0.0, "text": 0.3, "name": 0.3},
}  # fmt: skip
FREE: Final = frozenset({"text", "name", "address"})  # kinds that the remaining words may fill


def cost_of(kind: str, value: Value) -> float | None:
    """Return what it costs to give a value to a parameter of a kind; None if it does not fit.

    A file or a page is not the text of its name: who asks for its lines means what it holds.
    """
    if kind == "text" and lies_outside(value):
        return None
    return FITS.get(kind, {}).get(value.kind)


def convert(kind: str, value: Value) -> Any:
    """Return a value as a parameter of a kind gets it: of an amount of money the bare number.

    Raises:
        ArgumentsError: It cannot serve there.
    """
    if kind == "money":
        return as_kind(value, "number")
    return as_kind(value, kind)


def find_left(
    sentence: Sentence,
    terms: Sequence[Term],
    read: Collection[int],
    own_words: Collection[str],
    corrected: Collection[str],
) -> tuple[str, ...]:
    """Return what changes the meaning, among the terms of a sentence that serve no reading.

    Args:
        sentence: What was said.
        terms: Its words and values.
        read: Places of the terms that fill a slot or stand in the wording.
        own_words: Stems that wordings of the skill have.
        corrected: Stems that a spelling step has put in: such a unit was hardly said.
    """
    spoken = speak(sentence.language)
    found: list[str] = []
    served = {terms[at].stem for at in read}
    for at, term in enumerate(terms):
        word = sentence.text[term.start : term.end]
        if at not in read and term.value is not None and is_value(term):
            asks = _asks(term.value)
            found += _limits_in(word, sentence.language) if asks else [term.value.text]
        elif (
            at not in read
            and term.value is None
            and (term.stem not in own_words or term.stem in served)
        ):
            guessed = term.stem in corrected and fold(word) not in spoken.limits
            found += [word] * (limits(word, sentence.language) and not guessed)
        elif fold(word) in spoken.limits and at + 1 < len(terms) and at + 1 not in read:
            behind = terms[at + 1]
            if not is_value(behind) and is_telling(behind, sentence, own_words):
                found.append(sentence.text[term.start : behind.end])
    if not any(terms[at].value for at in read):
        found += _find_owned(sentence, terms, read, own_words)
    return (*found, *_read_twice(sentence))


def _find_owned(
    sentence: Sentence, terms: Sequence[Term], read: Collection[int], own_words: Collection[str]
) -> list[str]:
    """Return what belongs to a person and is not read: "my dentist" in "what time is my dentist".

    A skill that takes no value of the sentence knows nothing of it; what was said before may.
    """
    owners, found = speak(sentence.language).possessives, list[str]()
    for at, owner in enumerate(terms):
        if owner.value is not None or fold(sentence.text[owner.start : owner.end]) not in owners:
            continue
        for behind in range(at + 1, len(terms)):
            term = terms[behind]
            if behind in read:
                break
            if not is_value(term) and is_telling(term, sentence, own_words):
                found.append(sentence.text[owner.start : term.end])
                break
    return found


def is_value(term: Term) -> bool:
    """Return whether a term is a value; a name may be of the situation."""
    return term.value is not None and term.value.kind != "name"


def _asks(value: Value) -> bool:
    """Return whether the text behind a colon is the question itself."""
    return value.kind == "text" and value.text.rstrip().endswith("?")


def _limits_in(text: str, language: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text) if limits(word, language)]


def _read_twice(sentence: Sentence) -> list[str]:
    """Return a list that may be one number: "7,5", where a comma groups digits."""
    if speak(sentence.language).decimal == ",":
        return []
    lists = (value.text for value in sentence.values if value.kind == "list")
    return [text for text in lists if re.fullmatch("[0-9]+,[0-9]{1,2}", text)]


def find_telling(
    sentence: Sentence, terms: Sequence[Term], read: Collection[int], own_words: Collection[str]
) -> tuple[str, ...]:
    """Return the words that serve no reading, where one may be said for a word of the wording.

    "Holiday" is, in "days left in my holiday", for the year in "days left in the year".
    """
    unread = (term for at, term in enumerate(terms) if at not in read and not is_value(term))
    return tuple(
        sentence.text[term.start : term.end]
        for term in unread
        if is_telling(term, sentence, own_words)
    )


def is_telling(term: Term, sentence: Sentence, own_words: Collection[str]) -> bool:
    """Return whether neither the skill nor the tables of the language have a word."""
    word = sentence.text[term.start : term.end]
    known = fold(word) in speak(sentence.language).vocabulary
    return word.isalpha() and len(word) > 1 and not known and term.stem not in own_words


def _is_period(word: str, language: str) -> bool:
    """Return whether a word is a span of the calendar: a week, a month, a year."""
    size = size_of(speak(language).phrases("units").exact(fold(word)) or "")
    return size is not None and size[0] == "time"


def lacks_period(words: Sequence[Term], text: str, language: str, said: Sequence[Term]) -> bool:
    """Return whether the words of a wording have a period that was not said: "in the year"."""
    stems = {term.stem for term in said}
    missing = (term for term in words if not term.slot and term.stem not in stems)
    return any(_is_period(text[term.start : term.end], language) for term in missing)


def limits(word: str, language: str) -> bool:
    """Return whether a word changes of what a sentence speaks: before, without, month, second."""
    spoken, low = speak(language), fold(word)
    if len(low) == 1:
        return False
    known = (spoken.limits, spoken.phrases("units"), spoken.phrases("ordinals"))
    return any(low in each for each in known)
