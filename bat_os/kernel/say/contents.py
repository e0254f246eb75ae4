"""A file that a sentence names is a value: what is in it takes the place of its path.

    "sum the amount column of ~/expenses.csv"  >  a skill for tables, with the text of the file

What is not granted is asked for, once for all that the sentence names. A folder answers with its
names, how many there are, and where a text stands in its files.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.documents.chunking import split_sentences
from bat_os.errors import BatError, NotFoundError
from bat_os.image import grants
from bat_os.image.quotes import ask, has_answer, is_answer, lines_of, match, weigh
from bat_os.kernel.say.leave import mark
from bat_os.sentence.forms import read_form
from bat_os.sentence.language import before_file
from bat_os.sentence.reading import mask, read_sentence
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.image.grants import Grant
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.doors import Doors
    from bat_os.kernel.say.heard import Heard
    from bat_os.ports import Driver
    from bat_os.sentence.forms import Form
    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.values import Value

    Skill = Callable[[Heard], Awaitable[Answer | None]]
    Which = Callable[[Heard], Answer | None]

FILES: Final = "files"
MAX_SHOWN: Final = 4_000  # characters of a file in an answer
READING: Final = frozenset({"read", "names", "facts"})  # what an answer out of files needs
GRANT, REVOKE = "files_obj.grant", "files_obj.revoke"
ONCE, ALWAYS, FOLDER, NO = "once", "always", "folder", "no"
# Forms that ask for something: what they do not find may stand in a document or a file.
ASKING: Final = frozenset(
    {"counters_obj.total", "lists_obj.check", "lists_obj.count", "lists_obj.show",
     "memory_obj.recall", "memory_obj.recall_when"}
)  # fmt: skip
# Forms that would change a file, or that name none to look at.
_OTHER: Final = frozenset(
    {"files_obj.write", "files_obj.delete", "files_obj.rename", "files_obj.find"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a sentence."""

    value: Value
    path: str  # absolute
    grant: Grant | None  # that reaches it
    is_folder: bool = False


async def answer_by_files(
    mind: KernelContext, doors: Doors, heard: Heard, use_skill: Skill, ask_which: Which
) -> Answer | None:
    """Answer a sentence that names files or folders; None if it names none, or wants to change one.

    Args:
        mind: The kernel.
        doors: How messages are sent.
        heard: The sentence.
        use_skill: Answers a sentence by a skill.
        ask_which: Asks which of the skills that were found is meant.
    """
    named = [value for value in heard.core.values if value.kind == "path"]
    driver = mind.drivers.get(FILES)
    if not named or driver is None or heard.request.body["fresh"]:
        return None
    form = _form_of(heard, heard.core) or heard.form
    if form is not None and not _may_read(form):
        return None
    granted = await mind.image.transact(
        lambda root: grants.live(root, time.time(), FILES), note="look for grants"
    )
    places = _joined([await _locate(mind, value, named, granted, heard) for value in named])
    if not places:
        return Answer(
            "asked", text(heard.language, "files.where", name=named[0].text),
            needs="clarification", language=heard.language,
        )  # fmt: skip
    if lacking := [place for place in places if place.grant is None]:
        return await _ask_for(mind, heard, lacking)
    return await _Reader(mind, doors, replace(heard, form=form)).answer(
        places, use_skill, ask_which
    )


def _form_of(heard: Heard, sentence: Sentence) -> Form | None:
    """Return the form of the sentence with short paths: a form takes so many words, and no more."""
    said = sentence.text
    for value in reversed([value for value in sentence.values if value.kind == "path"]):
        name = PurePath(value.value).name or "root"
        short = name if PurePath(name).suffix else f"~/{name}"
        said = f"{said[: value.start]}{short}{said[value.end :]}"
    return read_form(read_sentence(said, heard.now, heard.language))


def _may_read(form: Form) -> bool:
    """Return whether a sentence of this form may be about what is in a file."""
    if form.name.startswith("files_obj."):
        return form.name not in _OTHER
    # "add up the km in ~/jan.csv" has the form of "add milk", and names no list.
    adds = form.name == "lists_obj.add" and not form.values.get("list")
    return adds or form.name in ASKING or not form.certain


