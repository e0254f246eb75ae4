"""Verbs about what the mind learns from and does while nobody needs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.console import to_json
from bat_os.cli.language import translate
from bat_os.cli.progress import Progress
from bat_os.cli.show.command import Command, cut, opened
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

_WISH: Final = 60
_PATIENCE: Final = 10.0
_CAME: Final = ("kept", "corrected", "asked", "failed")  # how a mission ended
_BAR: Final = 40  # characters of the longest bar, about


async def _canary(ask: Ask) -> Mapping[str, Any]:
    """Have it replay, with progress; Ctrl-C ends it."""
    try:
        with Progress(ask.screen) as bar:
            return await ask.request(on_event=bar.hear)
    except asyncio.CancelledError:
        cancel = ask.kernel.request("canary", timeout=_PATIENCE, body={"cancel": True})
        await asyncio.shield(cancel)
        raise


def _show_canary(body: Mapping[str, Any], screen: Screen) -> None:
    if "cancelled" in body:
        screen.note("ended; nothing was changed" if body["cancelled"] else "none runs")
        return
    changes = body["take"] or body["leave"]
    words = {"better": "better", "worse": "worse" if changes else "otherwise"}
    for name, word in words.items():
        for row in body[name]:
            known = f" (known: {row['known']})" if changes and row["known"] else ""
            what = cut(row["what"], _WISH)
            screen.answer(f"{word}: {what}: {row['before']} > {row['after']}{known}")
            if row["mission"]:
                screen.note(f"  mission {row['mission']}")
    counts = ", ".join(f"{len(body[name])} {word}" for name, word in words.items())
    screen.note(
        f"{body['replayed']} replayed: {counts}, {body['equal']} equal; nothing was changed"
    )
    if changes and not body["replayed"]:
        screen.note("no method has a grade yet, so there is no wish to write anew: batos golden")
        return
    if body["take"]:
        screen.note(f"to take it: {body['take']}; to leave it, do nothing")
    if body["leave"]:
        screen.note(f"it counts already; to leave it: {body['leave']}")


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
    counts = ", ".join(f"{count} {translate(name)}" for name, count in body["counts"].items())
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
        screen.answer(f"{row['n']}  {translate(row['what'])}")
        screen.note(f"   {translate(row['kind'])}: {translate(row['why'])}", as_is=True)
        for number, shown in enumerate(row["choices"], 1):
            more = "" if number == 1 else f" {number}"
            screen.note(f"   accept {row['n']}{more}: {translate(shown)}", as_is=True)
    if not body["proposals"]:
        screen.note("nothing is proposed")
    if "weeks" in body:
        _show_weeks(body["weeks"], screen)
    numbers = f"dissonance {body['dissonance']:g}, curiosity {body['curiosity']}"
    screen.note(f"{numbers} (docs/self-improvement.md)")
    _show_budget(body, screen)


def _show_weeks(weeks: Sequence[Mapping[str, Any]], screen: Screen) -> None:
    """Write the weeks as a table with a bar each, one letter per mission, or per several."""
    most = max((sum(row[key] for key in _CAME) for row in weeks), default=0)
    each = -(-most // _BAR) or 1
    rows = [
        (row["week"], *(row[key] for key in _CAME),
         "".join(key[0] * -(-row[key] // each) for key in _CAME))
        for row in weeks
    ]  # fmt: skip
    screen.table(rows, ("WEEK", *map(str.upper, _CAME), ""))


def _show_budget(body: Mapping[str, Any], screen: Screen) -> None:
    spent, budget = body["spent"] / 60, body["budget"] / 60
    worked = translate(f"worked {spent:.1f} of {budget:.0f} minutes today")
    if body["resting"]:
        worked += "; " + translate(f"resting: {translate(body['resting'])}")
    screen.note(worked, as_is=True)


def _show_accepted(body: Mapping[str, Any], screen: Screen) -> None:
    screen.say(f"done: {body['done']}")
    if undo := body["undo"]:
        version = f" {undo['version']}" if undo["version"] else ""
        screen.note(f"batos {undo['verb']} {undo['target']} {undo['selector']}{version} undoes it")


def _show_dismissed(body: Mapping[str, Any], screen: Screen) -> None:
    screen.note("dismissed; the same does not come again")
    if body["quiet"]:
        screen.note("of this kind nothing more is proposed for a month")


def _show_since(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(body["text"] or translate("Nothing came of it."))
    _show_budget(body, screen)


def _show_forge(body: Mapping[str, Any], screen: Screen) -> None:
    if "runs" in body:
        screen.table(
            [_run_row(run) for run in body["runs"]], ("RUN", "CAME OF IT", "LEARNED FROM", "STALE")
        )
        for run in body["runs"][:1]:
            for gate in run["gates"]:
                word = "passed" if gate["passed"] else "refused"
                screen.note(f"  {gate['gate']}: {word}; {gate['why']}")
        if not body["runs"]:
            screen.note("the forge has made nothing yet")
        return
    if "undone" in body:
        screen.note(f"run {body['undone']['run']} is undone: {', '.join(body['undone']['before'])}")
        if body["written"]:
            screen.note(f"written through it, and kept: {', '.join(body['written'])}")
        return
    if "taken" in body:
        screen.note(
            f"{', '.join(body['taken']['before'])}: writing by forge-{body['taken']['run']}"
        )
        return
    if body.get("stopped") is False:
        screen.note("nothing went on")
    _show_forging(body["forge"], screen)


def _run_row(run: Mapping[str, Any]) -> tuple[Any, ...]:
    skills = [f"{one['object']}.{one['selector']}" for one in run.get("lineage", ())]
    more = f" and {len(skills) - 3} more" if len(skills) > 3 else ""
    known = f"{', '.join(skills[:3])}{more}" or "the shipped examples"
    return run["run"], run["outcome"], known, len(run["stale_by"]) or ""


def _show_forging(forge: Mapping[str, Any], screen: Screen) -> None:
    state = forge["state"]
    if state == "idle":
        ready = "ready: batos forge start"
        wants = f"missing for a run: {forge['missing']} (--anyway starts without)"
        screen.say(f"idle; {forge['new']} new gold records in {forge['clusters']} clusters")
        screen.note(wants if forge["missing"] else ready)
        if forge.get("near"):  # an older daemon does not say it
            screen.note(f"{forge['near']} more are too much like the exam to learn from")
    else:
        done = ""
        if "does" in forge and state == "training":
            done = f", {forge['does']}"
        elif "step" in forge:
            each = forge.get("each", "?")  # an older daemon does not say it
            done = (
                f", step {forge['step']} of {forge['of']}, {each} s a step, "
                f"about {forge['left'] // 60 + 1} minutes left"
            )
        elif "tried" in forge:
            done = f", {forge['tried']} of {forge['of']} sets of drafts"
        screen.say(f"run {forge['run']} is {state}{done}")
        if state == "stopped":
            screen.note("batos forge start goes on with it")
    if "fault" in forge:
        screen.note(f"it has failed: {forge['fault']}")


COMMANDS: Final[Mapping[str, Command]] = {
    "accept": Command(_show_accepted),
    "canary": Command(_show_canary, _canary),
    "dismiss": Command(_show_dismissed),
    "forge": Command(_show_forge),
    "golden": Command(_show_golden, _golden),
    "proposals": Command(_show_proposals),
    "since": Command(_show_since),
}
