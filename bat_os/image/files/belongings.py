"""All that a person has put into an image, as a folder of open formats that people can read.

    manifest.json  README.md       what it is of, and what stayed behind
    methods/OBJECT/SELECTOR.py     and .json: examples and provenance
    objects/NAME.json              slots and parents
    facts, lists                   .md to read, .json to import
    counters.csv                   one row per entry
    labels.json                    of lists and counters: the grants that had a say in them
    reminders.ics, reminders.json  for any calendar, and to import
    documents/*.md, index.json     the text of each passage
    talks, conversations, missions .jsonl
    settings.toml, personas.json, grants.json

It is the image of one moment, whatever is committed meanwhile. The folder appears when it is whole.
"""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import json
import re
import secrets
import shutil
import time
from collections.abc import Sized
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.core.redaction import hide_secrets
from bat_os.core.settings import CARRIED, FILE, resolve
from bat_os.core.values import Counted, ignore_progress, to_wire
from bat_os.errors import ArgumentsError, BatError, CancelledError, SettingsError
from bat_os.image import grants, memory, schedules
from bat_os.image.catalog import catalog_in
from bat_os.image.family import is_of_program
from bat_os.image.files import export, lineage
from bat_os.image.files.disk import check_absolute, coded, in_thread
from bat_os.image.files.layers import is_in_files, path_of
from bat_os.image.history import experience
from bat_os.image.history.moments import look_at
from bat_os.image.objects import Method, UvmObject
from bat_os.image.preferences import list_entries
from bat_os.image.shipped import SHIPPED
from bat_os.natives.recurrence import as_rrule, find_zone

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
    from pathlib import Path

    from bat_os.image.facts import Fact
    from bat_os.image.knowledge.document import Document
    from bat_os.image.schedules import Schedule
    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]

MARK: Final = "bat_os_belongings"
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
LISTS, COUNTERS = "lists_obj", "counters_obj"
# What has files of its own, or is the program's, and not an object's own slots.
APART: Final = frozenset({(LISTS, "lists"), (COUNTERS, "logs")})
OF_PROGRAM: Final = frozenset({"about", "persona", "role", "state", "does"})
MAX_LEFT: Final = 1_000
_PAGE: Final = 200  # missions that are read at once
_EVERY: Final = 1.0  # seconds between two words on how far it has come
_README: Final = """\
# What BAT OS knew of you

Written by BAT OS {version} on {day}. `batos import --all FOLDER` takes it into another mind; other
programs read it as it is.

| file | holds |
|---|---|
| `methods/` | what was learned or taught, as Python; beside it examples and provenance as JSON |
| `objects/` | your objects: slots and parents |
| `facts.md`, `facts.json` | what you said to remember |
| `lists.md`, `lists.json` | lists |
| `counters.csv` | counters: what, unit, when, how much |
| `labels.json` | which grants had a say in lists and counters |
| `reminders.ics`, `reminders.json` | reminders and all else that happens at a time |
| `documents/` | the text of each document that was learned |
| `talks.jsonl`, `conversations.jsonl`, `missions.jsonl` | what was asked and answered |
| `settings.toml`, `personas.json` | what you have set |
| `grants.json` | what could be reached outside; to be granted again by you |

Keys and tokens are not in it. What stayed behind:

{left}
"""


async def export_all(
    image: ImageStore, folder: Path, progress: Callable[[str], None] = ignore_progress
) -> dict[str, Any]:
    """Write all that a person has put into the image to the new folder ``folder``.

    Returns:
        ``folder``, ``counts`` by kind, and ``left``: what stayed behind, in words.

    Raises:
        ArgumentsError: The folder is there already, or is not an absolute path.
    """
    check_absolute(folder, "the folder of an export")
    tid = await image.transact(_last, note="find the last transaction")
    home = path_of(image.storage).parent if is_in_files(image.storage) else None
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    said = [Counted("exporting", 0, 1)]

    def work(stop: threading.Event) -> dict[str, Any]:
        with coded(f"{folder} cannot be written"):
            if folder.exists() or folder.is_symlink():
                raise ArgumentsError(f"{folder} is there already; name a new folder")
            try:
                draft.mkdir(mode=0o700, parents=True)
                writer = _Writer(draft, stop, said)
                look_at(image, tid, lambda root: writer.write(root, home))
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return {"folder": str(folder), "counts": writer.counts, "left": writer.left}

    telling = asyncio.create_task(_tell(said, progress))
    try:
        return await in_thread(work)
    finally:
        telling.cancel()


