"""Answers out of memory, each with its source: what a person said to remember, and documents.

A fact is answered as it was said, with the day; the short part that answers stands before it.
No model takes part.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.image.facts import person_of, words_of
from bat_os.image.store import watch_commits
from bat_os.kernel import memory
from bat_os.kernel.turn import take_turn
from bat_os.sentence.forms import read_form
from bat_os.sentence.periods import find_period
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bat_os.image.facts import Fact
    from bat_os.image.memory import Recalled
    from bat_os.kernel.context import KernelContext
    from bat_os.sentence.reading import Sentence

    # A turn that writes, by way of the dispatcher: the body of its result.
    Send = Callable[[Brief], Awaitable[Mapping[str, Any]]]
    Noted = Callable[[str], Awaitable[Answer | None]]

UNDO: Final = "undo that"
LISTED: Final = 10
MAX_QUESTION: Final = 500  # characters; a longer text is no question for what was said
BESIDE: Final = 0.05  # of the best score: as good an answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A form with what it takes to answer it."""

    mind: KernelContext
    name: str
    values: Mapping[str, Any]
    language: str
    now: dt.datetime
    has_values: bool = False  # the sentence names a number or the like
    certain: bool = True
    caller: str = ""  # who says it

    def slot(self, name: str) -> str:
        """Return what was said in a slot, or ""."""
        return str(self.values.get(name) or "").strip()

    def say(self, key: str, **values: Any) -> str:
        """Return a text in the person's language."""
        return text(self.language, key, **values)

    def answer(self, kind: str, key: str, value: Any = None, **values: Any) -> Answer:
        """Return an answer of one text."""
        return Answer(kind, self.say(key, **values), value, language=self.language)

    def done(self, said: str, transactions: list[str], value: Any = None, **more: Any) -> Answer:
        """Return that something was done, with how to take it back."""
        form = {
            "name": self.name,
            "values": {k: v for k, v in self.values.items() if v is not None},
        }
        noted = {"form": form, "transaction": transactions[-1] if transactions else ""}
        return Answer(
            "acted", said, value, undo=UNDO if transactions else "", language=self.language,
            memory={**noted, **more},
        )  # fmt: skip

    def ask_which(self, choices: Mapping[str, Mapping[str, Any]]) -> Answer:
        """Return the question which thing is meant: a line for each -> the values that name it."""
        lines = tuple(choices)
        said = self.say("memory.which")
        if len(lines) == 1:
            said = self.say("asked.skill_one", choice=lines[0])
        forms = [
            {"name": self.name, "values": {**self.values, **values}} for values in choices.values()
        ]
        return Answer(
            "asked", said, needs="clarification", choices=lines, language=self.language,
            memory={"forms": forms},
        )  # fmt: skip

    def confirm(self, said: str, **values: Any) -> Answer:
        """Return the question whether to do it; a yes carries it out."""
        return Answer(
            "asked", said, needs="confirmation", language=self.language,
            memory={"confirm": {"name": self.name, "values": {**self.values, **values}}},
        )  # fmt: skip


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

    def stamp(self, day: dt.date | None = None) -> str:
        """Return the present time of day as it is noted, today or on another day."""
        at = dt.datetime.combine(day or self.now.date(), self.now.time())
        return at.isoformat(timespec="seconds")

    @property
    def confirmed(self) -> bool:
        """Return whether a person has said yes to it."""
        return self.values.get("confirmed") is True


async def recall_anything(
    mind: KernelContext, readings: Sequence[Sentence], *, now: dt.datetime
) -> Answer | None:
    """Return what a person said or a document says to a question that nothing else answers.

    ``readings`` are the question as it was typed, and without typing errors.
    """
    for sentence in readings:
        if len(sentence.text) <= MAX_QUESTION:
            told = await recall_facts(mind, sentence, now=now)
            if answer := told or await recall_documents(mind, sentence):
                return answer
    return None


async def recall_facts(
    mind: KernelContext, sentence: Sentence, *, now: dt.datetime
) -> Answer | None:
    """Return the fact that a sentence surely asks for, or None."""
    asked = Asked(mind, "memory_obj.recall", {}, sentence.language, now)
    found = await memory.recall(mind, sentence.text, now=now)
    return _told(asked, found) if found and found[0].certain else None


async def recall_documents(mind: KernelContext, sentence: Sentence) -> Answer | None:
    """Return the sentence of a document that answers a question, or None."""
    found = await memory.recall_documents(mind, sentence.text, language=sentence.language)
    return _quoted(found, sentence.language) if found is not None else None


