"""Verbs about objects and methods, from send to approve; export, import; rehearse; grants."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.connection import connect, send
from bat_os.cli.console import render
from bat_os.cli.language import translate
from bat_os.cli.parser import guess
from bat_os.cli.progress import Progress
from bat_os.cli.show.command import (
    Command,
    cut,
    rows_of,
    show_result,
    show_states,
    show_time,
    table_of,
)
from bat_os.cli.show.files import ask_or_open
from bat_os.cli.show.history import locate_mind, offer_canary, show_changes, show_moved
from bat_os.core.readable import show_value
from bat_os.core.system_verbs import LONG
from bat_os.errors import ArgumentsError, KernelUnreachableError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask, Columns


async def _send(ask: Ask) -> Mapping[str, Any]:
    fields = ask.fields()
    fields["body"] |= {"mode": "cascade"} if ask.options.cascade else {}
    return await send(ask.kernel, ask.screen, fields)


async def _source(ask: Ask) -> Mapping[str, Any]:
    target, selector = ask.options.object, ask.options.selector
    shown = await ask.kernel.request("inspect", target=target, selector=selector)
    method: dict[str, Any] | None = shown["methods"].get(selector)
    if method and "signature" in method:
        raise NotFoundError(
            f"{target}.{method['signature']} is a function of the program, without a source in the "
            f"image: {method['about']}"
        )
    if not method or "source" not in method:
        known = sorted((await ask.kernel.request("inspect", target=target))["methods"])
        meant = guess(selector, known) if known else "it has none yet"
        meant = meant or f"batos inspect {target} lists them"
        raise NotFoundError(f"{target} has no learned method {selector!r} of its own; {meant}")
    return {"object": target, "selector": selector} | method


_OBJECTS: Final[Columns] = {
    "OBJECT": "name",
    "SLOTS": "slots",
    "PARENTS": lambda obj: ", ".join(obj["parents"]),
    "MESSAGES": lambda obj: ", ".join(name + _flags(obj, name) for name in obj["selectors"]),
}


def _show_objects(body: Mapping[str, Any], screen: Screen) -> None:
    if "stale" in body:
        table_of("stale", _STALE, "nothing has changed under any method")(body, screen)
        return
    own = [obj for obj in body["objects"] if not obj.get("library")]
    shipped = [obj["name"] for obj in body["objects"] if obj.get("library")]
    screen.table(rows_of(own, _OBJECTS), tuple(_OBJECTS))
    if shipped:
        screen.note(f"the library: {', '.join(shipped)}; batos inspect NAME shows one")


async def _list(ask: Ask) -> Mapping[str, Any]:
    """Return all objects, page after page."""
    fields = ask.fields()
    listed = dict(await ask.request(**fields))
    while after := listed.pop("next", ""):
        page = await ask.request("list", body={**fields.get("body", {}), "after": after})
        listed["objects"] += page["objects"]
        listed["next"] = page.get("next", "")
    return listed | ({"tree": True} if ask.options.tree else {})


def _show_list(body: Mapping[str, Any], screen: Screen) -> None:
    (_show_tree if body.get("tree") else _show_objects)(body, screen)


def _show_tree(body: Mapping[str, Any], screen: Screen) -> None:
    """Write each object below its first parent, with its further parents and its own messages."""
    below: dict[str, list[Mapping[str, Any]]] = {}
    names = {obj["name"] for obj in body["objects"]}
    for obj in sorted(body["objects"], key=lambda obj: str(obj["name"])):
        first = next((parent for parent in obj["parents"] if parent in names), "")
        below.setdefault(first, []).append(obj)
    shown: set[str] = set()
    rows = [("", obj) for obj in reversed(below.get("", []))]
    while rows:
        indent, obj = rows.pop()
        if obj["name"] in shown:
            continue
        shown.add(obj["name"])
        others = [parent for parent in obj["parents"] if parent not in obj["parents"][:1]]
        own = ", ".join(name + _flags(obj, name) for name in obj["selectors"])
        about = [f"also below {', '.join(others)}" if others else "", cut(own, _SHOWN)]
        line = f"{indent}{obj['name']}  {'; '.join(filter(None, about))}"
        if not obj.get("library"):
            screen.answer(line.rstrip())
        rows += [(indent + "  ", each) for each in reversed(below.get(obj["name"], []))]
    if library := [obj["name"] for obj in body["objects"] if obj.get("library")]:
        screen.note(f"below traits_obj, the library: {', '.join(sorted(library))}")


def _show_object(body: Mapping[str, Any], screen: Screen) -> None:
    """Write an object as a page: its slots, its methods, and what it inherits."""
    parents = ", ".join(body["parents"]) or "none"
    screen.say(f"{body['name'] or 'an object without a name'}  parents: {parents}")
    if len(body["line"]) > len(body["parents"]) + 1:
        screen.say(f"looked up in: {', '.join(body['line'])}")
    if slots := body["slots"]:
        screen.answer("")
        screen.table(
            [(name, cut(show_value(value), _SHOWN)) for name, value in sorted(slots.items())],
            ("SLOT", "VALUE"),
        )
    if methods := body["methods"]:
        screen.answer("")
        rows = [(name + _flags(body, name), method["status"], _about(method))
                for name, method in sorted(methods.items())]  # fmt: skip
        screen.table(rows, ("METHOD", "STATUS", "WHAT IT DOES"))
    holders: dict[str, list[str]] = {}
    for name, holder in sorted(body["inherited"].items()):
        holders.setdefault(holder, []).append(name)
    if holders:
        screen.answer("")
    for holder, names in holders.items():
        screen.say(f"from {holder}: {', '.join(names)}")
    if left := body.get("left_out"):
        screen.note(f"{left} parts are left out: they do not fit into one message")
    screen.note(f"oid {body['oid']}; batos source and batos why show a method, --json everything")


def _about(method: Mapping[str, Any]) -> str:
    """Return the first line of what a method says of itself."""
    if about := method.get("about"):
        return f"{method['signature']}: {about}"
    _, _, said = str(method.get("source", "")).partition('"""')
    return cut(said.partition('"""')[0].partition("\n")[0]) or str(method.get("problem", ""))


