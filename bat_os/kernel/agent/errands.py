"""A step that is a mission of its own: a method that is wanted, a wish to an object or a persona.

    {"write": "count the vowels in a text", "args": ["banana"]}    forge: learned as any method is
    {"wish": "find Ann's address", "of": "BABS"}                   BABS works on it, step by step
    {"wish": "the sum of 1 and 2", "of": "robot_obj"}              a message to another object

An errand is stored under the id of its mission and the number of the step, so a kernel that takes
the mission up after a kill finds it, and runs it on or reads its answer. It has the label of the
mission, and its leave; what it asks a person for, the mission asks. It spends what the mission may.
A kernel that starts takes up the missions alone, and these their errands.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import TOOLS, Brief
from bat_os.core.mission import LeaveGiven, MissionResumed, State
from bat_os.core.personas import PERSONAS
from bat_os.core.steps import StepTaken, ToolChosen, taken
from bat_os.errors import (
    ArgumentsError,
    DeadlineError,
    GrantWantedError,
    ModelOutputError,
    TransitionError,
)
from bat_os.image import desks, missions
from bat_os.image.grants import GRANTS
from bat_os.image.objects import find, ref_of
from bat_os.image.shipped import library_names
from bat_os.kernel.agent.arguments import comes_from, value_of
from bat_os.kernel.agent.budget import DEPTH, depth_of, line_of, spent_by
from bat_os.kernel.agent.choosing import plain, things_in
from bat_os.kernel.agent.showing import read_request, show_step
from bat_os.sentence.translate import translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence

    from bat_os.core.mission import Mission
    from bat_os.core.steps import Result, Step
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]
    Run = Callable[[str], Awaitable[dict[str, Any]]]

FORGE, WISH = "forge", "mission.wish"
MAX_WISH: Final = 300  # characters
MAX_NAMED: Final = 12  # objects that a model hears of
MAX_ARGS: Final = 8
_LINES: Final[Mapping[str, str]] = {
    "write": '{"write": "count the vowels in a text", "args": [...]} to have a function written '
    "that no tool is, and called;",
    "wish": '{"wish": "...", "of": NAME} to have someone else do a part of it;',
}
_TEXT: Final[Mapping[str, Any]] = {"type": "string", "minLength": 3, "maxLength": MAX_WISH}


async def offer_errands(
    context: KernelContext, record: Record, touches: Sequence[str]
) -> dict[str, list[str]]:
    """Return what a persona may have others do: ``write`` and ``wish``, with who can be asked."""
    if depth_of(record.id) >= DEPTH:
        return {}
    own = (record.mission.brief.persona or "ALFRED").partition(":")[0]

    def look(root: Root) -> list[str]:
        others = {*library_names(root), record.mission.brief.target}
        return [
            name
            for name, obj in root["objects"].items()
            if name not in others and _is_made_by_people(name)
            and ref_of(obj).oid not in root.get(GRANTS, {})
        ][:MAX_NAMED]  # fmt: skip

    offered: dict[str, list[str]] = {}
    if "forge" in touches:
        offered["write"] = []
    if "wish" in touches:
        named = await context.image.transact(look, note="look who can be asked")
        offered["wish"] = [*(name for name in PERSONAS if name != own), *named]
    return offered


def _is_made_by_people(name: str) -> bool:
    program = ("state_", "traits_obj", "pLLM_obj", "orchestrator_obj", "knowledge_catalog_obj")
    personas = {f"{each.lower()}_obj" for each in PERSONAS}
    return not name.startswith(program) and name not in personas


def say_errands(offered: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the lines of a prompt that say what can be had done."""
    lines = [_LINES[kind] for kind in offered]
    return [*lines, f"NAME: {', '.join(offered['wish'])}"] if offered.get("wish") else lines


