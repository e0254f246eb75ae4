"""Files that are watched, as a person says it: set, listed and stopped; and what a watch tells.

    "when a file appears in ~/inbox, count its lines and append that to ~/log.txt"
        > leave to read ~/inbox, to change ~/log.txt, and to send one to the other: asked for now
        > one schedule; nobody is there to be asked when it runs

What is to be done has to be understood before it is kept: an order that no skill does is learned
first, with a text in the file's place, as if it were said alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.scopes import demand
from bat_os.core.verbs import SCOPE_OF
from bat_os.errors import ArgumentsError, BusyError, GrantWantedError, NotFoundError, TooLargeError
from bat_os.image import flows, schedules, watches
from bat_os.image.store import watch_commits
from bat_os.kernel.say.changes import OPERATIONS, ToChange
from bat_os.kernel.say.leave import ALWAYS, LABEL, NO
from bat_os.kernel.say.places import Paths, Place, ask_for, find_named, form_of, locate
from bat_os.kernel.say.recall import UNDO
from bat_os.kernel.say.skills import decide, find_candidates
from bat_os.kernel.sinks import describe
from bat_os.kernel.watching import DRIVER, LEARN, Wanted, find_grant, keep_watch
from bat_os.ports import WatchedDriver
from bat_os.sentence.clauses import ask_first
from bat_os.sentence.due import say_rule
from bat_os.sentence.forms import Form, read_core, read_form
from bat_os.sentence.reading import MAX_READ, mask
from bat_os.sentence.spelling import read_spelt
from bat_os.sentence.texts import text
from bat_os.sentence.watching import NAME, Watching, read_watching, speaks_of_file, steps_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bat_os.image.grants import Grant
    from bat_os.image.schedules import Schedule
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.heard import Heard
    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.values import Value

    Hear = Callable[[str], Awaitable[Heard]]
    Learn = Callable[[Heard], Awaitable[Answer]]

MAX_TEXT: Final = 500
LISTED: Final = 20
EXAMPLE: Final = "~/watched.txt"  # stands for the file in an order
MEANT: Final = "meant"  # in the body of a request: what values of the sentence mean
_CONTENT: Final = "one\ntwo\n"
THEN: Final = "then"  # of an answer: the sentence that waits for what is learned
_KINDS: Final[Mapping[str, str]] = {"tell": "remind", "remind": "remind", "do": "say"}
_CANNOT: Final = (ArgumentsError, BusyError, NotFoundError, TooLargeError)


async def answer_watching(
    mind: KernelContext, heard: Heard, hear: Hear, learn: Learn
) -> Answer | None:
    """Answer a sentence about what is watched; None if it is about nothing of the kind.

    Args:
        mind: The kernel.
        heard: The sentence.
        hear: Reads another sentence as if it were said alone.
        learn: Answers a sentence that no skill fits.
    """
    if not isinstance(mind.drivers.get(DRIVER), WatchedDriver) or heard.request.body["fresh"]:
        return None
    found = await asyncio.to_thread(_read, heard)
    if found is None:
        return None
    answer = await _Watches(mind, heard, hear, learn, found).answer()
    if answer is None or answer.kind != "asked" or THEN in answer.memory:
        return answer
    return replace(answer, memory={**answer.memory, "said": heard.typed.text})


def _read(heard: Heard) -> Watching | None:
    return read_watching(heard.typed) or read_watching(heard.core)


@dataclass(frozen=True, slots=True)
class _Watches:
    """One sentence about what is watched."""

    mind: KernelContext
    heard: Heard
    hear: Hear
    learn: Learn
    found: Watching

    def say(self, key: str, **values: Any) -> str:
        return text(self.heard.language, f"watches.{key}", **values)

    async def answer(self) -> Answer | None:
        """Return the answer; None if it names nothing to watch."""
        if self.found.act == "list":
            return await self.tell()
        if self.found.act == "stop":
            return await self.stop()
        return await self.set(self.found.path) if self.found.path is not None else None

    async def set(self, named: Value) -> Answer:
        """Keep a watch, once all is granted that it needs."""
        heard, found = self.heard, self.found
        path = await self._path(named)
        if path is None:
            said = text(heard.language, "files.where", name=named.text)
            return Answer("asked", said, needs="clarification", language=heard.language)
        try:
            grant = await find_grant(self.mind, path, learns=found.act in ("learn", "do"))
            question = await self._look_ahead(path, grant) if found.act == "do" else None
            return question or await self._keep(path, grant)
        except GrantWantedError:
            place = Place(named, Paths(), path, None)
            return await ask_for(self.mind, heard, [place], lasting=True)
        except _CANNOT as error:
            return self._unable("too_many", what=path, why=str(error))

    async def _keep(self, path: str, grant: Grant) -> Answer:
        found, language = self.found, self.heard.language
        kind = LEARN if found.act == "learn" else _KINDS[found.act]
        if kind == LEARN:
            demand(self.heard.request.may, SCOPE_OF["learn"], "to keep a folder learned")
        each = kind == "say" and speaks_of_file(found.words, found.language)
        wanted = Wanted(
            kind, found.words[:MAX_TEXT], found.on, found.pattern, each,
            caller=self.heard.request.caller, language=found.language,
        )  # fmt: skip
        kept, count, transaction = await keep_watch(self.mind, path, grant, wanted)
        rule = say_rule(kept.rule, kept.zone, language)
        key = found.act if kind != "remind" or not kept.text else "remind"
        said = self.say(key, rule=rule, text=kept.text, what=kept.rule["shown"], count=count)
        memory = {"transaction": transaction}
        return Answer("acted", said, undo=UNDO, language=language, memory=memory)

    async def _path(self, named: Value) -> str | None:
        """Return the whole path of what is to be watched; None if only a name was said."""
        if (whole := _whole(named)).is_absolute():
            return str(whole)
        place = await locate(self.mind, self.heard, [(named, Paths())])
        return place[0].what if place else None

    async def _look_ahead(self, path: str, grant: Grant) -> Answer | None:
        """Return what has to be asked before the orders of a watch can be carried out, if any."""
        steps = steps_of(self.found.words, EXAMPLE, self.found.language)
        for step in steps:
            inner = await self.hear(step)
            named = find_named(self.mind, inner.core)
            form = await form_of(inner, inner.core, named) or inner.form
            operation = OPERATIONS.get(form.name) if form is not None and named else None
            paths = [value for value, kind in named if kind.driver == DRIVER]
            if operation:
                answer = await self._look_at_change(inner, paths, operation, (path, grant))
            else:
                answer = await self._look_at_reading(inner, paths, path)
                is_known = (form is not None and form.certain) or await self._is_skill(inner)
                if answer is None and not is_known:
                    answer = await self._learn_first(step, path)
            if answer is not None:
                return answer
        return None

    async def _learn_first(self, step: str, path: str) -> Answer | None:
        """Have an order learned; return what a person has to say to that, None if it is known.

        It is learned with a text of ours: no model sees what is in a file.
        """
        told = await self.learn(await self.hear(step.replace(EXAMPLE, f"'{_CONTENT}'")))
        if told.kind == "computed":
            return None
        shown = step.replace(EXAMPLE, path)
        if told.kind not in ("guess", "asked"):
            return self._unable("unknown", text=shown)
        said = self.say("learn_first", text=shown, answer=told.text)
        memory = {**told.memory, THEN: self.heard.typed.text, "said": told.memory.get("said", step)}
        return replace(told, text=said, memory=memory)

    async def _look_at_change(
        self, inner: Heard, paths: Sequence[Any], operation: str, watched: tuple[str, Grant]
    ) -> Answer | None:
        """Return the question for leave to change a file, or to send there what was read."""
        path, grant = watched
        paths = [replace(v, value=path) if v.value == EXAMPLE else v for v in paths]
        for place in await locate(self.mind, inner, [(v, ToChange(operation)) for v in paths]):
            if place.grant is None:
                lacking = [replace(place, kind=Paths())]
                return await ask_for(self.mind, self.heard, lacking, write=True, lasting=True)
            if flow := await self._missing_flow(grant.oid, place.grant.oid):
                return self._ask_flow(flow)
        return None

    async def _look_at_reading(
        self, inner: Heard, paths: Sequence[Any], path: str
    ) -> Answer | None:
        """Return the question for leave to read another file, if it is needed."""
        others = [(value, Paths()) for value in paths if value.value != EXAMPLE]
        lacking = [p for p in await locate(self.mind, inner, others) if p.grant is None]
        return await ask_for(self.mind, self.heard, lacking, lasting=True) if lacking else None

    async def _missing_flow(self, source: str, sink: str) -> dict[str, str]:
        def look(root: Any) -> dict[str, str]:
            if not flows.lacking(root, {source}, sink):
                return {}
            read, sent = (describe(root, self.mind.drivers, oid) for oid in (source, sink))
            return {"source": source, "sink": sink, "read": read, "sent": sent}

        return await self.mind.image.transact(look, note="look at flows")

    def _ask_flow(self, flow: Mapping[str, str]) -> Answer:
        language, ways = self.heard.language, [ALWAYS, NO]
        asked = text(language, "flows.ask", read=flow["read"], sent=flow["sent"])
        memory = {"flow": dict(flow), "before": dict(self.heard.conversation.last), "ways": ways}
        choices = tuple(text(language, f"flows.{way}") for way in ways)
        return Answer("asked", asked, needs="grant", choices=choices, language=language,
                      memory=memory)  # fmt: skip

    async def _is_skill(self, inner: Heard) -> bool:
        """Return whether an order is understood, with the text of a file in the file's place."""
        readings = [_filled(each) for each in inner.readings]
        return any([decide(await find_candidates(self.mind, each)) == "act" for each in readings])

    async def tell(self) -> Answer:
        """Say what is watched."""
        found = await self._live()
        if not found:
            return Answer("recalled", self.say("none"), [], language=self.heard.language)
        said = [line_of(each, self.heard.language) for each in found[:LISTED]]
        told = self.say("list", count=len(found), text="; ".join(said))
        return Answer("recalled", told, said, language=self.heard.language)

    async def stop(self) -> Answer | None:
        """Stop watching what is named, or the one thing that is watched."""
        found = await self._live()
        if self.found.path is not None:
            said = await asyncio.to_thread(_resolved, self.found.path)
            held = [(each, PurePath(each.rule["watch"])) for each in found]
            inside = [each for each, path in held if path.is_relative_to(said)]
            found = inside or [each for each, path in held if path.name == said.name]
            if not found:
                return self._unable("none_of", what=self.found.path.text)
        elif not found:
            return Answer("recalled", self.say("none"), [], language=self.heard.language)
        elif len(found) > 1:
            return self._which(found)
        with watch_commits() as commits:
            await self.mind.image.transact(
                lambda root: [schedules.change(root, one.number, live=False) for one in found],
                note="stop watching",
            )
        self.mind.orchestrator.wake()
        lines = "; ".join(line_of(each, self.heard.language) for each in found[:LISTED])
        return Answer(
            "acted", self.say("stopped", count=len(found), text=lines), undo=UNDO,
            language=self.heard.language, memory={"transaction": commits[-1] if commits else ""},
        )  # fmt: skip

    def _which(self, found: Sequence[Schedule]) -> Answer:
        name = "reminders_obj.cancel"
        forms = [{"name": name, "values": {"number": each.number, "watch": True}} for each in found]
        choices = tuple(line_of(each, self.heard.language) for each in found)
        return Answer("asked", self.say("which"), needs="clarification", choices=choices,
                      language=self.heard.language, memory={"forms": forms})  # fmt: skip

    async def _live(self) -> list[Schedule]:
        found = await self.mind.image.transact(
            lambda root: schedules.live(root, self.heard.request.caller), note="look at the watches"
        )
        return [each for each in found if watches.is_watch(each)]

    def _unable(self, key: str, **values: Any) -> Answer:
        return Answer("unable", self.say(key, **values), language=self.heard.language)


