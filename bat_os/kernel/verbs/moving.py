"""``import.all``: what ``export.all`` wrote, into this mind; what is here already stays as it is.

    settings > objects > methods > facts > lists, counters > reminders > documents > talks
        > what is set of personas and states

Nothing in the folder is trusted: each part is checked for form and bounds, and each method goes the
way of a single import. What cannot be carried is named, and the rest goes on; so a second run of
one that was killed takes what is missing.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

from bat_os.core.schema import convert, read_json
from bat_os.core.scopes import OTHERS
from bat_os.core.settings import CARRIED, FILE, resolve
from bat_os.core.values import Counted, check
from bat_os.errors import ArgumentsError, BatError
from bat_os.image import schedules
from bat_os.image.allowlist import UNREADABLE
from bat_os.image.catalog import catalog_in
from bat_os.image.facts import Fact
from bat_os.image.files import belongings, export, lineage
from bat_os.image.files.incoming import MAX_FILE, Folder
from bat_os.image.history.experience import MAX_TALKS
from bat_os.image.objects import find
from bat_os.image.preferences import list_entries
from bat_os.kernel import views
from bat_os.kernel.verbs.files import take_method
from bat_os.kernel.verbs.intake import (
    SHORT,
    DocumentRow,
    FactRow,
    ItemRow,
    ReminderRow,
    TalkRow,
    check_reach,
    put_facts,
    put_objects,
    put_talks,
    read_brief,
    read_counters,
    source_in,
)
from bat_os.kernel.verbs.personas import set_value
from bat_os.natives.recurrence import check_rule, next_after

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]

BATCH: Final = 64  # facts that are embedded and kept at once


_Short = Annotated[str, SHORT]
# What an item that a stranger has written may raise: it is named, and the rest goes on.
_UNFIT: Final = (BatError, *UNREADABLE)


class _Mover:
    """Takes one folder in; ``done`` counts what came, ``left`` says what did not, and why."""

    def __init__(self, mind: KernelContext, folder: Folder, request: Request, say: Say) -> None:
        self.done: Counter[str] = Counter()
        self.left: list[str] = []
        self._mind = mind
        self._folder = folder
        self._request = request
        self._say = say

    async def run(self) -> dict[str, Any]:
        """Import everything, kind by kind."""
        steps = (
            self._settings, self._objects, self._methods, self._facts, self._lists,
            self._counters, self._reminders, self._documents, self._talks, self._personas,
        )  # fmt: skip
        for step in steps:
            self._tell(step.__name__.strip("_"))
            try:
                await step()
            except _UNFIT as error:  # that file as a whole; the others have nothing to do with it
                self._leave(step.__name__.strip("_"), error)
        if await asyncio.to_thread(self._folder.names, "missions.jsonl"):
            self._leave("missions, conversations", "what was asked there stays in the folder")
        return {"carried": dict(self.done), "left": self.left[: belongings.MAX_LEFT]}

    def _leave(self, what: str, why: object) -> None:
        if isinstance(why, Exception) and not isinstance(why, BatError):
            why = f"it is not of the form that an export has ({why!r})"
        self.left.append(f"{what}: {why}"[:500])

    def _tell(self, what: str, done: int = 0, total: int = 1) -> None:
        self._say(views.progress(Counted(f"importing {what}: {done}", done, total)))

    async def _json(self, name: str, default: Any, kind: Any) -> Any:
        found = await asyncio.to_thread(self._folder.json, name, default)
        return await asyncio.to_thread(convert, found, kind, ArgumentsError, name)

    async def _transact(self, work: Callable[[Root], Any]) -> Any:
        return await self._mind.image.transact(work, note="import everything")

    async def _settings(self) -> None:
        given = await asyncio.to_thread(self._folder.text, "settings.toml", "")
        found = resolve(given, {}, {}, path="settings.toml")
        names = sorted(name for name, by in found.origins.items() if by.startswith(FILE))
        path = Path(self._mind.options.home) / FILE
        for name in names:
            if name not in CARRIED:
                self._leave(f"the setting {name}", f"set it in {path} if you want it here")
        taken = {name: getattr(found.settings, name) for name in names if name in CARRIED}
        if not taken:
            return
        if not path.is_absolute() or path.exists():
            why = "there are settings here already; take from it what you want into"
            self._leave("settings.toml", f"{why} {path}")
            return
        await asyncio.to_thread(_write_settings, path, belongings.as_toml(taken))
        self.done["settings"] += len(taken)
        self._leave("settings.toml", "taken over; they count from the next start of the daemon")

    async def _objects(self) -> None:
        contents = []
        for name in await asyncio.to_thread(self._folder.names, "objects/*.json"):
            try:
                whole = await asyncio.to_thread(self._folder.text, name)
                content = await asyncio.to_thread(export.read, whole, MAX_FILE)
                contents.append(_of_kind(content, "object"))
            except _UNFIT as error:
                self._leave(name, error)
        made, left = await self._transact(partial(put_objects, contents=contents))
        self.done["objects"] += made
        self.left += left

    async def _methods(self) -> None:
        """Install methods; one that needs another one is tried again once that is there."""
        waiting = await asyncio.to_thread(self._folder.names, "methods/*/*.json")
        total, problems = len(waiting), dict[str, object]()
        while waiting:
            again = []
            for name in waiting:
                try:
                    self.done["methods"] += await self._method(name)
                except _UNFIT as error:
                    problems[name] = error
                    again.append(name)
                self._tell("methods", total - len(again), total)
            if len(again) == len(waiting):
                break
            waiting = again
        for name in waiting:
            self._leave(name, problems[name])

    async def _method(self, name: str) -> bool:
        whole = await asyncio.to_thread(self._folder.json, name, {})
        source = await asyncio.to_thread(self._folder.text, name.removesuffix("json") + "py")
        if not isinstance(whole, dict):
            raise ArgumentsError("this is not the provenance of a method")
        sealed = json.dumps(export.seal({**whole, "source": source}))
        content = await asyncio.to_thread(export.read, sealed, MAX_FILE)
        _of_kind(content, "method")
        target, selector = str(content["object"]), str(content["selector"])
        held = await self._transact(lambda root: source_in(root, target, selector))
        if held == source:
            return False
        if held:
            raise ArgumentsError("another version of it is here already, and stays")
        await take_method(self._mind, content, target, self._request.by)
        return True

    async def _facts(self) -> None:
        rows = await self._json("facts.json", [], list[FactRow])
        here = await self._transact(lambda root: str(lineage.mind_of(root)["id"]))
        for at in range(0, len(rows), BATCH):
            some = [self._fact(row, here) for row in rows[at : at + BATCH]]
            vectors = await self._mind.catalog.embed([fact.text for fact in some])
            put = partial(put_facts, facts=some, vectors=vectors)
            self.done["facts"] += await self._transact(put)
            self._tell("facts", at, len(rows))

    def _fact(self, row: FactRow, here: str) -> Fact:
        label = " ".join(self._folder.label(row.label.split(), here))
        return Fact(
            row.id, row.text, row.told_at, tuple(row.when), row.where, row.about, row.source,
            label, row.replaced_by, replaces=tuple(row.replaces),
        )  # fmt: skip

    async def _lists(self) -> None:
        lists = await self._json("lists.json", {}, dict[_Short, list[ItemRow]])
        plain = {
            name: [
                {"text": one.text, "done": one.done, **({"at": one.at} if one.at else {})}
                for one in items
            ]
            for name, items in lists.items()
        }
        await self._merge("lists", belongings.LISTS, "lists", plain)

    async def _counters(self) -> None:
        whole = await asyncio.to_thread(self._folder.text, "counters.csv", "")
        logs, problems = await asyncio.to_thread(read_counters, whole)
        self.left += problems
        await self._merge("counters", belongings.COUNTERS, "logs", logs)

    async def _merge(self, kind: str, target: str, slot: str, new: dict[str, Any]) -> None:
        """Put into a map in a slot what it does not have yet."""
        given = await self._json("labels.json", {}, dict[str, dict[str, list[_Short]]])
        here = await self._transact(lambda root: str(lineage.mind_of(root)["id"]))
        label = self._folder.label(given.get(target, {}).get(slot, []), here)

        def work(root: Root) -> list[str]:
            obj = find(root, target)
            held = obj.slots.get(slot)
            held = dict(held) if isinstance(held, dict) else {}
            fresh = {name: value for name, value in new.items() if name not in held}
            if fresh:
                check({**held, **fresh}, where=f"{target}.{slot}")
                obj.set_slot(slot, {**held, **fresh}, {*obj.labels.get(slot, ()), *label})
            return [name for name in new if name not in fresh and held[name] != new[name]]

        other = await self._transact(work)
        self.done[kind] += len(new) - len(other)
        for name in other:
            self._leave(f"{kind} {name}", "one of that name is here already, and stays")

    async def _reminders(self) -> None:
        rows = await self._json("reminders.json", [], list[ReminderRow])
        here = await self._transact(lambda root: str(lineage.mind_of(root)["id"]))
        for row in rows:
            try:
                await self._reminder(row, here)
            except _UNFIT as error:
                self._leave(f"reminder {row.text!r}", error)
        self._mind.orchestrator.wake()

    async def _reminder(self, row: ReminderRow, here: str) -> None:
        if OTHERS in row.caller:  # it would run with what the importer may
            raise ArgumentsError("somebody else had made it, over the network")
        if "watch" in row.rule:
            raise ArgumentsError("it looks at files; make it again once you have granted them")
        check_rule(row.rule, row.zone)
        follows = next_after(row.rule, row.zone, time.time())
        if follows is None:
            raise ArgumentsError("its moment is over")
        if row.kind == "say":
            self._leave(f"reminder {row.text!r}", "it came, but uses no grants of here")
        brief = None
        if row.kind == "send":
            brief = read_brief(row.brief, self._folder, here, self._request.may)
        one = schedules.Schedule(
            row.kind, row.text, row.rule, row.zone, follows,
            brief.to_plain() if brief else None, missed=row.missed,
            grace=row.grace, home=self._mind.home_id, made=row.made, caller=self._request.caller,
            language=row.language, grants=[],
        )  # fmt: skip

        def work(root: Root) -> bool:
            same = (one.kind, one.text, dict(one.rule), one.made)
            for each in schedules.live(root):
                if (each.kind, each.text, dict(each.rule), each.made) == same:
                    return False
            if brief is not None:
                check_reach(root, brief)
            schedules.add(root, one)
            return True

        self.done["reminders"] += await self._transact(work)

    async def _documents(self) -> None:
        rows = await self._json("documents/index.json", [], list[DocumentRow])
        here = await self._transact(lambda root: str(lineage.mind_of(root)["id"]))
        for at, row in enumerate(rows):
            self._tell("documents", at, len(rows))
            try:
                await self._document(row, self._folder.label(row.label, here))
            except _UNFIT as error:
                self._leave(f"document {row.title!r}", error)

    async def _document(self, row: DocumentRow, label: list[str]) -> None:
        whole = await asyncio.to_thread(self._folder.text, f"documents/{row.file}")
        meta = {key: value for key, value in row.meta.items() if key != "source"}
        if meta.get("form") != "code":
            meta["form"] = "markdown"
        source = str(row.meta.get("source", ""))
        catalog = self._mind.catalog
        told, work = await catalog.prepare(row.title, whole, source=source, meta=meta)
        if work is None:
            return

        def put(root: Root) -> bool:
            if told["doc_id"] in catalog_in(root):
                return False
            work(root)
            catalog_in(root).set_label(told["doc_id"], label)
            return True

        if not await catalog.change(put, f"import {row.title[:60]}"):
            raise ArgumentsError("one from the same place is here already, and stays")
        self.done["documents"] += 1

    async def _talks(self) -> None:
        lines = islice(self._folder.lines("talks.jsonl"), 2 * MAX_TALKS)
        talks = []
        for at, line in enumerate(await asyncio.to_thread(list, lines), start=1):
            where = f"talks.jsonl, line {at}"
            try:
                talk = await asyncio.to_thread(read_json, line, ArgumentsError, where)
                check(talk, where=where)
                convert(talk, TalkRow, ArgumentsError, where)
                talks.append(talk)
            except _UNFIT as error:
                self._leave(where, error)
        talks.reverse()  # the newest first, while there is room
        for at in range(0, len(talks), BATCH):
            some = talks[at : at + BATCH]
            kept, over = await self._transact(partial(put_talks, talks=some))
            self.done["talks"] += kept
            if over:
                self._leave("talks", f"{over} more than the {MAX_TALKS} that are kept")

    async def _personas(self) -> None:
        found = await self._json("personas.json", {}, dict[str, dict[str, Any]])
        for name, entries in found.items():
            for key, value in entries.items():
                try:
                    self.done["entries"] += await self._entry(name, key, value)
                except _UNFIT as error:
                    self._leave(f"{name}.{key}", error)
        await self._mind.refresh()

    async def _entry(self, name: str, key: str, value: Any) -> bool:
        known = await self._transact(lambda root: list_entries(root, name).get(key))
        if known and known["current"]:
            if known["versions"][known["current"]]["value"] != value:
                raise ArgumentsError("it is set here already, and stays")
            return False
        await set_value(self._mind, name, key, [], value)
        return True


def _of_kind(content: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return what an export holds; each kind is checked by rules of its own.

    Raises:
        ArgumentsError: It is of another kind.
    """
    if content["kind"] != kind:
        raise ArgumentsError(f"this is an export, but of no {kind}")
    return content


def _write_settings(path: Path, text: str) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text)
    except OSError as error:
        raise ArgumentsError(f"{path} cannot be written: {error}") from error


async def take_all(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Import what ``body.folder`` holds; return how much was ``carried``, and what is ``left``."""
    path = Path(request.body["folder"])
    folder = await asyncio.to_thread(Folder, path)
    return {"folder": str(path), **await _Mover(mind, folder, request, say).run()}


async def give_all(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Write all that a person has put in to ``body.folder``, and say how far it is."""
    path = Path(request.body["folder"])
    return await belongings.export_all(mind.image, path, lambda line: say(views.progress(line)))


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"export.all": give_all, "import.all": take_all}
)
