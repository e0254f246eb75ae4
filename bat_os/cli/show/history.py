"""Verbs about what became of methods, from why to recall; time travel: ``--at``, diff, bisect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.console import as_call, columns, render
from bat_os.cli.language import translate
from bat_os.cli.show.command import (
    Command,
    cut,
    rows_of,
    show_result,
    show_states,
    show_time,
    table_of,
)
from bat_os.core.printable import show_count
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask, Columns
    from bat_os.client.client import KernelClient

_THEIRS: Final = ("wish", "message", "chosen", "brought")  # facts in words of a person or a model


async def _why(ask: Ask) -> Mapping[str, Any]:
    body = await ask.request()
    if not ask.options.replay:
        return body
    return {**body, "replay": await ask.request("replay", **ask.fields())}


async def _relearn(ask: Ask) -> Mapping[str, Any]:
    """Send the brief of the current version again; what is said on the command line comes first."""
    options, fields = ask.options, ask.fields()
    method = {"target": options.object, "selector": options.selector}
    known = await ask.request("why", **method)
    brief = known["brief"] or {"args": [], "kwargs": {}, "text": ""}
    example = next(iter(known["examples"]), brief)
    message = fields if options.words else example
    examples = fields.get("body", {}).get("examples", [])
    wish = options.wish or brief["text"]
    return await ask.kernel.request(
        "brief",
        timeout=None,
        on_event=show_states(ask.screen),
        target=known["object"],
        selector=options.selector,
        args=list(message["args"]),
        kwargs=message["kwargs"],
        body={"text": wish, "examples": examples, "fresh": True},
    )


def explain(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ``why`` answered as lines for people: facts, tables, the source at the end."""
    if "learned_from" in body:
        yield from _explain_adapter(body)
        return
    state = "current" if body["current"] else "not current"
    which = f"version {body['version']} of {body['versions']}, {state}"
    yield f"{body['object']}.{body['selector']}: {body['status']}, {translate(which)}"
    facts = [
        (translate(name), text if name in _THEIRS else translate(text))
        for name, text in _facts(body)
        if text
    ]
    width = max(len(name) for name, _ in facts)
    yield from (f"  {name.ljust(width)}  {text}" for name, text in facts)
    for title, rows, heads in _tables(body):
        if rows:
            yield ""
            yield translate(title)
            yield from (f"  {line}" for line in columns(rows, [*map(translate, heads)]))
    yield ""
    source = "source" if body["whole"] else "source (NOT what was committed: its hash differs)"
    yield translate(source)
    yield from (f"  {line}" for line in body["source"].rstrip("\n").splitlines())
    if again := body.get("replay"):
        how = "byte for byte the same" if again["same"] else "NOT THE SAME"
        yield ""
        yield translate(f"replayed with {again['model']} in {again['seconds']} s: {how}")
        yield from (f"  {line}" for line in again["diff"].splitlines())


def _explain_adapter(body: Mapping[str, Any]) -> Iterator[str]:
    yield translate(f"{body['object']}: {body['status']}, run {body['run']} of the forge")
    stale = {(one["object"], one["selector"]): one["why"] for one in body["stale_by"]}
    rows = [
        (f"{one['object']}.{one['selector']}", one["version"], one["mission"],
         stale.get((one["object"], one["selector"]), ""))
        for one in body["learned_from"]
    ]  # fmt: skip
    heads = ("LEARNED FROM", "VERSION", "MISSION", "STALE")
    yield from columns(rows, [*map(translate, heads)])
    if not rows:
        yield translate("it learned from the shipped examples alone")
    if stale:
        yield translate("the next run learns without what is stale: batos forge start")


def _asks(origin: Mapping[str, Any]) -> str:
    return f"; asks the model of {origin['asks']} each time" if origin.get("asks") else ""