def _last(root: Any) -> str:
    return str(root._p_jar.db().lastTransaction().hex())


async def _tell(said: list[Counted], progress: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(_EVERY)
        progress(said[-1])


class _Writer:
    """Writes one folder; ``counts`` and ``left`` say what went in and what did not."""

    def __init__(self, folder: Path, stop: threading.Event, said: list[Counted]) -> None:
        self.counts: dict[str, int] = {}
        self.left: list[str] = []
        self._folder = folder
        self._stop = stop
        self._said = said
        self._names: set[str] = set()

    def write(self, root: Root, home: Path | None) -> None:
        """Write everything."""
        granted = {each.oid: each for each in grants.every(root)}
        self._grants(root, granted.values())
        self._objects(root, {oid for oid in granted if granted[oid].driver})
        self._facts(list(memory.facts_in(root, every=True)))
        self._lists(root)
        self._labels(root)
        self._counters(root)
        self._reminders(schedules.live(root))
        self._documents(catalog_in(root).documents("document"))
        self._talk(root)
        self._personas(root)
        self._settings(home)
        if models := sorted(root.get("models", {})):
            self.left.append(f"the models {', '.join(models)}: batos models add fetches them again")
        day = dt.datetime.now().astimezone().date()
        manifest = {
            MARK: FORMAT, "program": bat_os.__version__, "made": time.time(),
            "mind": lineage.mind_of(root), "counts": self.counts, "left": self.left,
        }  # fmt: skip
        self._json(MANIFEST, manifest)
        left = "\n".join(f"- {line}" for line in self.left) or "- nothing"
        self._put("README.md", _README.format(version=bat_os.__version__, day=day, left=left))

    def _objects(self, root: Root, granted: set[str]) -> None:
        mind, older = lineage.mind_of(root), 0
        for name, obj in self._each("objects", root["objects"].items()):
            if not isinstance(obj, UvmObject) or obj._p_oid.hex() in granted:
                continue
            own = is_of_program(root, name)
            self._object(root, name, obj, own=own)
            learned = [m for m in obj.slots.values() if isinstance(m, Method) and m.current >= 0]
            older += sum(len(method.versions) - 1 for method in learned)
            mine = [m.selector for m in learned if m.version.status != SHIPPED]
            folder = f"methods/{self._name('methods', name)}" if mine else ""
            for selector in mine:
                self._method(obj, selector, mind, folder)
        if older:
            self.left.append(f"{older} earlier versions of methods: only a backup has them")

    def _object(self, root: Root, name: str, obj: UvmObject, *, own: bool) -> None:
        apart = OF_PROGRAM | set(list_entries(root, name)) if own else frozenset()
        slots = {
            slot: value
            for slot, value in obj.slots.items()
            if not isinstance(value, Method) and slot not in apart and (name, slot) not in APART
            and not (own and isinstance(value, UvmObject) and is_of_program(root, value.name))
        }  # fmt: skip
        if own and not slots and not obj.labels:
            return
        bare = UvmObject(name, () if own else obj.parents)
        bare.labels = obj.labels
        for slot, value in slots.items():
            bare.slots = {slot: value}
            try:
                export.export_object(bare)
            except BatError as error:
                self.left.append(f"{name}.{slot}: {error}")
                slots = {key: held for key, held in slots.items() if key != slot}
        bare.slots = slots
        try:
            content = export.export_object(bare, lineage.mind_of(root))
        except BatError as error:
            self.left.append(f"{name}: {error}")
            return
        self._json(f"objects/{self._name('objects', name)}.json", content)
        self._count("objects")

    def _method(self, obj: UvmObject, selector: str, mind: Mapping[str, str], folder: str) -> None:
        try:
            content = export.export_method(obj, selector, mind)["content"]
        except BatError as error:
            self.left.append(f"{obj.name}.{selector}: {error}")
            return
        path = f"{folder}/{self._name(folder, selector)}"
        self._put(f"{path}.py", content["source"])
        self._json(f"{path}.json", {**content, "source": ""})
        self._count("methods")

    def _facts(self, facts: list[Fact]) -> None:
        kept = [fact for fact in reversed(facts) if not fact.hidden]
        if gone := len(facts) - len(kept):
            self.left.append(f"{gone} facts that you had forgotten")
        self._json("facts.json", [fact.to_plain() for fact in kept])
        lines = [
            f"- {fact.text} ({_day(fact.told_at)}{', ' if fact.source else ''}{fact.source})"
            + (" - no longer so" if fact.replaced_by else "")
            for fact in kept
        ]
        self._put("facts.md", "# Facts\n\n" + "\n".join(lines) + "\n")
        self._count("facts", len(kept))

    def _labels(self, root: Root) -> None:
        """Write which grants had a say in what has a file of its own."""
        found: dict[str, dict[str, list[str]]] = {}
        for name, slot in sorted(APART):
            if (obj := root["objects"].get(name)) is not None and slot in obj.labels:
                found[name] = {slot: list(obj.labels[slot])}
        self._json("labels.json", found)

    def _lists(self, root: Root) -> None:
        lists = _slot(root, LISTS, "lists")
        self._json("lists.json", to_wire(lists))
        text = [
            f"## {name}\n\n"
            + "".join(f"- [{'x' if e.get('done') else ' '}] {e.get('text')}\n" for e in entries)
            for name, entries in lists.items()
        ]
        self._put("lists.md", "\n".join(["# Lists\n", *text]))
        self._count("lists", len(lists))

    def _counters(self, root: Root) -> None:
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(("counter", "unit", "at", "number"))
        logs = _slot(root, COUNTERS, "logs")
        for name, kept in logs.items():
            rows = [row for entry in kept["log"] for row in _by_day(entry)]
            table.writerows((name, kept["unit"], *row) for row in rows)
            if not rows:
                table.writerow((name, kept["unit"], "", ""))
        self._put("counters.csv", out.getvalue())
        self._count("counters", len(logs))

    def _reminders(self, live: list[Schedule]) -> None:
        self._json("reminders.json", [to_wire(asdict(one)) for one in live])
        with (self._folder / "reminders.ics").open("wb") as stream:
            stream.write(as_calendar(live))
        self._count("reminders", len(live))

    def _documents(self, documents: list[Document]) -> None:
        index = []
        for document in self._each("documents", documents):
            name = f"{self._name('documents', document.title)}.md"
            self._put(f"documents/{name}", _as_markdown(document))
            about = {key: value for key, value in document.meta.items() if key != "sha256"}
            index.append(
                {"file": name, "title": document.title, "label": list(document.label),
                 "meta": to_wire(about)}
            )  # fmt: skip
        self._json("documents/index.json", index)
        self._count("documents", len(documents))

    def _talk(self, root: Root) -> None:
        talks = [dict(talk) for talk in root.get(experience.TALKS, {}).values()]
        self._lines("talks", talks)
        said = [dict(obj.slots) for obj in root.get("conversations", {}).values()]
        names = ("session", "at", "language", "exchanges")
        self._lines("conversations", ({name: one.get(name) for name in names} for one in said))
        self._lines("missions", self._missions(root))

    def _missions(self, root: Any) -> Iterator[Mapping[str, Any]]:
        after, more = "", True
        while more:
            found, after = experience.page(root, after, _PAGE)
            yield from found
            more = bool(after)

    def _personas(self, root: Root) -> None:
        found: dict[str, dict[str, Any]] = {}
        for name in root.get("entries", {}):
            for key, record in list_entries(root, name).items():
                if record["current"]:
                    value = record["versions"][record["current"]]["value"]
                    found.setdefault(name, {})[key] = value
        self._json("personas.json", to_wire(found))
        self._count("entries", sum(map(len, found.values())))

    def _settings(self, home: Path | None) -> None:
        path = home / FILE if home else None
        text = path.read_text(encoding="utf-8") if path and path.is_file() else ""
        try:
            found = resolve(text, {}, {})
        except SettingsError as error:
            self.left.append(f"the settings: {error}")
            return
        said = {name: getattr(found.settings, name) for name, by in found.origins.items()
                if by.startswith(FILE)}  # fmt: skip
        for name in sorted(said.keys() - CARRIED):
            self.left.append(f"the setting {name}: it is about that machine, its models or files")
        kept = {name: value for name, value in said.items() if name in CARRIED}
        shown = {name: str(value) for name, value in kept.items()}
        for name in [name for name, text in shown.items() if hide_secrets(text) != text]:
            self.left.append(f"the setting {name}: it holds a password or token")
            del kept[name]
        self._put("settings.toml", as_toml(kept))
        self._count("settings", len(kept))

    def _grants(self, root: Root, given: Iterable[grants.Grant]) -> None:
        rows = []
        for each in given:
            if each.has_ended(time.time()):
                continue
            obj = root["objects"].get(each.name)
            about = hide_secrets(str(obj.slots.get("about", ""))) if obj is not None else ""
            rows.append({"object": each.name, "reaches": about, "may": list(each.operations)})
            name = each.name or "an object"
            self.left.append(f"what {name} may reach ({about}): grant it again by batos grant")
        self._json("grants.json", rows)
        self._count("grants", len(rows))

    def _lines(self, kind: str, records: Iterable[Mapping[str, Any]]) -> None:
        with (self._folder / f"{kind}.jsonl").open("x", encoding="utf-8") as stream:
            for record in self._each(kind, records):
                self._count(kind)
                line = json.dumps(to_wire(dict(record)), ensure_ascii=False, default=repr)
                stream.write(line + "\n")

    def _each(self, kind: str, records: Iterable[Any]) -> Iterator[Any]:
        """Yield records; say how far it is, and end where who asked has gone."""
        total = len(records) if isinstance(records, Sized) else 0
        for at, record in enumerate(records):
            if self._stop.is_set():
                raise CancelledError("the export was cancelled")
            self._said[-1] = Counted(f"exporting {kind}: {at}", at, total or at + 1)
            yield record

    def _name(self, group: str, title: str) -> str:
        """Return a file name for a title, that no other has, on any file system."""
        plain = re.sub(r"[^\w.-]+", "-", title).strip("-.")[:60] or "untitled"
        name, number = plain, 1
        while f"{group}/{name}".casefold() in self._names:
            number += 1
            name = f"{plain}-{number}"
        self._names.add(f"{group}/{name}".casefold())
        return name

    def _count(self, kind: str, by: int = 1) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + by

    def _json(self, name: str, value: Any) -> None:
        self._put(name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def _put(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as stream:
            stream.write(text)


def as_toml(values: Mapping[str, Any]) -> str:
    """Return settings as the text of a settings file."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def _slot(root: Root, name: str, slot: str) -> dict[str, Any]:
    obj = root["objects"].get(name)
    held = obj.slots.get(slot) if obj is not None else None
    return held if isinstance(held, dict) else {}


def _day(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment).astimezone().date().isoformat()


def _by_day(entry: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return when and how much was counted; counters_obj keeps what is older by month."""
    days = entry.get("days")
    if days is None:
        return [(entry["at"], entry["number"])]
    month = entry["at"][:8]
    return [(f"{month}{day:02d}T00:00:00", count) for day, count in enumerate(days, 1) if count]


def _as_markdown(document: Document) -> str:
    """Return the passages of a document under their headings."""
    above: list[str] = []
    parts: list[str] = []
    for position, text in enumerate(document.passages):
        section = document.section(position)
        names = section.split(" > ") if section else []
        same = 0
        while same < min(len(names), len(above)) and names[same] == above[same]:
            same += 1
        parts += [f"{'#' * min(at + 1, 6)} {names[at]}" for at in range(same, len(names))]
        above = names
        parts.append(text)
    return "\n\n".join(parts) + "\n"


def as_calendar(live: Iterable[Schedule]) -> bytes:
    """Return schedules as iCalendar (RFC 5545); those that wait for files are not in it."""
    from icalendar import Calendar, Event  # a tenth of a second, for this alone

    calendar = Calendar()
    calendar.add("prodid", "-//BAT OS//EN")
    calendar.add("version", "2.0")
    for one in live:
        if one.next is None:
            continue
        event = Event()
        event.add("uid", f"{one.number}-{int(one.made)}@bat-os")
        event.add("summary", one.text or one.kind)
        event.add("dtstamp", dt.datetime.fromtimestamp(one.made, dt.UTC))
        # Without a zone it is the time of day wherever the calendar is.
        start = dt.datetime.fromtimestamp(one.next, find_zone(one.zone))
        event.add("dtstart", start if one.zone else start.replace(tzinfo=None))
        if (rule := as_rrule(one.rule)) is not None:
            event.add("rrule", rule)
        elif "at" not in one.rule:
            event.add("description", f"again: {json.dumps(to_wire(dict(one.rule)))}")
        calendar.add_component(event)
    calendar.add_missing_timezones()
    made: bytes = calendar.to_ical()
    return made
