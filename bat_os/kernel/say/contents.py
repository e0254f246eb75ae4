"""A place that a sentence names is a value: what is in it takes the place of its name.

    "sum the amount column of ~/expenses.csv"  >  a skill for tables, with the text of the file
    "how many links are on https://example.org"  >  what the page says

A folder answers with its names, how many there are, and where a text stands in its files.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.documents.chunking import split_sentences
from bat_os.errors import ArgumentsError, NotFoundError, NotGrantedError, WorldError
from bat_os.image.facts import is_small
from bat_os.image.quotes import ask, chosen_by, has_answer, is_answer, lines_of, match, weigh
from bat_os.kernel.say.leave import mark
from bat_os.kernel.say.places import Pages, Paths, ask_for, find_named, form_of, locate, missing
from bat_os.sentence.language import before_file
from bat_os.sentence.measures import compares
from bat_os.sentence.reading import mask, read_sentence
from bat_os.sentence.texts import text
from bat_os.sentence.values import Value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from bat_os.image.quotes import Line, Match, Question
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.doors import Doors
    from bat_os.kernel.say.heard import Heard
    from bat_os.kernel.say.places import Place
    from bat_os.kernel.say.skills import Candidate
    from bat_os.sentence.forms import Form
    from bat_os.sentence.reading import Sentence

    Skill = Callable[[Heard], Awaitable[Answer | None]]

MAX_SHOWN: Final = 4_000  # characters of a file in an answer
MAX_QUOTED: Final = 100_000  # characters of a file that sentences are quoted from
MAX_LINE: Final = 300  # characters of the nearest line
# Forms that ask for something: what they do not find may stand in a document or a file.
ASKING: Final = frozenset(
    {"context_obj.where", "counters_obj.total", "lists_obj.check", "lists_obj.count",
     "lists_obj.show", "memory_obj.recall", "memory_obj.recall_when"}
)  # fmt: skip
# Forms that would change a file, or that name none to look at.
_OTHER: Final = frozenset(
    {
        "files_obj.append",
        "files_obj.delete",
        "files_obj.find",
        "files_obj.make_folder",
        "files_obj.rename",
        "files_obj.write",
    }
)
_WORD: Final = re.compile(r"\w+")
_END: Final = " .?!\u00bf"
_CLAUSE: Final = re.compile(r"[.?!:;,]\s+\u00bf?")
_PLACES: Final = frozenset({"path", "address"})
MAX_LOOKED: Final = 500  # files whose facts are compared
_OF_FACTS: Final = frozenset({"files_obj.changed", "files_obj.size"})
_SHOW: Final = frozenset({"files_obj.read", "web_obj.search"})  # "open https://example.org"


async def answer_by_places(
    mind: KernelContext, doors: Doors, heard: Heard, use_skill: Skill, ask_which: Skill
) -> Answer | None:
    """Answer a sentence that names files, folders or pages.

    None if it names none, or wants to change one.

    Args:
        mind: The kernel.
        doors: How messages are sent.
        heard: The sentence.
        use_skill: Answers a sentence by a skill.
        ask_which: Asks which of the skills that were found is meant.
    """
    named = find_named(mind, heard.core)
    if not named or heard.request.body["fresh"]:
        return None
    form = await form_of(heard, heard.core, named) or heard.form
    if form is not None and not _may_read(form):
        return None
    places = await locate(mind, heard, named)
    if not places:
        return Answer(
            "asked", text(heard.language, "files.where", name=named[0][0].text),
            needs="clarification", language=heard.language,
        )  # fmt: skip
    if lacking := [place for place in places if place.grant is None]:
        return await ask_for(mind, heard, lacking)
    return await _Reader(mind, doors, replace(heard, form=form)).answer(
        places, use_skill, ask_which
    )


def _may_read(form: Form) -> bool:
    """Return whether a sentence of this form may be about what is in a place."""
    if form.name.startswith("files_obj.") or form.name in _SHOW:
        return form.name not in _OTHER
    # "add up the km in ~/jan.csv" has the form of "add milk", and names no list.
    adds = form.name == "lists_obj.add" and not form.values.get("list")
    return adds or form.name in ASKING or not form.certain


def lacks_skill(answer: Answer) -> bool:
    """Return whether places were read, and no skill surely answers what was asked about them."""
    unsure = answer.kind == "asked" and answer.needs == "clarification" and bool(answer.choices)
    return unsure or (answer.kind == "unable" and "files" in answer.memory)


class _Reader:
    """Reads what a sentence names, through the objects that were granted it."""

    def __init__(self, mind: KernelContext, doors: Doors, heard: Heard) -> None:
        self._mind = mind
        self._doors = doors
        self._heard = heard
        self._label: set[str] = set()  # of what was read
        self._found: list[Candidate] = []  # skills that may be meant

    async def answer(
        self, places: list[Place], use_skill: Skill, ask_which: Skill
    ) -> Answer | None:
        """Return the answer; that a place does not exist, or cannot be read, is one, too."""
        try:
            places = [replace(place, about=await self._send(place, "facts")) for place in places]
            contents = {
                place.value.value: str(await self._send(place, place.kind.read))
                for place in places
                if not place.is_folder
            }
        except NotFoundError:
            return missing(self._heard, places)
        except (ArgumentsError, NotGrantedError, WorldError) as error:
            names = ", ".join(place.value.text for place in places)
            said = text(self._heard.language, "files.broken", name=names, error=str(error))
            return Answer("unable", said, language=self._heard.language)
        return await self._answer(places, contents, use_skill, ask_which)

    async def _answer(
        self, places: list[Place], contents: Mapping[Any, str], use_skill: Skill, ask_which: Skill
    ) -> Answer | None:
        form = self._heard.form
        name = form.name if form is not None else ""
        folders = [place for place in places if place.is_folder]
        if name in _OF_FACTS:
            if places[0].kind.driver == Paths.driver and self._asks_of_file():
                return self._by_facts(places[0], name)
            name = ""  # of what is in it: "how big is the garage in lease.txt?"
        if folders and name == "files_obj.extreme":
            return await self._by_extreme(folders[0])
        if folders:
            return await self._by_folder(folders[0], name)
        return await self._by_content(places, contents, name) or await self._by_words(
            places, contents, use_skill, ask_which
        )

    async def _by_content(
        self, places: list[Place], contents: Mapping[Any, str], name: str
    ) -> Answer | None:
        """Answer by the form of the sentence, if it has one that asks for what is there."""
        if name == "files_obj.lines":
            return self._by_lines(places, contents)
        pages = [place for place in places if place.kind.driver == Pages.driver]
        if pages and name in ("files_obj.links", "files_obj.count_links"):
            return await self._by_links(pages[0], name)
        if name in _SHOW:
            return self._show(places, "\n".join(contents.values()))
        return None

    async def _by_words(
        self, places: list[Place], contents: Mapping[Any, str], use_skill: Skill, ask_which: Skill
    ) -> Answer:
        if compares(self._heard.core.text, self._heard.language):
            return self._no_skill(places)  # the steps measure what is in them
        answer = (
            self._by_key(places, contents)
            or await self._by_skill(places, contents, use_skill)
            or self._quote(places, contents)
            or await self._by_skill(places, contents, ask_which)
        )
        return answer or self._no_skill(places, self._nearest(places, contents))

    async def _by_skill(
        self, places: list[Place], contents: Mapping[Any, str], answer_by: Skill
    ) -> Answer | None:
        said, core = self._heard.typed, self._heard.core
        filled = _fill(core, contents)
        typed = filled if said is core else _fill(said, contents)
        inner = replace(
            self._heard, sentence=filled, typed=typed, core=filled, form=None, found=self._found
        )
        answer = await answer_by(mark(inner, self._label))
        return answer and self._from(places, self._as_place(places, contents, answer))

    def _as_place(self, places: list[Place], contents: Mapping[Any, str], answer: Answer) -> Answer:
        """Return what a skill picked of several texts as the place that has it.

        Asked which of two files is longer, people want its name and not what is in it.
        """
        picked = [place for place in places if contents[place.value.value] == answer.value]
        if answer.kind != "computed" or len(places) < 2 or len(picked) != 1:
            return answer
        name = self._source(picked[0])["title"]
        return replace(answer, text=name, value=name)

    async def _by_folder(self, place: Place, name: str) -> Answer | None:
        heard = self._heard
        sought = [v for v in heard.core.values if v.kind == "text"]
        if name in ("files_obj.search", "files_obj.lines") or (sought and not name):
            wanted = self._sought()
            found = await self._send(place, "search", wanted)
            lines = [f"{one['path']}, {one['line']}: {one['text']}" for one in found]
            said = "\n".join(lines) or text(heard.language, "files.not_found", text=wanted)
            return self._recalled([place], said, found)
        names = await self._send(place, "names")
        if name == "files_obj.count":
            files = [each for each in names if not each.endswith("/")]
            return self._recalled([place], str(len(files)), len(files))
        if not name and ask(heard.core.text, heard.language).is_question:
            return await self._by_word_in(place, names) or self._no_skill([place])
        if name in ("", "files_obj.list", "files_obj.read"):
            said = "\n".join(names) or text(heard.language, "files.empty")
            return self._recalled([place], said, names)
        return None

    async def _by_word_in(self, place: Place, names: Sequence[str]) -> Answer | None:
        """Answer "I keep my bills there. Which are unpaid?" by the files that have the word.

        None if all of them have it, or none: then it says nothing of what is in a file.
        """
        clauses = _CLAUSE.split(_apart(self._heard.core.text, [place]).rstrip(_END))
        wanted = chosen_by(clauses[-1])
        whole = re.compile(rf"(?<!\w){re.escape(wanted)}(?!\w)", re.IGNORECASE)
        found = await self._send(place, "search", wanted) if wanted else []
        lines = [one for one in found if whole.search(one["text"])]
        files = list(dict.fromkeys(one["path"] for one in lines))
        if not files or len(files) == len(names):
            return None
        shown = "\n".join(f"{one['path']}, {one['line']}: {one['text']}" for one in lines)
        return self._recalled([place], shown[:MAX_SHOWN], files)

    def _sought(self) -> str:
        """Return the text that the sentence looks for."""
        quoted = [v for v in self._heard.core.values if v.kind == "text"]
        form = self._heard.form
        return str(quoted[0].value if quoted else form and form.values["text"])

    def _by_lines(self, places: list[Place], contents: Mapping[Any, str]) -> Answer:
        """Return the lines of files that contain a text, with their numbers."""
        wanted = self._sought()
        found = [
            (number, line.strip())
            for place in places
            for number, line in enumerate(contents[place.value.value].splitlines(), 1)
            if wanted.casefold() in line.casefold()
        ]
        said = "\n".join(f"{number}: {line}" for number, line in found)[:MAX_SHOWN]
        said = said or text(self._heard.language, "files.not_found", text=wanted)
        return self._recalled(places, said, [number for number, _ in found])

    def _asks_of_file(self) -> bool:
        """Return whether what has the form of a question for facts names a file alone."""
        values = self._heard.form.values if self._heard.form else {}
        said = read_sentence(str(values.get("path", "")), self._heard.now, self._heard.language)
        rest = said.text
        for value in reversed(said.values):
            if value.kind == "path":
                rest = rest[: value.start] + rest[value.end :]
        return all(is_small(word, self._heard.language) for word in _WORD.findall(rest))

    def _by_facts(self, place: Place, name: str) -> Answer:
        """Answer when a file or folder was changed, or how many bytes a file has."""
        if name == "files_obj.size":
            value: Any = int(place.about["bytes"])
        else:
            value = self._here(place.about["changed"])
        said = text(self._heard.language, name.replace("_obj", ""), name=place.value.text,
                    when=value, count=value)  # fmt: skip
        shown = value if type(value) is int else value.isoformat()
        return self._recalled([place], said, shown)

    async def _by_extreme(self, place: Place) -> Answer | None:
        """Return the biggest, smallest, newest or oldest file of a folder."""
        names = [one for one in await self._send(place, "names") if not one.endswith("/")]
        values, language = self._heard.form.values if self._heard.form else {}, self._heard.language
        if len(names) > MAX_LOOKED:
            said = text(language, "files.broken", name=place.value.text, error=f"> {MAX_LOOKED}")
            return Answer("unable", said, language=language)
        within = [replace(place, what=str(PurePath(place.what, one))) for one in names]
        facts = [await self._send(each, "facts") for each in within]
        held = [(about, one) for about, one in zip(facts, names, strict=True)]
        if not held:
            said = text(language, "files.no_files", name=place.value.text)
            return self._recalled([place], said, None)
        pick = max if values.get("last") else min
        about, one = pick(held, key=lambda each: (each[0][values["by"]], each[1]))
        when = self._here(about["changed"])
        said = text(language, "files.extreme", name=one, count=int(about["bytes"]), when=when)
        return self._recalled([place], said, one)

    def _here(self, moment: Any) -> dt.datetime:
        """Return a moment of a driver's facts on the clock of the person."""
        return dt.datetime.fromisoformat(str(moment)).astimezone(self._heard.now.tzinfo)

    def _no_skill(self, places: list[Place], nearest: str = "") -> Answer:
        language, names = self._heard.language, ", ".join(place.value.text for place in places)
        said = text(language, "files.no_skill", name=names)
        if nearest:
            said += f" {text(language, 'files.nearest', text=nearest)}"
        return Answer("unable", said, language=language, memory=_noted(places))

    async def _by_links(self, place: Place, name: str) -> Answer:
        found = await self._send(place, "links")
        if name == "files_obj.count_links":
            return self._recalled([place], str(len(found)), len(found))
        lines = [f"{one['text']}: {one['url']}" if one["text"] else one["url"] for one in found]
        said = "\n".join(lines) or text(self._heard.language, "files.empty")
        return self._recalled([place], said, [one["url"] for one in found])

    async def _send(self, place: Place, selector: str, *args: Any) -> Any:
        brief = Brief(place.grant.oid if place.grant else "", selector, (*args, place.what))
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

    def _by_key(self, places: list[Place], contents: Mapping[Any, str]) -> Answer | None:
        """Answer by what a map in JSON has under the one key that the sentence names."""
        heard = self._heard
        quoted = [str(value.value) for value in heard.core.values if value.kind == "text"]
        said = quoted or [word.casefold() for word in _WORD.findall(heard.core.text)]
        for place in places if heard.form is None or not heard.form.certain else ():
            held = _read_map(contents[place.value.value])
            keys = [key for key in held if (key if quoted else key.casefold()) in said]
            if len(keys) == 1:
                value = held[keys[0]]
                shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                return self._recalled([place], shown[:MAX_SHOWN], value)
        return None

    def _quote(self, places: list[Place], contents: Mapping[Any, str]) -> Answer | None:
        """Answer by the one sentence of the places that surely answers the question."""
        question = self._question(places)
        for place in places:
            found = [
                line.text
                for line, fit in _fitting(question, contents[place.value.value])
                if is_answer(fit, 1.0) and has_answer(question, line, self._heard.now)
            ]
            if len(found) == 1:
                return self._recalled([place], found[0], found[0])
        return None

    def _nearest(self, places: list[Place], contents: Mapping[Any, str]) -> str:
        """Return the line that has most of the words of the sentence; "" if none has any."""
        question = self._question(places)
        near = [
            (fit.own, line.text)
            for place in places
            for line, fit in _fitting(question, contents[place.value.value])
        ]
        share, line = max(near, default=(0.0, ""), key=lambda one: one[0])
        return line[:MAX_LINE] if share else ""

    def _question(self, places: list[Place]) -> Question:
        return ask(_apart(self._heard.core.text, places), self._heard.language)

    def _recalled(self, places: list[Place], said: str, value: Any) -> Answer:
        answer = Answer("recalled", said, value, language=self._heard.language)
        return self._from(places, answer)

    def _from(self, places: list[Place], answer: Answer) -> Answer:
        """Return the answer with the places that it is from."""
        sources = tuple(map(self._source, places))
        memory = {**answer.memory, **_noted(places), "said": self._heard.sentence.text}
        if label := self._label.union(answer.memory.get("label", ())):
            memory["label"] = sorted(label)
        return replace(answer, sources=(*answer.sources, *sources), memory=memory)

    def _source(self, place: Place) -> dict[str, Any]:
        if place.kind.driver == Pages.driver:
            read = dt.datetime.fromisoformat(str(place.about["read"]))
            return {
                "kind": place.kind.source, "title": str(place.about["url"]), "text": "",
                "at": read.timestamp(),
            }  # fmt: skip
        shown = self._mind.drivers[place.kind.driver].describe({"path": place.what})
        return {"kind": place.kind.source, "title": shown, "text": ""}


