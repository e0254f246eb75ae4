"""Places that a sentence names: files and folders, pages of the web; and the leave to look there.

    "what does todo.md in ~/notes say?"  >  ~/notes/todo.md  >  the grant that reaches it, or none

What is not granted is asked for, once for all that the sentence names.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from bat_os.core.answer import Answer
from bat_os.errors import BatError, NotFoundError, NotGrantedError
from bat_os.image import grants
from bat_os.kernel.agent.choosing import meant_for
from bat_os.kernel.naming import find_named as find_thing
from bat_os.kernel.naming import words_told
from bat_os.kernel.say.leave import LET_THROUGH
from bat_os.ports import WideDriver
from bat_os.sentence.forms import read_form
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bat_os.image.grants import Grant
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.naming import Named
    from bat_os.kernel.say.heard import Heard
    from bat_os.ports import Driver
    from bat_os.sentence.forms import Form
    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.values import Value

GRANT, REVOKE = "files_obj.grant", "files_obj.revoke"
ONCE, ALWAYS, WIDER, NO = "once", "always", "folder", "no"
# Said of the address itself, not of the page: "what is the domain of https://example.org/x?"
_OF_ITSELF: Final = re.compile(
    r"\b(?:ur[il]s?|(?:sub)?domains?|dom[aä]ine?n?|dominios?|host ?names?|(?:en|de|kodier)cod\w+"
    r"|codifi\w+|valid|gültig|valide|válid[ao])\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A file, folder or page that a sentence names."""

    value: Value
    kind: Kind
    what: str  # an absolute path, or a URL
    grant: Grant | None  # that reaches it
    about: Mapping[str, Any] = field(default_factory=dict)  # the driver's facts, once they are read

    @property
    def is_folder(self) -> bool:
        """True if it holds files."""
        return self.about.get("kind") == "folder"


class Kind(Protocol):
    """What places of one driver have in common."""

    driver: str
    source: str  # kind of the source that an answer names
    reads: frozenset[str]  # operations that a grant must have
    read: str  # the operation that answers a text
    short: str  # stands for a place where the form of a sentence is looked for

    def is_named(self, value: Value) -> bool:
        """Return whether a value of a sentence names such a place."""

    async def locate(
        self,
        driver: Driver,
        value: Value,
        named: Sequence[Value],
        granted: Sequence[Grant],
        last: Mapping[str, Any],
    ) -> Place | None:
        """Return where a value lies; None if only a name was said, and no granted place has it.

        ``named`` are all such values of the sentence, and ``last`` is the last answer.
        """

    def in_full(self, value: Value) -> str:
        """Return what a driver is asked about for a value."""

    def wider(self, wanted: str) -> str:
        """Return what a place is a part of: the folder of a file, the host of a page; or ""."""


class Paths:
    """Files and folders."""

    driver = "files"
    source = "file"
    reads = frozenset({"read", "names", "facts"})
    read = "read"
    short = ""

    def is_named(self, value: Value) -> bool:
        """Return whether it is a path."""
        return value.kind == "path"

    async def locate(
        self,
        driver: Driver,
        value: Value,
        named: Sequence[Value],
        granted: Sequence[Grant],
        last: Mapping[str, Any],
    ) -> Place | None:
        """Return where a path lies."""
        said = _path(value)
        folders = [_path(each) for each in named if _path(each).is_absolute()]
        if said.is_absolute():
            tried = [said]
        elif folders:  # "todo.md in ~/notes"
            tried = [(folder.parent if folder.suffix else folder) / said for folder in folders]
        else:  # "and feb.csv?": beside what was looked at last, else in what was granted
            before = [PurePath(path).parent / said for path in last.get("files", ())]
            roots = [PurePath(each.scope["path"]) / said for each in granted]
            beside = await self._find(driver, value, before, granted)
            found = beside[:1] or await self._find(driver, value, roots, granted)
            return found[0] if len(found) == 1 else None  # of several, a person says which
        for path in tried:
            for grant in granted:
                if driver.contains(grant.scope, {"path": str(path)}):
                    return Place(value, self, str(path), grant)
        return Place(value, self, str(tried[0]), None)

    async def _find(
        self, driver: Driver, value: Value, paths: Sequence[PurePath], granted: Sequence[Grant]
    ) -> list[Place]:
        """Return those of some paths at which there is something that may be looked at."""
        found: dict[PurePath, Place] = {}
        for path in paths:
            for grant in granted:
                reached = driver.contains(grant.scope, {"path": str(path)})
                if path not in found and reached and await _is_there(driver, grant, path):
                    found[path] = Place(value, self, str(path), grant)
        return list(found.values())

    def in_full(self, value: Value) -> str:
        """Return the path, with the home of the person."""
        return str(_path(value))

    def wider(self, wanted: str) -> str:
        """Return the folder of what looks like a file."""
        path = PurePath(wanted)
        return str(path.parent) if path.suffix else ""


