"""Sentences that carry their own example: what does what the examples show, and nothing else.

    "double a number, e.g. 4 gives 8; 21?"
      a skill that the words mean and that reproduces the examples      double(21)
      > programs by example: the likeliest, if it is ahead of the others
      > a mission, with the examples as its judge
      > a guess, where the examples leave open which of several programs is meant

A skill is known by its words *and* the examples, so a little likeness of the words is enough. What
is learned keeps the words of the wish; where there are none, it is named by what it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, literals, parameters
from bat_os.errors import BatError
from bat_os.kernel.learning.trial import serves, tells_enough
from bat_os.kernel.say import replies
from bat_os.kernel.say.skills import find_candidates
from bat_os.method.induction import decides, induce
from bat_os.method.shelf import SHELF, kind_of, parameters_of, seeds_of
from bat_os.sentence.examples import name_operations
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.translate import DEFAULT_TARGET, translate_shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bat_os.core.answer import Answer
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.heard import Heard
    from bat_os.kernel.say.lessons import Lessons
    from bat_os.kernel.say.skills import Candidate
    from bat_os.method.induction import Program
    from bat_os.sentence.examples import Shown

    Example = dict[str, Any]

LIKELY: Final = 0.1  # probability of a skill from which the examples may speak for it
LIKELY_BIT: Final = 0.5  # the same where the examples only say yes or no
MAX_SAME_NAME: Final = 9  # lessons of one name that show different things
CHANCE: Final = "random_obj"  # what it answers shows nothing
NOUNS: Final = {"text": "a text", "number": "a number", "list": "a list"}
_NOUN: Final = re.compile(
    r"\b(?:an?|the|every|each|some) (?:\w+ )?(?:number|text|word|list|name|string|sentence)s?\b"
)
_UNNAMED: Final = re.compile(r"\b(?:a|an|the|eine?n?|une?|una?) (?:\w+)\b")


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a sentence shows."""

    wish: str  # in words; "" if it has none
    examples: tuple[Example, ...]
    args: tuple[Any, ...]  # what is asked about
    brief: Brief
    is_answered: bool = False  # an example says the answer: it is no guess of ours


