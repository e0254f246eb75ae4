"""A sentence that no skill answers, for the tools that were granted.

    "when was ~/notes/todo.md changed?"  >  files.facts, for sure  >  a mission that works with it
                                         >  two tools as near      >  which of them?

What a person answers is kept: from then on the request, and those like it, are for that tool.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import TOOLS, Brief
from bat_os.image import outbox
from bat_os.kernel.agent.acting import asks, choose_call, plan_for
from bat_os.kernel.agent.arguments import value_of
from bat_os.kernel.agent.choosing import LEAST, SURE, lead, meant_for, plain, things_in
from bat_os.kernel.agent.deciding import may_decide
from bat_os.kernel.agent.planning import speaks_of_many
from bat_os.kernel.agent.showing import read_request, show_step
from bat_os.kernel.agent.tools import is_kept, keep_example, open_toolbox
from bat_os.kernel.effects.account import can_undo, is_droppable, settled
from bat_os.kernel.learning.target import STEWARD
from bat_os.kernel.say.leave import LET_THROUGH, labelled
from bat_os.kernel.say.places import name_folders
from bat_os.kernel.say.recall import UNDO
from bat_os.sentence.texts import text
from bat_os.sentence.translate import DEFAULT_TARGET, translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bat_os.kernel.agent.choosing import Ranked
    from bat_os.kernel.agent.tools import Tool, Toolbox
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.doors import Doors
    from bat_os.kernel.say.heard import Heard
    from bat_os.kernel.say.lessons import Lessons

MAX_WORDS: Final = 300  # characters of a request
WANTED: Final = 0.38  # a score from which a tool may be meant at all
FILES: Final = "files"  # the driver of folders
WEB: Final = "web"
_PLACES: Final = frozenset({"file", "page", "path"})
WISHES: Final = frozenset({"files_obj", "web_obj"})  # forms that say what is to be read
SHOWN: Final = 2  # tools that a person is asked about


async def by_tools(
    mind: KernelContext,
    doors: Doors,
    lessons: Lessons,
    heard: Heard,
    *,
    reaching: bool = False,
    was_read: bool = False,
) -> Answer | None:
    """Answer a sentence by tools; None if it is like no tool that was granted.

    Args:
        mind: The kernel.
        doors: How messages are sent.
        lessons: Missions that sentences begin.
        heard: The sentence.
        reaching: Only by a tool that was granted the very path that the sentence names.
        was_read: What the sentence names was read, and does not say what was asked: reading it
            once more, or what kind of file it is, says no more.
    """
    sentence, able = heard.core, may_decide(mind.ability_of(STEWARD))
    if heard.request.body["fresh"] or len(sentence.text) > MAX_WORDS:
        return None
    plan = plan_for(sentence)
    alone = not able and plan is None  # one step, by the ranking
    too_much = alone and speaks_of_many(sentence.text, sentence.language)
    box = await open_toolbox(mind, heard.request.body.get(LET_THROUGH, ()))
    meant = not too_much and (not reaching or await box.reaching(sentence))
    ranked = await box.rank(sentence, is_question=asks(sentence)) if box.tools and meant else []
    least = LEAST if able else WANTED  # an able model may still say that none is meant
    if not ranked or (plan is None and ranked[0].score < least):
        return None
    tool, sought = box.tools[ranked[0].name], list[str]()
    is_agreed = plan is not None or is_kept(tool, sentence)
    if was_read and alone and not is_agreed and asks(sentence) and _only_reads(tool):
        return None
    if alone and (asked := await _ask_more(box, heard, ranked, sought)):
        return asked
    brief = replace(brief_for(heard), tentative=not is_agreed)
    reply = await doors.learn(heard.request, labelled(heard.request, brief), heard.say)
    answer = lessons.answer(brief, reply, heard.language)
    if sought and reply["body"].get("result") == []:
        said = text(heard.language, "tools.nothing", sought=sought[0])
        answer = Answer("asked", said, needs="clarification", language=heard.language)
    return await with_undo(mind, reply, answer)


async def with_undo(mind: KernelContext, reply: Mapping[str, Any], answer: Answer) -> Answer:
    """Return the answer of a mission with what its steps have done outside, for ``undo``.

    It is offered if one of them at least can be taken back.
    """
    mission_id = str(reply["body"].get("brief_id", ""))
    done = await mind.image.transact(
        lambda root: [each.number for each in outbox.of_run(root, mission_id, steps=True)],
        note="look at effects",
    )
    if not done or answer.kind == "asked":
        return answer
    effects = await settled(mind, done)
    can = any(is_droppable(each) or can_undo(mind, each) for each in effects)
    memory = {**answer.memory, "effects": done}
    return replace(answer, undo=UNDO if can else "", memory=memory)


async def _ask_more(
    box: Toolbox, heard: Heard, ranked: Sequence[Ranked], sought: list[str]
) -> Answer | None:
    """Return a question for what the ranking leaves open; None if it leaves nothing.

    ``sought`` gets the arguments that are words of the request, and may be too many of them.
    """
    ranked = await box.weigh(STEWARD, heard.core, ranked)
    if lead(ranked) < SURE:
        near = [one.name for one in ranked[:SHOWN] if one.score >= WANTED - SURE]
        return await _ask_which(box, heard, near)
    tool = box.tools[ranked[0].name]
    step, lacking = await choose_call(box, tool.name, heard.core)
    if other := _other_folder(tool, step, heard):
        said = text(heard.language, "files.where", name=other)
        return Answer("asked", said, needs="clarification", language=heard.language)
    if lacking:
        said = text(heard.language, "tools.lacking", name=lacking.replace("_", " "))
        return Answer("asked", said, needs="clarification", language=heard.language)
    if _is_raw(tool) and not (_is_wanted(heard) or is_kept(tool, heard.core)):
        return await _ask_which(box, heard, [tool.name])
    named = [value_of(one) for one in things_in(heard.core)]
    texts = (one for one in step["args"] if isinstance(one, str) and " " in one.strip())
    sought += [one for one in texts if one not in named]
    return None


def _only_reads(tool: Tool) -> bool:
    """Return whether a tool of ours gives what is in a file or a page, or what is known of it."""
    return tool.driver in (FILES, WEB) and not tool.changes


def _is_raw(tool: Tool) -> bool:
    """Return whether a tool gives all that there is of a place, and takes nothing else.

    Such a tool may be near to a sentence although its raw result does not answer it.
    """
    return _only_reads(tool) and all(_PLACES.intersection(meant_for(one)) for one in tool.takes)


def _is_wanted(heard: Heard) -> bool:
    """Return whether a sentence has the form of a wish for files or pages."""
    return heard.form is not None and heard.form.name.partition(".")[0] in WISHES


def _other_folder(tool: Tool, step: Mapping[str, Any], heard: Heard) -> str:
    """Return the folder that a sentence names if it is none that a step without one would reach."""
    values = heard.form.values if heard.form is not None else {}
    said = str(values.get("path") or values.get("list") or "")
    if tool.driver != FILES or not said or any(step["args"]):
        return ""
    folders = [str(grant.scope["path"]) for grant in tool.grants]
    names = {path: PurePath(path).name for path in folders}
    return "" if name_folders(said, names, heard.language).one == folders[0] else said


def brief_for(heard: Heard) -> Brief:
    """Return the brief of a request for tools: what it names are its arguments."""
    sentence = heard.core
    values = things_in(sentence)
    selector = translate(plain(sentence.text, values)).selector
    args = tuple(map(value_of, values))
    return Brief(DEFAULT_TARGET, selector, args, {}, sentence.text, mode=TOOLS)


async def settle_tool(
    mind: KernelContext,
    heard: Heard,
    question: Mapping[str, Any],
    at: int,
    *,
    again: Callable[[Heard, str], Awaitable[Answer | None]],
    **_: Any,
) -> Answer | None:
    """Keep which tool was meant, and answer the sentence with it."""
    sentence = read_request(question["sentence"], heard.language)
    await keep_example(mind, question["tools"][at], sentence)
    return await again(heard, question["sentence"])


async def _ask_which(box: Toolbox, heard: Heard, names: list[str]) -> Answer:
    steps = [(await choose_call(box, name, heard.core))[0] for name in names]
    shown = tuple(map(show_step, steps))
    said = text(heard.language, "tools.which")
    if len(shown) == 1:
        said = text(heard.language, "asked.skill_one", choice=shown[0])
    return Answer(
        "asked", said, needs="clarification",
        choices=shown, language=heard.language, memory={"tools": names},
    )  # fmt: skip
