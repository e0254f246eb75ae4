"""Verbs about what became of methods: why, versions, relearn, unlearn, redo, pin, recall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import Command, read_example, read_words
from bat_os.cli.commands.moments import show_time
from bat_os.cli.console import as_call, columns, render

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen

SECONDS: Final = 120.0  # examples run in the cell, and the embedder may have to be loaded
ORIGINS: Final = ("model", "adapter", "document", "mission")
_WIDTH: Final = 100


def _asks(verb: str, *body: str) -> Callable[[Ask], Awaitable[Mapping[str, Any]]]:
    """Return a ``run`` that sends ``verb`` about one method, with these options in its body."""

    async def run(ask: Ask) -> Mapping[str, Any]:
        told = {name: getattr(ask.options, name) for name in body}
        return await ask.kernel.request(
            verb,
            timeout=SECONDS,
            target=ask.options.object,
            selector=ask.options.selector,
            body={name: value for name, value in told.items() if value is not None},
        )

    return run


async def _why(ask: Ask) -> Mapping[str, Any]:
    told = await _asks("why", "version")(ask)
    if not ask.options.replay:
        return told
    return {**told, "replay": await _asks("replay", "version")(ask)}


async def _relearn(ask: Ask) -> Mapping[str, Any]:
    """Send the brief of the current version again; what is said on the command line comes first."""
    options = ask.options
    about = {"target": options.object, "selector": options.selector}
    told = await ask.kernel.request("why", timeout=SECONDS, **about)
    brief = told["brief"] or {"args": [], "kwargs": {}, "text": ""}
    example = next(iter(told["examples"]), brief)
    args, kwargs = read_words(options.words)
    if not options.words:
        args, kwargs = (list(example["args"]), example["kwargs"])
    examples = [read_example(text) for text in options.example]
    wish = options.wish or brief["text"]
    return await ask.kernel.request(
        "brief",
        timeout=None,
        on_event=lambda kind, body: ask.screen.event(kind, body, 0.0),
        target=told["object"],
        selector=options.selector,
        args=args,
        kwargs=kwargs,
        body={"text": wish, "examples": examples, "fresh": True},
    )


async def _verify(ask: Ask) -> Mapping[str, Any]:
    return await ask.kernel.request(
        "verify-method",
        timeout=SECONDS,
        target=ask.options.object,
        selector=ask.options.selector,
        body={"examples": [read_example(text) for text in ask.options.example]},
    )


async def _recall(ask: Ask) -> Mapping[str, Any]:
    named = {name: getattr(ask.options, name) for name in (*ORIGINS, "undo")}
    body = {name: value for name, value in named.items() if value is not None}
    return await ask.kernel.request("recall", timeout=SECONDS, body=body | {"yes": ask.options.yes})


def _show_why(body: Mapping[str, Any], screen: Screen) -> None:
    for line in explain(body):
        screen.answer(line)


def explain(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ``why`` answered as lines for people: facts, tables, the source at the end."""
    state = "current" if body["current"] else "not current"
    which = f"version {body['version']} of {body['versions']}, {state}"
    yield f"{body['object']}.{body['selector']}: {body['status']}, {which}"
    facts = [(name, text) for name, text in _facts(body) if text]
    width = max(len(name) for name, _ in facts)
    yield from (f"  {name.ljust(width)}  {text}" for name, text in facts)
    for title, rows, heads in _tables(body):
        if rows:
            yield ""
            yield title
            yield from (f"  {line}" for line in columns(rows, heads))
    yield ""
    yield "source" if body["whole"] else "source (NOT what was committed: its hash differs)"
    yield from (f"  {line}" for line in body["source"].rstrip("\n").splitlines())
    if again := body.get("replay"):
        how = "byte for byte the same" if again["same"] else "NOT THE SAME"
        yield ""
        yield f"replayed with {again['model']} in {again['seconds']} s: {how}"


