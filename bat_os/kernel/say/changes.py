"""A sentence that changes a file: write, append, delete, rename, copy.

    "append 'milk' to ~/notes/shopping.txt"  >  notes_obj.append > outbox > done > "I added milk."

It is one message to the object that was granted it, so the rules of the outbox hold. The answer
waits for what came of it, and says that; ``undo that`` gives the file back what it held.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.core.readable import show_value
from bat_os.core.schema import replace as with_fields
from bat_os.errors import ArgumentsError, NotFoundError, NotGrantedError, WorldError
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

RENAME: Final = "files_obj.rename"
OPERATIONS: Final[Mapping[str, str]] = {
    "files_obj.write": "write", "files_obj.append": "append", "files_obj.delete": "remove",
    RENAME: "write",
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
    form = await form_of(heard, heard.core, named) or heard.form
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
    if len(places) != (2 if form.name == RENAME else 1):
        return Answer("unable", text(heard.language, "files.one"), language=heard.language)
    if lacking := [place for place in places if place.grant is None]:
        return await ask_for(mind, heard, lacking, write=True)
    if form.name == RENAME:
        return await _Move(mind, doors, heard, places[0], places[1]).answer(
            keep=bool(form.values.get("copy"))
        )
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


@dataclass(slots=True)
class _Move:
    """A file that gets another path: it is written there, and then deleted here."""

    mind: KernelContext
    doors: Doors
    heard: Heard
    old: Place
    new: Place
    label: set[str] = field(default_factory=set)  # of what was read

    async def answer(self, *, keep: bool) -> Answer:
        """Do it, and say what came of it; with ``keep`` the file stays where it was, too."""
        language = self.heard.language
        try:
            content = await self._read(self.old, "read")
            if (there := await self._kind_of(self.new)) == "folder":
                path = str(PurePath(self.new.what, PurePath(self.old.what).name))
                self.new = replace(self.new, what=path)
                there = await self._kind_of(self.new)
        except NotFoundError:
            return missing(self.heard, [self.old])
        except (ArgumentsError, NotGrantedError, WorldError) as error:
            said = text(language, "files.broken", name=self.old.value.text, error=str(error))
            return Answer("unable", said, language=language)
        if there:
            said = text(language, "files.exists", what=self._shown(self.new))
            return Answer("unable", said, language=language)
        done = await self._do(self.new, "write", content)
        if not keep and done[-1].state == DONE:
            done += await self._do(self.old, "remove")
        if done[-1].state != DONE:
            return _say(self.heard, self.old, self._shown(self.old), done)
        key = "files.copied" if keep else "files.renamed"
        said = text(language, key, what=self._shown(self.old), to=self._shown(self.new))
        numbers = [effect.number for effect in done]
        memory = {"effects": numbers, "transaction": "", "files": [self.new.what]}
        return Answer("acted", said, undo=UNDO, language=language, memory=memory)

    async def _kind_of(self, place: Place) -> str:
        try:
            return str((await self._read(place, "facts"))["kind"])
        except NotFoundError:
            return ""

    async def _read(self, place: Place, selector: str) -> Any:
        body = await self.doors.act(self.heard.request, self._brief(place, selector))
        self.label.update(body.get("label", ()))
        return body["result"]

    async def _do(self, place: Place, operation: str, *args: Any) -> list[Effect]:
        request = mark(self.heard, self.label).request
        if request.key:  # each message has one of its own
            request = with_fields(request, key=f"{request.key} {operation}")
        body = await self.doors.act(request, self._brief(place, operation, *args))
        return await settled(self.mind, body.get("effects", ()))

    def _brief(self, place: Place, selector: str, *args: Any) -> Brief:
        return Brief(place.grant.oid if place.grant else "", selector, (place.what, *args))

    def _shown(self, place: Place) -> str:
        return self.mind.drivers[Paths.driver].describe({"path": place.what})


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