class ByExample:
    """Answers sentences that tell examples; for one event loop."""

    def __init__(
        self,
        mind: KernelContext,
        lessons: Lessons,
        send: Callable[[Heard, Brief], Awaitable[Answer]],
    ) -> None:
        self._mind = mind
        self._lessons = lessons
        self._send = send

    async def answer(self, heard: Heard, shown: Shown, *, ordered: bool) -> Answer | None:
        """Return the answer to a sentence that tells examples; None if it shows nothing."""
        if shown.sequence:
            return await self._go_on(heard, shown.sequence)
        lesson = _lesson_of(shown, ordered=ordered)
        if lesson.wish and not heard.request.body["fresh"]:
            found = await self._find_skill(heard, lesson)
            if found is not None:
                return await self._send(heard, found)
        programs = await asyncio.to_thread(_induce, lesson)
        if programs and (lesson.wish or decides(programs)):
            return await self._learn(heard, _named(lesson, programs[0]), programs)
        if programs:
            guess = self._guess(heard, lesson, programs)
            return guess or replies.ask_example(lesson.brief, (), heard.language)
        return await self._without_program(heard, lesson)

    async def _without_program(self, heard: Heard, lesson: Lesson) -> Answer:
        """Answer by the library, or by a mission if there are words to write a method by."""
        if answer := await self._by_library(heard, lesson):
            return answer
        if lesson.wish:
            return await self._learn(heard, lesson, ())
        return replies.ask_example(lesson.brief, (), heard.language)

    async def _go_on(self, heard: Heard, terms: Sequence[int | float]) -> Answer | None:
        """Return the next number of a sequence."""
        found: list[tuple[float, Program, Lesson]] = []
        for lesson, costs in _readings(terms):
            programs = await asyncio.to_thread(_induce, lesson)
            found += [(each.cost + costs, each, lesson) for each in programs]
        found.sort(key=lambda each: each[0])
        if not found:
            return None
        _, best, lesson = found[0]
        other = [replace(p, cost=c) for c, p, _ in found if p.answer != best.answer]
        ranked = [replace(best, cost=found[0][0]), *other]
        if decides(ranked):
            return await self._learn(heard, _named(lesson, best), ranked)
        return self._guess(heard, _named(lesson, best), ranked)

    async def _find_skill(self, heard: Heard, lesson: Lesson) -> Brief | None:
        """Return the message to a skill that fits the words and reproduces the examples."""
        enough = LIKELY if tells_enough(lesson.examples) else LIKELY_BIT
        tried: set[str] = set()
        for words in _as_asked(lesson):
            sentence = read_sentence(words, heard.now, heard.language)
            for found in await find_candidates(self._mind, sentence):
                known = f"{found.target}.{found.reading}"
                unfit = found.changes or found.is_served or known in tried
                unfit = unfit or found.status not in replies.VOUCHED
                if unfit or found.probability < enough:
                    continue
                tried.add(known)
                if await self._reproduces(found, lesson):
                    return _brief_of(found, words)
        return None

    async def _by_library(self, heard: Heard, lesson: Lesson) -> Answer | None:
        """Answer by the functions that take such values and reproduce every example."""
        answers: list[Answer] = []
        for target, selector in await asyncio.to_thread(_takers, lesson):
            brief = replace(lesson.brief, target=target, selector=selector, text="")
            with contextlib.suppress(BatError):
                if await serves(self._mind, brief, lesson.examples):
                    answers.append(await self._send(heard, replace(brief, examples=())))
        alike = {json.dumps(each.value, default=str) for each in answers}
        if len(alike) == 1 and tells_enough(lesson.examples):
            return answers[0]
        if not answers or lesson.is_answered:
            return None
        return _as_guess(lesson.brief, answers[0].value, heard.language)

    async def _reproduces(self, found: Candidate, lesson: Lesson) -> bool:
        """Return whether a skill gives every result, with the examples' values in its places."""
        brief = _brief_of(found, "")
        examples: list[Example] = []
        for example in lesson.examples:
            args = list(brief.args)
            for value, shown in zip(lesson.args, example["args"], strict=False):
                places = [at for at, each in enumerate(args) if _is_same(each, value)]
                if not places:
                    return False
                args[places[0]] = shown
            examples.append({"args": args, "kwargs": brief.kwargs, "result": example["result"]})
        try:
            return await serves(self._mind, brief, examples)
        except BatError:
            return False

    async def _learn(self, heard: Heard, lesson: Lesson, programs: Sequence[Program]) -> Answer:
        """Answer by a mission; by a guess if nothing was learned and a program fits."""
        brief = await self._free_name(lesson)
        answer = await self._lessons.run(heard.request, brief, heard.language, heard.say)
        if answer.kind in ("unable", "asked") and programs:
            return self._guess(heard, lesson, programs) or answer
        return answer

    async def _free_name(self, lesson: Lesson) -> Brief:
        """Return the brief; under another name if that one shows something else already."""
        brief = lesson.brief
        for number in range(2, MAX_SAME_NAME + 1):
            if not await self._is_taken(brief) or await serves(self._mind, brief, lesson.examples):
                break
            brief = replace(lesson.brief, selector=f"{lesson.brief.selector}_{number}")
        return brief

    async def _is_taken(self, brief: Brief) -> bool:
        def look(root: Any) -> bool:
            holder = root["objects"].get(brief.target)
            return holder is not None and holder.lookup(brief.selector) is not None

        return await self._mind.image.transact(look, note="look for a name")

    def _guess(self, heard: Heard, lesson: Lesson, programs: Sequence[Program]) -> Answer | None:
        """Return the likeliest answer as a guess; None if the person has said it themselves."""
        if not programs or lesson.is_answered:
            return None
        named, value = _named(lesson, programs[0]), programs[0].answer
        return _as_guess(named.brief, value, heard.language)


def _as_guess(brief: Brief, value: Any, language: str) -> Answer:
    """Return a guess that nothing waits for; a yes to it is one more example."""
    answer = replies.guess(brief, value, language, waits=False)
    return replace(answer, memory={**answer.memory, "shown": True})


