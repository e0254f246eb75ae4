"""What a sentence has the image learn: a mission, what came of it, and what a person says to it.

A method that only a model's drafts speak for is a guess. Unless a person ordered a method, it
waits: it is neither installed nor reached by any sentence until a person says yes, or an example
decides.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import TOOLS, Brief
from bat_os.core.discussion import find_voice
from bat_os.core.scopes import demand
from bat_os.errors import ArgumentsError
from bat_os.kernel.say import replies
from bat_os.kernel.say.doors import addressed
from bat_os.kernel.say.leave import ask_for_mission
from bat_os.sentence.translate import translate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.answer import Answer
    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext, Say
    from bat_os.kernel.say.doors import Doors

EXPECTED_SECONDS: Final = 10.0  # of a mission, before one has run
REMEMBERED: Final = 20  # missions whose time is looked at
MAX_VALUES: Final = 32  # that a wish names: each becomes an argument of the method
ASKED_BY_CODE: Final = {
    "EXAMPLE_WANTED": "example",
    "APPROVAL_WANTED": "confirmation",
    "GRANT_WANTED": "grant",
    "FLOW_WANTED": "grant",
    "MODEL_UNAVAILABLE": "model",
    "AMBIGUOUS": "clarification",
}


class Lessons:
    """Missions that sentences begin; for one event loop."""

    def __init__(self, mind: KernelContext, doors: Doors) -> None:
        self._mind = mind
        self._doors = doors
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    async def learn(
        self, request: Request, text: str, language: str, say: Say, *, ordered: bool
    ) -> Answer:
        """Answer a sentence by a mission; ``ordered`` if the person asked for a method."""
        wish = await asyncio.to_thread(translate, text, sampled=ordered)
        brief = Brief(
            wish.target, wish.selector, tuple(wish.args), dict(wish.kwargs), wish.text,
            tuple({"kwargs": {}, **one} for one in wish.examples), tentative=not ordered,
            persona=find_voice(wish.text),
        )  # fmt: skip
        answer = await self.run(request, brief, language, say)
        return replies.say_learned(answer, brief, language) if wish.sampled else answer

    async def run(self, request: Request, brief: Brief, language: str, say: Say) -> Answer:
        """Answer by a mission for a brief.

        Raises:
            ArgumentsError: The sentence names more values than a method takes.
        """
        if (count := len(brief.args) + len(brief.kwargs)) > MAX_VALUES and brief.mode != TOOLS:
            raise ArgumentsError(
                f"the sentence names {count} values of {MAX_VALUES} that a method takes; put them "
                "into a list: [1, 2, 3]"
            )
        brief = addressed(request, brief)
        expected = median(self._seconds) if self._seconds else EXPECTED_SECONDS
        say({"text": replies.announce(language, brief, expected), "expected": round(expected)})
        started = time.monotonic()
        reply = await self._doors.learn(request, brief, say)
        if reply["body"].get("model_calls"):
            self._seconds.append(time.monotonic() - started)
        return self.answer(brief, reply, language)

    def answer(self, brief: Brief, reply: Mapping[str, Any], language: str) -> Answer:
        """Return what a mission's last reply means for a person."""
        body = reply["body"]
        if reply["type"] == "result":
            return replies.from_turn(brief, body, language)
        return self._from_error(brief, body, language)

    def _from_error(self, brief: Brief, body: Mapping[str, Any], language: str) -> Answer:
        details, code = body.get("details", {}), body.get("code", "")
        spent = {"model_calls": int(body.get("model_calls") or 0)}
        guessed = code == "APPROVAL_WANTED" and brief.tentative and "value" in details
        if guessed:
            value = details["value"]
            if value is None and not details.get("stops"):
                value = details["shown"]
            does = "; ".join(details.get("effects", ()))
            return replies.guess(brief, value, language, waits=True, does=does, **spent)
        if code == "EXAMPLE_WANTED":
            return replies.ask_example(brief, details.get("choices", ()), language, **spent)
        if code == "GRANT_WANTED" and "brief_id" in body:
            return ask_for_mission(brief, body, language, **spent)
        if needs := ASKED_BY_CODE.get(code):
            return replies.ask(needs, brief, str(body.get("message", "")), language, **spent)
        fail = replies.not_done if brief.mode == TOOLS else replies.failed
        return fail(brief, body, language, **spent)

    async def approve(self, request: Request, last: Mapping[str, Any], language: str) -> Answer:
        """Answer "yes": the guess becomes a method, and a person stands behind it."""
        demand(request.may, "teach", "to approve a method")
        if last.get("shown"):  # no method waits: what is confirmed is one more example
            return await self.correct(request, last, last["value"], language, _silent)
        brief = Brief.from_plain(last["brief"])
        body = {"examples": [], "no": False}
        asked = replace_request(request, brief, body)
        await self._doors.verbs["approve"](self._mind, asked, _silent)
        done = await self._doors.act(request, replace(brief, tentative=False))
        return replies.from_turn(brief, {**done, "learned": True}, language)

    async def turn_down(self, request: Request, last: Mapping[str, Any]) -> None:
        """Forget a guess that a person has refused."""
        demand(request.may, "teach", "to turn down a method")
        brief = Brief.from_plain(last["brief"])
        asked = replace_request(request, brief, {"examples": [], "no": True})
        await self._doors.verbs["approve"](self._mind, asked, _silent)

    async def correct(
        self, request: Request, last: Mapping[str, Any], value: Any, language: str, say: Say,
        does: Sequence[Mapping[str, Any]] | None = None,
    ) -> Answer:  # fmt: skip
        """Answer "no, it is VALUE": an example, with which the search goes on.

        ``does`` are the effects of a draft that was chosen; None says nothing of effects.
        """
        brief = Brief.from_plain(last["brief"])
        if last.get("waits"):
            await self.turn_down(request, last)
        example = {"args": list(brief.args), "kwargs": dict(brief.kwargs), "result": value}
        if does is not None:
            example["effects"] = list(does)
        wanted = replace(
            brief, examples=(*brief.examples, example), fresh=not last.get("waits"),
            tentative=False,
        )  # fmt: skip
        return await self.run(request, wanted, language, say)


def replace_request(request: Request, brief: Brief, body: Mapping[str, Any]) -> Request:
    """Return a request about the method of a brief, with a checked body of its own."""
    from bat_os.core.schema import replace as with_fields

    return with_fields(
        request, target=brief.target, selector=brief.selector, args=(), kwargs={}, body=body
    )


def read_example(text: str) -> Any:
    """Return the value that a person says instead.

    Raises:
        ArgumentsError: It is not a value.
    """
    wish = translate(text)
    if len(wish.args) != 1:
        raise ArgumentsError(f"{text[:60]!r} is not one value")
    return wish.args[0]


def _silent(_: Mapping[str, Any]) -> None:
    """Tell nobody."""