async def _locate(
    mind: KernelContext, value: Value, named: list[Value], granted: list[Grant], heard: Heard
) -> Place | None:
    """Return where a path of the sentence lies; None if only its name was said, and none has it."""
    said = _path(value)
    folders = [_path(each) for each in named if _is_in_full(each)]
    if _is_in_full(value):
        tried = [said]
    elif folders:  # "todo.md in ~/notes"
        tried = [(folder.parent if folder.suffix else folder) / said for folder in folders]
    else:  # "and feb.csv?": beside what was looked at last, else in what was granted
        before = [PurePath(path).parent for path in heard.conversation.last.get("files", ())]
        tried = [folder / said for folder in (*before, *(_root(each) for each in granted))]
    driver, is_said = mind.drivers[FILES], _is_in_full(value) or bool(folders)
    for path in tried:
        for grant in granted:
            reached = driver.contains(grant.scope, {"path": str(path)}) and _reads(grant)
            if reached and (is_said or await _is_there(driver, grant, path)):
                return Place(value, str(path), grant)
    return Place(value, str(tried[0]), None) if is_said else None


def _reads(grant: Grant) -> bool:
    return set(grant.operations) >= READING


def _root(grant: Grant) -> PurePath:
    return PurePath(grant.scope["path"])


def _is_in_full(value: Value) -> bool:
    return _path(value).is_absolute()


def _path(value: Value) -> PurePath:
    said = Path(value.value)
    return said.expanduser() if value.value.startswith("~") else said


async def _is_there(driver: Driver, grant: Grant, path: PurePath) -> bool:
    try:
        await asyncio.to_thread(driver.perform, grant.scope, "facts", (str(path),))
    except BatError:
        return False
    return True


def _joined(places: list[Place | None]) -> list[Place]:
    """Return the places that are meant: of "todo.md in ~/notes" the file alone."""
    found = [place for place in places if place is not None]
    inside = {
        other.path
        for place in found
        for other in found
        if place is not other and PurePath(place.path).parent == PurePath(other.path)
    }
    return [place for place in found if place.path not in inside]


async def _ask_for(mind: KernelContext, heard: Heard, lacking: list[Place]) -> Answer:
    """Return the question for a grant of what the sentence names."""
    language, driver = heard.language, mind.drivers[FILES]
    try:
        scopes = [await asyncio.to_thread(driver.scope, place.path) for place in lacking]
    except BatError:
        return _missing(heard, lacking)
    wanted = scopes[0]["path"]
    parent = str(PurePath(wanted).parent)
    is_file = await asyncio.to_thread(Path(wanted).is_file)
    ways = [ONCE, ALWAYS, *([FOLDER] if is_file else []), NO]
    shown = {"path": driver.describe({"path": wanted}), "folder": driver.describe({"path": parent})}
    choices = tuple(text(language, f"files.{way}", **shown) for way in ways)
    question = {"what": [scope["path"] for scope in scopes], "folder": parent, "ways": ways}
    return Answer(
        "asked", text(language, "files.ask", what=shown["path"]), needs="grant", choices=choices,
        language=language, memory={"grant": question},
    )  # fmt: skip


def _missing(heard: Heard, places: list[Place]) -> Answer:
    names = ", ".join(place.value.text for place in places)
    said = text(heard.language, "files.missing", name=names)
    return Answer("unable", said, language=heard.language)


async def grant_and_answer(
    heard: Heard,
    question: Mapping[str, Any],
    at: int,
    *,
    again: Callable[[Heard, str], Awaitable[Answer | None]],
    call_verb: Callable[..., Awaitable[dict[str, Any]]],
) -> Answer | None:
    """Grant what was asked for in the way ``at``, and answer the sentence that wanted it.

    Args:
        heard: What was said to the question.
        question: The open question.
        at: Index of the choice.
        again: Answers a sentence.
        call_verb: Calls a verb of the kernel as who asks.
    """
    wanted = question["grant"]
    way = wanted["ways"][at]
    if way == NO:
        return Answer("said", text(heard.language, "talk.cancelled"), language=heard.language)
    once = way == ONCE
    given = [
        (await call_verb(heard, "grant", body={"what": path, "once": once}))["object"]
        for path in ([wanted["folder"]] if way == FOLDER else wanted["what"])
    ]
    try:
        return await again(heard, question["sentence"])
    finally:
        for name in given if once else ():
            await call_verb(heard, "revoke", target=name)