def _filled(said: Sentence) -> Sentence:
    """Return a sentence with the text of a file in the place of its paths."""
    values = tuple(
        replace(value, kind="text", value=_CONTENT, text=_CONTENT)
        if value.kind == "path"
        else value
        for value in said.values
    )
    return replace(said, values=values, masked=mask(said.text, values))


def _whole(named: Value) -> Path:
    return Path(named.value).expanduser()


def _resolved(named: Value) -> Path:
    whole = _whole(named)
    return whole.resolve() if whole.is_absolute() else whole


def told_of(one: Schedule) -> dict[str, Any]:
    """Return what the request of a watch's sentence has besides the words: which file is meant.

    The name of a file is what others have written, so it never stands in a sentence.
    """
    if not one.changes:
        return {}
    file = schedules.file_of(one)
    return {MEANT: {EXAMPLE: file, NAME: PurePath(file).name}, LABEL: (str(one.rule["grant"]),)}


def put_in(sentence: Sentence, meant: Mapping[str, str]) -> Sentence:
    """Return a sentence with some of its values replaced by what they mean."""
    values = tuple(
        replace(v, value=meant[v.value]) if isinstance(v.value, str) and v.value in meant else v
        for v in sentence.values
    )
    return replace(sentence, values=values)


def line_of(one: Schedule, language: str) -> str:
    """Return a watch on one line: when, and what is done then."""
    rule = say_rule(one.rule, one.zone, language)
    if one.kind == LEARN:
        line = text(language, "watches.learns", what=one.rule["shown"])
    elif one.text:
        line = text(language, "watches.line", rule=rule, text=one.text)
    else:
        line = text(language, "watches.line_tell", rule=rule)
    return f"{line} ({text(language, 'due.asleep')})" if one.asleep else line


