"""Follow-ups of the thing that was spoken of last: its list, its counter or its reminder.

"add milk to my shopping list", "also a bag of rice"    on the same list
"count 20 push-ups", "another 10"                       for the same counter
"set a timer for 10 minutes", "cancel it"               that timer
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.sentence.forms import Form
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.kernel.say.heard import Heard

    CarryOut = Callable[[Heard, Form], Awaitable[Answer | None]]


async def add_more(
    carry_out: CarryOut, heard: Heard, last: Mapping[str, Any], items: list[str]
) -> Answer | None:
    """Answer "also a bag of rice": it goes on the list where the last thing went."""
    if (last.get("form") or {}).get("name") != "lists_obj.add" or "?" in heard.sentence.text:
        return None
    values = {"items": items, "list": last.get("list", "")}
    return await carry_out(heard, Form("lists_obj.add", values))


async def add_to_last(
    carry_out: CarryOut, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
) -> Answer | None:
    """Answer "add a torch": it goes on the list that was spoken of last."""
    named = values.get("list") or any(v.kind != "name" for v in heard.sentence.values)
    asked = heard.form is not None and heard.form.name == "lists_obj.add" and heard.form.certain
    if named or asked or not last.get("list"):  # "my list" may be any of several
        return None
    told = {"items": values["items"], "list": last["list"], "spoken": True}
    return await carry_out(heard, Form("lists_obj.add", told))


def of_no_list(form: Form) -> Form:
    """Return "add a torch too" or "what is left?" as a form if no list was spoken of."""
    if form.name == "talk.left":
        return Form("lists_obj.show", {"list": "to-do", "open": True})
    return Form("lists_obj.add", {**form.values, "list": ""})  # the only one, or it is asked for


async def on_list(
    carry_out: CarryOut, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
) -> Answer | None:
    """Answer "tick off milk" of the list that was spoken of last, if it has that."""
    if heard.form is None or values.get("list") or not last.get("list"):
        return None
    told = replace(heard.form, values={**values, "list": last["list"]})
    answer = await carry_out(heard, told)
    return None if answer is None or answer.kind == "unable" else answer


async def left(
    carry_out: CarryOut, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
) -> Answer | None:
    """Answer "what is left?" of the list that was spoken of last."""
    if not last.get("list"):
        return None
    told = {"list": last["list"], "known": True, "open": True}
    return await carry_out(heard, Form("lists_obj.show", told))


async def count_more(
    carry_out: CarryOut, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
) -> Answer | None:
    """Answer "another 10": it is counted where the last answer was about a counter."""
    if not last.get("counter"):
        return None
    told = {**values, "thing": last["counter"], "known": True}
    return await carry_out(heard, Form("counters_obj.add", told))


async def counted(
    carry_out: CarryOut, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
) -> Answer | None:
    """Answer "how many today?" of the counter that was spoken of last."""
    if not last.get("counter"):
        return None
    told = {"thing": last["counter"], "known": True, "when": values.get("when", "")}
    return await carry_out(heard, Form("counters_obj.total", told))


async def cancel(
    carry_out: CarryOut, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
) -> Answer | None:
    """Answer "cancel it" by what was set last; of what else was done, say how it is undone."""
    if not values.get("last") or last["kind"] not in ("acted", "recalled"):
        return None
    if number := last.get("reminder"):
        form = Form("reminders_obj.cancel", {"last": number, "ask": last["kind"] != "acted"})
        return await carry_out(heard, form)
    if numbers := last.get("reminders"):
        return await carry_out(heard, Form("reminders_obj.cancel", {"among": numbers, "ask": True}))
    if last["kind"] != "acted" or not last.get("transaction"):
        return None
    undo = text(heard.language, "self.undo_that")
    said = text(heard.language, "talk.can_undo", text=last["text"], undo=undo)
    return Answer("said", said, language=heard.language)


FOLLOW_UPS: Final[Mapping[str, Callable[..., Awaitable[Answer | None]]]] = {
    "talk.count_more": count_more,
    "talk.on_it": add_to_last,
    "lists_obj.add": add_to_last,
    "lists_obj.tick": on_list,
    "lists_obj.untick": on_list,
    "lists_obj.move": on_list,
    "talk.left": left,
    "talk.counted": counted,
    "talk.cancel": cancel,
}