class Pages:
    """Pages of the web."""

    driver = "web"
    source = "page"
    reads = frozenset({"fetch", "facts"})
    read = "fetch"
    short = "~/page.html"

    def is_named(self, value: Value) -> bool:
        """Return whether it is the address of a page."""
        return value.kind == "address" and "@" not in value.value and "ftp:" not in value.value

    async def locate(
        self,
        driver: Driver,
        value: Value,
        named: Sequence[Value],
        granted: Sequence[Grant],
        last: Mapping[str, Any],
    ) -> Place | None:
        """Return the URL of an address."""
        url = self.in_full(value)
        try:
            scope = driver.scope(url)
        except BatError:
            return Place(value, self, url, None)
        held = (each for each in granted if driver.contains(each.scope, scope))
        return Place(value, self, url, next(held, None))

    def in_full(self, value: Value) -> str:
        """Return the URL."""
        said = str(value.value)
        return said if "://" in said else f"https://{said}"

    def wider(self, wanted: str) -> str:
        """Return the host of a page."""
        parts = urlsplit(wanted)
        return f"{parts.scheme}://{parts.netloc}" if parts.path.strip("/") else ""


KINDS: Final[tuple[Kind, ...]] = (Paths(), Pages())


def find_named(mind: KernelContext, sentence: Sentence) -> list[tuple[Value, Kind]]:
    """Return the values of a sentence that name places, in order, each with its kind."""
    kinds = [kind for kind in KINDS if kind.driver in mind.drivers]
    named = [(v, kind) for v in sentence.values for kind in kinds if kind.is_named(v)]
    words = sentence.text
    for value, _ in reversed(named):
        words = words[: value.start] + words[value.end :]
    if _OF_ITSELF.search(words):
        return [(value, kind) for value, kind in named if kind.driver != Pages.driver]
    return named


async def form_of(
    heard: Heard, sentence: Sentence, named: Sequence[tuple[Value, Kind]]
) -> Form | None:
    """Return the form of the sentence with short paths: a form takes so many words, and no more."""
    said = sentence.text
    for value, kind in reversed(named):
        name = PurePath(value.value).name or "root"
        short = kind.short or (name if PurePath(name).suffix else f"~/{name}")
        said = f"{said[: value.start]}{short}{said[value.end :]}"
    return await asyncio.to_thread(
        lambda: read_form(read_sentence(said, heard.now, heard.language))
    )


async def locate(
    mind: KernelContext, heard: Heard, named: Sequence[tuple[Value, Kind]]
) -> list[Place]:
    """Return the places that are meant: of "todo.md in ~/notes" the file alone."""
    granted = await mind.image.transact(
        lambda root: {each.driver: grants.live(root, time.time(), each.driver) for each in KINDS},
        note="look for grants",
    )
    found, once = list[Place](), heard.request.body.get(LET_THROUGH, ())
    for value, kind in named:
        held = [
            each
            for each in granted[kind.driver]
            if kind.reads <= set(each.operations) and grants.is_usable([each], once)
        ]
        alike = [each for each, other in named if other is kind]
        if kind.driver == Paths.driver and len(alike) == 1 and not _path(value).is_absolute():
            held = _in_named_folder(heard, value, held)
        place = await kind.locate(
            mind.drivers[kind.driver], value, alike, held, heard.conversation.last
        )
        found += [place] if place is not None else []
    paths = [place for place in found if place.kind.driver == Paths.driver]
    folders = {path.parent for place in paths if (path := PurePath(place.what)).name}
    inside = {place.what for place in paths if PurePath(place.what) in folders}
    return [place for place in found if place.what not in inside]