_SHOWN: Final = 200  # characters of a value
_SKILLS: Final[Columns] = {
    "LIKE": lambda skill: f"{skill['similarity']:.2f}",
    "MESSAGE": lambda skill: f"{skill['object']}.{skill['selector']}",
    "STATUS": "status",
    "LEARNED FOR": "wish",
}
_WAITING: Final[Columns] = {
    "METHOD": lambda row: f"{row['object']}.{row['selector']}",
    "VERSION": "version",
    "MISSION": "mission",
    "IN THE WORLD IT": lambda row: cut(row.get("effects", "")),
}


_STALE: Final[Columns] = {
    "METHOD": lambda row: f"{row['object']}.{row['selector']}",
    "VERSION": "version",
    "WHAT CHANGED": lambda row: cut("; ".join(_reasons(row)), _SHOWN),
}


def _reasons(row: Mapping[str, Any]) -> list[str]:
    """Return why a method should be looked at again."""
    changes = [f"{one['what']} {one['name']}: {one['change']}" for one in row["changes"]]
    if row.get("broken"):
        changes.insert(0, f"no longer holds: {row['broken']}")
    if row["tainted"]:
        changes.append(f"tainted by {row['tainted']['document']}")
    return changes + ([f"failing: {row['failing']['text']}"] if row["failing"] else [])


def _flags(obj: Mapping[str, Any], selector: str) -> str:
    flags = [flag for flag in ("tainted", "failing") if selector in obj.get(flag, ())]
    return f" ({', '.join(flags)})" if flags else ""


def _show_source(body: Mapping[str, Any], screen: Screen) -> None:
    screen.code(body["source"].rstrip("\n"))
    version = f"version {body['version']} of {body['versions']}, SHA-256 {body['sha256'][:16]}"
    screen.note(f"{body['object']}.{body['selector']}: {body['status']}, {version}")