def _facts(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    origin, mission, brief = body["origin"], body["mission"], body["brief"]
    yield "wish", origin.get("goal", "")
    yield "message", cut(as_call(brief)) if brief else ""
    yield "written by", _writer(origin) + _asks(origin)
    through = body.get("through", ())
    yield "written", show_time((through[0] if through else origin).get("created"))
    yield "brought", _passage(through[-1]) if through else ""
    yield "chosen", cut(origin.get("why", ""))
    yield "in the world", cut("; ".join(each["text"] for each in origin.get("effects", ())))
    yield "drawn with", _drawing(origin)
    yield "mended", ", ".join(origin.get("fixups", ()))
    yield "tried in", origin.get("cell", "")
    if mission:
        yield "mission", f"{mission['id']}, accepted {show_time(mission['accepted'])}"
        cost = f"{mission['seconds']} s, {mission['model_calls']} model calls"
        yield "cost", f"{cost}, {mission['tokens']} tokens, {mission['rounds']} rounds"
    elif through and origin.get("mission"):
        yield "mission", f"{origin['mission']}, of that mind"
    if approval := body["approval"]:
        yield "approved", f"by {approval.get('by', '?')}, {show_time(approval.get('at'))}"
    waiting = body["waiting"]
    yield "waiting", f"version {waiting}, for a yes: batos approve" if waiting else ""
    yield "pinned", f"to version {body['pinned']}" if body["pinned"] else ""
    for one in body.get("grants", ()):
        used = f"{one['used']['count']} times, last {show_time(one['used']['last'])}"
        yield "has used", f"{one['what']} through {one['object']} ({one['state']}): {used}"
    yield from _standing(body)
    yield "SHA-256", body["sha256"]


def _standing(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if taint := body["tainted"]:
        what = f"{taint['document']} was {taint['what']} {show_time(taint['at'])}"
        if through := taint.get("through"):
            what += f", and its writer was shown {through[-1]}"
        yield "tainted", f"{what}; verify-method runs its examples and clears this"
    if failing := body.get("failing"):
        what = f"on {failing['count']} different messages, last: {cut(failing['text'])}"
        yield "failing", f"{what}; batos relearn {body['object']} {body['selector']}"
    yield "called", _uses(body["uses"])
    if worth := body.get("grade"):
        yield "as example", f"{worth['grade']}: {worth['why']}"
    yield "taught", ", ".join(sorted({one["adapter"] for one in body.get("taught", ())}))


def _does(about: Mapping[str, Any]) -> list[str]:
    """Return what a candidate does in the world, or what an example states of it."""
    if about.get("effects") == []:
        return ["nothing in the world"] if "result" in about else []
    return [
        str(each.get("text") or f"{each['target']}.{as_call(each)}")
        for each in about.get("effects", ())
    ]


def _tables(
    body: Mapping[str, Any],
) -> Iterator[tuple[str, list[tuple[Any, ...]], tuple[str, ...]]]:
    rows: list[tuple[Any, ...]] = [
        ("*" if draft["chosen"] else "", draft["draft"], draft["agree"], draft["passed"],
         cut(draft["problem"] or "; ".join((draft["preview"], *_does(draft)))))
        for draft in body["candidates"]
    ]  # fmt: skip
    yield "candidates", rows, ("", "NR", "AGREE", "PASSED", "ANSWER OR PROBLEM")
    rows = [
        (
            cut(as_call({"selector": body["selector"], **example})),
            cut("; ".join((render(example["result"]), *_does(example)))),
        )
        for example in body["examples"]
    ]
    yield "examples", rows, ("MESSAGE", "ANSWER")
    rows = [
        (cut(passage["title"]), passage["doc_id"], "" if passage["known"] else "forgotten")
        for passage in body["passages"]
    ]
    yield "shown to the writer", rows, ("TITLE", "DOCUMENT", "")
    rows = [
        (show_time(fault["at"]), fault["kind"], cut(fault["text"]))
        for fault in body.get("faults", ())
    ]
    yield "failed in use", rows, ("WHEN", "HOW", "WHY")
    rows = [
        (show_time(hop["at"]), cut(_mind(hop)), cut(f"{hop['object']}, version {hop['version']}"),
         cut(hop["status"]))
        for hop in body.get("through", ())
    ]  # fmt: skip
    changed = [(one["what"], cut(one["name"]), one["change"]) for one in body.get("changes", ())]
    yield "changed under it since", changed, ("WHAT", "NAME", "CHANGE")
    yield "came through", rows, ("WHEN", "MIND", "WHAT", "STATUS THERE")
    rows = [(show_time(move["at"]), move["what"], move["version"]) for move in body["moves"]]
    yield "moves", rows, ("WHEN", "WHAT", "VERSION")


def _writer(origin: Mapping[str, Any]) -> str:
    model, adapter = origin.get("model"), origin.get("adapter")
    writer: str = origin.get("persona", "")
    if model:
        digest = origin.get("model_digest", "")
        writer += f", with {model}" + (f" (SHA-256 {digest[:16]})" if digest else "")
    writer += f", adapter {adapter}" if adapter else ""
    source = origin.get("adapted_from")
    return writer + (f", adapted from {source}" if source else "")


def _passage(hop: Mapping[str, Any]) -> str:
    return cut(f"{show_time(hop['at'])} from {_mind(hop)}, whose word the rest is")


def _mind(hop: Mapping[str, Any]) -> str:
    return f"{hop['mind'] or 'an unnamed mind'}{' (' + hop['name'] + ')' if hop['name'] else ''}"


def _drawing(origin: Mapping[str, Any]) -> str:
    if "seed" not in origin:
        return ""
    drawn = f"seed {origin['seed']}, temperature {origin.get('temperature', 0)}"
    prompt = origin.get("prompt_sha256", "")
    return drawn + (f", prompt {prompt[:16]}" if prompt else "")


def _uses(uses: Mapping[str, Any]) -> str:
    if not uses["count"]:
        return ""
    by = ", ".join(f"{name} {count}" for name, count in uses["callers"].items())
    times = "once" if uses["count"] == 1 else f"{uses['count']} times"
    return f"{times}, last {show_time(uses['last'])} ({by})"


_VERSIONS: Final[Columns] = {
    "": lambda version: "*" if version["current"] else "",
    "NR": "version",
    "STATUS": lambda version: version["status"] if version["whole"] else "DAMAGED",
    "WRITTEN": lambda version: show_time(version["created"]),
    "BY": lambda version: ", ".join(
        filter(None, (version["persona"], version["model"], "imported" * version["imported"]))
    ),
    "EXAMPLES": "examples",
    "SHA-256": lambda version: version["sha256"][:16],
}


def show_versions(body: Mapping[str, Any], screen: Screen) -> None:
    """Write the versions of a method, and how it stands, for people."""
    table_of("versions", _VERSIONS)(body, screen)
    if body["waiting"]:
        screen.note(f"version {body['waiting']} waits for a yes: batos approve")
    elif not body["current"]:
        screen.note("unlearned: nobody understands it; redo brings it back")
    if body["pinned"]:
        screen.note(f"pinned to version {body['pinned']}")
    if body["tainted"]:
        screen.note(f"tainted: {body['tainted']['document']} was {body['tainted']['what']}")


def show_moved(body: Mapping[str, Any], screen: Screen) -> None:
    """Write which version of a method is current now."""
    version = f"version {body['version']}" if body["version"] else ""
    state = ", ".join(filter(None, (body["status"], translate(version))))
    screen.answer(f"{body['target']}.{body['selector']}: {state}")
    if names := body.get("names"):
        screen.note(f"so {'is its other name' if len(names) == 1 else 'are its other names'} "
                    f"{', '.join(names)}")  # fmt: skip
    if count := body.get("effects"):
        screen.note(f"what it did outside stays: {count} in batos effects --all")
    if adapters := body.get("adapters"):
        screen.note(f"learned from it, and stale now: {', '.join(adapters)} (batos forge runs)")


def offer_canary(show: Callable[[Mapping[str, Any], Screen], None]) -> Command:
    """Return what shows that another version answers now, and what tells the difference."""

    def run(body: Mapping[str, Any], screen: Screen) -> None:
        show(body, screen)
        screen.note("batos canary shows what is answered otherwise now")

    return Command(run)


def _show_recall(body: Mapping[str, Any], screen: Screen) -> None:
    if "recalls" in body:
        _show_recalls(body, screen)
    elif "back" in body:
        for method in body["back"]:
            screen.say(
                f"{method['selector']} of {method['oid']}: version {method['version']} is back"
            )
        for method in body["left"]:
            screen.note(
                f"{method['selector']} of {method['oid']} stays withdrawn: {method['reason']}"
            )
    else:
        table_of("methods", _METHODS)(body, screen)
        if not body["methods"]:
            screen.note("no current method comes from there")
        elif body["withdrawn"]:
            screen.note(f"withdrawn; batos recall --undo {body['recall']} brings them back")
        else:
            screen.note("nothing was changed; --yes withdraws them")


def _show_recalls(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (row["id"], show_time(row["at"]), f"{row['kind']} {row['value']}", len(row["methods"]),
         f"undone {show_time(row['undone'])}" if row["undone"] else "withdrawn")
        for row in body["recalls"]
    ]  # fmt: skip
    screen.table(rows, ("RECALL", "WHEN", "WHAT", "METHODS", ""))
    if body["tainted"]:
        screen.say("to be verified again:")
        for line in columns(rows_of(body["tainted"], _METHODS), tuple(_METHODS)):
            screen.answer(f"  {line}")
    if not rows and not body["tainted"]:
        screen.note("nothing was recalled, and nothing is tainted")


_METHODS: Final[Columns] = {
    "METHOD": lambda method: f"{method['object']}.{method['selector']}",
    "VERSION": "version",
    "STATUS": "status",
    "": lambda method: "pinned" if method["pinned"] else "",
    "TAINTED BY": lambda method: method["tainted"].get("document", ""),
    "THROUGH": lambda method: ", ".join(method["tainted"].get("through", ())),
}


# Verbs that take ``--at WHEN``: they ask the kernel for nothing but what it reads.


class PastKernel:
    """A kernel's client whose every request is about one moment."""

    def __init__(self, kernel: KernelClient, when: str) -> None:
        self._kernel = kernel
        self._when = when

    async def request(self, verb: str, **fields: Any) -> Any:
        """Ask as ``KernelClient.request`` does, about that moment."""
        body = {**fields.pop("body", {}), "at": self._when}
        return await self._kernel.request(verb, body=body, **fields)


def show_moment(body: Mapping[str, Any], screen: Screen) -> None:
    """Say what moment an answer is about, if it is not the present."""
    at = body.get("at")
    if isinstance(at, dict) and "transaction" in at:
        dropped = "; what it would have changed was dropped" if body.get("dropped") else ""
        screen.note(f"as of {show_time(at['time'])} (transaction {at['transaction']}){dropped}")


async def _diff(ask: Ask) -> Mapping[str, Any]:
    """Compare two moments of this mind, or two minds at a moment each."""
    options, other = ask.options, getattr(ask.options, "with")
    homes = [Path(home) for home in getattr(options, "homes", ())]
    if len(homes) > 2 or (len(homes) == 2 and other):
        raise ArgumentsError("diff compares two minds")
    if len(homes) < 2 and not other:
        if not options.a:
            raise ArgumentsError("name a moment to compare with; or another mind: --with, --home")
        return await ask.request()
    from bat_os.app import offline  # ZODB: a third of a second

    first = homes[0].expanduser().absolute() if len(homes) == 2 else ask.home
    second = locate_mind(first, other or str(homes[1]))
    return await offline.compare_minds((first, options.a), (second, options.b))


def locate_mind(home: Path, name: str) -> Path:
    """Return the home that is meant: of a fork of the image in ``home``, or at a path."""
    fork = home / "forks" / name
    return fork if fork.is_dir() else Path(name).expanduser().absolute()


def _show_minds(body: Mapping[str, Any], screen: Screen) -> None:
    """Write what two minds differ in, for people: - is the first, + the second."""
    if "minds" not in body:
        return show_changes(body, screen)
    _show_objects(body["objects"], screen)
    for row in body["methods"]:
        ends = ", ".join(
            f"{sign} {end['status']} by {end['model'] or end['persona'] or 'nobody'}"
            for sign, end in (("-", row["before"]), ("+", row["after"]))
            if end
        )
        screen.answer(f"{row['what']:<8}{row['object']}.{row['selector']}: {ends}")
        for line in row["diff"].splitlines():
            screen.answer(f"        {line}")
    for kind, name in (("memory", "fact"), ("documents", "document")):
        for row in body[kind]:
            screen.answer(f"{row['what']:<8}{kind}: {cut(row[name])}")
    one, other = (f"{mind['home']} ({mind['transaction']})" for mind in body["minds"])
    screen.note(f"from {one} to {other}")
    if body["more"]:
        screen.note(f"and {body['more']} more; --json has a thousand of each kind")
    elif not any(body[kind] for kind in ("objects", "methods", "memory", "documents")):
        screen.note("the two are alike")
    return None


def _show_objects(rows: Iterable[Mapping[str, Any]], screen: Screen) -> None:
    for row in rows:
        was = f" (was {row['was']})" if row.get("was") else ""
        screen.answer(f"{row['what']:<8}{row['object']}{was}")
        if "parents" in row:
            before, after = (", ".join(names) for names in row["parents"])
            screen.say(f"        parents: {before} -> {after}")
        for slot in row["slots"]:
            screen.answer(f"        {slot['slot']}: {slot['before']} -> {slot['after']}")


def show_changes(body: Mapping[str, Any], screen: Screen) -> None:
    """Write what differs between two moments, for people."""
    _show_objects(body["objects"], screen)
    for row in body["methods"]:
        before, after = (row[key] or "none" for key in ("before", "after"))
        screen.say(f"method  {row['object']}.{row['selector']}: version {before} -> {after}")
    for row in body["documents"]:
        screen.answer(f"{row['what']:<8}{row['document']}")
    count = len(body["transactions"])
    screen.note(f"{show_count(count, 'transaction')}, from {body['from']} to {body['to']}")


async def _bisect(ask: Ask) -> Mapping[str, Any]:
    def show(_kind: str, event: Any) -> None:
        ask.screen.note(f"  {event.get('text', '')}")

    return await ask.request(on_event=show)


def _show_found(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(f"{body['transaction']}  {show_time(body['time'])}  {body['note']}")
    if body["mission"]:
        screen.say(f"mission  {body['mission']}")
    for end in ("before", "after"):
        answer = body[end]
        failure = f"{answer.get('error')} {answer.get('message')}"
        text = render(answer["result"]) if "result" in answer else failure
        screen.answer(f"{end:<7}  {text}")
    among = show_count(body["transactions"], "transaction")
    screen.note(f"one of {among}, found in {show_count(body['openings'], 'opening')}")


async def _history(ask: Ask) -> Mapping[str, Any]:
    """Return the versions of one method, or of all that an object has of its own."""
    target, selectors = ask.options.object, [ask.options.selector]
    if not ask.options.selector:
        known = await ask.kernel.request("inspect", target=target)
        selectors = [name for name, row in known["methods"].items() if row.get("versions")]
    methods = [
        await ask.request("versions", target=target, selector=selector) for selector in selectors
    ]
    return {"object": target, "methods": methods}


def _show_history(body: Mapping[str, Any], screen: Screen) -> None:
    for method in body["methods"]:
        screen.answer(f"{method['object']}.{method['selector']}")
        show_versions(method, screen)
    if not body["methods"]:
        screen.note(f"{body['object']} has learned nothing; batos diff WHEN shows its slots")


COMMANDS: Final[Mapping[str, Command]] = {
    "why": Command(lambda body, screen: screen.answer("\n".join(explain(body))), _why),
    "versions": Command(show_versions),
    "history": Command(_show_history, _history),
    "diff-method": Command(
        lambda body, screen: screen.answer(body["diff"] or translate("the same"))
    ),
    "relearn": replace(offer_canary(show_result), run=_relearn),
    "unlearn": Command(show_moved),
    "redo": offer_canary(show_moved),
    "pin": Command(show_moved),
    "unpin": Command(show_moved),
    "verify-method": Command(show_moved),
    "recall": Command(_show_recall),
    "diff": Command(_show_minds, _diff),
    "bisect": Command(_show_found, _bisect),
}