def _in_named_folder(heard: Heard, value: Value, held: list[Grant]) -> list[Grant]:
    """Return the grants of the folder that stands behind a file: "todo.txt in notes old"."""
    said = str(heard.form.values.get("path", "")) if heard.form is not None else ""
    first, is_there, behind = said.partition(value.text)
    if not is_there or not words_told(f"{first} {behind}", heard.language):
        return held
    folders = {each.oid: PurePath(each.scope["path"]).name for each in held}
    named = name_folders(f"{first} {behind}", folders, heard.language)
    return [each for each in held if named.sure and each.oid in named.found]


def name_folders(said: str, folders: Mapping[str, str], language: str) -> Named[str]:
    """Return which folders, key -> name, some words name: "my notes folder" is notes."""
    core = " ".join(word for word in said.split() if not meant_for(word.casefold()))
    return find_thing(core or said, folders, language)


def _path(value: Value) -> PurePath:
    said = Path(value.value)
    return said.expanduser() if value.value.startswith("~") else said


async def _is_there(driver: Driver, grant: Grant, path: PurePath) -> bool:
    try:
        await asyncio.to_thread(driver.perform, grant.scope, "facts", (str(path),))
    except BatError:
        return False
    return True


async def ask_for(
    mind: KernelContext,
    heard: Heard,
    lacking: Sequence[Place],
    *,
    write: bool = False,
    lasting: bool = False,
) -> Answer:
    """Return the question for a grant of what the sentence names.

    A ``lasting`` one is for what goes on when the answer is given: once would not do. The question
    is the same whether that is there or not: without a grant, nothing of it is known.
    """
    language, first = heard.language, lacking[0]
    driver = mind.drivers[first.kind.driver]
    wanted, wider = [place.what for place in lacking], first.kind.wider(first.what)
    names = [_shown(driver, what) if what else "" for what in (first.what, wider)]
    may_last = await asyncio.to_thread(_may_offer, driver, wanted)
    if lasting and not may_last:
        key = "files.too_far_write" if write else "files.too_far"
        return Answer("unable", text(language, key, what=names[0]), language=language)
    may_widen = bool(wider) and await asyncio.to_thread(_may_offer, driver, [wider])
    offered = {ONCE: not lasting, ALWAYS: may_last, WIDER: may_widen, NO: True}
    ways = [way for way, is_offered in offered.items() if is_offered]
    shown = {"path": names[0], "folder": names[1]}
    said = {ONCE: "once_write"} if write else {}
    choices = tuple(text(language, f"files.{said.get(way, way)}", **shown) for way in ways)
    question = {"what": wanted, "folder": wider, "ways": ways, "write": write}
    key = "files.ask_write" if write else "files.ask"
    return Answer(
        "asked", text(language, key, what=shown["path"]), needs="grant", choices=choices,
        language=language,
        memory={"grant": question, "before": dict(heard.conversation.last)},
    )  # fmt: skip


def _may_offer(driver: Driver, wanted: Sequence[str]) -> bool:
    """Return whether leave for some places may be offered for good. Blocks."""
    return not isinstance(driver, WideDriver) or all(map(driver.may_offer, wanted))


def _shown(driver: Driver, what: str) -> str:
    """Return a path or a URL as the driver shows it; the disk is not looked at."""
    if driver.name == Paths.driver:
        return driver.describe({"path": what})
    try:
        return driver.describe(driver.scope(what))
    except BatError:  # not a URL that can be granted: the grant says so
        return what


