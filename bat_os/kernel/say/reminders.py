"""Reminders, timers, alarms and sentences at a time, as a person sets and asks for them.

    Form("reminders_obj.remind", {"rest": "tomorrow at 9 to call Ann"})
        > a timing and "call Ann" > one schedule, one commit > "I will remind you tomorrow at 09:00"

What is not said is asked: when, and which one. A moment that is over is asked about too.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.image import schedules
from bat_os.image.facts import words_of
from bat_os.image.quotes import ask
from bat_os.image.schedules import Schedule
from bat_os.image.store import watch_commits
from bat_os.image.watches import is_watch
from bat_os.kernel.naming import find_named
from bat_os.kernel.say.watches import line_of, say_watched
from bat_os.kernel.whereabouts import find_here
from bat_os.natives.context import ZONE
from bat_os.natives.recurrence import local_time, next_after
from bat_os.sentence.due import Plan, is_over, plan, say_moment, say_rule, say_span
from bat_os.sentence.forms import Form, find_core
from bat_os.sentence.periods import find_period
from bat_os.sentence.texts import text
from bat_os.sentence.timing import Timing, read_by, read_timing, repeats, split_timing

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.kernel.say.recall import Act

MAX_TEXT: Final = 500
LISTED: Final = 20
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_NONE: Final = {"timer": "reminders.no_timer", "alarm": "reminders.no_alarm"}  # of a kind
_STEM: Final = 6  # letters of a word that tell it from another


async def remind(one: Act) -> Answer | None:
    """Set a reminder, or a sentence to answer; ask when. None if it is not one after all."""
    kind = "say" if one.values.get("say") else "remind"
    timing, said = await asyncio.to_thread(split_words, one)
    if timing.is_empty and (kind == "say" or one.slot("before") or one.values.get("keep")):
        return None
    if kind == "say" and not said:
        return None
    return await _set(one, kind, timing, said)


def split_words(one: Act) -> tuple[Timing, str]:
    """Return when and what, out of what was said before and behind the verb."""
    now, rest = one.now.replace(tzinfo=None), _rest(one)
    before = one.slot("before") or (one.slot("when") if one.values.get("ahead") else "")
    whole = bool(one.values.get("say"))
    timing, said = split_timing(rest[:MAX_TEXT], now, one.language, whole=whole)
    if not before:
        return timing, said
    first, more = split_timing(before[:MAX_TEXT], now, one.language)
    if first.is_empty:
        return Timing(), rest
    if {*_said(first)} & {*_said(timing)}:
        timing, said = Timing(), rest  # the words behind have a moment of their own
    return _merged(first, timing), " ".join(filter(None, [more, said]))


def _rest(one: Act) -> str:
    """Return what was said behind the verb: a form may have parted it in the wrong place."""
    words, whole = one.slot("text"), one.slot("whole")
    when = "" if one.values.get("ahead") else one.slot("when")
    at, there = _place(words, whole), _place(when, whole)
    if at is None or there is None:
        return " ".join(filter(None, [when, words]))
    return whole[min(at[0], there[0]) : max(at[1], there[1])]


def _place(words: str, whole: str) -> tuple[int, int] | None:
    found = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", whole) if words else None
    return found.span() if found else None


def _said(timing: Timing) -> list[str]:
    """Return the names of what a timing says."""
    return [name for name in Timing.__dataclass_fields__ if getattr(timing, name)]


def _merged(one: Timing, other: Timing) -> Timing:
    return replace(one, **{name: getattr(other, name) for name in _said(other)})


async def _timer(one: Act) -> Answer | None:
    timing, said = await asyncio.to_thread(split_timer, one)
    if timing.is_empty and said:
        return None
    return await _set(one, "timer", timing, "")


def split_timer(one: Act) -> tuple[Timing, str]:
    """Return the span of "12 minutes", and what was not understood."""
    said = one.slot("duration")
    for words in (f"{text(one.language, 'due.in')} {said}", said) if said else ():
        timing = read_timing(words, one.now.replace(tzinfo=None), one.language)
        if timing is not None and timing.span:
            return timing, ""
    return Timing(), said


async def _alarm(one: Act) -> Answer | None:
    timing, _ = await asyncio.to_thread(split_alarm, one)
    return await _set(one, "alarm", timing, "")


def split_alarm(one: Act) -> tuple[Timing, str]:
    """Return when a person wakes; an hour alone needs no word before it."""
    here, said = one.now.replace(tzinfo=None), one.slot("time")[:MAX_TEXT]
    timing, _ = split_timing(one.slot("whole")[:MAX_TEXT] or said, here, one.language)
    if timing.is_empty and said:
        timing, _ = split_timing(f"{text(one.language, 'due.at')} {said}", here, one.language)
    return timing, ""


async def _set(one: Act, kind: str, timing: Timing, said: str) -> Answer | None:
    """Keep a schedule; ask for its moment if that is not clear."""
    zone, now = (await find_here(one.mind))[ZONE], one.now.timestamp()
    found = plan(timing, now, zone, early=kind == "alarm")
    if found is None:
        over = is_over(timing, now, zone) and not repeats(said, one.language)
        return _ask_when(one, kind, said, "reminders.past" if over else f"reminders.ask_{kind}")
    fresh = Schedule(
        kind, said[:MAX_TEXT], found.rule, zone, found.next, home=one.mind.home_id, made=now,
        caller=one.caller, language=one.language,
    )  # fmt: skip
    kept = await _commit(one, lambda root: schedules.add(root, fresh), f"schedule a {kind}")
    return one.done(_told(one, kept, found, now, zone), one.commits, None, reminder=kept.number)


def _ask_when(one: Act, kind: str, said: str, key: str) -> Answer:
    """Ask for the moment; the answer to it sets the reminder."""
    form = {"name": one.name, "values": {**one.values, "kind": kind, "said": said}}
    return Answer(
        "asked", one.say(key, text=said), needs="clarification", language=one.language,
        memory={"when": form},
    )  # fmt: skip


def _told(one: Act, kept: Schedule, found: Plan, now: float, zone: str) -> str:
    """Return what was set, in words, with what was taken for granted."""
    rule = say_rule(kept.rule, zone, one.language)
    when = say_moment(found.next, now, zone, one.language)
    words = {"text": kept.text, "when": when, "rule": rule}
    if kept.kind == "timer":
        told = one.say("reminders.timer", span=say_span(found.next - now, one.language), **words)
    elif kept.kind == "alarm":
        told = one.say("reminders.alarm_every" if rule else "reminders.alarm", **words)
    else:
        key = "say" if kept.kind == "say" else "set" if kept.text else "set_plain"
        told = one.say(f"reminders.{key}_every" if rule else f"reminders.{key}", **words)
    return f"{told} {one.say(found.note)}" if found.note else told


async def _commit(one: Act, work: Callable[[Any], Any], note: str) -> Any:
    with watch_commits() as commits:
        done = await one.mind.image.transact(work, note=note)
    one.commits.extend(commits)
    one.mind.orchestrator.wake()
    return done


async def _live(one: Act) -> list[Schedule]:
    found = await one.mind.image.transact(
        lambda root: schedules.live(root, one.caller), note="look at the reminders"
    )
    return [each for each in found if is_watch(each) == bool(one.values.get("watch"))]


async def _list(one: Act) -> Answer:
    """Say which reminders there are: all, of a kind, about something, or of some days."""
    found, about = await _live(one), one.slot("text")
    if kind := one.slot("kind"):
        found = [each for each in found if each.kind == kind]
    if about:
        found = _near(found, about)
    if when := one.slot("when"):
        span = find_period(when, one.now, one.language)
        days = [(each, local_time(each.next or 0, each.zone).date()) for each in found]
        found = [each for each, day in days if span is None or span[0] <= day <= span[1]]
    if one.values.get("first"):
        found = found[:1]
    if not found:
        key = "reminders.none_about" if about else _NONE.get(kind, "reminders.none")
        return one.answer("recalled", key, [], text=about)
    said = [_line(one, each) for each in found[:LISTED]]
    told = one.say("reminders.list", count=len(found), text="; ".join(said))
    numbers = [each.number for each in found[:LISTED]]
    last = {"reminder": numbers[0]} if len(found) == 1 else {"reminders": numbers}
    return Answer("recalled", told, said, language=one.language, memory=last)


def _line(one: Act, each: Schedule) -> str:
    """Return a reminder on one line: what, and when."""
    now, zone = one.now.timestamp(), each.zone
    said = each.text or one.say(f"reminders.a_{each.kind}")
    when = say_moment(each.next or now, now, zone, one.language)
    if each.kind == "timer" and each.next:
        when = one.say("due.left", span=say_span(each.next - now, one.language), when=when)
    rule = say_rule(each.rule, zone, one.language)
    line = one.say("due.line_every" if rule else "due.line", text=said, when=when, rule=rule)
    asleep = each.asleep or each.home != one.mind.home_id
    return f"{line} ({one.say('due.asleep')})" if asleep else line


async def _left(one: Act) -> Answer:
    """Say how long the timers still run."""
    timers = [each for each in await _live(one) if each.kind == "timer"]
    if not timers:
        return one.answer("recalled", "reminders.no_timer", [])
    return await _list(replace(one, values={**one.values, "kind": "timer", "text": ""}))


def _near(found: list[Schedule], words: str) -> list[Schedule]:
    """Return the reminders that a question is about: those that have most of its words."""
    wanted = _stems(words)
    scored = [(len(wanted & _stems(each.text)), each) for each in found]
    most = max((score for score, _ in scored), default=0)
    return [each for score, each in scored if score == most] if most else []


def _stems(words: str) -> set[str]:
    return {stem[:_STEM] for stem in words_of(words)}


async def _cancel(one: Act) -> Answer:
    """Cancel the reminder that is meant; of several without a word for one, ask which."""
    found, about, sure = await _chosen(one)
    if not found:
        kind = one.slot("kind")
        key = _NONE.get(kind, "reminders.none")
        key = "talk.nothing_to_cancel" if one.values.get("last") else key
        return one.answer("unable", "reminders.none_about" if about else key, text=about)
    if not sure or one.values.get("ask") or (len(found) > 1 and not one.values.get("all")):
        return _which(one, found)
    if len(found) > 1 and not one.confirmed:
        return one.confirm(one.say("reminders.confirm", count=len(found)))
    numbers = [each.number for each in found]

    def work(root: Any) -> None:
        for number in numbers:
            schedules.change(root, number, live=False)

    await _commit(one, work, "cancel reminders")
    is_watched = bool(one.values.get("watch"))
    lines = [
        line_of(each, one.language) if is_watched else _line(one, each) for each in found[:LISTED]
    ]
    key = "watches.stopped" if is_watched else "reminders.cancelled"
    told = one.say(key, count=len(found), text="; ".join(lines))
    return one.done(told, one.commits, numbers)


async def _chosen(one: Act) -> tuple[list[Schedule], str, bool]:
    """Return the reminders that a form names, the words it does so by, and if that is sure."""
    found, about = await _live(one), one.slot("text")
    if kind := one.slot("kind"):
        found = [each for each in found if each.kind == kind]
    if number := one.values.get("number") or ("" if about else one.values.get("last")):
        return [each for each in found if each.number == number], "", True
    if among := one.values.get("among"):
        return [each for each in found if each.number in among], "", True
    if not about:
        return found, "", True
    timing = await asyncio.to_thread(_timing_named, one, about)
    if timing is not None:
        return [each for each in found if _is_at(each, timing)], about, True
    named = find_named(
        about, {each.number: each.text for each in found}, one.language, in_part=True
    )
    return [each for each in found if each.number in named.found], about, named.sure


def _timing_named(one: Act, words: str) -> Timing | None:
    """Return the span or the moment that some words are: "10 minute", "7 o'clock"; else None."""
    here = one.now.replace(tzinfo=None)
    words = re.sub(r"(?<=\d)-(?=[^\W\d])", " ", words)  # "10-minute"
    for before in ("in", "at"):
        said = f"{text(one.language, f'due.{before}')} {words}"
        timing = read_timing(said, here, one.language)
        if timing is not None and (timing.span or timing.time):
            return timing
    return None


def _is_at(each: Schedule, timing: Timing) -> bool:
    """Return whether a schedule runs for that span, or is due at that time of day."""
    if each.next is None:
        return False
    if timing.span is not None:
        length = timing.span[0] * _SECONDS.get(timing.span[1], 0)
        return "cron" not in each.rule and abs(each.next - each.made - length) < 1
    local = local_time(each.next, each.zone)
    hours = {int(timing.time[:2]), (int(timing.time[:2]) + 12) % 24 if timing.is_bare else -1}
    return local.hour in hours and local.minute == int(timing.time[3:])


def _which(one: Act, found: list[Schedule]) -> Answer:
    lines: dict[str, dict[str, Any]] = {}
    for each in found:
        line = _line(one, each)
        again = f"{line} ({each.number})"  # two of the same words and moment
        lines[again if line in lines else line] = {"number": each.number, "ask": False}
    return one.ask_which(lines)


async def _move(one: Act) -> Answer | None:
    """Give a reminder another moment: the one that was spoken of last, or that words name."""
    if not (one.slot("text") or one.values.get("number") or one.values.get("last")):
        return None  # nothing was spoken of
    found, about, sure = await _chosen(one)
    if not found:
        return one.answer("unable", "reminders.none_about", text=about) if about else None
    if len(found) > 1 or not sure:
        return _which(one, found)
    (old,) = found
    now, said = one.now.timestamp(), one.slot("when")
    planned = await asyncio.to_thread(_moved, one, old, said, now)
    if planned is None:
        return None if one.values.get("last") else one.answer("unable", "reminders.no_when")
    kept = await _commit(
        one,
        lambda root: schedules.change(
            root, old.number, rule=dict(planned.rule), next=planned.next, zone=old.zone
        ),
        "move a reminder",
    )
    told = one.say("reminders.moved", text=_line(one, kept))
    return one.done(told, one.commits, None, reminder=kept.number)


def _moved(one: Act, old: Schedule, said: str, now: float) -> Plan | None:
    """Return the new moment of a reminder: another time, or so much later."""
    here = one.now.replace(tzinfo=None)
    if end := _end(one, old, said, now):
        return Plan({"at": end}, end)
    near = local_time(old.next or now, old.zone)
    for words in (said, f"{text(one.language, 'due.at')} {said}"):
        timing = read_timing(words, here, one.language)
        if timing is None:
            continue
        if "cron" in old.rule and not timing.repeats and not timing.date and timing.time:
            first = plan(timing, now, old.zone, near=near)
            return first and _same_days(old, local_time(first.next, old.zone), now)
        if timing.time and not timing.date and not timing.repeats:
            timing = replace(timing, date=near.date().isoformat())
            if (planned := plan(timing, now, old.zone, near=near)) is not None:
                return planned
            timing = replace(timing, date="")  # it is over on that day
        return plan(timing, now, old.zone, near=near)
    return None


def _end(one: Act, old: Schedule, said: str, now: float) -> float:
    """Return the moment that a span gives: so much later, or the new length of a timer; else 0."""
    if old.kind == "timer" and not one.values.get("by"):
        length = _length(one, old, said)
        return length and (old.made + length if old.made + length > now else now + length)
    by = read_by(said, one.now.replace(tzinfo=None), one.language)
    if by is None or by[1] not in _SECONDS:
        return 0
    return max(old.next or now, now) + by[0] * _SECONDS[by[1]]


def _length(one: Act, old: Schedule, said: str) -> float:
    """Return how long a timer is to run, "25 minutes"; a number alone has its own unit, or 0."""
    before = round((old.next or old.made) - old.made)
    unit = next((unit for unit in ("hour", "minute") if not before % _SECONDS[unit]), "second")
    word = say_span(_SECONDS[unit], one.language).split()[-1]
    for words in (said, f"{said} {word}"):
        timing = _timing_named(one, words)
        if timing is not None and timing.span:
            return timing.span[0] * _SECONDS.get(timing.span[1], 0)
    return 0


def _same_days(old: Schedule, local: Any, now: float) -> Plan | None:
    """Return a repetition at another time of the same days."""
    days = str(old.rule["cron"]).split(" ", 2)[2]
    rule = {"cron": f"{local.minute} {local.hour} {days}"}
    moment = next_after(rule, old.zone, now)
    return None if moment is None else Plan(rule, moment)


def speaks_of(
    form: Form | None, words: str, question: Mapping[str, Any], last: Mapping[str, Any]
) -> Form | None:
    """Return a sentence as a form about the reminder that was spoken of last, or None.

    Args:
        form: That the sentence has.
        words: Of the sentence.
        question: The open question: it may be when.
        last: What the conversation noted of the last answer.
    """
    if question and "when" in question:
        return Form("reminders_obj.settle", {**question["when"], "text": words}, certain=False)
    if form is None or form.name != "reminders_obj.move" or not last.get("reminder"):
        return None
    return replace(form, values={**form.values, "last": last["reminder"]})


def read_repeated(words: str, now: dt.datetime, language: str) -> Form | None:
    """Return "tell me every day at 8 what ..." as a form; None if it is no such sentence."""
    if len(words) > MAX_TEXT or not repeats(words, language):
        return None
    start, end = find_core(words, language)
    for said, is_asked in ((words, False), (words[start:end], start > 0)):
        timing, rest = split_timing(said, now.replace(tzinfo=None), language, whole=True)
        first, last = find_core(rest, language)
        front, _, back = said.partition(rest) if rest else ("", "", "")
        if timing.repeats and (front or timing.time) and (is_asked or (front and first > 0)):
            values = {"say": True, "ahead": True, "when": f"{front} {back}".strip()}
            return Form("reminders_obj.say", {**values, "text": rest[first:last]})
    return None


def is_question(words: str, language: str) -> bool:
    """Return whether a sentence asks for something that was said."""
    return len(words) <= MAX_TEXT and ask(words, language).is_question


async def _settle(one: Act) -> Answer | None:
    """Set the reminder whose moment was asked for; None if that says no moment."""
    here, said, asked = one.now.replace(tzinfo=None), one.slot("text"), one.values["values"]
    for words in (said, *(f"{text(one.language, f'due.{w}')} {said}" for w in ("at", "in"))):
        timing = await asyncio.to_thread(read_timing, words, here, one.language)
        if timing is not None:
            act = replace(one, name=str(one.values["name"]), values=asked)
            return await _set(act, str(asked["kind"]), timing, str(asked["said"]))
    return None


async def _recall(one: Act) -> Answer | None:
    """Answer "when do I pick up the kids?" by the reminder that has its words; None if none has."""
    wanted = _stems(one.slot("text"))
    found = [
        each
        for each in await _live(one)
        if each.text and (own := _stems(each.text)) and len(own & wanted) > len(own) / 2
    ]
    if not found:
        return None
    said = [_line(one, each) for each in found[:LISTED]]
    return Answer("recalled", "; ".join(said), said, language=one.language)


def say_due(due: Mapping[str, Any], now: float) -> str:
    """Return in words that something is due."""
    language, said = str(due["language"]), str(due["text"])
    if "watch" in due:
        return say_watched(due)
    line = said or text(language, f"reminders.over_{due['kind']}")
    if due["kind"] in ("say", "send"):
        line = text(language, "due.answer", text=said, answer=due["answer"] or due["failed"])
        if due["failed"]:
            line = text(language, "due.failed", text=said, answer=due["failed"])
        if due["passed"]:
            line = text(language, "due.passed", text=said)
    if now - due["moment"] > schedules.LATE:
        when = say_moment(due["moment"], now, due["zone"], language)
        line = text(language, "due.late", text=line, when=when)
    if due["missed"]:
        line = f"{line} {text(language, 'due.missed', count=due['missed'])}"
    return f"{line} {text(language, 'due.slept')}" if due["asleep"] else line


ACTS: Final[Mapping[str, Callable[[Act], Awaitable[Answer | None]]]] = {
    "reminders_obj.say": remind,
    "reminders_obj.timer": _timer,
    "reminders_obj.alarm": _alarm,
    "reminders_obj.list": _list,
    "reminders_obj.left": _left,
    "reminders_obj.cancel": _cancel,
    "reminders_obj.move": _move,
    "reminders_obj.settle": _settle,
    "reminders_obj.recall": _recall,
}