def _apart(said: str, places: Sequence[Place]) -> str:
    """Return a sentence without the places that it names."""
    for place in sorted(places, key=lambda place: -place.value.start):
        said = said[: place.value.start] + said[place.value.end :]
    return said


def _fitting(question: Question, content: str) -> Iterator[tuple[Line, Match]]:
    """Yield the lines of a text that may have to do with a question."""
    read = content[:MAX_QUOTED]
    lines = list(lines_of("", read, split_sentences(read)))
    weights = weigh(question, lines)
    for line in lines:
        if (fit := match(question, line, weights)) is not None:
            yield line, fit


def _noted(places: Sequence[Place]) -> dict[str, Any]:
    return {"files": [place.what for place in places if place.kind.driver == Paths.driver]}


def _read_map(content: str) -> Mapping[str, Any]:
    """Return what a text says in JSON if it is a map, else {}."""
    if not content.lstrip().startswith("{"):
        return {}
    try:
        return dict(json.loads(content))
    except (ValueError, RecursionError):
        return {}


def _fill(sentence: Sentence, contents: Mapping[Any, str]) -> Sentence:
    """Return the sentence with the contents of places as values instead of their names.

    What is the name of a column there is a value, too: the "km" of "add up the km".
    """
    held = tuple(
        replace(
            value, kind="text", value=contents[value.value], text=contents[value.value],
            start=before_file(sentence.text, value.start, sentence.language),
        )
        if value.kind in _PLACES and value.value in contents
        else value
        for value in sentence.values
    )  # fmt: skip
    columns = {name for content in contents.values() for name in _columns_of(content)}
    named = [
        Value("text", word[0], word.start(), word.end(), word[0])
        for word in _WORD.finditer(sentence.text)
        if word[0].casefold() in columns
        and all(v.kind == "unit" or v.end <= word.start() or word.end() <= v.start for v in held)
    ]
    rest = [v for v in held if not any(v.start < one.end and one.start < v.end for one in named)]
    values = tuple(sorted((*rest, *named), key=lambda value: value.start))
    return replace(sentence, values=values, masked=mask(sentence.text, values))


def _columns_of(content: str) -> set[str]:
    """Return the names of the columns of a table, in lower case; {} of what is none."""
    lines = content.splitlines()[:2]
    names = [name.strip().casefold() for name in lines[0].split(",")] if lines else []
    is_table = len(lines) == 2 and len(names) > 1 and lines[1].count(",") == len(names) - 1
    return {*names} if is_table and all(map(_WORD.fullmatch, names)) else set()