async def recall(asked: Asked, noted: Noted | None = None) -> Answer | None:
    """Answer a question for something that was said, or was noted in another way."""
    question = asked.slot("question")
    if not words_of(question):
        return await list_newest(asked)
    found = await memory.recall(asked.mind, question, now=asked.now)
    if found and found[0].certain:
        return _told(asked, found)
    if noted is not None and (answer := await noted(question)):
        return answer
    if quoted := await memory.recall_documents(asked.mind, question, language=asked.language):
        return _quoted(quoted, asked.language)
    return _told(asked, found) if found else _nothing(asked)


def _nothing(asked: Asked) -> Answer | None:
    if not asked.certain and asked.has_values:
        return None  # it may be something to compute
    return asked.answer("unable", "memory.nothing")


async def recall_when(asked: Asked) -> Answer | None:
    """Answer what was said on some days, and what is on these days."""
    span = find_period(asked.slot("when"), asked.now, asked.language)
    if span is None:
        return await recall(
            Asked(asked.mind, asked.name, {"question": asked.slot("when")}, asked.language,
                  asked.now)
        )  # fmt: skip
    zone = asked.now.tzinfo
    since, until = (dt.datetime.combine(day, dt.time(), zone) for day in span)
    until += dt.timedelta(days=1)
    told = await memory.recall_told(asked.mind, since, until)
    about = await memory.recall_when(asked.mind, *span)
    facts = list({fact.id: fact for fact in (*about, *told)}.values())
    if not facts:
        return asked.answer("unable", "memory.nothing_when", when=asked.slot("when"))
    return _listed(asked, facts)


async def recall_told(asked: Asked) -> Answer | None:
    """Answer when something was said about a subject last."""
    about = asked.slot("text")
    found = await memory.recall(asked.mind, f"about {about}", now=asked.now)
    words = set(words_of(about))
    known = [one.fact for one in found if one.certain or words <= set(words_of(one.fact.text))]
    if not known or not words:
        return asked.answer("unable", "memory.nothing_about", text=about)
    fact = max(known, key=lambda fact: fact.told_at)
    told = dt.datetime.fromtimestamp(fact.told_at, dt.UTC).astimezone(asked.now.tzinfo)
    said = asked.say("memory.quoted", when=told.replace(tzinfo=None), text=fact.text)
    value = told.isoformat(timespec="minutes")
    return Answer(
        "recalled", said, value, sources=(_source(fact),), language=asked.language,
        memory={"fact": fact.id, "about": person_of(fact.text)},
    )  # fmt: skip


async def remember(asked: Asked) -> Answer:
    """Keep a fact; ask whether it is said instead of an older one."""
    with watch_commits() as commits:
        kept = await memory.remember(asked.mind, _as_kept(asked), now=asked.now)
    if not kept.is_new:
        return asked.answer("acted", "memory.known", kept.fact.text, text=kept.fact.text)
    if not kept.rivals:
        said = asked.say("memory.remembered", text=kept.fact.text)
        about = person_of(kept.fact.text)
        return asked.done(said, commits, kept.fact.text, fact=kept.fact.id, about=about)
    return _ask_instead(asked, kept, commits[-1])


def _ask_instead(asked: Asked, kept: memory.Remembered, commit: str) -> Answer:
    """Say that a fact is kept, and ask whether it is said instead of an older one."""
    said, older = asked.say("memory.remembered", text=kept.fact.text), kept.rivals[0]
    question = asked.say("memory.instead", before=older.text)
    values = {"text": kept.fact.text, "instead": older.id}
    noted = {"name": "memory_obj.change", "values": values}
    return Answer(
        "asked", f"{said} {question}", kept.fact.text, needs="confirmation",
        language=asked.language, memory={"confirm": noted, "transaction": commit},
    )  # fmt: skip


async def remember_in_doubt(
    mind: KernelContext, sentence: Sentence, *, now: dt.datetime
) -> Answer | None:
    """Answer "my password is abc123?": by what is known, or by asking whether to keep the mark.

    None if the sentence would not be kept without its question mark.
    """
    said = sentence.text.rstrip()
    bare = said.rstrip("?").rstrip()
    form = read_form(replace(sentence, text=bare)) if bare != said else None
    if form is None or form.name != "memory_obj.remember" or not form.certain:
        return None
    if told := await recall_facts(mind, sentence, now=now):
        return told
    asked = Asked(mind, form.name, form.values, sentence.language, now)
    kept = _as_kept(asked)
    question = asked.ask_which({each: {"text": each} for each in (kept + said[len(bare) :], kept)})
    return replace(question, text=asked.say("memory.with_mark"))


async def change(asked: Asked) -> Answer:
    """Keep a fact instead of an older one."""
    with watch_commits() as commits:
        kept, old = await memory.change(
            asked.mind, _as_kept(asked), now=asked.now, instead=asked.slot("instead")
        )
    if old is None and kept.rivals and commits:
        return _ask_instead(asked, kept, commits[-1])
    if old is None:
        said = asked.say("memory.remembered", text=kept.fact.text)
    else:
        said = asked.say("memory.changed", text=kept.fact.text, before=old.text)
    return asked.done(said, commits, kept.fact.text, fact=kept.fact.id)


