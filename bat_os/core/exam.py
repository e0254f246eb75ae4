"""The questions of an exam, and how its answers become figures. Pure; reads no file.

The papers are package data beside ``bat_os/kernel/exam``. None of their wishes is near one
of the seed library or of the test cases: the exam must not ask what a model was trained or tested
with here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from bat_os.core.brief import Brief
from bat_os.core.prompts import read_block
from bat_os.core.schema import Meta, Record, parse_json
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SAMPLE: Final = 20  # of the tasks, for what takes a long answer
MOST_FALSE: Final = 0.02  # of the pairs that differ, those that may be called the same
_Lines = TypeVar("_Lines", bound=Record)


class Try(Record, frozen=True):
    """One call of a method, and what it has to return."""

    args: list[Any]
    result: Any


class Task(Record, frozen=True):
    """A wish for a method, and how to see whether a method grants it."""

    brief: str  # the wish
    selector: str
    params: list[str]  # names of its arguments
    state: dict[str, Any]  # slots of the receiver before the first try
    tests: Annotated[list[Try], Meta(min_length=1)]  # in order, on one object
    right: str  # source of a method that passes
    wrong: str  # the same with one change, with which it does not

    def to_brief(self) -> Brief:
        """Return the message of the first try."""
        return Brief("exam", self.selector, tuple(self.tests[0].args), text=self.brief)


class Pair(Record, frozen=True):
    """Two requests."""

    one: str
    other: str
    same: bool  # one method serves both


class Text(Record, frozen=True):
    """A passage of the catalog that ``plans`` is measured with."""

    title: str
    text: str
    wish: str  # the wish that it helps with; "" if it is only in the way

    def to_brief(self) -> Brief:
        """Return a message with this wish."""
        return Brief("exam", "find", text=self.wish)


class Decision(Record, frozen=True):
    """A request, what the steps so far have given, and what is right to do now."""

    request: str
    given: list[tuple[str, list[Any], Any]]  # tool, arguments, value of each step
    tool: str = ""  # of the right step; "" if it is time to answer
    args: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    answer: str = ""  # what the right answer has to have in it


@dataclass(frozen=True, slots=True)
class Paper:
    """All questions."""

    tasks: tuple[Task, ...]
    pairs: tuple[Pair, ...]
    texts: tuple[Text, ...]
    decisions: tuple[Decision, ...] = ()

    @property
    def sample(self) -> tuple[Task, ...]:
        """SAMPLE tasks that have arguments and need no object."""
        plain = [task for task in self.tasks if task.params and not task.state]
        return tuple(plain[:: max(len(plain) // SAMPLE, 1)][:SAMPLE])

    @property
    def wishes(self) -> tuple[Text, ...]:
        """The passages that a wish asks for."""
        return tuple(text for text in self.texts if text.wish)


def parse_paper(tasks: str, pairs: str, texts: str, decisions: str = "") -> Paper:
    """Return the questions in texts of JSON lines.

    Raises:
        ArgumentsError: A line cannot be read; names it.
    """
    lines = _parse(tasks, Task), _parse(pairs, Pair), _parse(texts, Text)
    return Paper(*lines, _parse(decisions, Decision))


def share(right: Iterable[bool]) -> float | None:
    """Return the share of right answers, to three digits; None if there are none at all.

    >>> share([True, False, True])
    0.667
    """
    answers = list(right)
    return round(sum(answers) / len(answers), 3) if answers else None


def share_known(pairs: Sequence[Pair], said: Sequence[str]) -> float | None:
    """Return the figure ``judges``: the rewordings that were known, 0 with too many false.

    >>> one, two = Pair("a", "b", True), Pair("a", "c", False)
    >>> share_known([one, one, two], ["yes", "ask", "no"]), share_known([one, two], ["yes", "yes"])
    (0.5, 0.0)
    """
    if is_lost(pairs, said, of=pairs):
        return 0.0
    return share(word == "yes" for pair, word in zip(pairs, said, strict=True) if pair.same)


def is_lost(asked: Sequence[Pair], said: Sequence[str], *, of: Sequence[Pair]) -> bool:
    """Return True if more pairs were called the same wrongly than all of them allow."""
    false = sum(word == "yes" and not pair.same for pair, word in zip(asked, said, strict=True))
    return false > MOST_FALSE * sum(not pair.same for pair in of)


def has_form(text: str, selector: str, *, finished: bool) -> bool:
    r"""Return True if the answer is the fenced block that was asked for, with the method in it.

    >>> has_form("```python\ndef f(self): return 1", "f", finished=True)
    True
    """
    return finished and f"def {selector}(self" in read_block(text)


def _parse(text: str, kind: type[_Lines]) -> tuple[_Lines, ...]:
    lines = enumerate(text.splitlines(), start=1)
    return tuple(
        parse_json(line, kind, ArgumentsError, f"the exam, line {number}")
        for number, line in lines
        if line.strip()
    )
