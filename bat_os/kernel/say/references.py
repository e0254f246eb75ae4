"""A short sentence about the last answer: another skill, a part of it, or another language.

    "sort these: pear, fig"           "now reverse it"                  reverse_list(...)
    "the mean of 4, 8 and 15"         "and the sum?"                    add_up([4, 8, 15])
    "savings of 1000 at 5%, 2 years"  "how much of that is interest?"   interest_earned(1000, 5, 2)
    "what weekday was 20 July 1969"   "and in French?"                  dimanche

Only a skill that is meant for sure answers, and only if it gets the value that was spoken of.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.core.readable import show_value
from bat_os.errors import BatError
from bat_os.kernel.say import followups, replies
from bat_os.kernel.say.heard import read_words
from bat_os.kernel.say.skills import decide, find_candidates
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.heard import Heard
    from bat_os.sentence.reading import Sentence

    # The sentence in other words; with ``sure=True`` only a sure skill answers it.
    Again = Callable[..., Awaitable[Answer | None]]
    Send = Callable[[Heard, Brief], Awaitable[Answer]]

# What turns a value round, by its type.
REVERSED: Final[Mapping[type, tuple[str, str]]] = {
    list: ("list_obj", "reverse_list"),
    str: ("text_obj", "reverse_letters"),
}
MAX_ITEMS: Final = 100  # of a list that is gone through
NEAR: Final = 0.01  # that a part and the rest may miss the whole by: both were rounded to cents


class References:
    """Answers what is said about the last answer; for one event loop."""

    def __init__(self, mind: KernelContext, again: Again, send: Send) -> None:
        self._mind = mind
        self._again = again
        self._send = send

    async def go_on(self, heard: Heard, last: Mapping[str, Any], words: str) -> Answer | None:
        """Answer what follows "and" or "now" by a sure skill; None if its values are to replace."""
        if (last.get("form") or {}).get("name") == "lists_obj.add":
            return None
        values = (await read_words(heard, words)).values
        if values and not followups.say_with(last, words, heard.language):
            return None
        return await self.on_last(heard, words)

    async def on_last(self, heard: Heard, words: str) -> Answer | None:
        """Answer words that leave their value out by a skill of the last value, or of its sentence.

        "Reverse it" speaks of the answer. "And the average?" speaks of what the answer is about,
        if that answer is one number.
        """
        last = heard.conversation.last
        words = words.strip(" .!?¿¡,;:")
        short = 0 < len(words.split()) <= followups.MAX_ELLIPSIS
        for value in _subjects(last, named=bool(followups.say_with(last, words, heard.language))):
            literal = followups.as_literal(value)
            said = followups.say_with({"value": value}, words, heard.language)
            said = said or (f"{words} {literal}" if short and literal else "")
            answer = await self._again(heard, said, sure=True)
            if answer is not None and (answer.undo or _takes(answer, value)):
                return answer
        return None

    async def reverse(self, heard: Heard, last: Mapping[str, Any]) -> Answer | None:
        """Answer "now reverse it" after a text or a list."""
        value = last.get("value")
        skill = REVERSED.get(type(value))
        literal = followups.as_literal(value)
        if skill is None or last["kind"] == "acted" or not literal:
            return None
        answer = await self._send(heard, Brief(*skill, (value,)))
        return replace(answer, memory={**answer.memory, "said": f"reverse {literal}"})

    async def part(self, heard: Heard, last: Mapping[str, Any], part: str) -> Answer | None:
        """Answer "how much of that is interest?" by a skill of the same values.

        Its answer is the part if it is what the last answer and one of its values differ by.
        """
        call = last.get("call") or {}
        given = [one for one in call.get("args", ()) if _is_number(one)]
        if not given or len(given) != len(call["args"]) or not _is_number(last.get("value")):
            return None
        before = await read_words(heard, last["text"], last.get("language", ""))
        values = _quantities(before)
        for said in (f"{part} {values}", f"how much {part} {values}"):
            asked = await read_words(heard, said)
            for found in await find_candidates(self._mind, asked):
                same = Counter([*found.args, *found.kwargs.values()]) == Counter(given)
                if not same or found.changes or found.status not in replies.VOUCHED:
                    continue
                brief = Brief(found.target, found.selector, tuple(found.args), dict(found.kwargs))
                answer = await self._run(heard, brief)
                if answer is not None and _is_part(answer.value, last["value"], given):
                    return replace(answer, memory={**answer.memory, "said": said})
        return Answer("unable", text(heard.language, "unable.part", part=part),
                      language=heard.language)  # fmt: skip

    async def in_language(self, heard: Heard, last: Mapping[str, Any], code: str) -> Answer | None:
        """Answer "and in French?": a date, a weekday or a number is written in that language."""
        value = last.get("value")
        if last["kind"] != "computed" or value is None:
            return None
        shown = show_value(value, code)
        usual = show_value(value, str(last.get("language", "")))
        if shown == usual and not _is_number(value):
            return Answer("unable", text(heard.language, "unable.translation"),
                          language=heard.language)  # fmt: skip
        kept = {name: last[name] for name in ("call", "brief", "value", "series") if name in last}
        return Answer("computed", shown, value, str(last["reading"]), language=code,
                      memory={**kept, "said": last["text"]})  # fmt: skip

    async def which_of(self, heard: Heard, values: Mapping[str, Any]) -> Answer | None:
        """Answer "which of these are even: 3, 8" by a yes or no about each item."""
        row = next((v for v in heard.sentence.values if v.kind == "list"), None)
        predicate = str(values["predicate"])
        items = heard.conversation.last.get("value") if row is None else row.value
        if row is not None:
            predicate = predicate.replace(row.text, "").strip(" :,;.?!")
        if not isinstance(items, list) or not 0 < len(items) <= MAX_ITEMS or not predicate:
            return None
        literals = [followups.as_literal(item) for item in items]
        if not all(literals):
            return None
        words = (values["asks"], literals[0], values.get("be"), predicate)
        said = " ".join(str(word) for word in words if word)
        found = await find_candidates(self._mind, await read_words(heard, said))
        if decide(found) != "act" or found[0].changes or items[0] not in found[0].args:
            return None
        skill, at = found[0], list(found[0].args).index(items[0])
        kept = []
        for item in items:
            args = (*skill.args[:at], item, *skill.args[at + 1 :])
            brief = Brief(skill.target, skill.selector, args, dict(skill.kwargs))
            answer = await self._run(heard, brief)
            if answer is None or not isinstance(answer.value, bool):
                return None
            kept += [item] if answer.value else []
        value = len(kept) if values.get("count") else kept
        return Answer("computed", show_value(value, heard.language), value, skill.reading,
                      language=heard.language, memory={"value": value})  # fmt: skip

    async def _run(self, heard: Heard, brief: Brief) -> Answer | None:
        try:
            return await self._send(heard, brief)
        except BatError:
            return None


def _subjects(last: Mapping[str, Any], *, named: bool) -> Iterator[Any]:
    """Yield what a short sentence may speak of, the likeliest first."""
    value, call = last.get("value"), last.get("call") or {}
    about = [one for one in call.get("args", ()) if isinstance(one, list | str)]
    series = last.get("series") or []
    others = [*about, *([series] if len(series) > 1 else [])]
    first = named or isinstance(value, list | str)
    seen = []
    for each in [value, *others] if first else [*others, value]:
        if each is not None and each not in seen:
            seen.append(each)
            yield each


def _quantities(said: Sentence) -> str:
    """Return the values of a sentence with their units, apart from each other."""
    words = ""
    for value in said.values:
        words += f" {value.text}" if value.kind == "unit" else f", {value.text}"
    return words.lstrip(", ")


def _takes(answer: Answer, value: Any) -> bool:
    """Return whether a message got the value that was spoken of."""
    call = answer.memory.get("call") or {}
    brief = answer.memory.get("brief") or {}
    return value in [*call.get("args", ()), *(brief.get("kwargs") or {}).values()]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_part(part: Any, whole: float, given: list[float]) -> bool:
    if not _is_number(part):
        return False
    return any(math.isclose(abs(whole - one), part, abs_tol=NEAR) for one in given)
