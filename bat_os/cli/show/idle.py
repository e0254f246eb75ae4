"""Verbs about what the mind learns from and does while nobody needs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.console import to_json
from bat_os.cli.show.command import Command, cut, opened
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

_WISH: Final = 60


async def _golden(ask: Ask) -> Mapping[str, Any]:
    if not (file := ask.options.jsonl):
        found = [page async for page in _pages(ask)]
        return {**found[-1], "golden": [record for page in found for record in page["golden"]]}
    count, about = 0, dict[str, Any]()
    try:
        with opened(file) as out:
            async for page in _pages(ask):
                lines = "".join(f"{to_json(record)}\n" for record in page["golden"])
                await asyncio.to_thread(out.write, lines)
                count, about = count + len(page["golden"]), page
    except OSError as error:
        raise ArgumentsError(f"{file} cannot be written: {error}") from error
    kept = {key: about[key] for key in ("counts", "digest")}
    return {**kept, "file": file, "records": count}


async def _pages(ask: Ask) -> AsyncIterator[dict[str, Any]]:
    after, grade = "", ask.options.grade or ""
    while True:
        body = await ask.request(body={"after": after, "grade": grade})
        yield body
        if not (after := body.pop("after")):
            return


def _show_golden(body: Mapping[str, Any], screen: Screen) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in body["counts"].items())
    if "file" in body:
        screen.note(f"{body['records']} records in {body['file']} ({counts})")
        return
    screen.table([_row(record) for record in body["golden"]], ("GRADE", "SKILL", "WISH", "WHY", ""))
    screen.note(f"{counts}; what is worth learning from is said in docs/self-improvement.md")


def _row(record: Mapping[str, Any]) -> tuple[Any, ...]:
    lineage = record["lineage"]
    name = f"{lineage['object']}.{lineage['selector']}"
    side = "held out" if record["split"] == "held_out" else ""
    return record["grade"], name, cut(record["wish"], _WISH), cut(record["why"], _WISH), side


def _show_proposals(body: Mapping[str, Any], screen: Screen) -> None:
    for row in body["proposals"]:
        screen.answer(f"{row['n']}  {row['what']}")
        screen.note(f"   {row['kind']}: {row['why']}")
        for number, shown in enumerate(row["choices"], 1):
            more = "" if number == 1 else f" {number}"
            screen.note(f"   accept {row['n']}{more}: {shown}")
    if not body["proposals"]:
        screen.note("nothing is proposed")
    _show_budget(body, screen)


def _show_budget(body: Mapping[str, Any], screen: Screen) -> None:
    spent, budget = body["spent"] / 60, body["budget"] / 60
    resting = f"; resting: {body['resting']}" if body["resting"] else ""
    screen.note(f"worked {spent:.1f} of {budget:.0f} minutes today{resting}")


def _show_accepted(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(f"done: {body['done']}")


def _show_dismissed(body: Mapping[str, Any], screen: Screen) -> None:
    screen.note("dismissed; the same does not come again")
    if body["quiet"]:
        screen.note("of this kind nothing more is proposed for a month")


def _show_since(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(body["text"] or "Nothing came of it.")
    _show_budget(body, screen)


COMMANDS: Final[Mapping[str, Command]] = {
    "accept": Command(_show_accepted),
    "dismiss": Command(_show_dismissed),
    "golden": Command(_show_golden, _golden),
    "proposals": Command(_show_proposals),
    "since": Command(_show_since),
}
