"""``say``: one sentence in, one answer out; the one way from words to what the image can do.

    read > an open question > a follow-up > a form (memory, lists, talk, ...) > a skill
      > a form in doubt > memory and documents > a choice of skills
      > a mission, or what it is that is missing

The first step that has an answer gives it. A step may instead say the sentence in other words
("and for 7?" becomes the last sentence with 7), which is then answered like any other.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, checked
from bat_os.core.protocol import Request
from bat_os.core.schema import replace as replace_fields
from bat_os.core.scopes import OTHERS, PERSON
from bat_os.core.verbs import check
from bat_os.errors import (
    ArgumentsError,
    CellError,
    GrantWantedError,
    NotFoundError,
    NotUnderstoodError,
    ProtocolError,
    UnauthorizedError,
)
from bat_os.image import grants
from bat_os.image.store import watch_commits
from bat_os.kernel.learning.target import doubt_name
from bat_os.kernel.say import replies
from bat_os.kernel.say.acts import act
from bat_os.kernel.say.changes import change_file
from bat_os.kernel.say.chooser import choose, in_own_words, is_able
from bat_os.kernel.say.contents import ASKING, answer_by_places, lacks_skill
from bat_os.kernel.say.conversation import Conversation, Conversations, series_of
from bat_os.kernel.say.heard import Heard
from bat_os.kernel.say.here import source_of
from bat_os.kernel.say.leave import LET_THROUGH, ask_leave, label_of, mark
from bat_os.kernel.say.lessons import Lessons
from bat_os.kernel.say.recall import UNDO, recall_anything, remember_in_doubt
from bat_os.kernel.say.remarks import Talk
from bat_os.kernel.say.reminders import is_question, read_repeated, speaks_of
from bat_os.kernel.say.shown import ByExample
from bat_os.kernel.say.skills import agree, decide, find_candidates
from bat_os.kernel.say.stepwise import by_tools
from bat_os.kernel.say.unable import is_file, lacking, outside, unable
from bat_os.kernel.say.watches import EXAMPLE, MEANT, THEN, answer_watching, read_said, told_of
from bat_os.kernel.whereabouts import find_here
from bat_os.natives.context import LANGUAGE, zone_in
from bat_os.sentence.clauses import ask_first, read_clauses
from bat_os.sentence.forms import Form
from bat_os.sentence.reading import MAX_READ
from bat_os.sentence.texts import text
from bat_os.sentence.tokens import parse_call
from bat_os.sentence.translate import DEFAULT_TARGET, translate
from bat_os.sentence.watching import steps_of

if TYPE_CHECKING:
    from bat_os.core.answer import Answer
    from bat_os.image.schedules import Schedule
    from bat_os.kernel.context import KernelContext, Say
    from bat_os.kernel.say.doors import Doors
    from bat_os.kernel.say.skills import Candidate
    from bat_os.sentence.reading import Sentence

AGREEING: Final = 3  # skills whose answers are compared
EXPRESSION: Final = "{expression}"  # a sentence that is arithmetic and nothing else
EVALUATE: Final = ("calculator_obj", "evaluate")
MAX_REWRITES: Final = 3  # "do the same for ..." of a "no, I meant ..." of ...
OUTSIDE: Final = frozenset({"files_obj", "web_obj", "world_obj"})
# A method that was found by words may not fit the values; then the next one is tried.
DOES_NOT_FIT: Final = (
    ArgumentsError, CellError, NotFoundError, NotUnderstoodError, ProtocolError,
)  # fmt: skip


class Room:
    """Answers sentences; for one event loop."""

    def __init__(self, mind: KernelContext, doors: Doors) -> None:
        self._mind = mind
        self._doors = doors
        self._conversations = Conversations(mind.image)
        mind.on_erase.append(self._conversations.forget)
        self._lessons = Lessons(mind, doors)
        self._shown = ByExample(mind, self._lessons, self._send)
        self._talk = Talk(mind, doors, self._lessons, self._again, self._send)

    async def answer(self, request: Request, say: Say) -> dict[str, Any]:
        """Return the body of the reply to ``say``."""
        return await self._answer_in(await self._open(request), request, say)

    async def _answer_in(
        self, conversation: Conversation, request: Request, say: Say
    ) -> dict[str, Any]:
        started, body = time.monotonic(), request.body
        if conversation.answered and request.key and conversation.answered[0] == request.key:
            return conversation.answered[1]
        conversation.follow(self._mind.image)
        heard = await self._hear(request, body["text"], conversation, say)
        if (
            stored := await self._doors.stored(request)
        ) is not None:  # it was done, and is not again
            answer = self._lessons.answer(*stored, heard.language)
        else:
            answer = await self._go_on(heard, await self._answer(heard))
        if answer.undo:
            answer = replace(answer, undo=text(answer.language, "self.undo_that"))
        done = answer.as_body(time.monotonic() - started)
        await self._note(heard, answer, done)
        return done

    async def _go_on(self, heard: Heard, answer: Answer) -> Answer:
        """Return the answer to a sentence that has waited for what was just learned."""
        last, made = heard.conversation.last, answer.memory.get("call") or {}
        waited_for = (last.get("brief") or {}).get("selector")
        if THEN not in last or answer.kind != "computed" or made.get("selector") != waited_for:
            return answer
        return await self._again(heard, last[THEN]) or answer

    async def say_it(self, one: Schedule, key: str) -> dict[str, Any]:
        """Return the answer to the sentence of a schedule; under one key nothing is done twice.

        The orders of a watch are said one after the other, the last answer being "that" for each.
        """
        talked, more = Conversation("", at=time.time()), told_of(one)
        if one.grants is not None:
            more[LET_THROUGH] = grants.only(one.grants)
        steps = steps_of(one.text, EXAMPLE, one.language) if one.changes else [one.text]
        may = "send" if OTHERS in one.caller else PERSON  # by TCP a digest is before it
        answer: dict[str, Any] = {}
        for at, step in enumerate(steps):
            step_key = f"{key} {at}" if at else key
            request = check(Request("say", key=step_key, body={"text": step, "once": True}))
            about = {"caller": one.caller, "may": may, "body": {**request.body, **more}}
            request = replace_fields(request, **about)
            handle = partial(self._answer_in, talked, request, lambda event: None)
            answer = await self._doors.once.answer(request, handle)
            if answer["kind"] in ("asked", "unable"):
                return {**answer, "kind": "unable"} if one.changes else answer
        return answer

    async def close(self) -> None:
        """Write what conversations are waiting. Idempotent."""
        await self._conversations.close()

    async def _open(self, request: Request) -> Conversation:
        if request.body["once"]:
            return Conversation("", at=time.time())
        return await self._conversations.open(request.caller, request.session)

    async def _hear(
        self, request: Request, text: str, conversation: Conversation, say: Say, rewrites: int = 0
    ) -> Heard:
        if not text.strip():
            raise ArgumentsError("the sentence is empty; say what you want")
        here = await find_here(self._mind)
        now = dt.datetime.now(dt.UTC).astimezone(zone_in(here))
        hint = conversation.language or here[LANGUAGE]
        # In a thread: the words of a language are read with its first sentence.
        parts = await asyncio.to_thread(read_said, text, now, hint, request.body.get(MEANT))
        return Heard(request, *parts, conversation, now, say, rewrites)

    async def _rehear(self, heard: Heard, text: str) -> Heard:
        return await self._hear(
            heard.request, text, heard.conversation, heard.say, heard.rewrites + 1
        )

    async def _again(self, heard: Heard, text: str, *, sure: bool = False) -> Answer | None:
        """Answer the sentence in other words; None if it was said in too many.

        With ``sure``, only a skill that is meant for sure may answer.
        """
        if not text or heard.rewrites >= MAX_REWRITES:
            return None
        again = await self._rehear(heard, text)
        answer = await (self._use_skill(again) if sure else self._answer(again))
        # What comes after refers to the whole sentence, not to the words that stood for it.
        return answer and replace(answer, memory={"said": text, **answer.memory})

    async def _note(self, heard: Heard, answer: Answer, body: dict[str, Any]) -> None:
        """Keep what follow-ups need."""
        talked = heard.conversation
        talked.language = answer.language
        talked.note(heard.typed.text, answer.kind, answer.text)
        noted = dict(answer.memory)
        said = noted.pop("said", heard.sentence.text)
        refers = heard.form is not None and heard.form.name.startswith("talk.")
        if answer.kind == "unable" and refers:
            noted = {}  # a follow-up that fails leaves the last answer to the next one
        if noted or answer.kind not in ("asked", "unable", "said"):
            made = {key: noted.get(key) for key in ("transaction", "effects")}
            talked.last = {
                "text": said, "kind": answer.kind, "reading": answer.reading,
                "language": answer.language, "value": answer.value,
                "sources": [dict(source) for source in answer.sources],
                "series": series_of(talked.last, noted), **noted,
                # of the last act, also if questions came between: what "undo that" takes back
                "act": {**made, "text": said} if any(made.values()) else talked.last.get("act", {}),
            }  # fmt: skip
        talked.question = {}
        if answer.kind == "asked":
            talked.question = {
                "needs": answer.needs, "sentence": answer.memory.get("said") or heard.core.text,
                "choices": list(answer.choices), **noted,
            }  # fmt: skip
        talked.answered = (heard.request.key, body) if heard.request.key else None
        if not heard.request.body["once"]:
            await self._conversations.keep(heard.request.caller, talked)

    async def _answer(self, heard: Heard) -> Answer:
        steps = (
            self._call, self._use_above, self._speak_of_reminder, self._watch, self._talk.settle,
            self._talk.follow_up, self._talk.speak_of, self._look_inside, self._act,
            self._use_skill, self._keep_in_doubt, self._act_in_doubt, self._talk.refer,
            self._recall, self._ask_which, self._by_tools,
        )  # fmt: skip
        refers = {self._talk.settle, self._talk.follow_up, self._talk.refer}
        of_last = mark(heard, label_of(heard.conversation.last))
        try:
            for step in steps:
                if (answer := await step(of_last if step in refers else heard)) is not None:
                    return answer
            return await unable(self._mind, heard, self._lessons)
        except GrantWantedError as wanted:
            if "flow" not in wanted.details:
                raise
            return ask_leave(heard, wanted)
        except UnauthorizedError as refused:
            return replies.refuse(heard.language, _first(heard), str(refused))

    async def _call(self, heard: Heard) -> Answer | None:
        """Answer what is written as a message, ``robot_obj.wave(2)`` or ``2 + 3``, or ``call``."""
        body = heard.request.body
        read = await asyncio.to_thread(parse_call, body["call"] or heard.typed.text)
        if read is None and heard.core.masked == EXPRESSION:
            (value,) = heard.core.values
            read = (*EVALUATE, [value.value], {})
        if read is None:
            if body["call"]:
                raise ArgumentsError(f"{body['call'][:60]!r} is not a message; write selector(5)")
            return None
        target, selector, args, kwargs = read
        brief = checked(Brief(target or DEFAULT_TARGET, selector, tuple(args), dict(kwargs)))
        if body["fresh"]:
            brief = replace(brief, fresh=True)
            return await self._lessons.run(heard.request, brief, heard.language, heard.say)
        try:
            return await self._send(heard, brief)
        except NotUnderstoodError:
            brief = await self._mind.image.transact(
                lambda root: doubt_name(root, brief), note="look for a near name"
            )
            return await self._lessons.run(heard.request, brief, heard.language, heard.say)

    async def _speak_of_reminder(self, heard: Heard) -> Answer | None:
        """Answer a moment that was asked for, and "move it to 10" of the last reminder."""
        talked = heard.conversation
        form = speaks_of(heard.form, heard.typed.text, talked.question, talked.last)
        form = form or read_repeated(heard.typed.text, heard.now, heard.language)
        return await self._keep(heard, form) if form is not None else None

    async def _watch(self, heard: Heard) -> Answer | None:
        """Answer a sentence about files that are watched."""

        async def hear(said: str) -> Heard:
            return await self._hear(heard.request, said, Conversation(""), heard.say)

        learn = partial(unable, self._mind, lessons=self._lessons)
        return await answer_watching(self._mind, heard, hear, learn)

    async def _look_inside(self, heard: Heard) -> Answer | None:
        """Answer a sentence about a file, folder or page that it names, or change the file."""
        if (answer := await change_file(self._mind, self._doors, heard)) is not None:
            return answer
        answer = await answer_by_places(
            self._mind, self._doors, heard, self._use_skill, self._ask_which
        )
        wants = answer is not None and answer.needs == "grant"  # a server may reach it already
        if answer is not None and (wants or lacks_skill(answer)):
            told = await self._by_tools(heard, reaching=wants, was_read=not wants)
            return answer if told is None or (told.kind == answer.kind and not wants) else told
        return answer

    async def _by_tools(self, heard: Heard, **about: bool) -> Answer | None:
        """Answer by the tools that were granted."""
        return await by_tools(self._mind, self._doors, self._lessons, heard, **about)

    async def _act(self, heard: Heard) -> Answer | None:
        form = heard.form
        return await self._carry_out(heard, form) if form is not None and form.certain else None

    async def _keep_in_doubt(self, heard: Heard) -> Answer | None:
        return await remember_in_doubt(self._mind, heard.typed, now=heard.now)

    async def _act_in_doubt(self, heard: Heard) -> Answer | None:
        form = heard.form
        return await self._carry_out(heard, form) if form is not None else None

    async def _carry_out(self, heard: Heard, form: Form) -> Answer | None:
        room, _, wanted = form.name.partition(".")
        if room in ("talk", "self_obj"):
            return await self._talk.talk(heard, form)
        if room == "lesson":
            return await self._teach(heard, form, wanted)
        if form.name == "web_obj.prices" and _is_reckoned(heard.sentence):
            return None  # "the price of 80 euros with 19% tax"
        meant = form.values.get("meant")  # what stands in a calendar is a reminder
        if room in OUTSIDE and not meant:
            told = await self._by_reminder(heard) or await self._by_source(heard, form)
            told = told or await self._by_tools(heard)
            return told or await lacking(self._mind, heard, form)
        return await self._keep(heard, replace(form, name=meant or form.name))

    async def _keep(self, heard: Heard, form: Form) -> Answer | None:
        """Carry out what a form wants of memory, lists or counters."""
        if form.name.startswith("lists_obj.") and is_file(heard, form.values.get("list", "")):
            return outside(heard)
        answer = await act(
            self._mind, form, heard.sentence, now=heard.now, request=heard.request,
            send=lambda brief: self._doors.act(heard.request, brief),
        )  # fmt: skip
        if answer is not None and answer.kind == "unable" and form.name in ASKING:
            return await self._recall(heard) or answer
        return answer

    async def _recall(self, heard: Heard) -> Answer | None:
        """Answer by what was said or taught, if that surely answers the sentence."""
        if heard.request.body["fresh"]:
            return None
        asked = Form("reminders_obj.recall", {"text": heard.typed.text}, certain=False)
        if is_question(heard.typed.text, heard.language) and (
            told := await self._keep(heard, asked)
        ):
            return told
        return await recall_anything(self._mind, heard.readings, now=heard.now)

    async def _by_reminder(self, heard: Heard) -> Answer | None:
        """Answer a question by the reminder that has its words."""
        if not is_question(heard.typed.text, heard.language):
            return None
        asked = Form("reminders_obj.recall", {"text": heard.typed.text}, certain=False)
        return await self._keep(heard, asked)

    async def _by_source(self, heard: Heard, form: Form) -> Answer | None:
        """Answer by the page that a person named for the weather, the news or the like."""
        page = await source_of(self._mind, form.name.removeprefix("web_obj."))
        return (
            await self._again(heard, text(heard.language, "here.read_page", page=page))
            if page
            else None
        )

    async def _teach(self, heard: Heard, form: Form, wanted: str) -> Answer | None:
        """Answer an order to learn, or a sentence with an example."""
        if wanted == "means":
            return await self._talk.means(heard, form)
        if wanted == "example":
            return await self._shown.answer(
                heard, form.values["shown"], ordered=form.values["ordered"]
            )
        wish = await asyncio.to_thread(translate, heard.typed.text, sampled=True)
        known = await self._again(heard, wish.sampled, sure=True)
        if known is not None and known.kind == "computed":
            return replies.say_known(known)
        return await self._lessons.learn(
            heard.request, heard.typed.text, heard.language, heard.say, ordered=True
        )

    async def _use_above(self, heard: Heard) -> Answer | None:
        """Answer a question by a skill that takes the lines above it, if one surely does."""
        turned = ask_first(heard.typed.text, heard.language)
        if not turned or heard.rewrites >= MAX_REWRITES:
            return None
        heard = await self._rehear(heard, turned)
        found = await self._find(heard)
        takes = found and heard.typed.values[-1].value in found[0].args
        return await self._use_skill(heard) if takes else None

    async def _use_skill(self, heard: Heard) -> Answer | None:
        """Answer by a skill that was found, if it is sure enough or an able model chooses it."""
        if len(heard.sentence.masked) > MAX_READ or heard.request.body["fresh"]:
            return None
        heard.found.extend(await self._find(heard))
        while decide(heard.found) == "act":
            if answer := await self._try(heard, heard.found[0]):
                return answer
            del heard.found[0]  # its values do not fit after all
        if answer := await self._by_agreement(heard):
            return answer
        return await self._as_chosen(heard) if is_able(self._mind) else None

    async def _find(self, heard: Heard) -> list[Candidate]:
        """Return the skills that may be meant: as it was typed, unless that is not sure."""
        found: list[Candidate] = []
        for sentence in heard.readings:
            near = await self._look_for(sentence, heard.request.target)
            if decide(near) == "act":
                return near
            if near and (not found or near[0].probability >= found[0].probability):
                found = near
        asking = await asyncio.to_thread(read_clauses, heard.core, heard.now)
        if asking is None:
            return found
        given = sum(value.kind not in ("unit", "name") for value in asking.values)
        return agree(found, await self._look_for(asking, heard.request.target), given)

    async def _look_for(self, sentence: Sentence, receiver: str) -> list[Candidate]:
        """Return the skills that a reading of the sentence may mean, the best first."""
        found = await find_candidates(self._mind, sentence, receiver=receiver)
        # A method that only drafts speak for serves nobody but who had it written.
        return [each for each in found if each.status in replies.VOUCHED]

    async def _by_agreement(self, heard: Heard) -> Answer | None:
        """Answer if the likeliest skills, taken together, are sure enough and answer alike.

        Then it does not matter which of them was meant. Those that change something or ask a
        server, or whose values do not fit, do not take part: nothing goes outside on a guess.
        """
        answers: list[tuple[Candidate, Answer]] = []
        near = heard.found[:AGREEING]
        for candidate in [each for each in near if not (each.changes or each.is_served)]:
            answer = await self._try(heard, candidate)
            if answer is None:
                heard.found.remove(candidate)
            else:
                answers.append((candidate, answer))
        if not answers or answers[0][0] is not heard.found[0]:
            return None
        best, answer = answers[0]
        alike = [c for c, other in answers if replies.means_same(other.value, answer.value)]
        together = replace(best, probability=min(sum(each.probability for each in alike), 1.0))
        return answer if decide([together]) == "act" else None

    async def _try(self, heard: Heard, candidate: Candidate) -> Answer | None:
        """Answer by a skill; None if its values do not fit."""
        try:
            answer = await self._send(heard, _brief_of(candidate, heard.sentence.masked))
        except DOES_NOT_FIT:
            return None
        return replace(answer, memory={**answer.memory, "wording": candidate.wording})

    async def _ask_which(self, heard: Heard) -> Answer | None:
        """Ask which of the skills that were found is meant, if one of them may be."""
        likely = decide(heard.found) == "ask"
        return replies.ask_which(heard.found, heard.language) if likely else None

    async def _as_chosen(self, heard: Heard) -> Answer | None:
        """Answer as an able model chooses among what was found."""
        last = heard.conversation.last
        last = {} if label_of(last) else last  # a prompt that chooses holds nothing that was read
        decision = await choose(self._mind, heard.typed.text, heard.found, last)
        if decision is None:
            return None
        if decision.candidate is not None:
            answer = await self._try(heard, decision.candidate)
            return answer and replace(answer, model_calls=answer.model_calls + 1)
        if decision.do == "learn":
            return await self._lessons.learn(
                heard.request, heard.typed.text, heard.language, heard.say, ordered=False
            )
        return in_own_words(decision, heard.language)

    async def _send(self, heard: Heard, brief: Brief) -> Answer:
        try:
            with watch_commits() as commits:
                body = await self._doors.act(heard.request, brief)
        except GrantWantedError as wanted:  # a mission waits for the yes, and then answers
            if "flow" in wanted.details:
                raise
            return await self._lessons.run(heard.request, brief, heard.language, heard.say)
        answer = replies.from_turn(brief, body, heard.language)
        if not commits:
            return answer
        noted = {**answer.memory, "transaction": commits[-1]}
        return replace(answer, undo=UNDO, memory=noted)


def _first(heard: Heard) -> str:
    """Return the sentence that a person would have to say, of a question what it is about."""
    return str(heard.conversation.question.get("sentence") or heard.typed.text)


def _is_reckoned(said: Sentence) -> bool:
    """Return whether a sentence gives a price itself and asks what becomes of it."""
    return {"money", "percent"} <= {value.kind for value in said.values}


def _brief_of(found: Candidate, text: str) -> Brief:
    return Brief(found.target, found.selector, tuple(found.args), dict(found.kwargs), text)
