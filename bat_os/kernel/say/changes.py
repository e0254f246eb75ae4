"""A sentence that changes a file: write, append, delete.

    "append 'milk' to ~/notes/shopping.txt"  >  notes_obj.append > outbox > done > "I added milk."

It is one message to the object that was granted it, so the rules of the outbox hold. The answer
waits for what came of it, and says that; ``undo that`` gives the file back what it held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.core.readable import show_value
from bat_os.image.outbox import DONE, FAILED
from bat_os.kernel.effects.account import settled
from bat_os.kernel.say.followups import is_pronoun
from bat_os.kernel.say.leave import label_of, mark
from bat_os.kernel.say.places import Paths, ask_for, find_named, form_of, locate, missing
from bat_os.kernel.say.recall import UNDO
from bat_os.ports import StagingDriver
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.image.outbox import Effect
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.doors import Doors
    from bat_os.kernel.say.heard import Heard
    from bat_os.kernel.say.places import Place
    from bat_os.sentence.forms import Form

OPERATIONS: Final[Mapping[str, str]] = {
    "files_obj.write": "write", "files_obj.append": "append", "files_obj.delete": "remove",
}  # fmt: skip


class ToChange(Paths):
    """Files that a grant lets be changed."""

    def __init__(self, operation: str) -> None:
        self.reads = frozenset({operation})


async def change_file(mind: KernelContext, doors: Doors, heard: Heard) -> Answer | None:
    """Carry out a sentence that wants to change a file; None if it is not one."""
    named = [each for each in find_named(mind, heard.core) if each[1].driver == Paths.driver]
    driver = mind.drivers.get(Paths.driver)
    if not named or not isinstance(driver, StagingDriver) or heard.request.body["fresh"]:
        return None
    form = form_of(heard, heard.core, named) or heard.form
    if form is None or form.name not in OPERATIONS:
        return None
    return await _carry_out(mind, doors, heard, form)


async def _carry_out(mind: KernelContext, doors: Doors, heard: Heard, form: Form) -> Answer:
    kind = ToChange(OPERATIONS[form.name])
    values = [value for value, _ in find_named(mind, heard.core) if kind.is_named(value)]
    places = await locate(mind, heard, [(value, kind) for value in values])
    if not places:
        said = text(heard.language, "files.where", name=values[0].text)
        return Answer("asked", said, needs="clarification", language=heard.language)
    if len(places) > 1:
        return Answer("unable", text(heard.language, "files.one"), language=heard.language)
    if places[0].grant is None:
        return await ask_for(mind, heard, places, write=True)
    return await _change(mind, doors, heard, places[0], form)


async def _change(
    mind: KernelContext, doors: Doors, heard: Heard, place: Place, form: Form
) -> Answer:
    operation, args = OPERATIONS[form.name], [place.what]
    if operation != "remove":
        heard, said = _meant(heard, str(form.values.get("text") or ""))
        args.append(f"{said}\n" if said and not said.endswith("\n") else said)
    brief = Brief(place.grant.oid if place.grant else "", operation, tuple(args))
    body = await doors.act(heard.request, brief)
    effects = await settled(mind, body.get("effects", ()))
    shown = mind.drivers[Paths.driver].describe({"path": place.what})
    return _say(heard, place, shown, effects)


def _meant(heard: Heard, said: str) -> tuple[Heard, str]:
    """Return what is to be written: of "that", the last answer, and all that had a say in it."""
    last, language = heard.conversation.last, heard.language
    if last.get("value") is None or not is_pronoun(said, language):
        return heard, said
    return mark(heard, label_of(last)), show_value(last["value"], language)


def _say(heard: Heard, place: Place, shown: str, effects: list[Effect]) -> Answer:
    """Return what came of it."""
    language, effect = heard.language, effects[-1]
    if effect.state == FAILED and effect.code == "NOT_FOUND":
        return missing(heard, [place])
    if effect.state != DONE:
        key = "files.not_done" if effect.state == FAILED else "files.waits"
        said = text(language, key, error=effect.error, number=effect.number)
        return Answer("unable", said, language=language)
    content: Any = (effect.before or {}).get("content")
    values: dict[str, Any] = {"what": shown}
    if effect.operation == "write":
        key = "files.rewritten" if content else "files.written"
        values["count"] = len((content or b"").splitlines())
    else:
        key = "files.added" if effect.operation == "append" else "files.deleted"
    if effect.operation != "remove":
        values["text"] = str(effect.args[1]).rstrip("\n")
    memory = {"effects": [effect.number], "transaction": "", "files": [place.what]}
    return Answer(
        "acted", text(language, key, **values), undo=UNDO if effect.before else "",
        language=language, memory=memory,
    )  # fmt: skip
