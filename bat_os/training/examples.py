"""Examples of methods that a small model learns from, and the lessons made of them.

Text in, values out; this module reads no file and runs nothing. One ``[[example]]`` of TOML:

    kind = "text"                              held-out sets have some of each kind
    wish = "count the words in a text"         as a person says it
    call = "count_words(text)"
    body = "return len(text.split())"          without the indentation
    cases = [{ args = '"a b"', value = '2' }]  Python literals; also slots (before), after, and
                                               like: a regular expression in place of a value

A lesson is exactly the question that a mission asks (``core/prompts.py``), with the answer to
learn. One example makes many lessons: other personas ask, parameters have the names that the
kernel gives them, and some questions show similar methods first.
"""

from __future__ import annotations

import random
import re
import textwrap
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from bat_os.core import syntax
from bat_os.core.brief import Brief, goal, parameters, signature
from bat_os.core.choosing import meaning
from bat_os.core.personas import ALFRED, BABS, BRICK, ROBIN
from bat_os.core.prompts import ask_method
from bat_os.core.schema import Meta, Record, convert, read_toml, text
from bat_os.core.values import check_selector
from bat_os.errors import ArgumentsError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.prompts import Prompt

MAX_FIELD: Final = 2_000
_CALL: Final = re.compile(r"(\w+)\(((?:\w+(?:, \w+)*)?)\)\Z", re.ASCII)
_WHERE: Final = "the examples"
_Field = Annotated[str, text(MAX_FIELD, filled=True)]
_Literal = Annotated[str, text(MAX_FIELD)]


class _Case(Record, frozen=True):
    args: _Literal = ""
    slots: _Literal = "{}"
    value: _Literal | None = None
    like: _Literal = ""
    after: _Literal = "{}"

    def __post_init__(self) -> None:
        if (self.value is not None) == bool(self.like):
            raise ValueError("a case has a value, or what it is like")


class _Entry(Record, frozen=True):
    kind: _Field
    wish: _Field
    call: _Field
    body: _Field
    cases: Annotated[list[_Case], Meta(min_length=1)]


