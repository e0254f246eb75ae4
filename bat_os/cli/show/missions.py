"""Verbs about missions: missions, watch, cancel, and experience, for people or for training."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.console import to_json
from bat_os.cli.language import translate
from bat_os.cli.show.command import (
    Command,
    cut,
    opened,
    show_result,
    show_states,
    show_time,
    table_of,
)
from bat_os.errors import ArgumentsError, KernelUnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask, Columns


def _problem(row: Mapping[str, Any]) -> str:
    """Return what is wrong with a mission, or how a person lets it go on."""
    problem = str(row.get("problem", ""))
    return f"batos missions once {row['brief_id']}  ({problem})" if row.get("waits") else problem


_MISSIONS: Final[Columns] = {
    "BRIEF": "brief_id",
    "STATE": lambda row: f"waits for {row['waits']}" if row.get("waits") else row["state"],
    "ACCEPTED": lambda row: show_time(row.get("accepted"), "%m-%d %H:%M:%S") or "?",
    "MESSAGE": lambda row: f"{row.get('target', '?')}.{row.get('selector', '?')}",
    # What waits for a yes is shown whole.
    "PROBLEM": lambda row: cut(translate(_problem(row)), None if row.get("waits") else 80),
}


async def _missions(ask: Ask) -> Mapping[str, Any]:
    """List missions, or have one go on."""
    options = ask.options
    if not options.action:
        if options.id or options.more or options.what:
            raise ArgumentsError("write: missions resume ID [--more]")
        return await ask.request()
    if not options.id:
        raise ArgumentsError("name the mission; missions --state failed lists those that failed")
    verb, body = "missions.resume", {"brief_id": options.id, "more": options.more}
    if options.action != "resume":
        verb = "missions.leave"
        body = {"brief_id": options.id, "way": options.action, "what": options.what or ""}
    return await ask.kernel.request(verb, timeout=None, on_event=show_states(ask.screen), body=body)


def _show_missions(body: Mapping[str, Any], screen: Screen) -> None:
    if body.get("refused"):
        screen.say("refused; it is not asked again for 30 days")
        return
    show = table_of("missions", _MISSIONS, "no missions")
    (show if "missions" in body else show_result)(body, screen)


async def _watch(ask: Ask) -> Mapping[str, Any]:
    """Print events until Ctrl-C, or until the one mission ends; a restart does not end it."""
    about: dict[str, Any] = {"brief_id": ask.options.brief} if ask.options.brief else {}
    seen: dict[str, int] = {}

    def show(_kind: str, event: Mapping[str, Any]) -> None:
        seen["after_seq" if ask.options.brief else "after"] = int(
            event["seq" if ask.options.brief else "n"]
        )
        ask.screen.answer(to_json(event) if ask.screen.as_json else _describe(event))

    while True:
        try:
            body = about | seen
            request = ask.kernel.request(
                "subscribe", timeout=None, on_event=show, id=secrets.token_hex(8), body=body
            )
            return await request
        except KernelUnreachableError:
            seen.pop("after", None)  # the next kernel counts from 1 again
            await ask.kernel.request("ping", timeout=60)


def _describe(event: Mapping[str, Any]) -> str:
    message = f"{event.get('target')}.{event.get('selector')}"
    state = str(event["state"]).upper()
    return f"{event['brief_id']}  {state:<13} {event['persona']:<12} {message}  {event['does']}"


def _show_cancelled(body: Mapping[str, Any], screen: Screen) -> None:
    if body["cancelled"]:
        return screen.say("cancelled")
    how = ", ".join(filter(None, (body.get("state"), show_time(body.get("ended"), "%H:%M"))))
    return screen.say(f"this request has already ended ({how})")


async def _experience(ask: Ask) -> Mapping[str, Any]:
    file = ask.options.jsonl
    if not file:
        return {"experience": [record async for page in _pages(ask) for record in page]}
    try:
        return {"file": file, "records": await _write(ask, file)}
    except OSError as error:
        raise ArgumentsError(f"{file} cannot be written: {error}") from error


async def _write(ask: Ask, file: str) -> int:
    """Write a JSON line per record and return how many; page by page, so few are in memory."""
    count = 0
    with opened(file) as out:
        async for page in _pages(ask):
            lines = "".join(f"{to_json(record)}\n" for record in page)
            await asyncio.to_thread(out.write, lines)
            count += len(page)
    return count


async def _pages(ask: Ask) -> AsyncIterator[list[dict[str, Any]]]:
    after = ask.options.after
    while True:
        body = await ask.request(body={"after": after})
        yield body["experience"]
        if not (after := body["after"]):
            return


def _show_experience(body: Mapping[str, Any], screen: Screen) -> None:
    if "experience" not in body:
        screen.note(f"{body['records']} records in {body['file']}")
        return
    rows = [_row(record) for record in body["experience"]]
    heads = ("MISSION", "ACCEPTED", "MESSAGE", "OUTCOME", "TRIED", "TOKENS", "FAULTS", "WHY")
    screen.table(rows, heads)
    if not rows:
        screen.note("no mission has ended yet")


def _row(record: Mapping[str, Any]) -> tuple[Any, ...]:
    if "outcome" not in record:
        return record["mission"], "", "", "unreadable", "", "", "", cut(record["problem"], 60)
    outcome = record["outcome"]
    return (
        record["mission"],
        show_time(record["accepted"]),
        f"{record['object']}.{record['selector']}",
        outcome.get("status") or outcome["kind"],
        len(record["candidates"]),
        record["tokens"],
        len(record["later"].get("faults", ())),
        cut(outcome.get("reason", ""), 60),
    )


COMMANDS: Final[Mapping[str, Command]] = {
    "missions": Command(_show_missions, _missions),
    "watch": Command(lambda body, screen: screen.note(f"over: {body['ended']}"), _watch),
    "cancel": Command(_show_cancelled),
    "experience": Command(_show_experience, _experience),
}