async def change_leave(
    mind: KernelContext,
    heard: Heard,
    *,
    again: Callable[[Heard, str], Awaitable[Answer | None]],
    call_verb: Callable[..., Awaitable[dict[str, Any]]],
) -> Answer | None:
    """Carry out "you may read ~/notes" and "stop reading ~/notes"; None if it is neither.

    A sentence that waits for this leave is answered.
    """
    driver, language = mind.drivers.get(FILES), heard.language
    named = [value for value in heard.sentence.values if value.kind == "path"]
    form = _form_of(heard, heard.sentence) if named else None
    if driver is None or form is None or form.name not in (GRANT, REVOKE):
        return None
    try:
        scope = await asyncio.to_thread(driver.scope, named[0].value)
    except BatError:
        said = text(language, "files.where", name=named[0].value)
        return Answer("asked", said, needs="clarification", language=language)
    what, changes = driver.describe(scope), bool(form.values.get("change"))
    granted = await mind.image.transact(
        lambda root: grants.live(root, time.time(), FILES), note="look for grants"
    )
    if form.name == REVOKE:
        ended = [each.name or each.oid for each in granted if driver.contains(scope, each.scope)]
        for name in ended:
            await call_verb(heard, "revoke", target=name)
        said = text(language, "files.ended" if ended else "files.no_leave", what=what)
        return Answer("acted" if ended else "unable", said, language=language)
    wanted = set(driver.operations(scope) if changes else READING)
    given = [
        each.oid
        for each in granted
        if wanted <= set(each.operations) and driver.contains(each.scope, scope)
    ]
    if not given:
        body = {"what": scope["path"], "write": changes}
        given = [(await call_verb(heard, "grant", body=body))["object"]]
    if "grant" in heard.conversation.question and (
        answer := await again(heard, heard.conversation.question["sentence"])
    ):
        return answer
    said = text(language, "files.granted_all" if changes else "files.granted", what=what)
    memory = {"granted": given[0]}
    return Answer("acted", said, undo="undo that", language=language, memory=memory)