def _lesson_of(shown: Shown, *, ordered: bool) -> Lesson:
    wish = translate_shown(shown)
    worded = any(token.kind == "word" for token in shown.wish)
    examples: tuple[Example, ...] = tuple({"kwargs": {}, **one} for one in shown.examples)
    text = wish.text if worded else ""
    if text and not _NOUN.search(text) and not _UNNAMED.search(text):
        text = f"{text} of {_noun_of(wish.args)}"
    brief = Brief(
        wish.target, wish.selector, tuple(wish.args), dict(wish.kwargs), text, examples,
        tentative=not ordered,
    )  # fmt: skip
    answered = any(list(brief.args) == list(one["args"]) for one in examples)
    return Lesson(text, examples, brief.args, brief, answered)


def _noun_of(args: Sequence[Any]) -> str:
    if len(args) != 1:
        return "values"
    value = args[0]
    kind = "text" if isinstance(value, str) else "list" if isinstance(value, list) else "number"
    return NOUNS[kind]


def _named(lesson: Lesson, program: Program) -> Lesson:
    """Return a lesson; one without words, named by what its program does."""
    if lesson.wish:
        return lesson
    words = program.says or "change"
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    constants = re.findall(r"'([^']*)'", program.expression)
    if constants:
        name += "_" + "".join(f"{ord(c):x}" for c in "".join(constants)[:8])
    noun = _noun_of(lesson.args)
    brief = replace(
        lesson.brief, target=DEFAULT_TARGET, selector=f"by_example_{name}"[:60].rstrip("_"),
        text=f"{words} {noun}",
    )  # fmt: skip
    return replace(lesson, brief=brief)


def _induce(lesson: Lesson) -> list[Program]:
    shown = [(one["args"], one["result"]) for one in lesson.examples]
    names = parameters(lesson.brief)
    tags, hints = name_operations(lesson.wish), literals(lesson.wish)
    return induce(shown, lesson.args, names, tags, hints)


def _takers(lesson: Lesson) -> list[tuple[str, str]]:
    """Return the functions of the library that take and give values of these kinds."""
    wanted = [kind_of(value) for value in lesson.args]
    result = kind_of(lesson.examples[0]["result"])
    found = []
    for name in SHELF:
        gives = _results_of(name)
        for selector, taken in parameters_of(name).items():
            needed = [each.kind for each in taken if each.required]
            if needed == wanted and gives.get(selector, result) == result and name != CHANCE:
                found.append((name, selector))
    return found


@cache
def _results_of(name: str) -> Mapping[str, str]:
    """Return the kind of value that each function of an object gives, as far as it is known."""
    return {seed.selector: kind_of(seed.examples[0].answers[0]) for seed in seeds_of(name)}


def _as_asked(lesson: Lesson) -> list[str]:
    """Return the wish with the values that are asked about in it, as people would ask."""
    values = [v if isinstance(v, int | float) else json.dumps(v) for v in lesson.args]
    said = " and ".join(
        f"'{v}'" if isinstance(v, str) and "'" not in v else str(shown)
        for v, shown in zip(lesson.args, values, strict=True)
    )
    text = lesson.wish
    return list(dict.fromkeys([_UNNAMED.sub(said, text, count=1), f"{text} {said}"]))


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _brief_of(found: Candidate, text: str) -> Brief:
    return Brief(found.target, found.selector, tuple(found.args), dict(found.kwargs), text)


def _readings(terms: Sequence[int | float]) -> list[tuple[Lesson, float]]:
    """Return what a sequence may show: a number by the one before, by its place, by two."""
    pairs: list[tuple[list[Any], Any]]
    pairs = [([a], b) for a, b in pairwise(terms)]
    places = [([at], term) for at, term in enumerate(terms, 1)]
    threes = [([a, b], c) for a, b, c in zip(terms, terms[1:], terms[2:], strict=False)]
    found = []
    for shown, args, cost in (
        (pairs, terms[-1:], 0.0), (places, (len(terms) + 1,), 1.0), (threes, terms[-2:], 2.0)
    ):  # fmt: skip
        if len(shown) > 1:
            examples: tuple[Example, ...]
            examples = tuple({"args": each, "kwargs": {}, "result": term} for each, term in shown)
            brief = Brief(DEFAULT_TARGET, "next_number", tuple(args), {}, "", examples)
            found.append((Lesson("", examples, brief.args, replace(brief, tentative=True)), cost))
    return found
