"""Verbs about what happens at a time: make it, list it, cancel it, and see what was due."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, checked
from bat_os.core.scopes import demand_message
from bat_os.errors import ArgumentsError
from bat_os.image import schedules
from bat_os.image.schedules import FILE, Schedule
from bat_os.image.store import watch_commits
from bat_os.kernel.say.reminders import say_due
from bat_os.kernel.watching import LEARN, Wanted, find_grant, keep_watch
from bat_os.kernel.whereabouts import find_here
from bat_os.natives.context import ZONE
from bat_os.natives.recurrence import check_rule, local_time, next_after
from bat_os.sentence.due import Plan, plan, say_moment, say_rule
from bat_os.sentence.language import find_language, languages
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.timing import read_timing
from bat_os.sentence.watching import read_event, speaks_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.sentence.watching import Watching

    Root = MutableMapping[str, Any]

_CRON: Final = re.compile(r"(?:cron:?\s+)?((?:\S+\s+){4}\S+)\s*", re.IGNORECASE)
_FIELD: Final = re.compile(r"[\d*/,\-A-Za-z#L]+")


async def schedule(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Keep what ``body.when`` says: a reminder, a sentence or a message."""
    body, now = request.body, time.time()
    if (event := await asyncio.to_thread(_read_event, body["when"])) is not None:
        return await _watch(mind, request, event)
    if body["kind"] == LEARN:
        raise ArgumentsError('say what to learn: batos schedule "when ~/notes changes" learn')
    zone = body["zone"] or (await find_here(mind))[ZONE]
    check_rule({"at": 0.0}, zone)  # the zone
    language = find_language(body["when"], mind.options.locale)
    found = await asyncio.to_thread(_plan, body["when"], now, zone, language)
    kind, said = body["kind"], (body["text"] or "").strip()
    brief = None
    if kind == "send":
        brief = _message(request)
        said = said or f"{brief.target} {brief.selector}"
    elif kind == "say" and not said:
        raise ArgumentsError("say what: batos schedule WHEN say SENTENCE")
    one = Schedule(
        kind, said, found.rule, zone, found.next, brief.to_plain() if brief else None,
        missed=body["missed"], home=mind.home_id, made=now, caller=request.caller,
        language=mind.options.locale or language,
    )  # fmt: skip
    kept = await mind.image.transact(lambda root: schedules.add(root, one), note=f"schedule {kind}")
    mind.orchestrator.wake()
    return _show(mind, kept, now)


def _message(request: Request) -> Brief:
    """Return the message to keep, if who asks may send it now: nobody is asked when it is due.

    Raises:
        UnauthorizedError: They may not.
    """
    brief = Brief(request.target, request.selector, request.args, request.kwargs, may=request.may)
    demand_message(request.may, checked(brief).selector)
    return brief


def _read_event(when: str) -> Watching | None:
    return read_event(read_sentence(when, dt.datetime.now().astimezone()))


async def _watch(mind: KernelContext, request: Request, found: Watching) -> dict[str, Any]:
    """Keep what is due when files change."""
    kind, said = request.body["kind"], (request.body["text"] or "").strip()
    brief, each = None, False
    if kind == "send":
        brief = _message(request)
        said = said or f"{brief.target} {brief.selector}"
        each = FILE in (*brief.args, *brief.kwargs.values())
    elif kind == "say":
        if not said:
            raise ArgumentsError("say what: batos schedule WHEN say SENTENCE")
        each = speaks_of_file(said, found.language)
    path = found.path.value if found.path else ""
    grant = await find_grant(mind, path, learns=kind in (LEARN, "say"))
    wanted = Wanted(
        kind, said, found.on, found.pattern, each, brief.to_plain() if brief else None,
        caller=request.caller, language=mind.options.locale or found.language,
    )  # fmt: skip
    kept, _, _ = await keep_watch(mind, path, grant, wanted)
    return _show(mind, kept, time.time())


