"""What an import puts into the image: the rows it takes, and one function for each kind.

The functions work on the root inside ``ImageStore.transact``; what is here already stays as it is.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from bat_os.core.brief import Brief, checked
from bat_os.core.schema import Meta, Record, convert, field, number, one_of, text
from bat_os.core.scopes import PERSON, SCOPES, demand, demand_message
from bat_os.core.values import check_slot_name
from bat_os.errors import ArgumentsError, BatError, NotFoundError
from bat_os.image import grants, memory, schedules
from bat_os.image.family import set_parents
from bat_os.image.files import export, lineage
from bat_os.image.history.experience import MAX_TALKS, TALKS, keep_talk
from bat_os.image.objects import Method, UvmObject, connection_of, find, ref_of
from bat_os.image.shipped import SHIPPED
from bat_os.kernel.entries import OF_A_PERSON

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.image.facts import Fact
    from bat_os.image.files.incoming import Folder

    Root = MutableMapping[str, Any]

MAX_ROWS: Final = 1_000_000  # of one table
SHORT: Final = text(300)
_LONG: Final = text(100_000)
_TIME: Final = number(0, 1 << 53)
_Names = Annotated[list[Annotated[str, SHORT]], Meta(max_length=1_000)]


class FactRow(Record, frozen=True, forbid_unknown_fields=False):
    """A fact of ``facts.json``."""

    id: Annotated[str, text(40, least=12, pattern="[0-9a-f]+")]
    text: Annotated[str, text(100_000, filled=True)]
    told_at: Annotated[float, _TIME]
    when: _Names = field(default_factory=list)
    where: Annotated[str, SHORT] = ""
    about: Annotated[str, SHORT] = ""
    source: Annotated[str, SHORT] = ""
    label: Annotated[str, text(10_000)] = ""
    replaced_by: Annotated[str, SHORT] = ""
    replaces: _Names = field(default_factory=list)


class ItemRow(Record, frozen=True, forbid_unknown_fields=False):
    """An entry of a list."""

    text: Annotated[str, _LONG]
    done: bool = False
    at: Annotated[str, SHORT] = ""


class DocumentRow(Record, frozen=True, forbid_unknown_fields=False):
    """A document of ``documents/index.json``."""

    file: Annotated[str, text(200, pattern=r"[\w-][\w.-]*\.md")]
    title: Annotated[str, text(1_000)]
    label: _Names = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


class ReminderRow(Record, frozen=True, forbid_unknown_fields=False):
    """A schedule of ``reminders.json``."""

    kind: Annotated[str, one_of(("remind", "timer", "alarm", "say", "send", "learn"))]
    text: Annotated[str, _LONG]
    rule: dict[str, Any]
    zone: Annotated[str, SHORT] = ""
    brief: dict[str, Any] | None = None
    missed: Annotated[str, one_of(schedules.POLICIES)] = "once"
    grace: Annotated[float, _TIME] = schedules.GRACE
    made: Annotated[float, _TIME] = 0.0
    language: Annotated[str, text(2, pattern="[a-z]{2}")] = "en"
    caller: Annotated[str, SHORT] = ""


class _SaidRow(Record, frozen=True, forbid_unknown_fields=False):
    persona: Annotated[str, SHORT]
    text: Annotated[str, _LONG]


class TalkRow(Record, frozen=True, forbid_unknown_fields=False):
    """A line of ``talks.jsonl``: what the list of talks needs of it."""

    talk: Annotated[str, text(100, filled=True)]
    asked: Annotated[float, _TIME]
    question: Annotated[str, _LONG]
    answers: list[_SaidRow]


class _BriefRow(Record, frozen=True, forbid_unknown_fields=False):
    target: Annotated[str, SHORT]
    selector: Annotated[str, SHORT]
    args: list[Any]
    kwargs: dict[str, Any]
    text: Annotated[str, _LONG]
    examples: list[dict[str, Any]]
    label: _Names = field(default_factory=list)
    may: Annotated[str, one_of((*SCOPES, PERSON))] = PERSON


def read_brief(plain: Any, folder: Folder, here: str, may: str) -> Brief:
    """Return the message of an imported schedule; grants of another image let nothing through.

    Args:
        plain: What the file says.
        folder: The export that it is from.
        here: Id of this image.
        may: The scope of who imports: the message never has more.

    Raises:
        ArgumentsError: It is not a message.
        UnauthorizedError: Who imports, or who made it, may not send it.
    """
    row = convert(plain, _BriefRow, ArgumentsError, "its message")
    demand(may, row.may, "the message of a schedule")
    label = tuple(folder.label(row.label, here))
    brief = checked(
        Brief(row.target, row.selector, tuple(row.args), row.kwargs, row.text, label=label,
              may=row.may)
    )  # fmt: skip
    demand_message(row.may, brief.selector)
    return brief


def check_reach(root: Root, brief: Brief) -> None:
    """Refuse a message to, or with, what is not here or has a grant here.

    Raises:
        ArgumentsError: It is one.
    """
    named, stack = [brief.target], [*brief.args, *brief.kwargs.values()]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            named += [str(item["ref"])] if "ref" in item else []
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    for name in named:  # by name alone: an oid of there means something else here
        if (obj := root["objects"].get(name)) is None:
            raise ArgumentsError(f"it names {name[:100]}, which is not here")
        if grants.chain(root, ref_of(obj).oid, time.time()):
            raise ArgumentsError(f"it names {name[:100]}, which has a grant here; make it again")


def source_in(root: Root, target: str, selector: str) -> str:
    """Return the source of a method that a person has here; "" if the program's own runs."""
    if target not in root["objects"]:  # an oid of there means something else here
        raise NotFoundError(f"{target[:100]!r} is not here")
    held = find(root, target).slots.get(selector)
    if not isinstance(held, Method) or held.current < 0 or held.version.status == SHIPPED:
        return ""
    return str(held.version.source)