def say_watched(due: Mapping[str, Any]) -> str:
    """Return in words what a watch tells."""
    language, what, said = str(due["language"]), str(due["shown"]), str(due["text"])
    if due.get("ended"):
        key = "ended_learn" if due["kind"] == LEARN else "ended"
        values = {"count": due.get("count", 0), "path": due["watch"]}
        return text(language, f"watches.{key}", what=what, **values)
    if due["kind"] == LEARN and not due["failed"]:
        return _say_learned(due, language, what)
    if due["asleep"]:
        return text(language, "watches.asleep", what=what, why=due["failed"])
    event = _say_event(due, language, what)
    if due["kind"] == "remind":
        return text(language, "watches.remember", event=event, text=said) if said else event
    if due["failed"]:
        line = text(language, "watches.failed", event=event, text=said, answer=due["failed"])
    else:
        line = text(language, "watches.ran", event=event, answer=due["answer"])
    return f"{line} {text(language, 'watches.before', count=due['more'])}" if due["more"] else line


def _say_event(due: Mapping[str, Any], language: str, what: str) -> str:
    names = [path for _, path in due["changes"]]
    kinds = {event for event, _ in due["changes"]}
    event = kinds.pop() if len(kinds) == 1 else ""
    if names == [""]:
        return text(language, f"watches.own_{event}", what=what)
    shown: list[str] = list(names)
    if (more := due["changed"] - len(names)) > 0:
        shown.append(text(language, "watches.and_more", count=more))
    key = event or "mixed"
    return text(language, f"watches.{key}", name=", ".join(shown), what=what, count=due["changed"])