def _plan(when: str, now: float, zone: str, language: str) -> Plan:
    """Return when a text means: words of any language, or a cron line.

    Raises:
        ArgumentsError: It says no moment, or one that is over.
    """
    line = _CRON.fullmatch(when.strip())
    if line and all(map(_FIELD.fullmatch, line[1].split())) and re.search(r"[\d*]", line[1]):
        rule = {"cron": " ".join(line[1].split())}
        check_rule(rule, zone)
        moment = next_after(rule, zone, now)
        if moment is None:
            raise ArgumentsError(f"{when!r} never comes")
        return Plan(rule, moment)
    here = local_time(now, zone)
    for code in dict.fromkeys((language, *languages())):
        timing = read_timing(when, here, code)
        found = plan(timing, now, zone) if timing is not None else None
        if found is not None:
            check_rule(found.rule, zone)
            return found
    raise ArgumentsError(
        f'{when[:60]!r} says no moment to come; write "tomorrow at 9", "every weekday at 8" or '
        'a cron line, "30 8 * * 1-5"'
    )


async def list_schedules(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return the schedules that have not ended, the next one first."""
    now, woken = time.time(), 0
    if request.body["wake"]:
        woken = len(
            await mind.image.transact(
                lambda root: schedules.wake(root, mind.home_id, now), note="wake the schedules"
            )
        )
        mind.orchestrator.wake()
    found = await mind.image.transact(
        lambda root: schedules.live(root, request.caller), note="list the schedules"
    )
    return {"schedules": [_show(mind, one, now) for one in found], "woken": woken}


async def unschedule(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Cancel schedules by their numbers, or all of them."""
    numbers = [_number(each) for each in request.body["numbers"] or ()]
    if not numbers and not request.body["all"]:
        raise ArgumentsError("say which: batos unschedule NUMBER, or --all")

    def work(root: Root) -> list[Schedule]:
        known = {one.number: one for one in schedules.live(root, request.caller)}
        chosen = numbers or list(known)
        if missing := [number for number in chosen if number not in known]:
            raise ArgumentsError(
                f"no schedule has the number {missing[0]}; batos schedules lists them"
            )
        return [schedules.change(root, number, live=False) for number in chosen]

    with watch_commits() as commits:
        ended = await mind.image.transact(work, note="cancel schedules")
    mind.orchestrator.wake()
    now, transaction = time.time(), commits[-1] if commits else ""
    return {"cancelled": [_show(mind, one, now) for one in ended], "transaction": transaction}


def _number(given: Any) -> int:
    if isinstance(given, int) or re.fullmatch(r"\d{1,9}", str(given)):
        return int(given)
    raise ArgumentsError(f"{str(given)[:40]!r} is not a number of batos schedules")


async def due(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what was due and the caller has not seen, and note what was seen."""
    seen = [str(key) for key in (request.body["seen"] or ())[:200]]
    if seen:
        await mind.image.transact(
            lambda root: schedules.mark_seen(root, seen, request.caller), note="note what was seen"
        )
    key = ("due", request.caller)
    found = await mind.image.read(
        key, lambda root: schedules.waiting(root, request.caller), note="look at what is due"
    )
    now, names = time.time(), ("key", "number", "kind", "text", "moment")
    shown = found[: request.body["limit"]]
    return {"due": [{n: e[n] for n in names} | {"line": say_due(e, now)} for e in shown]}


def _show(mind: KernelContext, one: Schedule, now: float) -> dict[str, Any]:
    elsewhere = one.home != mind.home_id
    state = "asleep" if one.asleep or elsewhere else "running" if one.running else "live"
    why = one.asleep or ("made in another home" if elsewhere else "")
    rule = say_rule(one.rule, one.zone, one.language)
    next_one = "" if one.next is None else say_moment(one.next, now, one.zone, one.language)
    return {
        "number": one.number, "kind": one.kind, "text": one.text, "rule": rule, "when": next_one,
        "next": one.next or 0.0, "last": one.last, "missed": one.missed, "zone": one.zone,
        "state": state, "why": why,
    }  # fmt: skip


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"schedule": schedule, "schedules": list_schedules, "unschedule": unschedule, "due": due}
)