def _facts(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    origin, mission, brief = body["origin"], body["mission"], body["brief"]
    yield "wish", origin.get("goal", "")
    yield "message", _cut(as_call(brief)) if brief else ""
    yield "written by", _writer(origin)
    yield "written", show_time(origin.get("created"))
    yield "chosen", _cut(origin.get("why", ""))
    yield "drawn with", _drawing(origin)
    yield "mended", ", ".join(origin.get("fixups", ()))
    yield "tried in", origin.get("cell", "")
    if mission:
        yield "mission", f"{mission['id']}, accepted {show_time(mission['accepted'])}"
        cost = f"{mission['seconds']} s, {mission['model_calls']} model calls"
        yield "cost", f"{cost}, {mission['tokens']} tokens, {mission['rounds']} rounds"
    if approval := body["approval"]:
        yield "approved", f"by {approval.get('by', '?')}, {show_time(approval.get('at'))}"
    waiting = body["waiting"]
    yield "waiting", f"version {waiting}, for a yes: batos approve" if waiting else ""
    yield "pinned", f"to version {body['pinned']}" if body["pinned"] else ""
    if taint := body["tainted"]:
        told = f"{taint['document']} was {taint['what']} {show_time(taint['at'])}"
        yield "tainted", f"{told}; verify-method runs its examples and clears this"
    if failing := body.get("failing"):
        told = f"on {failing['count']} different messages, last: {_cut(failing['text'])}"
        yield "failing", f"{told}; batos relearn {body['object']} {body['selector']}"
    yield "called", _uses(body["uses"])
    yield "SHA-256", body["sha256"]


def _tables(
    body: Mapping[str, Any],
) -> Iterator[tuple[str, list[tuple[Any, ...]], tuple[str, ...]]]:
    rows: list[tuple[Any, ...]] = [
        ("*" if one["chosen"] else "", one["draft"], one["agree"], one["passed"],
         _cut(one["problem"] or one["preview"]))
        for one in body["candidates"]
    ]  # fmt: skip
    yield "candidates", rows, ("", "NR", "AGREE", "PASSED", "ANSWER OR PROBLEM")
    rows = [
        (_cut(_call(body["selector"], example)), _cut(render(example["result"])))
        for example in body["examples"]
    ]
    yield "examples", rows, ("MESSAGE", "ANSWER")
    rows = [
        (_cut(one["title"]), one["doc_id"], "" if one["known"] else "forgotten")
        for one in body["passages"]
    ]
    yield "shown to the writer", rows, ("TITLE", "DOCUMENT", "")
    rows = [
        (show_time(one["at"]), one["kind"], _cut(one["text"])) for one in body.get("faults", ())
    ]
    yield "failed in use", rows, ("WHEN", "HOW", "WHY")
    rows = [(show_time(move["at"]), move["what"], move["version"]) for move in body["moves"]]
    yield "moves", rows, ("WHEN", "WHAT", "VERSION")


def _writer(origin: Mapping[str, Any]) -> str:
    model, adapter = origin.get("model"), origin.get("adapter")
    told: str = origin.get("persona", "")
    if model:
        digest = origin.get("model_digest", "")
        told += f", with {model}" + (f" (SHA-256 {digest[:16]})" if digest else "")
    told += f", adapter {adapter}" if adapter else ""
    source = origin.get("adapted_from")
    return told + (f", adapted from {source}" if source else "")


def _drawing(origin: Mapping[str, Any]) -> str:
    if "seed" not in origin:
        return ""
    told = f"seed {origin['seed']}, temperature {origin.get('temperature', 0)}"
    prompt = origin.get("prompt_sha256", "")
    return told + (f", prompt {prompt[:16]}" if prompt else "")


def _uses(uses: Mapping[str, Any]) -> str:
    if not uses["count"]:
        return ""
    by = ", ".join(f"{name} {count}" for name, count in uses["callers"].items())
    times = "once" if uses["count"] == 1 else f"{uses['count']} times"
    return f"{times}, last {show_time(uses['last'])} ({by})"


def _call(selector: str, example: Mapping[str, Any]) -> str:
    told = [repr(arg) for arg in example["args"]]
    told += [f"{name}={value!r}" for name, value in example["kwargs"].items()]
    return f"{selector}({', '.join(told)})"


def _cut(text: Any) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def show_versions(body: Mapping[str, Any], screen: Screen) -> None:
    """Write the versions of a method, and how it stands, for people."""
    rows = [
        (
            "*" if one["current"] else "",
            one["version"],
            one["status"] if one["whole"] else "DAMAGED",
            show_time(one["created"]),
            ", ".join(filter(None, (one["persona"], one["model"]))),
            one["examples"],
            one["sha256"][:16],
        )
        for one in body["versions"]
    ]
    screen.table(rows, ("", "NR", "STATUS", "WRITTEN", "BY", "EXAMPLES", "SHA-256"))
    if body["waiting"]:
        screen.note(f"version {body['waiting']} waits for a yes: batos approve")
    elif not body["current"]:
        screen.note("unlearned: nobody understands it; redo brings it back")
    if body["pinned"]:
        screen.note(f"pinned to version {body['pinned']}")
    if body["tainted"]:
        screen.note(f"tainted: {body['tainted']['document']} was {body['tainted']['what']}")


def _show_moved(body: Mapping[str, Any], screen: Screen) -> None:
    version = f"version {body['version']}" if body["version"] else ""
    told = ", ".join(filter(None, (body["status"], version)))
    screen.answer(f"{body['target']}.{body['selector']}: {told}")


def _show_diff(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(body["diff"] or "the same")


def _show_recall(body: Mapping[str, Any], screen: Screen) -> None:
    if "recalls" in body:
        _show_recalls(body, screen)
    elif "back" in body:
        for one in body["back"]:
            screen.answer(f"{one['selector']} of {one['oid']}: version {one['version']} is back")
        for one in body["left"]:
            screen.note(f"{one['selector']} of {one['oid']} stays withdrawn: {one['reason']}")
    else:
        screen.table(*_method_rows(body["methods"]))
        if not body["methods"]:
            screen.note("no current method comes from there")
        elif body["withdrawn"]:
            screen.note(f"withdrawn; batos recall --undo {body['recall']} brings them back")
        else:
            screen.note("nothing was changed; --yes withdraws them")


def _show_recalls(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (one["id"], show_time(one["at"]), f"{one['kind']} {one['value']}", len(one["methods"]),
         f"undone {show_time(one['undone'])}" if one["undone"] else "withdrawn")
        for one in body["recalls"]
    ]  # fmt: skip
    screen.table(rows, ("RECALL", "WHEN", "WHAT", "METHODS", ""))
    if body["tainted"]:
        screen.answer("to be verified again:")
        for line in columns(*_method_rows(body["tainted"])):
            screen.answer(f"  {line}")
    if not rows and not body["tainted"]:
        screen.note("nothing was recalled, and nothing is tainted")


def _method_rows(found: list[dict[str, Any]]) -> tuple[list[tuple[Any, ...]], tuple[str, ...]]:
    rows = [
        (
            f"{one['object']}.{one['selector']}",
            one["version"],
            one["status"],
            "pinned" if one["pinned"] else "",
            one["tainted"].get("document", ""),
        )
        for one in found
    ]
    return rows, ("METHOD", "VERSION", "STATUS", "", "TAINTED BY")


def _method(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", help="name or oid")
    parser.add_argument("selector", help="the message")


def _method_and_version(parser: argparse.ArgumentParser) -> None:
    _method(parser)
    parser.add_argument("--version", type=int, metavar="N", help="number of the version")


def _two_versions(parser: argparse.ArgumentParser) -> None:
    _method(parser)
    parser.add_argument("a", type=int, metavar="A", help="number of a version")
    parser.add_argument("b", type=int, metavar="B", help="number of another one")


def _method_and_replay(parser: argparse.ArgumentParser) -> None:
    _method_and_version(parser)
    parser.add_argument(
        "--replay", action="store_true", help="draw it again from its prompt and seed, and compare"
    )


def _method_and_wish(parser: argparse.ArgumentParser) -> None:
    _method_and_examples(parser)
    parser.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="ARGS",
        help="to try it with (default: those of its brief)",
    )
    parser.add_argument("--wish", default="", help="what it should do, if other words are better")


def _method_and_examples(parser: argparse.ArgumentParser) -> None:
    _method(parser)
    parser.add_argument(
        "--example",
        action="append",
        default=[],
        metavar="'5 gives 120'",
        help="what it has to answer, too; may come more than once",
    )


def _origin(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--model", metavar="NAME|DIGEST", help="written by this model")
    one.add_argument("--adapter", metavar="NAME", help="written with this adapter")
    one.add_argument("--document", metavar="DOC_ID", help="whose writer was shown this document")
    one.add_argument("--mission", metavar="ID", help="written in this mission")
    one.add_argument("--undo", metavar="RECALL", help="bring back what a recall withdrew")
    parser.add_argument("--yes", action="store_true", help="withdraw them; else they are listed")


COMMANDS: Final[Mapping[str, Command]] = {
    "why": Command(
        "say where a method comes from, and what became of it",
        _why,
        _method_and_replay,
        _show_why,
    ),
    "versions": Command("list the versions of a method", _asks("versions"), _method, show_versions),
    "diff-method": Command(
        "compare two versions of a method",
        _asks("diff-method", "a", "b"),
        _two_versions,
        _show_diff,
    ),
    "relearn": Command(
        "have a method written anew; it has to reproduce all kept examples",
        _relearn,
        _method_and_wish,
        lambda body, screen: screen.result(body),
    ),
    "unlearn": Command(
        "let nobody understand a method any more", _asks("unlearn"), _method, _show_moved
    ),
    "redo": Command(
        "bring back an unlearned method, or go to another version",
        _asks("redo", "version"),
        _method_and_version,
        _show_moved,
    ),
    "pin": Command(
        "hold a method at a version", _asks("pin", "version"), _method_and_version, _show_moved
    ),
    "unpin": Command("let a method take new versions again", _asks("unpin"), _method, _show_moved),
    "verify-method": Command(
        "run a method's examples again, and clear its taint",
        _verify,
        _method_and_examples,
        _show_moved,
    ),
    "recall": Command("list or withdraw all methods of one origin", _recall, _origin, _show_recall),
}
