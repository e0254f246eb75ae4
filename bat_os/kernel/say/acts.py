"""Carries out forms: what a sentence of an exact shape wants of lists, counters and memory.

    Form("lists_obj.add", {"items": ["milk"], "list": "shopping"})
        > lists_obj.add(["milk"], "shopping"), one turn > "I added milk to the shopping list."

Lists and counters are ordinary methods, so each act is a turn with one commit, which ``undo`` can
take back. What deletes more than one thing asks first.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.image.store import watch_commits
from bat_os.kernel.say import recall
from bat_os.kernel.say.recall import Asked
from bat_os.kernel.turn import take_turn
from bat_os.sentence.periods import find_period

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.kernel.context import KernelContext
    from bat_os.sentence.forms import Form
    from bat_os.sentence.reading import Sentence

    # A turn that writes, by way of the dispatcher: the body of its result.
    Send = Callable[[Brief], Awaitable[Mapping[str, Any]]]

LISTS: Final = "lists_obj"
COUNTERS: Final = "counters_obj"
MAX_ITEMS: Final = 200
MAX_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Act(Asked):
    """A form, with the way to the objects that carry it out."""

    send: Send | None = None
    commits: list[str] = field(default_factory=list)

    async def read(self, target: str, selector: str, *args: Any) -> Any:
        """Return what a message answers that changes nothing."""
        brief = Brief(target, selector, args)
        answer = await take_turn(self.mind.image, self.mind.cell, brief, commit_reads=False)
        return answer.value

    async def write(self, target: str, selector: str, *args: Any) -> Any:
        """Return what a message answers; at most one of them changes something per act."""
        brief = Brief(target, selector, args)
        with watch_commits() as commits:
            if self.send is not None:
                value = (await self.send(brief))["result"]
            else:
                value = (await take_turn(self.mind.image, self.mind.cell, brief)).value
        self.commits.extend(commits)
        return value

    def acted(self, key: str, value: Any = None, **values: Any) -> Answer:
        """Return that it was done."""
        return self.done(self.say(key, **values), self.commits, value)

    @property
    def confirmed(self) -> bool:
        """Return whether a person has said yes to it."""
        return self.values.get("confirmed") is True


async def act(
    mind: KernelContext,
    form: Form,
    sentence: Sentence,
    *,
    now: dt.datetime,
    caller: str,
    send: Send | None = None,
) -> Answer | None:
    """Carry out a form; None if it is not one of these, or if it does not apply after all.

    Args:
        mind: The kernel.
        form: What is wanted.
        sentence: As it was read.
        now: The present moment with the person's zone.
        caller: Who says it.
        send: How a message that changes something is sent; without it, as a turn of its own.
    """
    values = any(value.kind not in ("date", "name") for value in sentence.values)
    one = Act(
        mind, form.name, form.values, sentence.language, now, values, form.certain, send=send
    )  # fmt: skip
    if (carry_out := recall.ACTS.get(form.name)) is not None:
        return await carry_out(one)
    if (run := ACTS.get(form.name)) is not None:
        return await run(one)
    return None


async def _find_list(one: Act) -> tuple[str | None, list[str]]:
    """Return the list that is meant, and the names of all; None if there is none or several."""
    names = await one.read(LISTS, "names")
    said = one.slot("list")[:MAX_NAME]
    return (await one.read(LISTS, "find", said) if names else None), names


def _no_list(one: Act, names: list[str]) -> Answer:
    said = one.slot("list")
    if not names:
        return one.answer("unable", "lists.no_lists")
    if not said:
        return _which_list(one, names)
    return one.answer("unable", "lists.unknown_near", list=said, lists=names)


def _which_list(one: Act, names: list[str]) -> Answer:
    forms = [{"name": one.name, "values": {**one.values, "list": name}} for name in names]
    return Answer(
        "asked", one.say("lists.which"), needs="clarification", choices=tuple(names),
        language=one.language, memory={"forms": forms},
    )  # fmt: skip


def _items(one: Act) -> list[str]:
    given = one.values.get("items") or one.values.get("item") or []
    items = [given] if isinstance(given, str) else list(given)
    said = (" ".join(str(item).split()).strip(" .,;!") for item in items[:MAX_ITEMS])
    return [item[:1_000] for item in said if item]


async def _add(one: Act) -> Answer | None:
    name, names = await _find_list(one)
    items = _items(one)
    if (name is None and one.values.get("known")) or not _may_be_listed(one, items):
        return None
    if counted := await _counted(one, items):
        return await _count_up(counted)
    if name is None and not one.slot("list"):
        return _which_list(one, names or [one.say("lists.first"), one.say("lists.second")])
    name = name or one.slot("list")
    before = {text.casefold() for text in await one.read(LISTS, "show", name) or []}
    fresh = [item for item in items if item.casefold() not in before]
    value = await one.write(LISTS, "add", items, name)
    key, told = ("lists.added", fresh) if fresh else ("lists.already", items)
    return one.done(one.say(key, items=told, list=name), one.commits, value, list=name)


def _may_be_listed(one: Act, items: list[str]) -> bool:
    """Return False for nothing, and for numbers without a list: they are to be added up."""
    return any(one.slot("list") or re.search(r"[^\W\d]", item) for item in items)


async def _counted(one: Act, items: list[str]) -> Act | None:
    """Return "add 25 pushups" as an act on the counter of pushups, if that is what is meant."""
    if one.slot("list") or len(items) != 1:
        return None
    number, _, thing = items[0].partition(" ")
    if not re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", number) or not thing:
        return None
    if await one.read(COUNTERS, "find", thing) is None:
        return None
    values = {"number": float(number) if "." in number else int(number), "thing": thing}
    return replace(one, name="counters_obj.add", values=values)


async def _remove(one: Act) -> Answer:
    name, names = await _find_list(one)
    if name is None:
        return _no_list(one, names)
    items = _items(one)
    gone = await one.write(LISTS, "remove", items, name)
    if not gone:
        return one.answer("unable", "lists.missing_item", item=items, list=name)
    return one.acted("lists.removed", gone, items=gone, list=name)


async def _show(one: Act) -> Answer | None:
    name, names = await _find_list(one)
    if name is None and one.values.get("known"):
        return None
    if name is None:
        return _no_list(one, names)
    entries = await one.read(LISTS, "entries", name)
    if not entries:
        return one.answer("recalled", "lists.empty", [], list=name)
    mark = one.say("lists.done")
    shown = [f"{e['text']} ({mark})" if e["done"] else e["text"] for e in entries]
    texts = [entry["text"] for entry in entries]
    return one.answer("recalled", "lists.shown", texts, list=name, items=shown)


async def _names(one: Act) -> Answer:
    names = await one.read(LISTS, "names")
    if not names:
        return one.answer("recalled", "lists.no_lists", [])
    return one.answer("recalled", "lists.names", names, lists=names)


async def _clear(one: Act) -> Answer:
    name, names = await _find_list(one)
    if name is None:
        return _no_list(one, names)
    count = len(await one.read(LISTS, "show", name))
    if not count:
        return one.answer("recalled", "lists.empty", [], list=name)
    if not one.confirmed:
        return one.confirm(one.say("lists.confirm_clear", count=count, list=name), list=name)
    await one.write(LISTS, "clear", name)
    return one.acted("lists.cleared", count=count, list=name)


async def _drop(one: Act) -> Answer:
    name, names = await _find_list(one)
    if name is None:
        return _no_list(one, names)
    if not one.confirmed:
        count = len(await one.read(LISTS, "show", name))
        return one.confirm(one.say("lists.confirm_drop", count=count, list=name), list=name)
    await one.write(LISTS, "drop", name)
    return one.acted("lists.dropped", list=name)


async def _check(one: Act) -> Answer:
    name, names = await _find_list(one)
    if name is None:
        return _no_list(one, names)
    item = one.slot("item")
    has = await one.read(LISTS, "check", item, name)
    return one.answer(
        "recalled", "lists.has" if has else "lists.has_not", has, item=item, list=name
    )


async def _count(one: Act) -> Answer:
    name, names = await _find_list(one)
    if name is None:
        return _no_list(one, names)
    count = await one.read(LISTS, "count", name)
    return one.answer("recalled", "lists.count", count, count=count, list=name)


async def _tick(one: Act) -> Answer | None:
    name, names = await _find_list(one)
    item = one.slot("item") or " ".join(_items(one))
    for known in [name] if name else names:
        if await one.read(LISTS, "match", item, known):
            done = await one.write(LISTS, "tick", item, known)
            return one.acted("lists.ticked", done, item=done)
    if not one.certain:
        return None
    return one.answer("unable", "lists.not_ticked", item=item)


async def _create(one: Act) -> Answer:
    said, items = one.slot("list")[:MAX_NAME], _items(one)
    known = await one.read(LISTS, "find", said) if said else None
    if known is not None and not items:
        return one.answer("recalled", "lists.exists", list=known)
    value = await one.write(LISTS, "create", known or said or one.say("lists.second"), items)
    key = "lists.created_with" if items else "lists.created"
    return one.acted(key, value, list=known or said, items=items)


async def _rename(one: Act) -> Answer:
    name, names = await _find_list(one)
    if name is None:
        return _no_list(one, names)
    to = one.slot("to")[:MAX_NAME]
    done = await one.write(LISTS, "rename", name, to) if to else None
    if done is None:
        return one.answer("unable", "lists.exists", list=to)
    return one.acted("lists.renamed", done, list=name, to=done)


async def _count_up(one: Act) -> Answer | None:
    thing, number = one.slot("thing")[:MAX_NAME], one.values.get("number", 1)
    if not thing or type(number) not in (int, float):
        return None
    at = one.now.replace(tzinfo=None).isoformat(timespec="seconds")
    sign = -1 if one.name.endswith("subtract") else 1
    known = await one.read(COUNTERS, "find", thing)
    if known is None and one.values.get("known"):
        return None
    if sign < 0 and known is None:
        return one.answer("unable", "counters.unknown", thing=thing)
    thing = known or thing
    await one.write(COUNTERS, "add", thing, sign * number, one.slot("unit"), at)
    if not number:
        return one.acted("counters.created", 0, thing=thing)
    total = await _total(one, thing, (one.now.date(), one.now.date()))
    key = "counters.added" if sign > 0 else "counters.subtracted"
    return one.acted(key, total, number=number, thing=thing, total=total)


async def _set(one: Act) -> Answer | None:
    """Let a counter stand at a number, whether it is there or not."""
    thing, number = one.slot("thing")[:MAX_NAME], one.values.get("number", 0)
    if not thing or type(number) not in (int, float):
        return None
    at = one.now.replace(tzinfo=None).isoformat(timespec="seconds")
    known = await one.read(COUNTERS, "find", thing)
    if known is None and one.values.get("known"):
        return None
    before = await _total(one, thing, None) if known else 0
    total = await one.write(COUNTERS, "add", thing, number - before, "", at)
    key = "counters.total" if known or number else "counters.created"
    return one.acted(key, total, thing=known or thing, total=total)


async def _total(one: Act, thing: str, span: tuple[dt.date, dt.date] | None) -> Any:
    if span is None:
        return await one.read(COUNTERS, "total", thing)
    after = span[1] + dt.timedelta(days=1)
    return await one.read(COUNTERS, "total", thing, span[0].isoformat(), after.isoformat())


async def _show_total(one: Act) -> Answer | None:
    thing, when = one.slot("thing"), one.slot("when")
    known = await one.read(COUNTERS, "find", thing) if thing else None
    span = find_period(when, one.now, one.language) if when else None
    if known is None and (one.values.get("known") or not thing):
        return None
    if known is None:
        return one.answer("unable", "counters.unknown", thing=thing)
    total = await _total(one, known, span)
    if span is None:
        return one.answer("recalled", "counters.total", total, thing=known, total=total)
    if not total:
        return one.answer("recalled", "counters.none_when", 0, thing=known, when=when)
    return one.answer("recalled", "counters.total_when", total, thing=known, when=when, total=total)


async def _reset(one: Act) -> Answer | None:
    thing = one.slot("thing")
    if one.values.get("known") and await one.read(COUNTERS, "find", thing) is None:
        return None
    if await one.read(COUNTERS, "find", thing) is None:
        return one.answer("unable", "counters.unknown", thing=thing)
    total = await one.write(COUNTERS, "reset", thing)
    return one.acted("counters.reset", total, thing=thing, total=total)


async def _counters(one: Act) -> Answer:
    totals = await one.read(COUNTERS, "names")
    if not totals:
        return one.answer("recalled", "counters.no_counters", {})
    things = [f"{name} ({one.say('talk.value', value=total)})" for name, total in totals.items()]
    return one.answer("recalled", "counters.names", totals, things=things)


async def _remind(one: Act) -> Answer:
    """Say that nothing can ring yet: that takes a person's leave to run at a moment."""
    wanted = " ".join(part for part in (one.slot("text"), one.slot("when")) if part)
    key = {"timer": "timer", "alarm": "alarm"}.get(one.name.partition(".")[2], "grant")
    return Answer(
        "asked", one.say(f"reminders.{key}", text=wanted or "..."), needs="grant",
        language=one.language,
    )  # fmt: skip


async def _reminders(one: Act) -> Answer:
    return one.answer("recalled", "reminders.none", [])


ACTS: Final[Mapping[str, Callable[[Act], Awaitable[Answer | None]]]] = {
    "lists_obj.add": _add,
    "lists_obj.remove": _remove,
    "lists_obj.show": _show,
    "lists_obj.names": _names,
    "lists_obj.clear": _clear,
    "lists_obj.drop": _drop,
    "lists_obj.check": _check,
    "lists_obj.count": _count,
    "lists_obj.tick": _tick,
    "lists_obj.create": _create,
    "lists_obj.rename": _rename,
    "counters_obj.add": _count_up,
    "counters_obj.subtract": _count_up,
    "counters_obj.set": _set,
    "counters_obj.total": _show_total,
    "counters_obj.reset": _reset,
    "counters_obj.names": _counters,
    "reminders_obj.remind": _remind,
    "reminders_obj.timer": _remind,
    "reminders_obj.alarm": _remind,
    "reminders_obj.list": _reminders,
    "reminders_obj.cancel": _reminders,
}
