"""Candidates and what was found about them -> the one to keep.

Examples decide first: a method that reproduces all of them is *verified*. Where the caller
gave none, the answers vote by meaning, and the winner is *provisional*: it ran and others
agree, but nobody has said that it is right.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PREVIEW: Final = 120
_NOW_SECONDS: Final = 60
_NEVER: Final = 1 << 62  # seconds; larger integers may not even fit into a float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one candidate.

    Attributes:
        draft: Its index.
        source: As it would be installed: after fix-ups and the covenant repair.
        fixups: Names of the rules that changed it.
        problem: Why it cannot be used, in one line; "" when it can.
        preview: What it answered to the caller's arguments, cut short.
        meaning: Key that equal answers share.
        readable: The answer is text or a moment. Of answers that mean the same, such as the
            present moment as a text and as seconds since 1970, people want the first.
        passed: Examples that it reproduces.
        agree: Candidates with the same answer, itself included.
    """

    draft: int
    source: str
    fixups: tuple[str, ...] = ()
    problem: str = ""
    preview: str = ""
    meaning: str = ""
    readable: bool = False
    passed: int = 0
    agree: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Return plain data for the mission's record."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to keep, or none, and why."""

    chosen: Verdict | None
    status: str
    reason: str
    verdicts: tuple[Verdict, ...] = field(default=())


def choose(verdicts: tuple[Verdict, ...], examples: int) -> Choice:
    """Return the best candidate of a batch; earlier ones win ties.

    Args:
        verdicts: One per candidate, in order.
        examples: How many examples the brief has.
    """
    votes = Counter(v.meaning for v in verdicts if not v.problem)
    counted = tuple(_with_votes(v, votes) for v in verdicts)
    usable = [v for v in counted if not v.problem and v.passed == examples]
    if not usable:
        return Choice(None, "", _why_none(counted, examples), counted)
    most = max(usable, key=lambda v: v.agree)
    same = [v for v in usable if v.meaning == most.meaning]
    best = next((v for v in same if v.readable), most)
    if examples:
        return Choice(best, "verified", f"reproduces {_count(examples)}", counted)
    reason = f"{best.agree} of {len(counted)} candidates agree"
    return Choice(best, "provisional", reason, counted)


def meaning(value: Any, now: dt.datetime | None = None) -> str:
    """Return a key that values of the same meaning share.

    Numbers by value, moments by the minute, text without case, quotes and extra spaces.

    Args:
        value: Plain data.
        now: The moment that the candidates took for the present one, with its time zone;
            whatever names it, in any form, has the same meaning.

    >>> meaning(2) == meaning(2.0), meaning("A  b") == meaning("a b"), meaning(1) == meaning(True)
    (True, True, False)
    """
    if now is not None and _names(value, now):
        return "the present moment"
    for kinds, rule in _MEANINGS:
        if isinstance(value, kinds):
            return rule(value)
    return f"{type(value).__name__} {value}"


def _names(value: Any, now: dt.datetime) -> bool:
    if type(value) in (int, float):
        return bool(abs(value) < _NEVER and abs(value - now.timestamp()) < _NOW_SECONDS)
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=now.tzinfo)
        return abs((moment - now).total_seconds()) < _NOW_SECONDS
    if not isinstance(value, str):
        return False
    minutes = {now, now + dt.timedelta(seconds=_NOW_SECONDS / 2)}
    shapes = {f"{m:{form}}" for m in minutes for form in ("%H:%M", "%I:%M")}
    return any(re.search(rf"(?<!\d){shape}(?!\d)", value) for shape in shapes)


def preview(value: Any) -> str:
    """Return a value as one short line for tables."""
    text = repr(value)
    return text if len(text) <= PREVIEW else text[: PREVIEW - 1] + "…"


def _with_votes(verdict: Verdict, votes: Counter[str]) -> Verdict:
    agree = 0 if verdict.problem else votes[verdict.meaning]
    return Verdict(**(asdict(verdict) | {"agree": agree}))


def _count(examples: int) -> str:
    return "the example" if examples == 1 else f"all {examples} examples"


def _why_none(verdicts: tuple[Verdict, ...], examples: int) -> str:
    wrong = sum(not v.problem for v in verdicts)
    problems = Counter(v.problem for v in verdicts if v.problem)
    parts = [f"{count} x {problem}" for problem, count in problems.most_common(3)]
    if wrong:
        parts.insert(0, f"{wrong} ran but did not reproduce {_count(examples)}")
    return f"none of {len(verdicts)} candidates is good enough: " + "; ".join(parts)


def _number(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"number {value:.9g}" if value % 1 else f"number {int(value)}"
    return f"number {value}"


def _text(value: str) -> str:
    text = value.strip()
    if re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", text):
        return f"moment {text[:10]} {text[11:16]}"
    return "text " + " ".join(text.casefold().strip("\"'").split())


def _map(value: dict[Any, Any]) -> str:
    pairs = sorted((meaning(key), meaning(item)) for key, item in value.items())
    return f"map {_row(part for pair in pairs for part in pair)}"


def _row(parts: Iterable[str]) -> str:
    # With lengths rather than quotes: nested quoting doubles the text at each level.
    return "".join(f"{len(part)}:{part}" for part in parts)


# Order matters: True is an int too.
_MEANINGS: Final[tuple[tuple[tuple[type, ...], Callable[[Any], str]], ...]] = (
    ((bool, type(None)), str),
    ((int, float), _number),
    ((dt.datetime,), lambda value: f"moment {value:%Y-%m-%d %H:%M}"),
    ((str,), _text),
    ((dict,), _map),
    ((set, frozenset), lambda value: f"list {_row(sorted(map(meaning, value)))}"),
    ((list, tuple), lambda value: f"list {_row(map(meaning, value))}"),
)
