"""Carries out forms: what a sentence of an exact shape wants of lists, counters and memory.

    Form("lists_obj.add", {"items": ["milk"], "list": "shopping"})
        > lists_obj.add(["milk"], "shopping"), one turn > "I added milk to the shopping list."

Lists and counters are ordinary methods, so each act is a turn with one commit, which ``undo`` can
take back. What deletes more than one thing asks first.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from bat_os.core.answer import Answer
from bat_os.core.scopes import PERSON, demand
from bat_os.image.facts import is_small
from bat_os.kernel.naming import find_named
from bat_os.kernel.say import here, recall, reminders, tallies
from bat_os.kernel.say.recall import Act
from bat_os.kernel.say.tallies import count_up, find_counter
from bat_os.sentence.periods import find_period
from bat_os.sentence.reading import read_sentence

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.recall import Send
    from bat_os.sentence.forms import Form
    from bat_os.sentence.reading import Sentence

LISTS: Final = "lists_obj"
MAX_ITEMS: Final = 200
ONE: Final = frozenset({"a", "an", "another", "ein", "eine", "einen", "un", "une", "una"})
MAX_NAME: Final = 100
_AMOUNTS: Final = frozenset({"number", "percent", "unit", "money", "expression"})


async def act(
    mind: KernelContext,
    form: Form,
    sentence: Sentence,
    *,
    now: dt.datetime,
    request: Request,
    send: Send | None = None,
) -> Answer | None:
    """Carry out a form; None if it is not one of these, or if it does not apply after all.

    Args:
        mind: The kernel.
        form: What is wanted.
        sentence: As it was read.
        now: The present moment with the person's zone.
        request: Says who says it, and what they may.
        send: How a message that changes something is sent; without it, as a turn of its own.
    """
    if form.name == "memory_obj.forget":
        demand(request.may, PERSON, "to forget something")
    values = any(value.kind not in ("date", "name") for value in sentence.values)
    one = Act(
        mind, form.name, form.values, sentence.language, now, values, form.certain, request.caller,
        send=send,
    )  # fmt: skip
    carry_out = ACTS.get(form.name)
    return None if carry_out is None else await carry_out(one)


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
    said = (" ".join(str(item).split()).strip(" ,;") for item in items[:MAX_ITEMS])
    return [item[:1_000] for item in said if item]


async def _add(one: Act) -> Answer | None:
    one = _with_list_apart(one)
    name, names = await _find_list(one)
    items = _items(one)
    if (name is None and one.values.get("known")) or not _may_be_listed(one, items):
        return None
    if name is None and not one.certain and await asyncio.to_thread(_are_amounts, one, items):
        return None  # "add 3 kg and 200 g in grams" names no list
    if counted := await _counted(one, items):
        return await count_up(counted)
    if name is None and not one.slot("list"):
        return _which_list(one, names or [one.say("lists.first"), one.say("lists.second")])
    name = name or one.slot("list")
    before = {text.casefold() for text in await one.read(LISTS, "show", name) or []}
    fresh = [item for item in items if item.casefold() not in before]
    value = await one.write(LISTS, "add", items, name)
    key, told = ("lists.added", fresh) if fresh else ("lists.already", items)
    return one.done(one.say(key, items=told, list=name), one.commits, value, list=name)


def _with_list_apart(one: Act) -> Act:
    """Return the act with the list that an entry names in its place: "milk to my list again"."""
    if one.slot("list") and not one.values.get("spoken"):
        return one
    items, named = _items(one), ""
    for at, item in enumerate(items):
        entry, found = _apart(item, one.say("lists.word"))
        if found and entry:
            items[at], named = entry, found
    return replace(one, values={**one.values, "items": items, "list": named}) if named else one


def _apart(item: str, ending: str) -> tuple[str, str]:
    """Return an entry, and the list that it names at its end or beginning; "" if it names none.

    A list stands behind small words: "to my shopping list", "der Einkaufsliste".
    """
    words = item.split()
    at = next((n for n, word in enumerate(words) if word.casefold().endswith(ending)), -1)
    start = at
    while start > 0 and not is_small(words[start - 1]):
        start -= 1
    first = start
    while first > 0 and is_small(words[first - 1]):
        first -= 1
    is_whole = at >= 0 and len(words[at]) > len(ending)  # "Einkaufsliste"
    if at < 0 or start - first < (1 if is_whole else 2) or (start == at and not is_whole):
        return item, ""
    behind = [] if all(map(is_small, words[at + 1 :])) else words[at + 1 :]
    name = words[at] if is_whole else " ".join(words[start:at])
    return " ".join([*words[:first], *behind]), name


def _may_be_listed(one: Act, items: list[str]) -> bool:
    """Return False for nothing, and for numbers without a list: they are to be added up."""
    return any(one.slot("list") or re.search(r"[^\W\d]", item) for item in items)


def _are_amounts(one: Act, items: list[str]) -> bool:
    """Return whether each entry is an amount, and of nothing: "3 kg", "20 euros"."""
    read = [read_sentence(item, one.now, one.language) for item in items]
    return all(
        {value.kind for value in each.values} <= _AMOUNTS
        and not re.sub(r"\{\w+\}", "", each.masked).strip()
        for each in read
    )


async def _counted(one: Act, items: list[str]) -> Act | None:
    """Return "add 25 pushups" as an act on the counter of pushups, if that is what is meant."""
    if one.slot("list") or len(items) != 1:
        return None
    number, _, thing = items[0].partition(" ")
    number = "1" if number.casefold() in ONE else number
    if not re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", number) or not thing:
        return None
    named = await find_counter(one, thing)
    if named.one is None or not named.whole:
        return None
    values = {"number": float(number) if "." in number else int(number), "thing": thing}
    return replace(one, name="counters_obj.add", values=values)


async def _find_entries(
    one: Act, items: list[str], lists: list[str], *, in_part: bool = True
) -> tuple[list[tuple[str, str]], Answer | None]:
    """Return the entries that are named, each with its list, or the question which are meant."""
    texts = {
        (name, text): text for name in lists for text in await one.read(LISTS, "show", name) or []
    }
    found: list[tuple[str, str]] = []
    for at, item in enumerate(items):
        named = find_named(item, texts, one.language, in_part=in_part)
        if named.one is not None:
            found.append(named.one)
        elif named.found:
            return [], _which_entry(one, items, at, named.found)
    return found, None


def _which_entry(one: Act, items: list[str], at: int, found: Iterable[tuple[str, str]]) -> Answer:
    """Ask which entry one of the items is."""
    lists = {name for name, _ in found}
    return one.ask_which({
        (text if len(lists) == 1 else f"{text} ({name})"): {
            "items": [*items[:at], text, *items[at + 1 :]], "item": text, "list": name
        }
        for name, text in found
    })  # fmt: skip


async def _remove(one: Act) -> Answer:
    name, names = await _find_list(one)
    items = _items(one)
    if name is None and (one.slot("list") or not names):
        return _no_list(one, names)
    found, question = await _find_entries(one, items, [name] if name else names, in_part=False)
    if question is not None:
        return question
    held = list(dict.fromkeys(known for known, _ in found))
    if len(held) != 1:
        missing = one.answer("unable", "lists.missing_item", item=items, list=name)
        return missing if name else _no_list(one, held or names)
    gone = await one.write(LISTS, "remove", [text for _, text in found], held[0])
    said = one.say("lists.removed", items=gone, list=held[0])
    return one.done(said, one.commits, gone, list=held[0])


async def _show(one: Act) -> Answer | None:
    name, names = await _find_list(one)
    if name is None and one.values.get("known"):
        return None
    if name is None:
        return _no_list(one, names)
    entries = await one.read(LISTS, "entries", name)
    if one.values.get("open"):
        entries = [entry for entry in entries if not entry["done"]]
    mark = one.say("lists.done")
    shown = [f"{e['text']} ({mark})" if e["done"] else e["text"] for e in entries]
    texts = [entry["text"] for entry in entries]
    said = one.say("lists.shown" if shown else "lists.empty", list=name, items=shown)
    return Answer("recalled", said, texts, language=one.language, memory={"list": name})


async def _move(one: Act) -> Answer:
    name, names = await _find_list(one)
    item = one.slot("item")
    if name is None and one.slot("list"):
        return _no_list(one, names)
    found, question = await _find_entries(one, [item], [name] if name else names)
    for known, text in found:
        done = await one.write(LISTS, "move", text, known, one.slot("to"))
        said = one.say(f"lists.moved_{one.slot('to')}", item=done, list=known)
        return one.done(said, one.commits, await one.read(LISTS, "show", known), list=known)
    return question or one.answer("unable", "lists.not_ticked", item=item)


async def _finished(one: Act) -> Answer:
    """Say what was marked as done, perhaps on some days."""
    name, names = await _find_list(one)
    when = one.slot("when")
    span = find_period(when, one.now, one.language) if when else None
    days = (span[0].isoformat(), span[1].isoformat()) if span else ("", "9")
    done = [
        entry["text"]
        for known in ([name] if one.slot("list") and name else names)
        for entry in await one.read(LISTS, "entries", known)
        if entry["done"] and (span is None or days[0] <= entry.get("at", "")[:10] <= days[1])
    ]
    key = "lists.finished" if done else "lists.none_done"
    answer = one.answer("recalled", key, done, items=done)
    # "What did I do?" asks for more than what was ticked off.
    told = await recall.recall_when(one) if one.values.get("did") else None
    if told is None or told.kind != "recalled":
        return answer
    return replace(told, text=f"{answer.text} {told.text}") if done else told


async def _recall(one: Act) -> Answer | None:
    """Answer a question by what was said, or by what was noted last under that name."""
    return await recall.recall(one, noted=partial(tallies.show_last, one))


async def _pending(one: Act) -> Answer | None:
    """Say what is to be done and what was last said to remember."""
    todo = await _show(replace(one, values={"list": "to-do", "known": True, "open": True}))
    told = await recall.list_newest(one)
    if todo is None or not todo.value:
        return told
    said = f"{todo.text} {told.text}" if told.kind == "recalled" else todo.text
    return replace(todo, text=said, value=[*todo.value, *(told.value or ())], sources=told.sources)


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


async def _count_items(one: Act) -> Answer:
    name, names = await _find_list(one)
    if name is None:
        return _no_list(one, names)
    count = await one.read(LISTS, "count", name)
    return one.answer("recalled", "lists.count", count, count=count, list=name)


async def _tick(one: Act) -> Answer | None:
    name, names = await _find_list(one)
    item = one.slot("item") or " ".join(_items(one))
    if name is None and one.slot("list"):
        return _no_list(one, names) if one.certain else None
    found, question = await _find_entries(one, [item], [name] if name else names)
    for known, meant in found:
        is_done = not one.name.endswith("untick")
        done = await one.write(LISTS, "tick", meant, known, is_done, one.stamp())
        key = "lists.ticked" if is_done else "lists.unticked"
        return one.done(one.say(key, item=done), one.commits, done, list=known)
    if not one.certain:
        return None
    return question or one.answer("unable", "lists.not_ticked", item=item)


async def _create(one: Act) -> Answer:
    said, _, named = one.slot("list").partition(":")
    said, items = said.strip()[:MAX_NAME], _items(one)
    if named.strip():  # "new list for camping: tent, lamp"
        items = [each.strip() for each in named.split(",") if each.strip()]
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
    done = await one.write(LISTS, "rename_list", name, to) if to else None
    if done is None:
        return one.answer("unable", "lists.exists", list=to)
    return one.acted("lists.renamed", done, list=name, to=done)


async def _remind(one: Act) -> Answer | None:
    """Set a reminder; without a moment, what must not be forgotten is a thing to do."""
    if (answer := await reminders.remind(one)) is not None or not one.values.get("keep"):
        return answer
    values = {"items": [one.slot("text")], "list": "to-do"}
    return await _add(replace(one, name="lists_obj.add", values=values))


ACTS: Final[Mapping[str, Callable[[Act], Awaitable[Answer | None]]]] = {
    "lists_obj.add": _add,
    "lists_obj.remove": _remove,
    "lists_obj.show": _show,
    "lists_obj.names": _names,
    "lists_obj.clear": _clear,
    "lists_obj.drop": _drop,
    "lists_obj.check": _check,
    "lists_obj.count": _count_items,
    "lists_obj.tick": _tick,
    "lists_obj.untick": _tick,
    "lists_obj.move": _move,
    "lists_obj.finished": _finished,
    "lists_obj.create": _create,
    "lists_obj.rename": _rename,
    **tallies.ACTS,
    **recall.ACTS,
    "memory_obj.recall": _recall,
    "memory_obj.pending": _pending,
    **reminders.ACTS,
    **here.ACTS,
    "reminders_obj.remind": _remind,
}