def errand_ways(offered: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the JSON Schemas of decisions to have something done."""
    args = {"type": "array", "maxItems": MAX_ARGS}
    shapes: dict[str, dict[str, Any]] = {
        "write": {"write": _TEXT, "args": args},
        "wish": {"wish": _TEXT, "of": {"enum": list(offered.get("wish", ()))}},
    }
    return [
        {"type": "object", "required": list(shapes[kind]), "additionalProperties": False,
         "properties": shapes[kind]}
        for kind in offered
    ]  # fmt: skip


async def make_errand(
    context: KernelContext,
    brief: Brief,
    said: Mapping[str, Any],
    offered: Mapping[str, Sequence[str]],
    steps: Sequence[tuple[Step, Result]],
) -> dict[str, Any]:
    """Return the step that a model wants done by another mission, checked.

    Raises:
        ModelOutputError: It may not have that done, or an argument comes from nowhere.
    """
    kind = "write" if "write" in said else "wish"
    text, args, who = str(said[kind])[:MAX_WISH], said.get("args", []), str(said.get("of", ""))
    if kind not in offered or (kind == "wish" and who not in offered["wish"]):
        raise ModelOutputError(f"nothing lets you have that done by {who[:60] or 'a new method'}")
    if not isinstance(args, list) or len(args) > MAX_ARGS:
        raise ModelOutputError("args has to be a list")
    known = [result["value"] for _, result in steps if "error" not in result]
    for value in args:
        if not comes_from(value, [brief.text], known):
            raise ModelOutputError(f"{str(value)[:60]!r} stands in no request and no step")
    return await _step_of(context, brief, text, args, who if kind == "wish" else "")


async def _step_of(
    context: KernelContext, brief: Brief, text: str, args: list[Any], who: str
) -> dict[str, Any]:
    persona = who if who in PERSONAS else ""
    target = brief.target if persona or not who else who
    try:
        if persona:
            sentence = read_request(text)
            things = things_in(sentence)
            selector = translate(plain(sentence.text, things)).selector
            args = [*map(value_of, things)]
        else:
            wished = translate(text)
            selector, args = wished.selector, args or [*wished.args]
    except ArgumentsError as error:
        raise ModelOutputError(str(error)) from error
    if (target, selector) == (brief.target, brief.selector):
        raise ModelOutputError("that is the request itself; take a part of it")

    def look(root: Root) -> tuple[str, str]:
        obj, held = find(root, target), find(root, brief.target).slots
        slots = (name for name in held if held[name] is obj and not name.startswith("_"))
        return ref_of(obj).oid, next(slots, "")

    oid, slot = await context.image.transact(look, note="look who can be asked")
    return {
        "tool": WISH if who else FORGE, "oid": oid, "slot": slot, "selector": selector,
        "args": args, "changes": False, "wish": text, "of": who, "persona": persona,
        "target": target,
    }  # fmt: skip


def brief_of(brief: Brief, step: Step, label: Sequence[str]) -> Brief:
    """Return what an errand is asked."""
    persona = str(step["persona"])
    return Brief(
        step["target"], step["selector"], tuple(step["args"]), {}, str(step["wish"]),
        mode=TOOLS if persona else "", persona=persona, label=tuple(label), once=brief.once,
    )  # fmt: skip


async def do_errand(
    context: KernelContext, record: Record, step: Step, label: Sequence[str], run: Run
) -> tuple[StepTaken, dict[str, Any]]:
    """Have an errand done, or read how it ended; return what the step gave.

    Raises:
        GrantWantedError: A person has to say yes first.
        DeadlineError: What all of it may spend is used up.
    """
    child = f"{record.id}.{len(taken(record.mission.events))}"
    brief = brief_of(record.mission.brief, step, label)
    begun = time.monotonic()

    def open_or_resume(root: Root) -> None:
        if child not in root["missions"] and not missions.desk_with(root, child):
            about = {"session": record.session, "accepted": time.time()}
            missions.open_brief(root, brief, mission_id=child, key=child, about=about)
        elif (known := missions.read(root, child)).mission.state is State.FAILED:
            _resume(root, record.mission, known)

    await context.image.transact(open_or_resume, note="have an errand done", mission=record.id)
    answer = await run(child)
    body = answer["body"]
    if answer["type"] == "error" and body["code"] == GrantWantedError.code:
        raise GrantWantedError(str(body["message"]), **body["details"])
    if answer["type"] == "error" and body["code"] == DeadlineError.code:
        raise DeadlineError(str(body["message"]))
    done = await context.image.transact(lambda root: missions.read(root, child), note="read")
    spent = spent_by(done.mission)
    asked = (body.get("details") or body).get("world_calls", 0)  # by a method, and its trials
    spent["calls of the world"] += asked
    result: dict[str, Any] = {
        "value": body.get("result"), "spent": spent, "errand": child,
        "label": sorted({*label, *body.get("label", ())}),
        "effects": tuple(body.get("effects", ())), "seconds": round(time.monotonic() - begun, 3),
        "kept": bool(body.get("learned")) or done.mission.brief.mode != TOOLS,
    }  # fmt: skip
    if answer["type"] == "error":
        result["error"] = str(body["message"])
    event = StepTaken(result, model_calls=done.mission.model_calls, tokens=done.mission.tokens)
    gave = result.get("error") or repr(result["value"])
    return event, {"step": show_step(step), "reason": f"{show_step(step)} gave {gave[:160]}"}


def is_own(step: Step) -> bool:
    """Return whether a step was a message to the object that the mission is for."""
    return "wish" in step and (step["of"] == step["persona"])


def _resume(root: Root, waiting: Mission, errand: Record) -> None:
    """Have an errand that failed go on, if a person has had the mission go on since."""
    chosen = max(at for at, e in enumerate(waiting.events) if isinstance(e, ToolChosen))
    given = [e for e in waiting.events[chosen:] if isinstance(e, MissionResumed)]
    had = sum(isinstance(e, MissionResumed) for e in errand.mission.events)
    if len(given) <= had:
        return
    new = tuple(one for one in waiting.brief.once if one not in errand.mission.brief.once)
    event = LeaveGiven(more=given[-1].more, once=new)
    try:
        desks.resume(root, errand.id, leave=lambda *_: event)
    except TransitionError:  # all that it may draw was rejected: that is its answer
        return


def inherited(root: Mapping[str, Any], mission_id: str) -> list[tuple[Step, Result]]:
    """Return the steps of those that wait for a mission: what they found is for it, too."""
    found: list[tuple[Step, Result]] = []
    for one in line_of(mission_id)[:-1]:
        found += taken(missions.read(root, one).mission.events)
    return found
