"""Socratic counterpoint: ROBIN and BRICK answer a question, the second building on the first.

    who_begins > ask_first (grounded in numbered passages) > ask_second (given the first answer)

BRICK says what something is and how it works, ROBIN why it matters and to which people. ROBIN
begins if the question asks for a reason, for advice or about a feeling, else BRICK.

Of an answer, whole sentences are kept, each said once, without marks of the model's own: small
models run in circles and end in the middle of a sentence. What is kept depends on the text alone,
so it does not matter how soon after the first circle the drawing was stopped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.personas import Limits, Persona

NEAR: Final = 0.35  # similarity of a passage to the question from which on it is shown
CITED: Final = 0.5  # similarity of a sentence to a passage from which on it carries its mark
STOP: Final = r"\n\s*\n|\n(?:Question|Notes?|Answer|User)\b"
NOT_GROUNDED: Final = (
    "Nothing in the knowledge catalog is about this: the answer is the model's own, not grounded."
)
UNCITED: Final = "No sentence of the answer is near a passage: it is the model's own, not grounded."
_FOR_ROBIN: Final = re.compile(
    r"\A\W*(?:why|should|who cares|what if i|is it (?:good|bad|right|wrong|worth))\b"
    r"|\b(?:feel|feels|feeling|feelings|afraid|worried|sad|happy|lonely|love|hope|hurt|angry"
    r"|matter|matters|meaning|care|friend|friends|kind|thank you)\b",
    re.IGNORECASE,
)
_CONVERSE: Final = re.compile(
    r"\b(?:conversation|dialogue|conversations|chat|talk|converse)\s+with\b", re.IGNORECASE
)
_SECOND: Final[Mapping[str, str]] = {
    "ROBIN": "Build on it: why does it matter to a person? Answer in one or two short sentences.",
    "BRICK": "Build on it: how does it work, exactly? Answer in one or two short sentences.",
}


def who_begins(question: str, wanted: str = "") -> tuple[str, str]:
    """Return the names of the first and the second speaker; ``wanted`` begins if it is one.

    >>> who_begins("How does a stack work?"), who_begins("Why should I keep a diary?")
    (('BRICK', 'ROBIN'), ('ROBIN', 'BRICK'))
    """
    if wanted:
        return wanted, "BRICK" if wanted.partition(":")[0] == "ROBIN" else "ROBIN"
    return ("ROBIN", "BRICK") if _FOR_ROBIN.search(question) else ("BRICK", "ROBIN")


def find_voice(wish: str) -> str:
    """Return the name of the persona whose work a wish is; "" if any may do it.

    >>> find_voice("Simulate a conversation with a wise bear"), find_voice("Add two numbers")
    ('ROBIN', '')
    """
    return "ROBIN" if _CONVERSE.search(wish) else ""


def ask_first(persona: Persona, question: str, passages: Sequence[str], limits: Limits) -> Prompt:
    """Return the question for who begins; ``passages`` are numbered from 1."""
    order = f"Answer in at most {limits.sentences} short sentences."
    if passages:
        order = f"Use the notes. {order}"
    return _prompt(persona, f"{_notes(passages, limits)}Question: {question}\n{order}")


def ask_second(
    persona: Persona, question: str, passages: Sequence[str], said: tuple[str, str], limits: Limits
) -> Prompt:
    """Return the question for who goes on; ``said`` is (name, answer) of the first."""
    name, text = said
    order = f"{_notes(passages[:2], limits)}Question: {question}\n{name} answered: {text}\n"
    return _prompt(persona, order + _SECOND[persona.name.partition(":")[0]])


def mark(
    sentences: Sequence[str], likeness: Sequence[Sequence[float]]
) -> tuple[str, tuple[int, ...]]:
    """Return the text with ``[n]`` behind each sentence that a passage speaks for, and all n.

    The marks are measured: a small model cites at random. A mark says that
    the passage is about what the sentence says, not that it proves it.

    >>> mark(["A bat flies.", "It is late."], [[0.2, 0.8], [0.1, 0.3]])
    ('A bat flies. [2] It is late.', (2,))
    """
    parts: list[str] = []
    cited: list[int] = []
    for sentence, row in zip(sentences, likeness, strict=True):
        best = max(range(len(row)), key=row.__getitem__, default=-1)
        parts.append(sentence)
        if best >= 0 and row[best] >= CITED:
            parts.append(f"[{best + 1}]")
            cited.append(best + 1)
    return " ".join(parts), tuple(dict.fromkeys(cited))


def shorten(text: str, most: int) -> str:
    """Return a passage as it is shown: one line of ``most`` characters, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most].rsplit(" ", 1)[0] + " …"


def _notes(passages: Sequence[str], limits: Limits) -> str:
    if not passages:
        return ""
    shown = (shorten(text, limits.passage_chars) for text in passages)
    lines = [f"[{number}] {text}" for number, text in enumerate(shown, start=1)]
    return "Notes:\n" + "\n".join(lines) + "\n\n"


def _prompt(persona: Persona, order: str) -> Prompt:
    messages: list[tuple[str, Any]] = [("system", persona.system_prompt), ("user", order)]
    return Prompt(tuple(messages))