def _show_approved(body: Mapping[str, Any], screen: Screen) -> None:
    if "waiting" in body:
        table_of("waiting", _WAITING, "nothing waits for a yes")(body, screen)
    else:
        offer_canary(show_moved).show(body, screen)


async def _export(ask: Ask) -> Mapping[str, Any]:
    if bool(ask.options.all) == bool(ask.options.what):
        raise ArgumentsError("say what: an OBJECT, OBJECT.SELECTOR, or --all FOLDER for everything")
    if ask.options.all:
        return await ask_or_open(ask, "export.all", {"folder": _folder(ask)})
    target, selector = _named(ask.options.what)
    export = await ask.request("export", target=target, selector=selector)
    if ask.options.file == "-":
        return export
    await asyncio.to_thread(_write_new, Path(ask.options.file), export["text"] + "\n")
    return {"name": export["name"], "sha256": export["sha256"], "file": ask.options.file}


def _folder(ask: Ask) -> str:
    return str(Path(ask.options.all).expanduser().absolute())


async def _import(ask: Ask) -> Mapping[str, Any]:
    if bool(ask.options.all) == bool(ask.options.file):
        raise ArgumentsError("say what: a FILE that export wrote, or --all FOLDER")
    if not ask.options.all:
        return await ask.request()
    with Progress(ask.screen) as bar:
        body = {"folder": _folder(ask)}
        return await ask.kernel.request("import.all", timeout=LONG, body=body, on_event=bar.hear)


async def _cherry_pick(ask: Ask) -> Mapping[str, Any]:
    target, selector = _named(ask.options.what)
    if not selector:
        raise ArgumentsError("name one method: OBJECT.SELECTOR; export and import carry objects")
    text = await _export_of(locate_mind(ask.home, ask.options.mind), target, selector)
    into = ask.options.into
    return await ask.kernel.request("import", timeout=LONG, target=into, body={"text": text})


async def _export_of(home: Path, target: str, selector: str) -> str:
    """Return the export of a method of another image, which may be served or not."""
    try:
        async with connect(home) as kernel:
            export = await kernel.request("export", target=target, selector=selector)
    except KernelUnreachableError:
        from bat_os.app import offline  # ZODB: a third of a second

        export = await offline.export_method(home, target, selector)
    return str(export["text"])


async def _rehearse(ask: Ask) -> Mapping[str, Any]:
    body = await ask.request(on_event=show_states(ask.screen))
    return body | {"exit_status": 0 if body["answer"]["type"] == "result" else 1}


def _named(what: str) -> tuple[str, str]:
    """Return (object, selector) of ``OBJECT.SELECTOR``.

    >>> _named("robot_obj.wave"), _named("robot_obj")
    (('robot_obj', 'wave'), ('robot_obj', ''))
    """
    target, dot, selector = what.rpartition(".")
    return (target, selector) if dot else (what, "")


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ArgumentsError(f"{path} cannot be written: {error}") from error


def _show_all(body: Mapping[str, Any], screen: Screen) -> None:
    """Write what went out, or came in, by kind; and what stayed behind."""
    done = body.get("counts", body.get("carried", {}))
    told = ", ".join(f"{count} {translate(kind)}" for kind, count in done.items() if count)
    screen.answer(f"{body['folder']}: {told or translate('nothing')}")
    for line in body["left"]:
        screen.note(f"not carried: {line}")


def _show_export(body: Mapping[str, Any], screen: Screen) -> None:
    if "counts" in body:
        _show_all(body, screen)
        return
    screen.answer(body["text"] if "text" in body else f"{body['file']}: {body['name']}")