async def forget(asked: Asked) -> Answer:
    """Hide a fact; ask which one if several are meant."""
    about = _clean(asked.slot("text"))
    with watch_commits() as commits:
        found = await memory.forget(asked.mind, about, now=asked.now, fact_id=asked.slot("fact"))
    if not found:
        return asked.answer("unable", "memory.nothing_about", text=about)
    if found[0].hidden:
        said = asked.say("memory.forgotten", count=1, text=found[0].text)
        return asked.done(said, commits, found[0].text, fact=found[0].id)
    return asked.ask_which({fact.text: {"text": fact.text, "fact": fact.id} for fact in found})


async def erase(asked: Asked) -> Answer:
    """Name the command that erases a fact: it cannot be undone, so no sentence alone does it.

    A conversation that carried it out would keep the very words that are to go.
    """
    about = _clean(asked.slot("text"))
    found = await memory.recall(asked.mind, about, now=asked.now)
    sure = [one.fact for one in found if one.certain]
    if not sure:
        return asked.answer("unable", "memory.nothing_about", text=about)
    said = asked.say("memory.confirm_erase", count=1, text=sure[0].text)
    command = f"batos erase --id fact:{sure[0].id} --yes"
    return Answer(
        "asked", f"{said}\n{command}", needs="confirmation", language=asked.language,
        memory={"fact": sure[0].id},
    )  # fmt: skip


async def list_newest(asked: Asked) -> Answer:
    """Say what was last said to remember."""
    facts = await memory.newest(asked.mind, LISTED)
    if not facts:
        return asked.answer("unable", "memory.empty")
    return _listed(asked, facts)


def _listed(asked: Asked, facts: list[Fact]) -> Answer:
    quoted = [f'"{fact.text}"' for fact in facts[:LISTED]]
    said = asked.say("memory.recalled_many", count=len(facts), text=quoted)
    return Answer(
        "recalled", said, [fact.text for fact in facts],
        sources=tuple(map(_source, facts[:LISTED])), language=asked.language,
    )  # fmt: skip


def _told(asked: Asked, found: list[Recalled]) -> Answer:
    """Return the best fact as it was said; others that are as good come with it."""
    best = found[0]
    equal = [one.fact for one in found if one.certain and best.score - one.score < BESIDE]
    if len(equal) > 1 and not best.short:
        return _listed(asked, equal)
    fact = best.fact
    told = dt.datetime.fromtimestamp(fact.told_at, dt.UTC).astimezone(asked.now.tzinfo)
    key = "memory.quoted" if best.certain else "memory.nearest"
    said = asked.say(key, when=told.date(), text=fact.text)
    short = best.short if best.certain else ""
    noted = {
        "fact": fact.id,
        "about": person_of(fact.text),
        "before": [older.id for older in best.before],
        "neighbours": [other.id for other in best.neighbours],
    }
    return Answer(
        "recalled", f"{short}. {said}" if short else said, short or fact.text,
        sources=(_source(fact), *map(_source, best.neighbours)), language=asked.language,
        memory=noted,
    )  # fmt: skip


def _quoted(found: memory.Found, language: str) -> Answer:
    title = found.title
    if found.line and found.path:
        title = text(language, "memory.place", path=found.path, line=str(found.line))
    if found.is_codex:
        title = text(language, "memory.codex", name=title)
    said = text(language, "memory.document", text=found.sentence, title=title)
    source = {"kind": "document", "title": title, "text": found.passage}
    source |= {"label": " ".join(found.label)} if found.label else {}
    return Answer(
        "recalled", said, found.sentence, sources=(source,), language=language,
        memory={"doc_id": found.doc_id},
    )  # fmt: skip


def _source(fact: Fact) -> dict[str, Any]:
    about = {"kind": "fact", "title": fact.source, "text": fact.text, "at": fact.told_at}
    return {**about, **({"label": fact.label} if fact.label else {})}


def _as_kept(asked: Asked) -> str:
    """Return a fact as it is kept: in one line, to the last character that was said."""
    return " ".join(asked.slot("text").split())


def _clean(said: str) -> str:
    """Return what names a fact, without the marks around it."""
    return " ".join(said.split()).strip(" .!")


ACTS: Final[Mapping[str, Callable[[Asked], Awaitable[Answer | None]]]] = {
    "memory_obj.remember": remember,
    "memory_obj.recall_when": recall_when,
    "memory_obj.recall_told": recall_told,
    "memory_obj.change": change,
    "memory_obj.forget": forget,
    "memory_obj.erase": erase,
}