class _Reader:
    """Reads what a sentence names, through the objects that were granted it."""

    def __init__(self, mind: KernelContext, doors: Doors, heard: Heard) -> None:
        self._mind = mind
        self._doors = doors
        self._heard = heard
        self._label: set[str] = set()  # of what was read

    async def answer(
        self, places: list[Place], use_skill: Skill, ask_which: Which
    ) -> Answer | None:
        """Return the answer; that a file is not there is one, too."""
        try:
            return await self._answer(places, use_skill, ask_which)
        except NotFoundError:
            return _missing(self._heard, places)

    async def _answer(
        self, places: list[Place], use_skill: Skill, ask_which: Which
    ) -> Answer | None:
        heard, form = self._heard, self._heard.form
        name = form.name if form is not None else ""
        places = [
            replace(place, is_folder=(await self._send(place, "facts"))["kind"] == "folder")
            for place in places
        ]
        folders = [place for place in places if place.is_folder]
        if folders:
            return await self._by_folder(folders[0], name)
        contents = {place.value.start: str(await self._send(place, "read")) for place in places}
        if name == "files_obj.read":
            return self._show(places, "\n".join(contents.values()))
        filled = _fill(heard.core, contents)
        inner = replace(heard, sentence=filled, typed=filled, core=filled, form=None, found=[])
        inner = mark(inner, self._label)
        answer = await use_skill(inner) or self._quote(places, contents) or ask_which(inner)
        if answer is None:
            return self._no_skill(places)
        return self._from(places, answer)

    async def _by_folder(self, place: Place, name: str) -> Answer | None:
        heard = self._heard
        sought = [v for v in heard.core.values if v.kind == "text"]
        if name == "files_obj.search" or (sought and not name):
            wanted = str(sought[0].value if sought else heard.form and heard.form.values["text"])
            found = await self._send(place, "search", wanted)
            lines = [f"{one['path']}, {one['line']}: {one['text']}" for one in found]
            said = "\n".join(lines) or text(heard.language, "files.not_found", text=wanted)
            return self._recalled([place], said, found)
        names = await self._send(place, "names")
        if name == "files_obj.count":
            files = [each for each in names if not each.endswith("/")]
            return self._recalled([place], str(len(files)), len(files))
        if not name and ask(heard.core.text, heard.language).is_question:
            return self._no_skill([place])
        if name in ("", "files_obj.list", "files_obj.read"):
            said = "\n".join(names) or text(heard.language, "files.empty")
            return self._recalled([place], said, names)
        return None

    def _no_skill(self, places: list[Place]) -> Answer:
        language, names = self._heard.language, ", ".join(place.value.text for place in places)
        said = text(language, "files.no_skill", name=names)
        return Answer("unable", said, language=language, memory=_noted(places))

    async def _send(self, place: Place, selector: str, *args: Any) -> Any:
        brief = Brief(place.grant.oid if place.grant else "", selector, (*args, place.path))
        body = await self._doors.act(self._heard.request, brief)
        self._label.update(body.get("label", ()))
        return body["result"]

    def _show(self, places: list[Place], content: str) -> Answer:
        shown = content.rstrip("\n")
        if len(shown) > MAX_SHOWN:
            more = text(self._heard.language, "files.more", count=len(shown) - MAX_SHOWN)
            shown = f"{shown[:MAX_SHOWN]}\n{more}"
        if not shown.strip():
            shown = text(self._heard.language, "files.empty")
        return self._recalled(places, shown, content)

    def _quote(self, places: list[Place], contents: Mapping[int, str]) -> Answer | None:
        """Answer by the one sentence of the files that surely answers the question."""
        heard = self._heard
        asked = heard.core.text
        for place in sorted(places, key=lambda place: -place.value.start):
            asked = asked[: place.value.start] + asked[place.value.end :]
        question = ask(asked, heard.language)
        for place in places:
            content = contents[place.value.start][:100_000]
            lines = list(lines_of("", content, split_sentences(content)))
            weights = weigh(question, lines)
            found = [
                line
                for line in lines
                if (fit := match(question, line, weights)) is not None
                and is_answer(fit, 1.0)
                and has_answer(question, line, heard.now)
            ]
            if len(found) == 1:
                return self._recalled([place], found[0].text, found[0].text)
        return None

    def _recalled(self, places: list[Place], said: str, value: Any) -> Answer:
        answer = Answer("recalled", said, value, language=self._heard.language)
        return self._from(places, answer)

    def _from(self, places: list[Place], answer: Answer) -> Answer:
        """Return the answer with the files that it is from."""
        driver = self._mind.drivers[FILES]
        sources = tuple(
            {"kind": "file", "title": driver.describe({"path": place.path}), "text": ""}
            for place in places
        )
        memory = {**answer.memory, **_noted(places), "said": self._heard.sentence.text}
        if label := self._label.union(answer.memory.get("label", ())):
            memory["label"] = sorted(label)
        return replace(answer, sources=(*answer.sources, *sources), memory=memory)


def _noted(places: list[Place]) -> dict[str, Any]:
    return {"files": [place.path for place in places]}


def _fill(sentence: Sentence, contents: Mapping[int, str]) -> Sentence:
    """Return the sentence with the contents of files as values in place of their paths."""
    values = tuple(
        replace(
            value, kind="text", value=contents[value.start], text=contents[value.start],
            start=before_file(sentence.text, value.start, sentence.language),
        )
        if value.start in contents
        else value
        for value in sentence.values
    )  # fmt: skip
    return replace(sentence, values=values, masked=mask(sentence.text, values))
