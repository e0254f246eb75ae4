"""One sentence: read as a message, sent, answered, and its words remembered.

    a call as it is ──────────────────────────────────────────────→ sent
    rules ─→ does its object understand it? ─yes──────────────────→ sent
      ├─no─→ a greeting or the like? ─yes─────────────────────────→ answered here
      └─no─→ a learned skill that fits (``find``)? ─yes───────────→ sent to that
               └─no─→ in doubt, and a model is there? both read it ─→ learned,
                      unless one of the similar skills is meant

The model is the GGUF file that ``LLAMA_MODEL_PATH`` names, run by llama.cpp in this process and
loaded when it is first needed. Without one the rules alone serve: the packaged model of 135
million parameters reads no sentence better than they do (``benchmarks/translate.py``).

If a person says what a sentence means, its words become another name of the skill: a small
method beside it that sends what was meant, taught like any method that a person writes. So it
can be found, explained and unlearned.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bat_os.cli.chat.waiting import request
from bat_os.cli.connection import connect, refuse
from bat_os.cli.console import as_call
from bat_os.core.brief import Brief, goal, parameters, signature
from bat_os.errors import ArgumentsError, BatError, RemoteError, SettingsError
from bat_os.method.text import find_forwarded
from bat_os.sentence.proposal import choose_reading, find_misreading, propose
from bat_os.sentence.skills import Near, recognise, suggest
from bat_os.sentence.smalltalk import reply_to
from bat_os.sentence.tokens import parse_call
from bat_os.sentence.translate import Translated, translate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.client.client import KernelClient
    from bat_os.ports import ModelEngine

VARIABLE: Final = "LLAMA_MODEL_PATH"
PATIENCE: Final = 3.0  # seconds to ask what is known; later, it is learned as it was said
FOUND: Final = 5
TALK: Final = "talk"  # the status of a reply to a greeting and the like


async def ask_once(
    home: Path, screen: Screen, sentence: str, *, fresh: bool, call: str | None
) -> int:
    """Answer one sentence; return the exit status."""
    try:
        async with connect(home) as kernel:
            show_answer(await answer(kernel, screen, sentence, fresh=fresh, call=call), screen)
    except BatError as error:
        return refuse(screen, error)
    return 0


async def answer(
    kernel: KernelClient, screen: Screen, sentence: str, *, fresh: bool, call: str | None
) -> dict[str, Any]:
    """Return the body of the answer to one sentence; shows states while it waits.

    With ``fresh`` it is learned anew even if a known skill would serve; with ``call`` it is
    read as that message.

    Raises:
        BatError: The kernel answered with an error, there is none, or the sentence is empty.
    """
    if call:
        wish = correct(translate(sentence), call)
        body = await request(kernel, screen, as_fields(wish, fresh=fresh))
        if note := await remember(kernel, sentence, wish):
            screen.note(note)
        return body
    async with contextlib.aclosing(make_translator()) as translator:
        understood = await translator.understand(kernel, screen, sentence, fresh=fresh)
    if understood.reply:  # in the form of a kernel's replies
        body = {"result": understood.reply, "status": TALK, "learned": False, "printed": ""}
        body |= {"model_calls": 0, "tokens": 0, "seconds": 0.0}
        asked = as_fields(understood.wish)
        return body | {key: asked[key] for key in ("target", "selector", "args", "kwargs")}
    for near in understood.near[:1]:
        name = f"{near.message.target}.{near.message.selector}"
        hint = f'--as "{name}(values)" sends it and remembers these words'
        screen.note(f"{name} may do this already; {hint}")
    return await request(kernel, screen, as_fields(understood.wish, fresh=fresh))


def show_answer(body: Mapping[str, Any], screen: Screen) -> None:
    """Write what ``answer`` returned; how it came about only if something was sent."""
    if body["status"] == TALK and not screen.as_json:
        screen.answer(str(body["result"]))
    else:
        screen.result(body)


def correct(wish: Translated, call: str) -> Translated:
    """Return the wish with another message: ``selector(values)``, perhaps with a target.

    Raises:
        ArgumentsError: It is not a call.
    """
    read = parse_call(call)
    if read is None:
        raise ArgumentsError(f"{call[:60]!r} is not a message; write it as selector(5, 'text')")
    target, selector, args, kwargs = read
    return replace(wish, target=target or wish.target, selector=selector, args=args, kwargs=kwargs)


def as_fields(understood: Translated, *, fresh: bool = False) -> dict[str, Any]:
    """Return a message as the fields of a request, under a key of its own."""
    return {
        "ik": secrets.token_hex(16),
        "target": understood.target,
        "selector": understood.selector,
        "args": list(understood.args),
        "kwargs": dict(understood.kwargs),
        "body": {"text": understood.text, "examples": list(understood.examples), "fresh": fresh},
    }


class Hints(NamedTuple):
    """How a person can correct a sentence that was misread."""

    fresh: str
    correct: str


IN_CHAT: Final = Hints("/fresh learns it anew", "/as selector(values) corrects it")
ON_COMMAND_LINE: Final = Hints("--fresh learns it anew", '--as "selector(values)" corrects it')


@dataclass(frozen=True, slots=True)
class Understood:
    """What a sentence was taken for."""

    wish: Translated  # the message to send
    by: str  # ``call``, ``rules``, ``known``, ``talk``, ``skill``, ``both`` or ``model``
    note: str = ""  # one line for the person who said it, or ""
    reply: str = ""  # the answer, if nothing has to be sent
    # similar known skills, the nearest first; only a person can tell if one is meant
    near: tuple[Near, ...] = ()


class Translator:
    """Reads sentences; keeps its model loaded between them."""

    def __init__(self, engine: ModelEngine | None, hints: Hints = ON_COMMAND_LINE) -> None:
        """Read by rules alone without an engine."""
        self._engine = engine
        self._hints = hints

    async def read(self, kernel: KernelClient, sentence: str, *, fresh: bool = False) -> Understood:
        """Return the message that a sentence asks for; without a kernel, as the rules read it.

        Raises:
            ArgumentsError: The sentence is empty or too long.
        """
        wish = translate(sentence)
        if parse_call(sentence):
            return Understood(wish, "call")
        target, selector = wish.target, wish.selector
        try:
            facts = await kernel.request(
                "inspect", timeout=PATIENCE, target=target, selector=selector
            )
            if any(selector in facts[part] for part in ("selectors", "slots", "inherited")):
                return Understood(wish, "known")
            if not fresh and (reply := reply_to(sentence)):
                return Understood(wish, "talk", reply=reply)
            skills = [] if fresh else await _find_skills(kernel, wish)
        except BatError:  # no kernel, or one that is still waking up: sending will show it
            return Understood(wish, "rules")
        return self._reuse(wish, skills) or replace(
            await self._read_twice(wish, sentence), near=suggest(wish, skills)
        )

    async def understand(
        self, kernel: KernelClient, screen: Screen, sentence: str, *, fresh: bool
    ) -> Understood:
        """Return what a sentence was taken for, and say so if that is not certain."""
        understood = await self.read(kernel, sentence, fresh=fresh)
        if understood.note:
            screen.note(f"read as {as_call(as_fields(understood.wish))}: {understood.note}")
        return understood

    async def aclose(self) -> None:
        """Unload the model. Idempotent."""
        if self._engine is not None:
            await self._engine.close()

    def _reuse(self, wish: Translated, skills: list[Mapping[str, Any]]) -> Understood | None:
        skill = recognise(wish, skills)
        if skill is None:
            return None
        note = f"{skill.target}.{skill.selector} already does this; {self._hints.fresh}"
        return Understood(skill, "skill", note)

    async def _read_twice(self, wish: Translated, sentence: str) -> Understood:
        doubt = find_misreading(wish)
        if not doubt:
            return Understood(wish, "rules")
        misread = f"I may have misread it: {doubt}; {self._hints.correct}"
        if self._engine is None:
            return Understood(wish, "rules", misread)
        try:
            proposal = await propose(self._engine, sentence, wish)
        except BatError as error:  # the rules serve without it
            return Understood(wish, "rules", f"read by rules alone: {error}")
        settled, by = choose_reading(wish, proposal, sentence)
        return Understood(settled, by, "" if by == "both" else misread)


async def _find_skills(kernel: KernelClient, wish: Translated) -> list[Mapping[str, Any]]:
    body = {"text": wish.text, "limit": FOUND}
    try:
        answered = await kernel.request("find", timeout=PATIENCE, body=body)
    except RemoteError:  # it cannot search yet
        return []
    return list(answered["skills"])


def find_model(environ: Mapping[str, str]) -> Path | None:
    """Return the GGUF file to read sentences with, or None: rules alone."""
    named = environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named).expanduser().absolute()
    if not path.is_file():
        raise SettingsError(f"{VARIABLE}={named!r} is not a file; name a GGUF file, or unset it")
    return path


def make_translator(
    environ: Mapping[str, str] = os.environ, hints: Hints = ON_COMMAND_LINE
) -> Translator:
    """Return a translator with the model that this machine has; loads nothing."""
    path = find_model(environ)
    if path is None:
        return Translator(None, hints)
    # Here: most people have no such file, and a sentence should not wait for these imports.
    from bat_os.app.models import make_reader

    return Translator(make_reader(path), hints)


async def remember(kernel: KernelClient, sentence: str, sent: Translated) -> str:
    """Let the words of a sentence be another name of the method that was sent for it.

    Return a line for the person who said it, or "" if there is nothing to remember.
    """
    if not sentence or parse_call(sentence):
        return ""
    said = translate(sentence)
    try:
        meant = await _method(kernel, sent.target, sent.selector)
        skill = find_forwarded(meant.get("source", ""), sent.selector) or sent.selector
        if "source" not in meant or said.selector == skill:
            return ""
        if why := await _refuse(kernel, said, sent):
            return f"these words are not remembered: {why}"
        body = {"source": as_another_name(said, skill), "examples": []}
        await kernel.request("teach", timeout=PATIENCE, target=sent.target, body=body)
    except BatError as error:
        return f"these words are not remembered: {error}"
    name = f"{sent.target} {said.selector}"
    return f"remembered: {said.selector} is {skill}; batos unlearn {name} forgets it"


async def _refuse(kernel: KernelClient, said: Translated, sent: Translated) -> str:
    """Return why the words cannot be the name of what was sent, or ""."""
    name = said.selector
    if (list(said.args), dict(said.kwargs)) != (list(sent.args), dict(sent.kwargs)):
        return "the values differ, or are in a different order"
    held = await _method(kernel, sent.target, name)
    free = held.get("status") in (None, "provisional", "unlearned")
    if free or find_forwarded(held.get("source", ""), name):
        return ""
    return f"{sent.target} already has {name} for something else"


async def _method(kernel: KernelClient, target: str, selector: str) -> Mapping[str, Any]:
    """Return what an object itself has under a name, or {}."""
    facts = await kernel.request("inspect", timeout=PATIENCE, target=target, selector=selector)
    elsewhere = selector in facts["slots"] or selector in facts["inherited"]
    method: Mapping[str, Any] = facts["methods"].get(selector, {})
    return {"status": "slot"} if elsewhere else method


def as_another_name(said: Translated, meant: str) -> str:
    """Return the source of a method that has the words as its name and calls ``meant``."""
    brief = Brief(said.target, said.selector, tuple(said.args), dict(said.kwargs), said.text)
    passed = ", ".join([*parameters(brief), *(f"{name}={name}" for name in said.kwargs)])
    lines = (signature(brief), f'    """{goal(brief)}"""', f"    return self.{meant}({passed})")
    return "\n".join(lines) + "\n"