class _File(Record, frozen=True):
    example: Annotated[list[Any], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Case:
    """One run of a method, and what has to come of it."""

    args: tuple[Any, ...] = ()  # plain data, one per parameter
    slots: Mapping[str, Any] = field(default_factory=dict)  # the receiver's slots before
    value: Any = None  # what is returned, where ``like`` is ""
    like: str = ""  # a regular expression that the whole text of the returned value matches
    # slots that have these values afterwards; others may change as they like
    after: Mapping[str, Any] = field(default_factory=dict)

    def accepts(self, value: Any, changed: Mapping[str, Any]) -> bool:
        """Return whether a run that gave ``value`` and changed these slots is right."""
        slots = {**self.slots, **changed}
        if any(name not in slots or slots[name] != wanted for name, wanted in self.after.items()):
            return False
        if self.like:
            return re.fullmatch(self.like, str(value)) is not None
        return meaning(value) == meaning(self.value)


@dataclass(frozen=True, slots=True)
class Example:
    """One method, as it should be written."""

    kind: str  # such as ``text``, ``dates`` or ``state``
    wish: str  # what a person asks for, in words
    selector: str  # the method's name
    params: tuple[str, ...]  # names of the parameters after ``self``
    body: str  # the lines of the method, not indented
    cases: tuple[Case, ...]  # at least one
    cluster: str = ""  # the oldest mission of a golden record's cluster; "" if it was shipped

    def to_brief(self, params: Sequence[str] | None = None) -> Brief:
        """Return what the kernel would be asked, with the parameters named like that."""
        named = dict.fromkeys(self.params if params is None else params)
        return Brief("genesis_obj", self.selector, (), named, self.wish)

    def generic_params(self) -> tuple[str, ...]:
        """Return the names that the kernel gives to arguments without names."""
        return parameters(Brief("", self.selector, self.cases[0].args))

    def rename(self, params: Sequence[str]) -> str:
        """Return the body with the parameters called ``params``; "" where names would clash."""
        new = dict(zip(self.params, params, strict=True))
        taken = set(re.findall(r"\w+", self.body)) - set(self.params)
        if taken & set(params):
            return ""
        if not new:
            return self.body
        # Neither an attribute, nor a text, nor the name in a call's ``days=2``.
        pattern = rf"(?<![\w.'\"])({'|'.join(new)})\b(?!['\"]|=[^=])"
        return re.sub(pattern, lambda match: new[match[1]], self.body)

    def to_source(self, params: Sequence[str] | None = None) -> str:
        """Return the whole method; its docstring is the wish."""
        brief = self.to_brief(params)
        body = self.body if params is None else self.rename(params)
        return f'{signature(brief)}\n    """{goal(brief)}"""\n{textwrap.indent(body, "    ")}\n'


def parse_examples(source: str) -> tuple[Example, ...]:
    """Return the examples of a TOML text.

    Raises:
        ArgumentsError: It is not what it should be; names the entry.
    """
    file = convert(read_toml(source, ArgumentsError, _WHERE), _File, ArgumentsError, _WHERE)
    return tuple(_read(entry, number) for number, entry in enumerate(file.example, start=1))


def read_golden(record: Mapping[str, Any]) -> Example:
    """Return what a line of ``batos golden --jsonl`` shows, as an example; its kind is its cluster.

    Raises:
        ArgumentsError: It cannot be learned from: it has no case, say.
    """
    fields = {key: record[key] for key in ("wish", "call", "body", "cases")}
    return replace(_read({"kind": record["cluster"], **fields}, 1), cluster=record["cluster"])


def hold_out(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """Return (examples to learn from, examples to ask about); some of each kind.

    The same examples, share and seed give the same split.
    """
    draw = random.Random(seed)  # noqa: S311 - a split, no secret
    learned: list[Example] = []
    asked: list[Example] = []
    for kind in sorted({example.kind for example in examples}):
        same = [example for example in examples if example.kind == kind]
        draw.shuffle(same)
        count = round(len(same) * share)
        asked += same[:count]
        learned += same[count:]
    return learned, asked


def _read(value: Any, number: int) -> Example:
    error = partial(ArgumentsError, example=number)
    entry = convert(value, _Entry, error, f"example {number}")
    selector, params = _read_call(entry.call, number)
    cases = tuple(_read_case(case, len(params), number) for case in entry.cases)
    return Example(entry.kind, entry.wish, selector, params, entry.body.strip("\n"), cases)


def _read_call(call: str, number: int) -> tuple[str, tuple[str, ...]]:
    match = _CALL.match(call)
    params = tuple(match[2].split(", ")) if match and match[2] else ()
    try:
        for name in (match[1] if match else "", *params):
            check_selector(name)
    except ProtocolError as error:
        raise _complain(number, f"call must be like name(a, b): {error}") from error
    assert match is not None, "check_selector refuses an empty name"  # noqa: S101 - for mypy
    if len(set(params)) != len(params):
        raise _complain(number, "a parameter comes twice")
    return match[1], params


def _read_case(case: _Case, count: int, number: int) -> Case:
    args = _literal(f"[{case.args}]", list, number)
    if len(args) != count:
        raise _complain(number, f"a case has {len(args)} arguments for {count} parameters")
    try:
        re.compile(case.like)
    except re.error as error:
        raise _complain(number, f"like is not a regular expression: {error}") from error
    return Case(
        tuple(args),
        _literal(case.slots, dict, number),
        _literal("None" if case.value is None else case.value, object, number),
        case.like,
        _literal(case.after, dict, number),
    )


def _literal(text: str, kind: type, number: int) -> Any:
    try:
        value = syntax.parse_literal(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise _complain(number, f"{text[:60]} is not a Python literal") from error
    if not isinstance(value, kind):
        raise _complain(number, f"{text[:60]} must be a {kind.__name__}")
    return value


def _complain(number: int, what: str) -> ArgumentsError:
    return ArgumentsError(f"example {number}: {what}", example=number)


# ALFRED writes if no other persona is named; BRICK's objects are the next most common.
_ASKERS: Final = (ALFRED, ALFRED, ALFRED, BRICK, BRICK, ROBIN, BABS)
_FENCE: Final = "\n```"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing to learn: after this prompt comes this answer, and then the turn ends."""

    prompt: Prompt
    answer: str
    cluster: str = ""  # that of its example; a batch takes few lessons of the same one


def make_lessons(examples: Sequence[Example], *, count: int, seed: int) -> list[Lesson]:
    """Return ``count`` lessons; every example comes once before any comes twice.

    The same examples, count and seed give the same lessons.
    """
    draw = random.Random(seed)  # noqa: S311 - an order of lessons, no secret
    order: list[Example] = []
    while len(order) < count:
        once = list(examples)
        draw.shuffle(once)
        order += once
    return [_make_lesson(example, examples, draw) for example in order[:count]]


def ask_plainly(example: Example) -> Prompt:
    """Return the question for an example as a mission asks it first."""
    return ask_method(example.to_brief(), ALFRED.system_prompt, None)


def _make_lesson(example: Example, others: Sequence[Example], draw: random.Random) -> Lesson:
    params = example.params
    if draw.random() < 0.4 and example.rename(generic := example.generic_params()):
        params = generic
    brief = example.to_brief(params)
    if draw.random() < 0.1:
        brief = replace(brief, text=f"create a method to {brief.text}")
    shots = _pick_shots(example, others, draw) if draw.random() < 0.25 else None
    prompt = ask_method(brief, draw.choice(_ASKERS).system_prompt, shots)
    # The prompt ends within the indentation of the first line of the body.
    body = textwrap.indent(example.rename(params), "    ")
    return Lesson(prompt, body.removeprefix("   ") + _FENCE, example.cluster)


def _pick_shots(
    example: Example, others: Sequence[Example], draw: random.Random
) -> list[tuple[str, str]]:
    """Return none to two (wish, source) pairs, the first of the same kind; pure functions."""
    pure = [other for other in others if other is not example and "self" not in other.body]
    same = [other for other in pure if other.kind == example.kind] or pure
    shots = [draw.choice(pool) for pool in (same, pure) if pool][: draw.randrange(3)]
    return [(goal(shot.to_brief()), shot.to_source().rstrip()) for shot in shots]
