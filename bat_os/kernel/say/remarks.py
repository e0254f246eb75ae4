"""Talk about the talk itself: yes and no, choices, corrections, follow-ups, why and undo."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.schema import replace as replace_fields
from bat_os.core.scopes import covers, demand
from bat_os.core.verbs import SCOPE_OF, check
from bat_os.errors import ArgumentsError, BatError
from bat_os.image.quotes import ask
from bat_os.kernel.say import about, followups, places, replies, spoken
from bat_os.kernel.say.acts import act
from bat_os.kernel.say.consents import Leaves
from bat_os.kernel.say.heard import read_words
from bat_os.kernel.say.lessons import read_example
from bat_os.kernel.say.references import References
from bat_os.kernel.say.skills import find_candidates
from bat_os.kernel.say.wordings import add_wording
from bat_os.sentence.forms import Form, read_form
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.texts import text
from bat_os.sentence.translate import translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.doors import Doors
    from bat_os.kernel.say.heard import Heard
    from bat_os.kernel.say.lessons import Lessons

    # The sentence in other words; with ``sure=True`` only a sure skill answers it.
    Again = Callable[..., Awaitable[Answer | None]]
    Send = Callable[[Heard, Brief], Awaitable[Answer]]


_NUMBER: Final = re.compile(r"\s*/?(\d{1,2})\s*[.)]?\s*\Z")
SMALL: Final = frozenset(
    {"greeting", "thanks", "bye", "exit", "how_are_you", "name", "insult", "praise", "joke", "sad",
     "nothing_to_cancel", "nothing_open", "wrong_nothing", "person", "maker", "private", "safe",
     "kept", "teaching", "online", "mistakes", "bored"}
)  # fmt: skip
# Objects whose forms are sentences of their own, also behind "and".
OWN: Final = frozenset(
    {"lists_obj", "counters_obj", "reminders_obj", "memory_obj", "context_obj", "self_obj"}
)
# What is said if nothing is open that it could refer to.
ALONE: Final[Mapping[str, str]] = {
    "yes": "nothing_open", "no": "nothing_open", "choice": "nothing_open",
    "cancel": "nothing_to_cancel", "wrong": "wrong_nothing",
}  # fmt: skip


class Talk:
    """Answers what refers to the conversation; for one event loop."""

    def __init__(
        self, mind: KernelContext, doors: Doors, lessons: Lessons, again: Again, send: Send
    ) -> None:
        self._mind = mind
        self._doors = doors
        self._lessons = lessons
        self._again = again
        self._send = send
        self.references = References(mind, again, send)
        self._asking: dict[str, Any] = {"again": again, "call_verb": self._call_verb}
        self._leaves = Leaves(mind, doors, lessons, places.grant_and_answer, **self._asking)

    async def settle(self, heard: Heard) -> Answer | None:
        """Answer what settles the open question, or the guess before; None if it does not."""
        last, name = heard.conversation.last, _name(heard, "talk")
        change = places.change_leave
        if not _chosen(heard) and (answer := await change(self._mind, heard, **self._asking)):
            return answer
        if heard.conversation.question and (answer := await self._settle_question(heard, name)):
            return answer
        if last.get("guess") and last["kind"] == "guess":
            if name == "yes":
                return await self._lessons.approve(heard.request, last, heard.language)
            if name in ("no", "wrong"):
                return await self._refuse(heard, last)
        return None

    async def _settle_question(self, heard: Heard, name: str) -> Answer | None:
        question = heard.conversation.question
        if (number := _chosen(heard)) and number <= len(question["choices"]):
            return await self._choose(heard, question, number - 1)
        if name == "yes":
            return await self._agree(heard, question) or replies.ask_again(heard)
        if name in ("no", "cancel"):
            last = len(question["choices"]) - 1
            refused = await self._choose(heard, question, last) if "waits_for" in question else None
            return refused or self._said(heard, "talk.cancelled")
        if question["needs"] == "example" and "brief" in question:
            return await self._take_example(heard, question)
        return None

    async def follow_up(self, heard: Heard) -> Answer | None:
        """Answer what refers to the last answer; None if it does not, or if there is none."""
        last, form = heard.conversation.last, heard.form
        if not last or form is None:
            return None
        if (of_last := spoken.FOLLOW_UPS.get(form.name)) is not None:
            return await of_last(self._act, heard, last, form.values)
        if (answer_by := FOLLOW_UPS.get(form.name)) is None:
            return None
        return await answer_by(self, heard, last, form.values)

    async def _anew(
        self, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Answer | None:
        words = str(values["text"])
        if not words:
            return await self._again(heard, str(last["text"]))
        answer = await self._on_its_own(heard, last, words)
        if answer := answer or await self.references.go_on(heard, last, words):
            return answer
        ways = await asyncio.to_thread(followups.ways_to_say_again, last, words, heard.now)
        if not ways and re.search(r"[^\W\d]{2}", words):
            return await spoken.add_more(self._act, heard, last, [words])
        if len(ways) < 2:
            return await self._again(heard, "".join(ways))
        return Answer(
            "asked", text(heard.language, "asked.skill"), needs="clarification",
            choices=tuple(ways[: replies.MAX_CHOICES]), language=heard.language,
        )  # fmt: skip

    async def _on_its_own(self, heard: Heard, last: Mapping[str, Any], words: str) -> Answer | None:
        """Answer what stands behind "and" if it is a sentence of its own, perhaps of a list."""
        form = read_form(await read_words(heard, words))
        if form is not None and form.certain:
            owner = form.name.partition(".")[0]
            if owner in OWN or form.name in spoken.FOLLOW_UPS:
                return await self._again(heard, words)
        if not last.get("list"):
            return None
        said = text(heard.language, "lists.from_it", text=words)
        form = read_form(await read_words(heard, said))
        if form is None or form.name != "lists_obj.remove" or not form.certain:
            return None
        return await self._act(heard, replace(form, values={**form.values, "list": last["list"]}))

    async def _unlearn(self, heard: Heard, words: str) -> Answer:
        """Unlearn the one learned skill that some words name; ask if they name several."""
        named = await about.find_learned(self._mind, words, heard.language)
        if named.one is None:
            found = named.found
            names = tuple(f"{target}.{selector}" for target, selector in found)
            key, needs = ("asked.skill", "clarification") if found else ("self.unlearn_unknown", "")
            forms = [{"name": "self_obj.unlearn", "values": {"skill": name}} for name in names]
            return Answer(
                "asked" if found else "unable", text(heard.language, key, skill=words),
                needs=needs, choices=names, language=heard.language, memory={"forms": forms},
            )  # fmt: skip
        target, selector = named.one
        await self._call_verb(heard, "unlearn", target=target, selector=selector)
        said = text(heard.language, "self.unlearned", skill=f"{target}.{selector}")
        noted = {"unlearned": [target, selector]}
        return Answer("acted", said, undo="undo that", language=heard.language, memory=noted)

    async def _call_verb(self, heard: Heard, verb: str, **fields: Any) -> dict[str, Any]:
        demand(heard.request.may, SCOPE_OF[verb], verb)
        request = check(Request(verb, session=heard.request.session, **fields))
        request = replace_fields(request, caller=heard.request.caller)
        return await self._doors.verbs[verb](self._mind, request, heard.say)

    async def _undo(
        self, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Answer | None:
        if unlearned := last.get("unlearned"):
            await self._call_verb(heard, "redo", target=unlearned[0], selector=unlearned[1])
        elif granted := last.get("granted"):
            await self._call_verb(heard, "revoke", target=granted)
        else:
            return await about.undo(self._mind, last, heard.language)
        said = text(heard.language, "self.undone", text=last["text"])
        return Answer("acted", said, language=heard.language)

    async def _why(
        self, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Answer | None:
        return await about.explain_last(self._mind, last, heard.language)

    async def _deny(self, heard: Heard, last: Mapping[str, Any], *_: object) -> Answer | None:
        return await self._refuse(heard, last) if last["kind"] in ("computed", "guess") else None

    async def speak_of(self, heard: Heard) -> Answer | None:
        """Answer a sentence that says "she" or "his" for the person of the last fact."""
        last, words = heard.conversation.last, heard.typed.text
        said = followups.say_of(str(last.get("about") or ""), words, heard.language)
        if not said or heard.rewrites:
            return None
        asks = words.rstrip().endswith("?") or ask(words, heard.language).is_question
        if asks and not followups.opens_with_person(words, heard.language):
            answer = await self._again(heard, said)
        else:
            answer = await self._act(heard, Form("memory_obj.remember", {"text": said}))
        kept = {"about": last["about"]} if answer is not None else {}
        return answer and replace(answer, memory={**answer.memory, **kept})

    async def refer(self, heard: Heard) -> Answer | None:
        """Answer a sentence that says "it" for the last value, or leaves the value out.

        "now in capitals" after a text is "now in capitals: that text", if that is a skill for sure.
        """
        last = heard.conversation.last
        if not last or heard.sentence.values:
            return None
        words = heard.sentence.text
        if answer := await self.references.on_last(heard, words):
            return answer
        said = followups.say_with(last, words, heard.language)
        return await self._again(heard, said) if said else None

    async def talk(self, heard: Heard, form: Form) -> Answer | None:
        """Answer small talk, and questions about the image itself."""
        room, _, name = form.name.partition(".")
        if name in ("unlearn", "which_of"):
            unlearn, which_of = self._unlearn, self.references.which_of
            skill = str(form.values.get("skill", ""))
            return await (unlearn(heard, skill) if skill else which_of(heard, form.values))
        if room == "self_obj":
            return await about.answer(self._mind, name, form.values, heard.now, heard.language)
        if name == "opened":  # "hello, WORDS": what the words say
            return await self._again(heard, str(form.values["text"]))
        if name in ("on_it", "left"):
            return await self._act(heard, spoken.of_no_list(form))
        key = str(form.values.get("as") or ALONE.get(name, name))
        return self._said(heard, f"talk.{key}") if key in SMALL else None

    async def means(self, heard: Heard, form: Form) -> Answer | None:
        """Answer "X means Y": the words become another wording of the skill that Y finds."""
        words, meaning = str(form.values["words"]), str(form.values["meaning"])
        sentence = await read_words(heard, meaning)
        found = [
            each
            for each in await find_candidates(self._mind, sentence)
            if each.status in replies.VOUCHED
        ]
        if not found or found[0].probability < 0.5:
            return None
        demand(heard.request.may, "learn", "another wording")
        best, said = found[0], await read_words(heard, words)
        await add_wording(self._mind, best.target, best.selector, said, list(best.args))
        reply = text(heard.language, "lesson.means", words=words, meaning=best.reading)
        return Answer("acted", reply, reading=best.reading, language=heard.language, learned=True)

    async def _choose(self, heard: Heard, question: Mapping[str, Any], at: int) -> Answer | None:
        """Answer by the choice that a person has made, and remember the words for it."""
        if "results" in question:  # of an example: the answer that a draft gave
            return await self._lessons.correct(
                heard.request, question, question["results"][at], heard.language, heard.say,
                question.get("does", {at: None})[at],
            )  # fmt: skip
        if self._leaves.asked(question):
            return await self._leaves.settle(heard, question, at)
        if forms := question.get("forms"):
            form = Form(forms[at]["name"], forms[at]["values"])
            talked = await self.talk(heard, form) if form.name.startswith("self_obj.") else None
            return talked or await self._act(heard, form)
        options = question.get("options") or []
        if at >= len(options):
            return await self._again(heard, question["choices"][at])
        brief = Brief.from_plain(options[at])
        answer = await self._send(heard, brief)
        said = await read_words(heard, question["sentence"])
        if question.get("remember") and covers(heard.request.may, "learn"):
            await add_wording(
                self._mind, brief.target, brief.selector, said, [*brief.args], dict(brief.kwargs)
            )
        return replies.as_said(answer, question["sentence"])

    async def _agree(self, heard: Heard, question: Mapping[str, Any]) -> Answer | None:
        if confirmed := question.get("confirm"):
            form = Form(confirmed["name"], {**confirmed["values"], "confirmed": True})
            return await self._act(heard, form)
        if question["needs"] == "confirmation" and "brief" in question:
            return await self._lessons.approve(heard.request, question, heard.language)
        if len(question["choices"]) == 1 or self._leaves.asked(question):
            return await self._choose(heard, question, 0)
        return None

    async def _act(self, heard: Heard, form: Form) -> Answer | None:
        return await act(
            self._mind, form, heard.sentence, now=heard.now, request=heard.request,
            send=lambda brief: self._doors.act(heard.request, brief),
        )  # fmt: skip

    async def _take_example(self, heard: Heard, question: Mapping[str, Any]) -> Answer | None:
        """Answer a value that was said to the question for an example."""
        form, talk = heard.form, _name(heard, "talk")
        if form is not None and form.certain and not talk:
            return None  # "I ran 5 km" is a sentence of its own
        said = str(form.values["value"]) if form and talk == "correct" else heard.typed.text
        try:
            value = read_example(said)
        except ArgumentsError:
            return None
        return await self._lessons.correct(
            heard.request, question, value, heard.language, heard.say
        )

    async def _in_unit(
        self, heard: Heard, last: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Answer | None:
        unit = str(said["unit"])
        values = (await read_words(heard, f"1 {unit}")).values
        named = next((str(v.value) for v in values if v.kind == "unit"), unit)
        args = followups.convert_to(last, named, heard.now)
        if args is None:
            return None
        meant = await asyncio.to_thread(followups.say_again, last, unit, heard.now)
        return await self._calculate(
            heard, Brief("units_obj", "convert", args), meant or last["text"]
        )

    async def _calculate(self, heard: Heard, brief: Brief, said: str) -> Answer | None:
        """Answer by a message, as if ``said`` had been said; None if its values do not fit."""
        try:
            return replies.as_said(await self._send(heard, brief), said)
        except BatError:
            return None

    async def _reckon(
        self, heard: Heard, last: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Answer | None:
        """Answer "times 3" or "half of it": the last value is calculated with."""
        words = heard.sentence.text
        if await asyncio.to_thread(followups.repeats, last, words, heard.now):
            ways = await asyncio.to_thread(followups.ways_to_say_again, last, words, heard.now)
            return await self._again(heard, ways[-1]) if ways else None
        written = followups.reckon(last, str(said["by"]), said.get("number"))
        brief = Brief("calculator_obj", "evaluate", (written,))
        return await self._calculate(heard, brief, written) if written else None

    async def _swap(
        self, heard: Heard, last: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Answer | None:
        if args := followups.convert_back(last):
            brief = Brief("units_obj", "convert", args)
            return await self._calculate(heard, brief, followups.swap_units(last, heard.now))
        swapped = "" if said.get("it") else followups.swap_values(last, heard.now)
        if swapped:
            return await self._again(heard, swapped)
        turned = await self.references.reverse(heard, last)
        return turned or (await self._undo(heard, last, said) if last["kind"] == "acted" else None)

    async def _shift(
        self, heard: Heard, last: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Answer | None:
        return await self._again(heard, followups.shift_date(last, int(said["days"]), heard.now))

    async def _more(
        self, heard: Heard, last: Mapping[str, Any], said: Mapping[str, Any]
    ) -> Answer | None:
        if answer := await self._on_its_own(heard, last, str(said["text"])):
            return answer
        added = await spoken.add_more(self._act, heard, last, said["items"])
        return added or await self._anew(heard, last, said)

    async def _as_meant(
        self, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Answer | None:
        said = await asyncio.to_thread(self._meant, heard, last, str(values["text"]))
        return await self._again(heard, said)

    def _meant(self, heard: Heard, last: Mapping[str, Any], words: str) -> str:
        """Return what "no, I meant WORDS" says in full."""
        sentence = read_sentence(words, heard.now, heard.language)
        bare = re.sub(r"\{\w+\}", "", sentence.masked).strip()
        if sentence.values and not re.search(r"\w{2}", bare):
            return followups.say_again(last, words, heard.now)
        subject = {"value": followups.subject_of(last, heard.now)}
        said = followups.say_with(subject, words, heard.language)
        return said or (words if sentence.values else followups.say_again(last, words, heard.now))

    async def _correct(
        self, heard: Heard, last: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Answer | None:
        """Answer "no, VALUE": another skill that gives it, else a lesson with that example."""
        said = str(values["value"])
        if "brief" not in last:
            return None
        try:
            value = read_example(said)
        except ArgumentsError:
            again = await asyncio.to_thread(followups.say_again, last, said, heard.now)
            return await self._again(heard, again)
        if last["kind"] == "guess":
            return await self._lessons.correct(
                heard.request, last, value, heard.language, heard.say
            )
        if answer := await self._other_skill(heard, last, value):
            return answer
        wish = translate(last["text"])
        brief = Brief(wish.target, wish.selector, tuple(wish.args), dict(wish.kwargs), wish.text)
        meant = {"brief": brief.to_plain()}
        return await self._lessons.correct(heard.request, meant, value, heard.language, heard.say)

    async def _other_skill(
        self, heard: Heard, last: Mapping[str, Any], value: Any
    ) -> Answer | None:
        """Return the answer of another skill that gives ``value`` for the last sentence."""
        sentence = await read_words(heard, last["text"], last["language"])
        for found in await find_candidates(self._mind, sentence):
            if found.changes or found.status not in replies.VOUCHED:
                continue
            brief = Brief(found.target, found.selector, tuple(found.args), dict(found.kwargs))
            try:
                answer = await self._send(heard, brief)
            except BatError:
                continue
            if replies.means_same(answer.value, value):
                if covers(heard.request.may, "learn"):
                    said, args = sentence, list(found.args)
                    await add_wording(self._mind, found.target, found.selector, said, args)
                return replies.as_said(answer, last["text"])
        return None

    async def _refuse(self, heard: Heard, last: Mapping[str, Any]) -> Answer:
        """Answer "that is wrong": a guess is forgotten, and an example is asked for."""
        if last.get("waits"):
            await self._lessons.turn_down(heard.request, last)
        brief = Brief.from_plain(last["brief"]) if "brief" in last else None
        noted = {"brief": last["brief"], "said": last["text"]} if brief else {}
        asked = text(heard.language, "guess.rejected")
        return Answer("asked", asked, needs="example", language=heard.language, memory=noted)

    def _said(self, heard: Heard, key: str) -> Answer:
        return Answer("said", text(heard.language, key), language=heard.language)


FOLLOW_UPS: Final[Mapping[str, Callable[..., Awaitable[Answer | None]]]] = {
    "talk.again": Talk._anew,
    "talk.more": Talk._more,
    "talk.in_unit": Talk._in_unit,
    "talk.in_language": lambda talk, heard, last, said: talk.references.in_language(
        heard, last, str(said["language"])
    ),
    "talk.part": lambda talk, heard, last, said: talk.references.part(
        heard, last, str(said["part"])
    ),
    "talk.reckon": Talk._reckon,
    "talk.swap": Talk._swap,
    "talk.shift": Talk._shift,
    "talk.meant": Talk._as_meant,
    "talk.correct": Talk._correct,
    "talk.wrong": Talk._deny,
    "talk.no": Talk._deny,
    "self_obj.undo": Talk._undo,
    "self_obj.why": Talk._why,
}


def _name(heard: Heard, room: str) -> str:
    """Return the name of the form in ``room`` that the sentence has, or ""."""
    owner, _, name = (heard.form.name if heard.form else "").partition(".")
    return name if owner == room else ""


def _chosen(heard: Heard) -> int:
    """Return the number that a person has chosen, by the number or by its words, or 0."""
    if (said := heard.typed.text) in (all_of := heard.conversation.question.get("choices", [])):
        return int(all_of.index(said)) + 1
    if found := _NUMBER.match(heard.sentence.text):
        return int(found[1])
    form = heard.form if _name(heard, "talk") == "choice" else None
    return int(form.values["number"]) if form is not None else 0
