r"""How a trace becomes a method: each value is followed back to where it came from.

    wish(path="index.txt")  >  read("index.txt") = "b.txt\n"  >  read("b.txt") = "bee 2"  >  "bee 2"

    def wish(self, path):
        first = self.notes.read(path)
        second = self.notes.read(first.strip())
        return second

A value is one of the arguments, an earlier answer, a part of one, or a text that is made of them;
calls for each item of a list are a loop. Of many ways to the same value only those count that the
words of the request speak for: "how many" for a length, "first" for a first line. What follows from
nothing is a judgement, and becomes no method. Pure.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.kernel.agent.parts import COUNTS, LEAST, MOST, are_numbers, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bat_os.kernel.agent.parts import Pair

MAX_TRIED: Final = 4_000  # expressions that one value is looked for among
MAX_DEPTH: Final = 3
SHORTEST: Final = 2  # characters of a piece of a text that is made of pieces
_NAMES: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


# Words for what is compared, and how it is measured: of the text of a file, or of its facts.
_MEASURED: Final[tuple[tuple[frozenset[str], type, str, Callable[[Any], Any]], ...]] = (
    (frozenset({"line"}), str, "len({}.splitlines())", lambda text: len(text.splitlines())),
    (frozenset({"word"}), str, "len({}.split())", lambda text: len(text.split())),
    (frozenset({"character", "longest", "shortest"}), str, "len({})", len),
    (frozenset({"newest", "oldest"}), dict, "{}['changed']", lambda facts: facts.get("changed")),
    (frozenset({"largest", "smallest"}), dict, "{}['bytes']", lambda facts: facts.get("bytes")),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """One step of a trace."""

    slot: str  # of the object that the method belongs to; "" for a message to that object
    selector: str
    args: tuple[Any, ...]
    value: Any

    @property
    def message(self) -> str:
        """What a method sends."""
        return f"self.{self.slot}.{self.selector}" if self.slot else f"self.{self.selector}"


@dataclass(slots=True)
class Distilled:
    """A method made of a trace, or why there is none."""

    source: str = ""
    reason: str = ""


@dataclass(slots=True)
class _Loop:
    """Calls for each item of a list."""

    items: Pair
    results: Pair


@dataclass(slots=True)
class _Flow:
    """What is known so far, by the expressions that give it."""

    words: frozenset[str]  # of the request
    known: list[Pair] = field(default_factory=list)
    loops: list[_Loop] = field(default_factory=list)
    answers: list[Pair] = field(default_factory=list)  # of single steps

    def find(self, value: Any) -> str:
        """Return an expression for a value; "" if nothing gives it."""
        for name, known in self.known:
            if _same(known, value):
                return name
        level, tried = [*reversed(self.known)], 0
        for _ in range(MAX_DEPTH):
            following: list[Pair] = []
            for pair in level:
                for part in self._parts(*pair):
                    tried += 1
                    if _same(part[1], value):
                        return part[0]
                    if tried > MAX_TRIED:
                        return ""
                    following.append(part)
            level = following
            if found := next((e for e, made in self._chosen() if _same(made, value)), ""):
                return found
        return self._written(value) if isinstance(value, str) else ""

    def compared(self, value: Any) -> str:
        """Return the comparison of two answers that the request asks for; "" if it gives another.

        >>> flow = _Flow(frozenset({"than", "longest"}), answers=[("a", "tea"), ("b", "milk")])
        >>> flow.compared(False), flow.compared(True)
        ('len(a) > len(b)', '')
        >>> _Flow(frozenset({"than", "newest"}), answers=[("a", {}), ("b", {})]).compared(True)
        ''
        """
        if "than" not in self.words or len(self.answers) != 2:
            return ""
        (first, one), (second, other) = self.answers
        for said, kind, expression, measure in _MEASURED:
            if self.words & said and type(one) is type(other) is kind:
                sides = measure(one), measure(other)
                if None in sides or type(sides[0]) is not type(sides[1]):
                    return ""
                sign, found = (">", sides[0] > sides[1]) if self.words & MOST else (
                    "<", sides[0] < sides[1])  # fmt: skip
                shown = f"{expression.format(first)} {sign} {expression.format(second)}"
                return shown if found is value else ""
        return ""

    def _chosen(self) -> Iterator[Pair]:
        """Yield the items for which a result is the most or the least, or says something."""
        for loop in self.loops:
            items, name = loop.items[1], loop.items[0]
            lists = [loop.results, *self._parts(*loop.results)]
            lists += [part for pair in lists[1:] for part in self._parts(*pair)]
            for expression, made in lists:
                if not isinstance(made, list) or len(made) != len(items):
                    continue
                for how, said in (("max", MOST), ("min", LEAST)):
                    if self.words & said and _is_ordered(made):
                        best = items[made.index(max(made) if how == "max" else min(made))]
                        yield f"{name}[{expression}.index({how}({expression}))]", best
            yield from self._saying(loop)

    def _saying(self, loop: _Loop) -> Iterator[Pair]:
        results = loop.results[1]
        if not all(isinstance(each, str) for each in results):
            return
        for said, text in self.known:
            if isinstance(text, str) and SHORTEST <= len(text) < 100:
                picked = [i for i, each in zip(loop.items[1], results, strict=True) if text in each]
                pairs = f"zip({loop.items[0]}, {loop.results[0]})"
                yield f"[item for item, text in {pairs} if {said} in text]", picked
                if self.words & COUNTS:
                    yield f"sum({said} in text for text in {loop.results[0]})", len(picked)

    def _parts(self, name: str, known: Any) -> Iterator[Pair]:
        return parts_of(name, known, self.words, self.known)

    def _written(self, text: str) -> str:
        """Return an expression for a text: a number in words of digits, or a sum of pieces."""
        if re.fullmatch(r"-?(0|[1-9]\d{0,14})", text) and (number := self.find(int(text))):
            return f"str({number})"
        return self._made_of(text)

    def _made_of(self, text: str) -> str:
        """Return a text as a sum of known pieces and literals; "" if no piece is known."""
        pieces: list[tuple[str, str]] = []
        level = [*self.known]
        for _ in range(2):
            level = [*level, *(part for pair in level for part in self._parts(*pair))]
        for expression, shown in map(_as_text, level):
            if len(shown) >= SHORTEST and shown in text:
                pieces.append((shown, expression))
        pieces.sort(key=lambda piece: -len(piece[0]))
        parts: list[tuple[bool, str]] = [(False, text)]
        for shown, expression in pieces:
            parts = [
                new for part in parts for new in (_cut(part[1], shown, expression)
                                                  if not part[0] else [part])
            ]  # fmt: skip
        if not any(done for done, _ in parts):
            return ""
        return " + ".join(one if done else repr(one) for done, one in parts if done or one)


def distil(
    selector: str, params: Sequence[Pair], steps: Sequence[Taken], answer: Any, request: str
) -> Distilled:
    """Return the method that does what a trace did.

    Args:
        selector: Its name.
        params: Names of its parameters, with the values that they had.
        steps: What was done, in order.
        answer: What came of it.
        request: The person's words.
    """
    flow = _Flow(frozenset(re.findall(r"[a-z]+", request.casefold())), [*params])
    lines = [f"def {selector}({', '.join(['self', *(name for name, _ in params)])}):"]
    at = 0
    while at < len(steps):
        name = _NAMES[len(lines) - 1] if len(lines) <= len(_NAMES) else f"step{len(lines)}"
        if (loop := _loop_at(flow, steps, at)) is not None:
            call, items, count = loop
            results = [step.value for step in steps[at : at + count]]
            lines.append(f"    {name} = [{call} for item in {items[0]}]")
            flow.loops.append(_Loop(items, (name, results)))
            flow.known.append((name, results))
            at += count
            continue
        step = steps[at]
        args = ", ".join(flow.find(arg) or repr(arg) for arg in step.args)
        lines.append(f"    {name} = {step.message}({args})")
        flow.known.append((name, step.value))
        flow.answers.append((name, step.value))
        at += 1
    expression = flow.compared(answer) or flow.find(answer)
    if not expression:
        return Distilled(reason="the answer does not follow from what the steps gave")
    return Distilled("\n".join([*lines, f"    return {expression}"]) + "\n")


def _loop_at(flow: _Flow, steps: Sequence[Taken], at: int) -> tuple[str, Pair, int] | None:
    """Return the call for each item, the items, and how many steps that is; None if it is none."""
    lists = [pair for pair in reversed(flow.known) if isinstance(pair[1], list)]
    lists += [
        part
        for pair in reversed(flow.known)
        for part in flow._parts(*pair)
        if isinstance(part[1], list)
    ]
    for items in lists:
        run = steps[at : at + len(items[1])]
        if len(items[1]) < 2 or len(run) < len(items[1]):
            continue
        if not all(isinstance(item, str | int) for item in items[1]):
            continue
        if (call := _same_call(flow, run, items[1])) is not None:
            return call, items, len(run)
    return None


def _same_call(flow: _Flow, run: Sequence[Taken], items: Sequence[Any]) -> str | None:
    """Return one call that is each step of a run, with ``item`` in it."""
    first = run[0]
    if any((s.slot, s.selector, len(s.args)) != (first.slot, first.selector, len(first.args))
           for s in run):  # fmt: skip
        return None
    args, varies = [], False
    for place, arg in enumerate(first.args):
        values = [step.args[place] for step in run]
        if all(_same(value, arg) for value in values) and not _same(arg, items[0]):
            args.append(flow.find(arg) or repr(arg))
        elif all(_same(v, i) for v, i in zip(values, items, strict=True)):
            args.append("item")
            varies = True
        elif (made := _around(flow, values, items)) is not None:
            args.append(made)
            varies = True
        else:
            return None
    return f"{first.message}({', '.join(args)})" if varies else None


def _around(flow: _Flow, values: Sequence[Any], items: Sequence[Any]) -> str | None:
    """Return a text with ``item`` in it: ``path + '/' + item``; None if it is not the same."""
    if not all(isinstance(each, str) for each in (*values, *items)):
        return None
    before, found, after = values[0].partition(items[0])
    if not found or any(v != before + i + after for v, i in zip(values, items, strict=True)):
        return None
    parts = [flow.find(before) or repr(before)] if before else []
    parts += ["item", *([repr(after)] if after else [])]
    return " + ".join(parts)


def _as_text(pair: Pair) -> tuple[str, str]:
    expression, known = pair
    if isinstance(known, int | float) and not isinstance(known, bool):
        return f"str({expression})", str(known)
    return expression, known if isinstance(known, str) else ""


def _cut(text: str, piece: str, expression: str) -> list[tuple[bool, str]]:
    """Return a text with each place of a piece cut out: (True, expression), (False, literal)."""
    parts: list[tuple[bool, str]] = []
    for number, rest in enumerate(text.split(piece)):
        if number:
            parts.append((True, expression))
        if rest:
            parts.append((False, rest))
    return parts


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _is_ordered(values: Sequence[Any]) -> bool:
    kinds = {type(value) for value in values}
    return are_numbers(values) or kinds in ({str}, {dt.datetime})
