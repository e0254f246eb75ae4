"""Answers in words: what a turn or a mission came to, as a person reads it. Pure."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import TOOLS, Brief
from bat_os.core.choosing import meaning
from bat_os.core.readable import show_value
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.kernel.say.heard import Heard
    from bat_os.kernel.say.skills import Candidate

# A person or examples stand behind a method of this status.
VOUCHED: Final = frozenset({"shipped", "taught", "verified", "approved", "primitive", "slot"})
MAX_READING: Final = 200
MAX_CHOICES: Final = 3
CLOSE: Final = 1e-3  # relative: people round what they say
MAX_VALUE: Final = 60  # characters of a value in a reading


def reading_of(brief: Brief) -> str:
    """Return a message as people read it.

    >>> from bat_os.core.brief import Brief
    >>> reading_of(Brief("calculator_obj", "percent_of", (17, 340)))
    'percent_of(17, 340)'
    """
    values = [_short(value) for value in brief.args]
    values += [f"{name}={_short(value)}" for name, value in brief.kwargs.items()]
    return f"{brief.selector}({', '.join(values)})"[:MAX_READING]


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= MAX_VALUE else f"{shown[: MAX_VALUE - 1]}…"


def refuse(language: str, sentence: str, why: str) -> Answer:
    """Return the answer to a caller who may not have this done: what its owner can say instead."""
    command = f"batos ask {shlex.quote(sentence)}"
    said = text(language, "unable.not_allowed", why=why, command=command)
    return Answer("unable", said, language=language)


def from_turn(brief: Brief, body: Mapping[str, Any], language: str) -> Answer:
    """Return the answer of a method that ran: ``body`` is the result of a ``send``."""
    reused = body.get("reused") or {}
    status, value, label = str(body["status"]), body["result"], body.get("label")
    learned, calls = bool(body.get("learned")), int(body.get("model_calls") or 0)
    steps = body.get("steps", ())
    asked = brief.mode == TOOLS and calls and not steps  # by a method that asks a model
    if status == "said" or asked:  # in a persona's own words
        return Answer(
            "said",
            "\n".join([show_value(value, language), *_say_asks(body, language)]),
            value,
            "; ".join(steps)[:MAX_READING] or reading_of(brief),
            learned=learned,
            model_calls=calls,
            language=language,
            memory=memory_of(brief, value),
        )
    if status not in VOUCHED and not reused and not (brief.mode == TOOLS or steps):
        return guess(brief, value, language, waits=False, learned=learned, model_calls=calls)
    printed = str(body.get("printed") or "").rstrip()
    shown = "\n".join(part for part in (printed, show_value(value, language)) if part)
    done = value is None and not printed
    return Answer(
        "acted" if done else "computed",
        text(language, "acted.done") if done else shown,
        value, "; ".join(steps)[:MAX_READING] or reading_of(brief), learned=learned,
        model_calls=calls, language=language,
        memory=memory_of(brief, value, **({"label": label} if label else {})),
    )  # fmt: skip


def _say_asks(body: Mapping[str, Any], language: str) -> list[str]:
    """Return what a person hears of a method that asks a model, once it is made."""
    return [text(language, "tools.asks", who=str(body["asks"]))] if body.get("asks") else []


def say_learned(answer: Answer, brief: Brief, language: str) -> Answer:
    """Return the answer to an order for a method that was tried with values of our own."""
    if answer.kind not in ("computed", "guess"):
        return answer
    key = "lesson.tried_guess" if answer.kind == "guess" else "lesson.tried"
    said = text(
        language, key, skill=brief.selector, reading=reading_of(brief),
        value=show_value(answer.value, language),
    )  # fmt: skip
    return replace(answer, text=said)


def say_known(answer: Answer) -> Answer:
    """Return the answer to an order for a method that there is, tried with values of our own."""
    said = text(answer.language, "lesson.known", reading=answer.reading, value=answer.text)
    return replace(answer, text=said)


def memory_of(brief: Brief, value: Any, **more: Any) -> dict[str, Any]:
    """Return what a follow-up may need of a message and its answer."""
    call = {"target": brief.target, "selector": brief.selector, "args": list(brief.args)}
    return {"call": call, "brief": brief.to_plain(), "value": value, **more}


def guess(
    brief: Brief, value: Any, language: str, *, waits: bool, does: str = "", **about: Any
) -> Answer:
    """Return what only drafts of a model say; it ``waits`` if nothing is installed."""
    said = text(language, "guess.value", value=show_value(value, language))
    if does:  # without a value, that is not known before
        key = "guess.first" if value is None else "guess.does"
        said = text(language, key, value=show_value(value, language), does=does)
    noted = memory_of(brief, value, waits=waits, guess=True)
    return Answer(
        "guess", said, value, reading_of(brief), language=language, memory=noted, **about
    )  # fmt: skip


def announce(language: str, brief: Brief, seconds: float) -> str:
    """Return what is said before a mission."""
    return text(language, "lesson.announced", duration=f"{max(1, round(seconds))} s")


def ask_example(
    brief: Brief, choices: Sequence[Mapping[str, Any]], language: str, **about: Any
) -> Answer:
    """Return the question for an example; the answers of the drafts are choices."""
    shown = tuple(str(choice["shown"]) for choice in choices)
    results = [choice["result"] for choice in choices]
    does = [choice.get("effects") for choice in choices]  # what is chosen is meant with it
    noted = memory_of(brief, None, results=results, does=does)
    return Answer(
        "asked", text(language, "asked.example_short"),
        reading=reading_of(brief), needs="example", choices=shown, language=language,
        memory=noted, **about,
    )  # fmt: skip


def ask(needs: str, brief: Brief, why: str, language: str, **about: Any) -> Answer:
    """Return a question of another kind that a mission ended with."""
    said = {
        "confirmation": lambda: text(language, "asked.confirm", reading=reading_of(brief)),
        "grant": lambda: text(language, "asked.grant", what=why),
        "model": lambda: text(language, "unable.no_model"),
    }.get(needs, lambda: text(language, "asked.skill"))()
    return Answer(
        "asked", said, reading=reading_of(brief), needs=needs, language=language,
        memory=memory_of(brief, None), **about,
    )  # fmt: skip


def failed(brief: Brief, body: Mapping[str, Any], language: str, **about: Any) -> Answer:
    """Return that nothing good was written."""
    key = "lesson.failed_shown" if brief.examples else "lesson.failed"
    return Answer(
        "unable", text(language, key, example=text(language, "unable.example")),
        reading=reading_of(brief), language=language, memory=memory_of(brief, None), **about,
    )  # fmt: skip


def not_done(brief: Brief, body: Mapping[str, Any], language: str, **about: Any) -> Answer:
    """Return that a step with a tool failed, and what the tool said."""
    said = text(language, "tools.failed", error=str(body.get("message", "")))
    return Answer(
        "unable", said, reading=reading_of(brief), language=language,
        memory=memory_of(brief, None), **about,
    )  # fmt: skip


def means_same(value: Any, wanted: Any) -> bool:
    """Return whether two values mean the same: 57.8 and 57.80000000000001 do."""
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return math.isclose(value, wanted, rel_tol=CLOSE, abs_tol=1e-9)
    return meaning(value) == meaning(wanted)


def ask_which(found: Sequence[Candidate], language: str) -> Answer:
    """Return the question which of some skills is meant."""
    options = [
        Brief(each.target, each.selector, tuple(each.args), dict(each.kwargs), each.wording)
        for each in found[:MAX_CHOICES]
    ]
    noted = {"options": [brief.to_plain() for brief in options], "remember": True}
    said = text(language, "asked.skill")
    if len(options) == 1:
        said = text(language, "asked.skill_one", choice=reading_of(options[0]))
    if found and found[0].left:
        words = ", ".join(map(repr, found[0].left))
        said = f"{text(language, 'asked.left', words=words)} {said}"
    return Answer(
        "asked", said, needs="clarification",
        choices=tuple(map(reading_of, options)), language=language, memory=noted,
    )  # fmt: skip


def ask_again(heard: Heard) -> Answer:
    """Return the open question once more: it asked which one, and "yes" does not say that."""
    noted = dict(heard.conversation.question)
    needs, said, choices = (noted.pop(name) for name in ("needs", "sentence", "choices"))
    return Answer(
        "asked", heard.conversation.exchanges[-1]["answer"], needs=needs, choices=tuple(choices),
        language=heard.language, memory={**noted, "said": said},
    )  # fmt: skip


def as_said(answer: Answer, said: str) -> Answer:
    """Return an answer for follow-ups to refer to as the one to ``said``."""
    return replace(answer, memory={**answer.memory, "said": said})
