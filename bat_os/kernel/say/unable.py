"""No skill fits: a mission if a function could answer it, else what is missing.

A mission takes its time and ends in a guess, so it begins only for a wish that a function of the
values in the sentence could answer. For anything else a person hears at once what is missing,
the skills that it is like, if there are any, and how to teach it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bat_os.core.answer import Answer
from bat_os.core.digest import digest
from bat_os.core.discussion import find_voice
from bat_os.core.prompts import Prompt
from bat_os.image.facts import is_small
from bat_os.image.quotes import ask
from bat_os.kernel.say.book import read_book
from bat_os.kernel.say.places import find_named, locate
from bat_os.kernel.say.recall import recall_anything
from bat_os.kernel.say.reminders import is_question
from bat_os.kernel.say.skills import LIKE_NOTHING
from bat_os.kernel.verbs.talk import Drawing
from bat_os.sentence.clauses import is_asking
from bat_os.sentence.language import fold
from bat_os.sentence.phrasebook import LIGHT
from bat_os.sentence.spelling import vocabulary
from bat_os.sentence.terms import split_sentence
from bat_os.sentence.texts import text
from bat_os.sentence.triage import classify
from bat_os.sentence.values import lies_outside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.heard import Heard
    from bat_os.kernel.say.lessons import Lessons
    from bat_os.sentence.forms import Form
    from bat_os.sentence.reading import Sentence

NEAREST: Final = 3
TOLD: Final = frozenset(
    {"knowledge", "calendar", "opinion", "words"}
)  # what may have been said or taught
SURE: Final = 0.5  # probability from which the kind of a request decides
_NO_ARGUMENT: Final = frozenset({"unit", "name"})  # what a function is not applied to by itself
_MOMENTS: Final = frozenset({"date", "time"})
# Values that any sentence may have, besides names. Others are given to be worked on.
_IN_PROSE: Final = _MOMENTS | {"money", "number", "percent", "quantity", "unit"}
_OF_WORLD: Final = frozenset({"where", "who"})
_EDGES: Final = ".,;:!?\u00a1\u00bf\"'"
# What a person could give leave for, once the objects for it are there.
GRANTED: Final = frozenset({"web_obj", "files_obj", "files"})
# Kind of a request without a skill -> what is said of it.
LACKING: Final[Mapping[str, str]] = {
    "world": "knowledge", "creative": "creative", "files": "files", "device": "device",
    "opinion": "opinion",
}  # fmt: skip


async def lacking(mind: KernelContext, heard: Heard, form: Form) -> Answer:
    """Answer a wish for files, the web, or what else lies outside of the image.

    What reads like a question about the world may be answered by what was said or taught.
    """
    room, _, name = form.name.partition(".")
    if (room == "web_obj" or name in TOLD) and (
        told := await recall_anything(mind, heard.readings, now=heard.now)
    ):
        return told
    is_file = room == "files_obj" or name == "knowledge"
    if is_file and (told := await _too_much(mind, heard)):
        return told
    if name == "knowledge" and (refused := outside(heard)):
        return refused
    key = "files" if room == "files_obj" else "web" if name == "search" else name
    return _say(heard, key, needs="grant" if room in GRANTED else "")


async def unable(mind: KernelContext, heard: Heard, lessons: Lessons) -> Answer:
    """Answer a sentence that no skill fits."""
    ordered = bool(heard.request.body["fresh"])
    if not ordered and (refused := await _too_much(mind, heard) or outside(heard)):
        return refused
    if not ordered and (speaker := find_voice(heard.typed.text)):
        return await _speak(mind, heard, speaker)
    vector = (await mind.catalog.embed([heard.sentence.masked]))[0]
    kinds = classify(heard.sentence, vector)
    kind = max(kinds, key=lambda name: kinds[name])
    is_function = kind == "function" and kinds[kind] >= SURE
    is_wish = is_function and _gives(heard) and _asks(heard)
    # In a thread: the words of the library are read with the first sentence of a language.
    if ordered or (is_wish and await asyncio.to_thread(_has_known_word, heard.sentence)):
        return await lessons.learn(
            heard.request, heard.typed.text, heard.language, heard.say, ordered=ordered
        )
    if kind == "talk" and kinds[kind] >= SURE:
        return Answer("said", text(heard.language, "talk.other"), language=heard.language)
    key = LACKING.get(kind, "unclear") if kinds[kind] >= SURE else "unclear"
    return _say(heard, key, needs="grant" if kind in GRANTED else "", near=key == "unclear")


def _gives(heard: Heard) -> bool:
    """Return whether a sentence has something that a function could be applied to.

    One moment alone is that of a question: "the painters come on Friday" asks for nothing.
    """
    kinds = [value.kind for value in heard.sentence.values if value.kind not in _NO_ARGUMENT]
    if len({*kinds}) < len(kinds) or not _MOMENTS.issuperset(kinds):
        return True
    return bool(kinds) and is_question(heard.typed.text, heard.language)


def _asks(heard: Heard) -> bool:
    """Return whether a sentence asks or orders, as far as a function of its values could answer.

    Any statement has a number, a unit or a day in it ("the bus was 10 minutes late"). Words that
    neither begin as a question or an order, nor are like any wording of a skill, ask for nothing.
    Who did something, and where, no function of numbers says.
    """
    said, language = heard.core, heard.language
    kinds = {value.kind for value in said.values}
    if _OF_WORLD.intersection(ask(said.text, language).asks):
        return not kinds <= _IN_PROSE
    if not kinds <= _IN_PROSE | {"name"} or heard.typed.text.rstrip().endswith("?"):
        return True
    first = next(iter(said.text.split()), "").strip(_EDGES)
    if is_asking(first, language):
        return True
    orders = fold(first) in vocabulary(language).firsts and not is_small(first, language)
    return orders or (bool(heard.found) and heard.found[0].probability >= LIKE_NOTHING)


def _has_known_word(sentence: Sentence) -> bool:
    """Return whether any skill of the library is asked for with a word of a sentence.

    Of words that none has a model writes anything: "blub 12 zork 9" asks for nothing.
    """
    weights = read_book(sentence.language).lexicon.weights
    stems = [term.stem for term in split_sentence(sentence) if term.value is None]
    return any(weights.get(stem, 0.0) > LIGHT for stem in stems)


async def _too_much(mind: KernelContext, heard: Heard) -> Answer | None:
    """Return that a wish is too much at once for files that may be read; None if they may not."""
    places = await locate(mind, heard, find_named(mind, heard.core))
    if not places or any(one.grant is None or one.kind.driver != "files" for one in places):
        return None
    names = ", ".join(place.value.text for place in places)
    said = text(heard.language, "files.too_much", name=names)
    return Answer("unable", said, language=heard.language)


async def _speak(mind: KernelContext, heard: Heard, speaker: str) -> Answer:
    """Answer a wish for a conversation in the voice of the persona whose work that is."""
    wish = " ".join(heard.typed.text.split())
    cast = await mind.refresh()
    prompt = Prompt((("system", cast.personas[speaker].system_prompt), ("user", wish)))
    draw = Drawing(mind, heard.say, wish, int(digest(wish)[:8], 16))
    said = await draw.answer(speaker, prompt, ())
    if not said.sentences:
        return _say(heard, "creative")
    return Answer("said", " ".join(said.sentences), language=heard.language,
                  model_calls=said.tries)  # fmt: skip


def is_file(heard: Heard, words: str) -> bool:
    """Return whether words of the sentence are the name of a file: "add milk to notes.txt"."""
    return any(value.kind == "path" and value.text == words for value in heard.sentence.values)


def outside(heard: Heard) -> Answer | None:
    """Answer a sentence about a file or a web page; None if it names none."""
    named = next(filter(lies_outside, heard.sentence.values), None)
    if named is None:
        return None
    return _say(heard, "files" if named.kind == "path" else "web", needs="grant")


def _say(heard: Heard, key: str, *, needs: str = "", near: bool = False) -> Answer:
    language = heard.language
    said = [text(language, f"unable.{key}")]
    if near:
        likely = [each.reading for each in heard.found if each.probability >= LIKE_NOTHING]
        choices = likely[:NEAREST]
        offer = "near" if choices else "none_near"
        said.append(text(language, f"unable.{offer}", count=len(choices), choices=choices))
        example = text(language, "unable.example")
        said.append(text(language, "unable.teach", example=example))
    return Answer("asked" if needs else "unable", " ".join(said), needs=needs, language=language)