NGRAM: Final = 5  # words that come a second time are a circle
UNIT: Final = 4  # or up to so many words TIMES times in a row
TIMES: Final = 3
ECHO: Final = 0.8  # share of a sentence's words that another one had
_COMMON: Final = frozenset(
    """about also answer because been being both could does each even every from have here into
    itself just made make many more most much must only other over people person same should some
    such sure
    than that their them then there these they thing things this those through time used very well
    were what when where which while will with work would your yours
    """.split()  # noqa: SIM905 - read best as a line
)
_END: Final = re.compile(r"[.!?][\"')\]]*(?=\s|\Z)")
_LABEL: Final = re.compile(r"\A(?:[A-Z]{3,12}|Answer|Response|Assistant)\s*:\s*")
_BULLET: Final = re.compile(r"\A(?:[-*•]|\d+[.)])\s+(?=\S)")
_MARK: Final = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")
# A full stop after these, after a single letter or a number in a list ends no sentence.
_SHORT: Final = re.compile(
    r"(?:\A|[\s(])(?:e\.g|i\.e|etc|vs|cf|approx|Dr|Mr|Mrs|Ms|St|[A-Z])\.\Z|\A\d+\.\Z"
)


def find_circle(text: str) -> int:
    """Return where the first repetition begins, or -1.

    >>> find_circle("a list is a list is a list is it"), find_circle("no no, it is fine")
    (10, -1)
    """
    found = list(re.finditer(r"\S+", text))
    words = [one[0].casefold().strip(".,;:!?\"'") for one in found]
    seen: set[tuple[str, ...]] = set()
    for place in range(len(words)):
        if unit := _repeated_until(words, place):
            return found[place + 1 - (TIMES - 1) * unit].start()
        gram = tuple(words[place + 1 - NGRAM : place + 1]) if place + 1 >= NGRAM else ()
        if gram and gram in seen:
            return found[place + 1 - NGRAM].start()
        seen.add(gram)
    return -1


def _repeated_until(words: Sequence[str], place: int) -> int:
    """Return the length of a unit that ends here for the TIMES-th time in a row, or 0."""
    for unit in range(1, UNIT + 1):
        begin = place + 1 - TIMES * unit
        if begin < 0:
            return 0
        part = words[place + 1 - unit : place + 1]
        if all(words[begin + k * unit : begin + (k + 1) * unit] == part for k in range(TIMES)):
            return unit
    return 0


def split(text: str) -> list[str]:
    """Return the whole sentences of a text; what has no end is left out.

    >>> split('It is so, e.g. here. "Yes!" And the')
    ['It is so, e.g. here.', '"Yes!"']
    """
    sentences, begin = [], 0
    for end in _END.finditer(text):
        sentence = text[begin : end.end()].strip()
        if _SHORT.search(sentence):
            continue
        begin = end.end()
        if re.search(r"\w", sentence):
            sentences.append(_BULLET.sub("", sentence))
    return sentences


def keep(text: str, most: int, before: Sequence[str] = (), question: str = "") -> list[str]:
    """Return the sentences that are kept of what a model wrote.

    Args:
        text: As it was drawn.
        most: How many sentences at most.
        before: Sentences that were said already; what only says one of them again is left out.
        question: What was asked; a sentence that repeats it is dropped.
    """
    cleaned = _cleaned(text)
    circle = find_circle(cleaned)
    kept: list[str] = []
    # One more than wanted: where ``is_enough`` had it stop, there may be more or less behind it.
    for sentence in split(cleaned if circle < 0 else cleaned[:circle])[: most + 1]:
        asked_again = sentence.endswith("?") and _echoes(sentence, question)
        if not asked_again and not any(_echoes(sentence, said) for said in (*before, *kept)):
            kept.append(sentence)
    return kept[:most]


def as_own_words(persona: Persona) -> list[str]:
    """Return the sentences of a persona's prompt, as it has them and as it would say them."""
    given = split(persona.system_prompt)
    spoken = [sentence.replace("You are ", "I am ").replace("You ", "I ") for sentence in given]
    return [*given, *spoken]


def builds_on(sentences: Sequence[str], before: Sequence[str], question: str) -> bool:
    """Return whether an answer takes up what was said before, beyond the question's own words.

    >>> builds_on(["So its echo guides it."], ["A bat hears echoes."], "How do bats fly?")
    True
    >>> builds_on(["Bats can fly."], ["It hears echoes."], "How do bats fly?")
    False
    """
    said = _stems(before)
    return not said or bool(_stems(sentences) & (said - _stems([question]) or said))


def _stems(sentences: Sequence[str]) -> set[str]:
    """Return the longer words, each by its beginning: echo and echoes are one."""
    words = re.findall(r"[^\W\d_]{4,}", " ".join(sentences).casefold())
    return {word[:4] if len(word) < 7 else word[:5] for word in words if word not in _COMMON}


def is_enough(text: str, most: int) -> bool:
    """Say whether nothing that is drawn from here on would be kept; the last word may go on."""
    whole = _cleaned(re.sub(r"\S*\Z", "", text))
    return find_circle(whole) >= 0 or len(split(whole)) > most


def _cleaned(text: str) -> str:
    return " ".join(_MARK.sub("", _LABEL.sub("", text.strip())).split())


def _echoes(sentence: str, said: str) -> bool:
    words, known = (set(re.findall(r"\w+", one.casefold())) for one in (sentence, said))
    return len(words & known) >= ECHO * len(words)