def _say_learned(due: Mapping[str, Any], language: str, what: str) -> str:
    said = text(language, "watches.learned", what=what, count=due["count"])
    left = due["skipped"]
    if not left:
        return said
    names = "; ".join(f"{path}: {why}" for path, why in left[:3])
    return f"{said} {text(language, 'watches.skipped', count=due['left'], text=names)}"


def read_said(
    text: str, now: dt.datetime, hint: str, meant: Any = None
) -> tuple[Sentence, Sentence, Sentence, Form | None]:
    """Return a sentence put right, as typed, and its core; and the form that it has, if any.

    ``hint`` is the language of what came before, ``meant`` the value that a name has. Nothing here
    looks into the image, and a long sentence takes time: call it in a thread.

    Raises:
        TooLargeError: It is longer than a sentence, besides its values.
    """
    sentence, typed = read_spelt(text, now, hint)
    if typed.length > MAX_READ:
        if turned := ask_first(text, typed.language):
            return read_said(turned, now, hint, meant)
        raise TooLargeError(
            f"a sentence has at most {MAX_READ} characters; say what to do, and put a long text "
            "behind that in quotes or behind a colon, or learn it as a document and ask about it"
        )
    core = read_core(sentence, now)
    if meant:
        core, sentence, typed = (put_in(each, meant) for each in (core, sentence, typed))
    form = read_form(sentence)
    if form is not None:
        sentence = replace(sentence, language=form.language)
    return sentence, typed, core, form