def put_objects(root: Root, contents: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Make what is missing, all before the first reference; return how many, and what is left."""
    left, made = [], dict[str, UvmObject]()
    for content in contents:
        if (name := content["name"]) not in root["objects"]:
            made[name] = root["objects"][name] = UvmObject(name)
            connection_of(root).add(made[name])
    here, changed = lineage.mind_of(root), set(made)
    for content in contents:
        name, labels = content["name"], export.labels_of(content, here)
        obj = root["objects"][name]
        if name in made:
            known = [one for one in content["parents"] if one in root["objects"]]
            left += [f"{name}: its parent {one} is not here" for one in content["parents"]
                     if one not in known]  # fmt: skip
            try:
                set_parents(obj, [find(root, one) for one in known])
            except BatError as error:
                left.append(f"{name}: {error}")
        for slot, value in content["slots"].items():
            try:
                changed |= {name} if _put_slot(root, obj, slot, value, labels) else set()
            except BatError as error:
                left.append(f"{name}.{slot}: {error}")
        for slot, label in labels.items():  # "": of the parents; or of a slot that is not there
            if name in made or (slot and slot not in obj.slots):
                obj.set_label(slot, {*obj.labels.get(slot, ()), *label})
    return len(changed), left


def _put_slot(
    root: Root, obj: UvmObject, slot: str, value: Any, labels: Mapping[str, list[str]]
) -> bool:
    """Set a slot that is not there yet; return whether that was so.

    Raises:
        NotFoundError: It refers to an object that is not here.
        ArgumentsError: It holds something else, or only a person sets it.
    """
    check_slot_name(slot)
    if slot in OF_A_PERSON.get(obj.name, ()):
        raise ArgumentsError("only you set it; it was not taken over")

    def resolve_name(held: str) -> UvmObject:
        if held not in root["objects"]:
            raise NotFoundError(f"it refers to {held}, which is not here")
        return find(root, held)

    plain = export.decode(value, resolve_name)
    if slot in obj.slots:
        if obj.slots[slot] == plain:
            return False
        raise ArgumentsError("the slot holds something else here, and stays")
    obj.set_slot(slot, plain, {*obj.labels.get(slot, ()), *labels.get(slot, ())})
    return True


def put_facts(root: Root, facts: list[Fact], vectors: Any) -> int:
    """Keep the facts that are not known here; return how many. ``vectors``: a row for each."""
    known = {fact.text: fact.id for fact in memory.facts_in(root)}
    count = 0
    for row, fact in enumerate(facts):
        if memory.fact_of(root, fact.id) is not None:
            continue
        if (kept := known.get(fact.text, "")) == "":
            bare = replace(fact, replaces=(), replaced_by="")
            kept = memory.keep(root, bare, vectors[row : row + 1]).id
            if fact.replaced_by:  # perhaps by one that was forgotten, and is not in the folder
                memory.change(root, kept, None, replaced_by=fact.replaced_by)
            count += 1
        held = memory.fact_of(root, kept)
        for old in fact.replaces:
            if held is not None and old not in held.replaces:
                memory.supersede(root, old, kept)
    return count


def put_talks(root: Root, talks: list[dict[str, Any]]) -> tuple[int, int]:
    """Keep talks that are not here; return how many, and for how many there is no room."""
    fresh = [talk for talk in talks if talk["talk"] not in root.get(TALKS, {})]
    room = max(0, MAX_TALKS - len(root.get(TALKS, {})))  # beyond it the oldest of here would go
    for talk in fresh[:room]:
        keep_talk(root, talk["talk"], talk)
    return len(fresh[:room]), len(fresh[room:])


def read_counters(whole: str) -> tuple[dict[str, Any], list[str]]:
    """Return the counters in a table, and what of it cannot be read."""
    logs: dict[str, Any] = {}
    problems: list[str] = []
    table = csv.reader(io.StringIO(whole, newline=""))
    for at in range(MAX_ROWS):
        try:
            if (row := next(table, None)) is None:
                break
            if not at or not row:
                continue
            name, unit, moment, amount = row
            kept = logs.setdefault(name[:300], {"unit": unit[:100], "log": []})
            if moment or amount:
                when = dt.datetime.fromisoformat(moment).isoformat()
                count = float(amount)
                whole_one = int(count) if count.is_integer() and abs(count) < 1 << 53 else count
                kept["log"].append({"at": when, "number": whole_one})
        except (ValueError, OverflowError, csv.Error) as error:
            problems.append(f"counters.csv, line {at + 1}: {error}"[:300])
    return logs, problems