def missing(heard: Heard, places: Sequence[Place]) -> Answer:
    """Return the answer that some places do not exist."""
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
    heard.conversation.last = dict(question["before"])  # what the sentence refers to
    if way == NO:
        return Answer("said", text(heard.language, "talk.cancelled"), language=heard.language)
    once, write = way == ONCE, bool(wanted.get("write"))
    bodies = [
        {"what": what, "once": once, "write": write}
        for what in ([wanted["folder"]] if way == WIDER else wanted["what"])
    ]
    given = list[str]()
    try:
        for body in bodies:
            given += [(await call_verb(heard, "grant", body=body))["object"]]
    except (NotFoundError, NotGrantedError) as error:  # only now may a person hear that
        key = "files.missing" if isinstance(error, NotFoundError) else "files.never"
        said = text(heard.language, key, name=", ".join(wanted["what"]))
        return Answer("unable", said, language=heard.language)
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
    language = heard.language
    named = find_named(mind, heard.sentence)
    form = await form_of(heard, heard.sentence, named) if named else None
    if form is None or form.name not in (GRANT, REVOKE):
        return None
    value, kind = named[0]
    driver, wanted = mind.drivers[kind.driver], kind.in_full(value)
    find_scope = driver.scope if form.name == GRANT else partial(_scope_to_end, driver)
    try:
        scope = await asyncio.to_thread(find_scope, wanted)
    except BatError as error:
        is_named = isinstance(error, NotFoundError | NotGrantedError)  # as a whole
        keys: dict[type[BatError], str] = {
            NotFoundError: "files.missing", NotGrantedError: "files.never",
        }  # fmt: skip
        said = text(language, keys.get(type(error), "files.where"), name=value.value)
        kind_of_answer, needs = ("unable", "") if is_named else ("asked", "clarification")
        return Answer(kind_of_answer, said, needs=needs, language=language)
    if form.name == REVOKE:
        return await _take_back(mind, heard, kind, scope, call_verb)
    what, changes = driver.describe(scope), bool(form.values.get("change"))
    granted = await _live(mind, kind)
    needed = set(driver.operations(scope) if changes else kind.reads)
    given = [
        each.oid
        for each in granted
        if needed <= set(each.operations) and driver.contains(each.scope, scope)
    ]
    if not given:
        body = {"what": wanted, "write": changes}
        given = [(await call_verb(heard, "grant", body=body))["object"]]
    if "grant" in heard.conversation.question and (
        answer := await again(heard, heard.conversation.question["sentence"])
    ):
        return answer
    said = text(language, "files.granted_all" if changes else "files.granted", what=what)
    memory = {"granted": given[0]}
    return Answer("acted", said, undo="undo that", language=language, memory=memory)


def _scope_to_end(driver: Driver, wanted: str) -> Mapping[str, Any]:
    """Return the scope of a place, of one that has gone since, too."""
    try:
        return driver.scope(wanted)
    except (NotFoundError, NotGrantedError):  # it may have been granted all the same, before
        return {"path": os.path.realpath(wanted)}


async def _take_back(
    mind: KernelContext,
    heard: Heard,
    kind: Kind,
    scope: Mapping[str, Any],
    call_verb: Callable[..., Awaitable[dict[str, Any]]],
) -> Answer:
    """End all grants within a scope."""
    driver, granted = mind.drivers[kind.driver], await _live(mind, kind)
    ended = [each.name or each.oid for each in granted if driver.contains(scope, each.scope)]
    for name in ended:
        await call_verb(heard, "revoke", target=name)
    outer = [driver.describe(each.scope) for each in granted if driver.contains(each.scope, scope)]
    key = "files.ended" if ended else "files.wider_leave" if outer else "files.no_leave"
    said = text(heard.language, key, what=driver.describe(scope), wider="".join(outer[:1]))
    return Answer("acted" if ended else "unable", said, language=heard.language)


async def _live(mind: KernelContext, kind: Kind) -> list[Grant]:
    return await mind.image.transact(
        lambda root: grants.live(root, time.time(), kind.driver), note="look for grants"
    )
