"""A sentence becomes a message: what the image knows, then rules, then a small model in doubt.

    a call as it is ────────────────────────────────────────────→ sent
    rules ─→ understood by its object? ─yes─────────────────────→ sent
      ├─no─→ a greeting or the like? ─yes───────────────────────→ answered here
      └─no─→ a learned skill that fits (``find``)? ─yes─────────→ sent to that
               └─no─→ in doubt, and a model there? both read it ─→ learned,
                      unless one of those that come near is meant

The model is the GGUF file that ``LLAMA_MODEL_PATH`` names, run by llama.cpp in this process and
loaded when it is needed first. Without one rules alone serve: the packaged model of 135 million
parameters reads no sentence better than they do (``benchmarks/translate.py``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError, RemoteError, SettingsError
from bat_os.sentence.proposal import choose_reading, find_misreading, propose
from bat_os.sentence.skills import Near, recognise, suggest
from bat_os.sentence.smalltalk import reply_to
from bat_os.sentence.tokens import parse_call
from bat_os.sentence.translate import Translated, translate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.client.client import KernelClient
    from bat_os.ports import ModelEngine

VARIABLE: Final = "LLAMA_MODEL_PATH"
PATIENCE: Final = 3.0  # seconds to ask what is known; later, it is learned as it was said
FOUND: Final = 5


@dataclass(frozen=True, slots=True)
class Hints:
    """What a person can do about a sentence that was misread, where that person is.

    Attributes:
        fresh: How it is learned anew.
        correct: How it is given as a message.
    """

    fresh: str
    correct: str


IN_CHAT: Final = Hints("/fresh learns it anew", "/as selector(values) corrects it")
ON_COMMAND_LINE: Final = Hints("--fresh learns it anew", '--as "selector(values)" corrects it')


@dataclass(frozen=True, slots=True)
class Understood:
    """What a sentence was taken for.

    Attributes:
        wish: The message to send.
        by: ``call``, ``rules``, ``known``, ``talk``, ``skill``, ``both`` or ``model``.
        note: One line for the person who said it; "" where nothing needs saying.
        reply: The answer, where nothing is to be sent.
        near: Known skills that may do it already, the nearest first; only a person can tell.
    """

    wish: Translated
    by: str
    note: str = ""
    reply: str = ""
    near: tuple[Near, ...] = ()


class Translator:
    """Reads sentences; keeps its model loaded between them."""

    def __init__(self, engine: ModelEngine | None, hints: Hints = ON_COMMAND_LINE) -> None:
        """Read by rules alone where there is no engine."""
        self._engine = engine
        self._hints = hints

    async def read(self, kernel: KernelClient, sentence: str, *, fresh: bool = False) -> Understood:
        """Return the message that a sentence asks for.

        Args:
            kernel: Is asked what it knows; without one the rules' reading stands.
            sentence: What was said.
            fresh: A known skill is not wanted.

        Raises:
            ArgumentsError: The sentence is empty or too long.
        """
        wish = translate(sentence)
        if parse_call(sentence):
            return Understood(wish, "call")
        try:
            known = await self._recognise(kernel, wish, sentence, fresh=fresh)
            skills = [] if known or fresh else await _find_skills(kernel, wish)
        except BatError:  # no kernel, or one that still wakes up: sending will tell
            return Understood(wish, "rules")
        return known or self._reuse(wish, skills) or await self._learn(wish, sentence, skills)

    async def close(self) -> None:
        """Give the model back. Idempotent."""
        if self._engine is not None:
            await self._engine.close()

    async def _recognise(
        self, kernel: KernelClient, wish: Translated, sentence: str, *, fresh: bool
    ) -> Understood | None:
        """Return what can be answered as it was said, or None."""
        if await _understands(kernel, wish):
            return Understood(wish, "known")
        reply = "" if fresh else reply_to(sentence)
        return Understood(wish, "talk", reply=reply) if reply else None

    def _reuse(self, wish: Translated, skills: Sequence[Mapping[str, Any]]) -> Understood | None:
        skill = recognise(wish, skills)
        if skill is None:
            return None
        note = f"{skill.target}.{skill.selector} does this already; {self._hints.fresh}"
        return Understood(skill, "skill", note)

    async def _learn(
        self, wish: Translated, sentence: str, skills: Sequence[Mapping[str, Any]]
    ) -> Understood:
        understood = await self._read_twice(wish, sentence)
        return replace(understood, near=suggest(wish, skills))

    async def _read_twice(self, wish: Translated, sentence: str) -> Understood:
        doubt = find_misreading(wish)
        if not doubt:
            return Understood(wish, "rules")
        misread = f"I may have misread it: {doubt}; {self._hints.correct}"
        if self._engine is None:
            return Understood(wish, "rules", misread)
        try:
            proposal = await propose(self._engine, sentence, wish)
        except BatError as error:  # rules serve without it
            return Understood(wish, "rules", f"read by rules alone: {error}")
        settled, by = choose_reading(wish, proposal, sentence)
        return Understood(settled, by, "" if by == "both" else misread)


async def _understands(kernel: KernelClient, wish: Translated) -> bool:
    told = await kernel.request(
        "inspect", timeout=PATIENCE, target=wish.target, selector=wish.selector
    )
    return any(wish.selector in told[part] for part in ("selectors", "slots", "inherited"))


async def _find_skills(kernel: KernelClient, wish: Translated) -> list[Mapping[str, Any]]:
    body = {"text": wish.text, "limit": FOUND}
    try:
        found = await kernel.request("find", timeout=PATIENCE, body=body)
    except RemoteError:  # it cannot search yet
        return []
    return list(found["skills"])


def find_model(environ: Mapping[str, str]) -> Path | None:
    """Return the GGUF file to read sentences with, or None: rules alone.

    Raises:
        SettingsError: ``LLAMA_MODEL_PATH`` names no file.
    """
    named = environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named).expanduser().absolute()
    if not path.is_file():
        raise SettingsError(f"{VARIABLE}={named!r} is no file; name a GGUF file, or unset it")
    return path


def make_translator(
    environ: Mapping[str, str] = os.environ, hints: Hints = ON_COMMAND_LINE
) -> Translator:
    """Return a translator with the model that this machine has; nothing is loaded yet.

    Raises:
        SettingsError: ``LLAMA_MODEL_PATH`` names no file.
    """
    path = find_model(environ)
    if path is None:
        return Translator(None, hints)
    # Here, since most have no such file, and a sentence should not wait for its imports.
    from bat_os.engines.llamacpp import LlamaCppEngine

    async def file() -> Path:
        return path

    return Translator(LlamaCppEngine(path.stem, file), hints)