def _show_family(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(
        f"{body['object'] or body['oid']}: {', '.join(body['parents']) or translate('no parents')}"
    )
    screen.note(f"looked up in: {', '.join(body['line'])}")
    _note_undo(body, screen)


def _show_deleted(body: Mapping[str, Any], screen: Screen) -> None:
    screen.say(f"{body['object']}: deleted")
    if referrers := body["referrers"]:
        screen.say(f"no longer referred to by {', '.join(referrers)}")
    _note_undo(body, screen)


def _show_undone(body: Mapping[str, Any], screen: Screen) -> None:
    if body["objects"]:
        screen.say(f"undone in {', '.join(name or 'a fact' for name in body['objects'])}")
    for text in body["outside"]:
        screen.answer(text)
    for text in body["left"]:
        screen.say(f"this cannot be taken back: {text}")
    _note_undo(body, screen)


def _note_undo(body: Mapping[str, Any], screen: Screen) -> None:
    if body["transaction"]:
        screen.note(f"to take it back: batos undo {body['transaction']}")


def _show_import(body: Mapping[str, Any], screen: Screen) -> None:
    if "carried" in body:
        _show_all(body, screen)
        return
    made = "new" if body["new"] else "was there"
    screen.answer(f"{body['object']}: {translate(made)}")
    for row in body["methods"]:
        screen.say(f"  {row['selector']}: {row['status']}, version {row['version']}")


def _show_rehearsal(body: Mapping[str, Any], screen: Screen) -> None:
    answer = body["answer"]["body"]
    if body["answer"]["type"] == "error":
        screen.say(f"it would fail: {answer['code']} {answer['message']}")
        return
    screen.say(f"it would answer: {render(answer['result'])}")
    show_changes(body["diff"], screen)
    if body["source"]:
        screen.code(body["source"].rstrip("\n"))
    if body["kept"]:
        screen.say(f"kept; here it answers: {render(body['kept']['result'])}")
    else:
        screen.note("tried on a copy, which is gone; --keep keeps what it learned")


def _show_grant(body: Mapping[str, Any], screen: Screen) -> None:
    screen.say(f"{body['object']} may reach {body['what']}")
    if body["until"]:
        screen.note(f"until {show_time(body['until'])}")
    screen.note(f"messages: {', '.join(body['operations'])}; take it back with revoke")


def _show_flow(body: Mapping[str, Any], screen: Screen) -> None:
    screen.say(f"what is read from {body['read']} may be sent to {body['sent']}")
    screen.note(f"take it back: batos disallow {body['source']} {body['sink']}")


def _show_stopped(body: Mapping[str, Any], screen: Screen) -> None:
    screen.say(f"nothing goes from {body['source']} to {body['sink']} any more")


async def _grant_server(ask: Ask) -> Mapping[str, Any]:
    """Find the program where a shell here would: the daemon may have been started elsewhere."""
    if not os.environ.get("BATOS_CONNECT") and not os.environ.get("BATOS_KEY_FILE"):
        ask.options.program = _find_here(ask.options.program)
    return await ask.request()


def _find_here(program: list[str]) -> list[str]:
    found = shutil.which(program[0]) if program and "://" not in program[0] else None
    return [str(Path(found).absolute()), *program[1:]] if found else program


def _show_server(body: Mapping[str, Any], screen: Screen) -> None:
    if body["changes"] and not body["renewed"]:
        screen.say(f"{body['object']}: its server says otherwise of its tools now")
    elif body["changes"]:
        screen.say(f"{body['object']}: renewed, with what its server says now")
    else:
        _show_grant(body, screen)
    for line in body["changes"]:
        screen.answer(f"  {line}")
    if body["changes"] and not body["renewed"]:
        screen.note(f"say yes to that: grant-mcp {body['object'].removesuffix('_obj')} --renew")
        return
    for tool in body["tools"]:
        does = "" if tool["kind"] == "read" else "  (may change something)"
        about = " ".join(tool["about"].split())[:200]
        screen.answer(f"  {tool['signature']}{does}" + (f"\n    {about}" if about else ""))


def _show_revoked(body: Mapping[str, Any], screen: Screen) -> None:
    for name in body["revoked"]:
        screen.say(f"{name} reaches nothing any more")
    if not body["revoked"]:
        screen.note("it had ended already")


_GRANTS: Final[Columns] = {
    "OBJECT": "object",
    "MAY REACH": "what",
    "MESSAGES": lambda one: ", ".join(one["operations"]),
    "STATE": "state",
    "GIVEN": lambda one: show_time(one["given"]),
    "UNTIL": lambda one: show_time(one["until"]),
    "LAST USED": lambda one: show_time(one["used"]["last"]),
}
_FLOWS: Final[Columns] = {
    "WHAT IS READ FROM": "read",
    "MAY GO TO": "sent",
    "SOURCE": "source",
    "SINK": "sink",
    "GIVEN": lambda one: show_time(one["given"]),
}
_NO_FLOWS: Final = "nothing that is read through a grant may be sent; allow it: batos allow"
_NO_GRANTS: Final = "nothing outside of the image; give something: batos grant FOLDER"


_EFFECTS: Final[Columns] = {
    "ID": "number",
    "STATE": lambda one: "done, not used" if one["unused"] else one["state"],
    "WANTED": lambda one: show_time(one["at"], "%m-%d %H:%M:%S"),
    "BY": "by",
    # A person who has one done again agrees to all of it.
    "WHAT": lambda one: cut(one["what"], None if one["state"] in _ADVICE else 80),
    "PROBLEM": lambda one: cut(translate(one["error"]), 100),
}
_ADVICE: Final[Mapping[str, str]] = {
    "failed": "batos effects redo {0} tries it again; batos effects drop {0} gives it up",
    "unknown": "look whether it was done; then batos effects redo {0}, or batos effects drop {0}",
    "held": "batos effects redo {0} does it; batos effects drop {0} gives it up",
}


async def _effects(ask: Ask) -> Mapping[str, Any]:
    """List effects, or do something about one."""
    action, number = ask.options.action, ask.options.id
    if not action:
        return await ask.request()
    if not number or not number.isascii() or not number.isdigit():
        raise ArgumentsError(f"name the effect: batos effects {action} 7; batos effects lists them")
    body = {"number": int(number)}
    return await ask.kernel.request(f"effects.{action}", timeout=60.0, body=body)


def _show_effects(body: Mapping[str, Any], screen: Screen) -> None:
    if "effects" in body:
        table_of("effects", _EFFECTS, "nothing waits to be done outside of the image")(body, screen)
        for state in sorted({one["state"] for one in body["effects"]} & set(_ADVICE)):
            first = next(one["number"] for one in body["effects"] if one["state"] == state)
            screen.note(f"{state}: {_ADVICE[state].format(first)}")
        return
    screen.answer(f"{body['state']}: {body['what']}")
    if body["error"]:
        screen.note(body["error"])


COMMANDS: Final[Mapping[str, Command]] = {
    "send": Command(show_result, _send),
    "list": Command(_show_list, _list),
    "derive": Command(_show_family),
    "parents": Command(_show_family),
    "rename": Command(_show_family),
    "delete": Command(_show_deleted),
    "undo": Command(_show_undone),
    "inspect": Command(_show_object),
    "source": Command(_show_source, _source),
    "teach": Command(show_moved),
    "find": Command(table_of("skills", _SKILLS, "nothing has been learned yet")),
    "approve": Command(_show_approved),
    "export": Command(_show_export, _export),
    "import": Command(_show_import, _import),
    "cherry-pick": Command(_show_import, _cherry_pick),
    "rehearse": Command(_show_rehearsal, _rehearse),
    "grant": Command(_show_grant),
    "grant-mcp": Command(_show_server, _grant_server),
    "grants": Command(table_of("grants", _GRANTS, _NO_GRANTS)),
    "narrow": Command(_show_grant),
    "revoke": Command(_show_revoked),
    "effects": Command(_show_effects, _effects),
    "flows": Command(table_of("flows", _FLOWS, _NO_FLOWS)),
    "allow": Command(_show_flow),
    "disallow": Command(_show_stopped),
}
