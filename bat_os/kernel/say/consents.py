"""What a person says to a question for leave: to send what was read, or to let a mission go on."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.core.schema import replace as with_fields
from bat_os.core.scopes import PERSON, demand
from bat_os.kernel.say.leave import ALWAYS, LET_THROUGH, NO, WAYS
from bat_os.kernel.say.stepwise import settle_tool, with_undo
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.doors import Doors
    from bat_os.kernel.say.heard import Heard
    from bat_os.kernel.say.lessons import Lessons

    Settle = Callable[..., Awaitable[Answer | None]]


async def take_leave(
    heard: Heard,
    question: Mapping[str, Any],
    at: int,
    *,
    again: Callable[[Heard, str], Awaitable[Answer | None]],
    call_verb: Callable[..., Awaitable[dict[str, Any]]],
) -> Answer | None:
    """Let something through as choice ``at`` says, and answer the sentence that wanted it.

    Once is for this sentence alone, and for this pair.
    """
    flow, way = question["flow"], (question.get("ways") or WAYS)[at]
    pair = "flow", flow["source"], flow["sink"]
    heard.conversation.last = dict(question["before"])  # what the sentence refers to
    if way == NO:
        return Answer("said", text(heard.language, "talk.cancelled"), language=heard.language)
    if way == ALWAYS:
        await call_verb(heard, "allow", body={"source": pair[1], "sink": pair[2]})
        return await again(heard, question["sentence"])
    body = {**heard.request.body, LET_THROUGH: (*heard.request.body.get(LET_THROUGH, ()), pair)}
    once = replace(heard, request=with_fields(heard.request, body=body))
    return await again(once, question["sentence"])


async def answer_mission(
    mind: KernelContext, doors: Doors, lessons: Lessons, heard: Heard, *told: Any, **_: Any
) -> Answer:
    """Answer the question of a mission, and with it the sentence that it is for."""
    question, at = told
    way = question["ways"][at]
    reply = await doors.answer_mission(
        mind, question["waits_for"], way, heard.request.caller, heard.say
    )
    if reply is None:
        return Answer("said", text(heard.language, "talk.cancelled"), language=heard.language)
    answer = lessons.answer(Brief.from_plain(question["brief"]), reply, heard.language)
    return await with_undo(mind, reply, answer)


class Leaves:
    """Settles the questions for leave that are open in a conversation."""

    def __init__(
        self, mind: KernelContext, doors: Doors, lessons: Lessons, to_read: Settle, **more: Any
    ) -> None:
        """Begin; ``to_read`` settles what ``kernel/say/contents`` asks."""
        self._ways: dict[str, Settle] = {
            "waits_for": partial(answer_mission, mind, doors, lessons),
            "flow": take_leave,
            "grant": to_read,
            "tools": partial(settle_tool, mind),
        }
        self._more = more

    def asked(self, question: Mapping[str, Any]) -> bool:
        """Return whether a question is one for leave."""
        return not self._ways.keys().isdisjoint(question)

    async def settle(self, heard: Heard, question: Mapping[str, Any], at: int) -> Answer | None:
        """Answer such a question by choice ``at``."""
        demand(heard.request.may, PERSON, "a yes to this question")
        kind = next(kind for kind in self._ways if kind in question)
        return await self._ways[kind](heard, question, at, **self._more)
