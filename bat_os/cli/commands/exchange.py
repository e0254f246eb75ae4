"""Verbs that bring single things from one mind into another, and rehearse: try, look, keep."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import LONG, Command, read_example, read_text, read_words
from bat_os.cli.commands.moments import show_changes
from bat_os.cli.connection import connect
from bat_os.cli.console import render
from bat_os.errors import ArgumentsError, KernelUnreachableError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen


async def _export(ask: Ask) -> Mapping[str, Any]:
    target, selector = _named(ask.options.what)
    told = await ask.kernel.request("export", timeout=LONG, target=target, selector=selector)
    if ask.options.file == "-":
        return told
    await asyncio.to_thread(_write_new, Path(ask.options.file), told["text"] + "\n")
    return {"name": told["name"], "sha256": told["sha256"], "file": ask.options.file}


async def _import(ask: Ask) -> Mapping[str, Any]:
    body = {"text": read_text(ask.options.file, sys.stdin.read), "as": ask.options.name}
    return await ask.kernel.request("import", timeout=LONG, target=ask.options.into, body=body)


async def _cherry_pick(ask: Ask) -> Mapping[str, Any]:
    target, selector = _named(ask.options.what)
    if not selector:
        raise ArgumentsError("name one method: OBJECT.SELECTOR; export and import carry objects")
    text = await _export_of(_locate(ask), target, selector)
    into = ask.options.into
    return await ask.kernel.request("import", timeout=LONG, target=into, body={"text": text})


def _locate(ask: Ask) -> Path:
    """Return the home that is meant: of a fork of this image, or at a path."""
    fork = ask.home / "forks" / ask.options.mind
    return fork if fork.is_dir() else Path(ask.options.mind).expanduser().absolute()


async def _export_of(home: Path, target: str, selector: str) -> str:
    """Return the export of a method of another mind, which may be serving or not."""
    try:
        async with connect(home) as kernel:
            told = await kernel.request("export", target=target, selector=selector)
    except KernelUnreachableError:
        from bat_os.app import offline  # ZODB: a third of a second

        told = await offline.export_method(home, target, selector)
    return str(told["text"])


async def _rehearse(ask: Ask) -> Mapping[str, Any]:
    started = time.monotonic()
    options = ask.options
    args, kwargs = read_words(options.words)

    def show(kind: str, told: Mapping[str, Any]) -> None:
        ask.screen.event(kind, told, time.monotonic() - started)

    body = {
        "text": options.text,
        "examples": [read_example(text) for text in options.example],
        "keep": options.keep,
    }
    told = await ask.kernel.request(
        "rehearse",
        timeout=LONG,
        on_event=show,
        target=options.object,
        selector=options.selector,
        args=args,
        kwargs=kwargs,
        body=body,
    )
    return told | {"exit_status": 0 if told["answer"]["type"] == "result" else 1}


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


def _show_export(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(body["text"] if "text" in body else f"{body['file']}: {body['name']}")


def _show_import(body: Mapping[str, Any], screen: Screen) -> None:
    made = "new" if body["new"] else "was there"
    screen.answer(f"{body['object']}: {made}")
    for one in body["methods"]:
        screen.answer(f"  {one['selector']}: {one['status']}, version {one['version']}")


def _show_rehearsal(body: Mapping[str, Any], screen: Screen) -> None:
    told = body["answer"]["body"]
    if body["answer"]["type"] == "error":
        screen.answer(f"it would fail: {told['code']} {told['message']}")
        return
    screen.answer(f"it would answer: {render(told['result'])}")
    show_changes(body["diff"], screen)
    if body["source"]:
        screen.code(body["source"].rstrip("\n"))
    if body["kept"]:
        screen.answer(f"kept; here it answers: {render(body['kept']['result'])}")
    else:
        screen.note("nothing is kept: the fork is gone; --keep keeps it")


def _export_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="OBJECT[.SELECTOR]", help="an object, or one method")
    parser.add_argument("file", nargs="?", default="-", help="new file; - (the default) prints it")


def _import_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="what export wrote; - for stdin")
    parser.add_argument("--as", dest="name", default="", help="name for the object")
    parser.add_argument("--into", default="", help="object for a single method")


def _cherry_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mind", help="home of another image, or name of a fork of this one")
    parser.add_argument("what", metavar="OBJECT.SELECTOR", help="the method there")
    parser.add_argument("--into", default="", help="object here (default: of the same name)")


def _rehearse_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", help="name or oid")
    parser.add_argument("selector", help="the message")
    parser.add_argument("words", nargs="*", default=[], help="arguments, as of send")
    parser.add_argument("--text", default="", help="the wish in words")
    parser.add_argument(
        "--example", action="append", default=[], help="what it has to give: '5 gives 120'"
    )
    parser.add_argument(
        "--keep", action="store_true", help="then install what was learned and send it here"
    )


COMMANDS: Final[Mapping[str, Command]] = {
    "rehearse": Command(
        "try a message on a throw-away fork, and show what it would change",
        _rehearse,
        _rehearse_words,
        _show_rehearsal,
    ),
    "cherry-pick": Command(
        "take a method over from another mind", _cherry_pick, _cherry_words, _show_import
    ),
    "export": Command("write an object or method as JSON", _export, _export_words, _show_export),
    "import": Command("install what was exported", _import, _import_words, _show_import),
}
