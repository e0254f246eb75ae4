"""Verdicts on candidates in, the one to keep out.

Examples and tests decide first: a method that reproduces all of them is *verified*. If the caller
gave none, the answers vote by meaning, and a winner with enough of the votes (``Agreement``) is
*provisional*: no person has confirmed it. With fewer votes the right answer is unknown, and the
caller is asked for an example. A known function that was written for a wish like this one has more
than one vote; a candidate that is in doubt has none.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.ability import USUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bat_os.core.ability import Agreement

PREVIEW: Final = 120
RIVALS: Final = 2
MENDED: Final = "mended by example"  # the fix-up that changes a candidate until it fits
_NOW_SECONDS: Final = 60
_NEVER: Final = 1 << 62  # seconds; larger integers may not even fit into a float
# What records have called these from the first on.
_STORED: Final = {"doubt": "dull", "returns_argument": "echo", "same_on_probes": "alike"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one candidate."""

    draft: int  # its index
    source: str  # as it would be installed: after fix-ups and the covenant repair
    fixups: tuple[str, ...] = ()  # names of the rules that changed it
    problem: str = ""  # why it cannot be used, in one line; "" when it can
    preview: str = ""  # what it answered to the caller's arguments, cut short
    value: Any = None  # the same whole, in the form that goes over the wire; None where it was cut
    meaning: str = ""  # key that equal answers share
    # The answer is text or a moment. Of answers that mean the same, such as the present moment as a
    # text and as seconds since 1970, people want the first.
    readable: bool = False
    # what it wants done in the world: ``bat_os.kernel.effects.wants``; it is in ``meaning``, too
    effects: tuple[Mapping[str, Any], ...] = ()
    # It needs the answer of the last of them, which no trial has: nobody knows what it answers.
    stops: bool = False
    passed: int = 0  # examples and tests that it reproduces
    probed: str = ""  # key of its answers to other arguments of the same kind
    # why its answers say nothing or hardly fit the wish, in one line; such a candidate has no vote
    doubt: str = ""
    # the argument that it never reads, or what it should count and does not look for, where too
    # few examples show that it need not; "" for none
    ignores: str = ""
    returns_argument: bool = False  # it answered with one of the caller's arguments as it is
    known: str = ""  # document of the known function that it is; "" where a model wrote it
    weight: float = 0.0  # what a known function counts for, as a share of the written candidates
    agree: int = 0  # written candidates with the same answer, itself included
    votes: float = 0.0  # the same, with the known functions that agree
    same_on_probes: int = 0  # candidates with the same answer to the other arguments, too
    lacks: str = ""  # what the cell's Python does not have and the candidate needs
    reaches_out: bool = False  # the audit refused it for what it would reach outside of its call

    def to_plain(self) -> dict[str, Any]:
        """Return plain data for the mission's record."""
        return {_STORED.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to keep, or none, and why."""

    chosen: Verdict | None  # the candidate, or None
    # ``verified`` or ``provisional``; ``unsure`` where only an example can decide, "" where no
    # candidate is any good
    status: str
    reason: str  # in one line
    verdicts: tuple[Verdict, ...] = ()  # all of them, with their votes
    # when unsure, the best candidates of up to RIVALS different answers
    rivals: tuple[Verdict, ...] = ()

    @property
    def refused(self) -> tuple[str, ...]:
        """What the audit refused most of the written candidates for; () if it refused fewer."""
        written = [v for v in self.verdicts if not v.known]
        lines = [v.problem for v in written if v.reaches_out]
        return tuple(dict.fromkeys(lines)) if 2 * len(lines) > len(written) else ()


def choose(
    verdicts: tuple[Verdict, ...], examples: int, agreement: Agreement = USUAL, *,
    shown: bool = False, traces: int = 0,
) -> Choice:  # fmt: skip
    """Return the best candidate of a batch; earlier ones win ties.

    Examples speak for what a method does in the world only if it is ``shown`` in them. ``traces``
    of them were not given, but are what steps came to: a single one shows one way.
    """
    if not examples:  # words alone do not show that a function for another wish serves
        verdicts = tuple(
            replace(v, problem="was written for another wish")
            if _is_unrelated(v) and not v.problem
            else v
            for v in verdicts
        )
    counted = _with_votes(verdicts)
    usable = [v for v in counted if not v.problem and v.passed == examples]
    if not usable:
        return Choice(None, "", _why_none(counted, examples), counted)
    groups: dict[str, list[Verdict]] = {}
    for verdict in sorted(usable, key=lambda v: (-v.votes, bool(v.ignores), _is_unrelated(v))):
        groups.setdefault(verdict.meaning, []).append(verdict)
    ranked = tuple(_best(group) for group in groups.values())
    best = ranked[0]
    if examples:
        choice = _choose_by_examples(ranked, counted, examples, shown=shown)
        alone = choice.status == "verified" and traces == examples == 1
        return replace(choice, status="provisional") if alone else choice
    written = sum(not v.known for v in counted)
    reason = _support(best, groups[best.meaning], written)
    if agreement.is_strict(written) and best.agree and best.same_on_probes < best.agree:
        reason = f"{reason}, but not for other arguments"
        return Choice(None, "unsure", reason, counted, ranked[:RIVALS])
    if best.votes < agreement.votes(written):
        rivals = sorted(ranked, key=lambda v: -v.votes / (1 + v.returns_argument))
        doubts = "; ".join(_most_common(v.doubt for v in usable))
        reason = f"only {reason}" if best.votes else f"all are in doubt: {doubts}"
        return Choice(None, "unsure", reason, counted, tuple(rivals[:RIVALS]))
    return Choice(best, "provisional", reason, counted)


def is_settled(verdicts: Sequence[Verdict], examples: int, *, telling: bool) -> bool:
    """Return True if known functions decide, so that no model has to write.

    A function for the same wish does, as it would against whatever a model writes, if none for a
    near wish answers otherwise. Where the examples are ``telling``, so do the functions that
    reproduce them, if they answer other arguments alike, too, and none is in doubt
    (docs/decisions/0014).
    """
    able = [v for v in verdicts if not v.problem and v.passed == examples]
    near = [v for v in able if v.weight]
    if any(v.weight == 1 and not v.doubt for v in near) and len({v.meaning for v in near}) == 1:
        return True
    in_doubt = any(v.doubt for v in able)
    return telling and not in_doubt and len({(v.meaning, v.probed) for v in able}) == 1


def _choose_by_examples(
    ranked: tuple[Verdict, ...], counted: tuple[Verdict, ...], examples: int, *, shown: bool
) -> Choice:
    best = ranked[0]
    if best.ignores:  # the next example, with another argument, decides
        reason = f"a method reproduces {_count(examples)}, but {best.doubt}"
        return Choice(None, "unsure", reason, counted, ranked[:RIVALS])
    if MENDED in best.fixups:  # it was fitted to them: they do not speak for it
        return Choice(best, "provisional", f"was changed to reproduce {_count(examples)}", counted)
    if best.effects and not shown:
        said = f"{_count(examples)}, which do{'es' * (examples == 1)} not say what it does outside"
        meant = [v for v in ranked if not _is_unrelated(v)]
        if len({tuple(sorted(each["key"] for each in v.effects)) for v in meant}) > 1:
            reason = f"candidates that do different things outside reproduce {said}"
            return Choice(None, "unsure", reason, counted, ranked[:RIVALS])
        return Choice(best, "provisional", f"reproduces {said}", counted)
    return Choice(best, "verified", f"reproduces {_count(examples)}", counted)


def _is_unrelated(verdict: Verdict) -> bool:
    return bool(verdict.known) and not verdict.weight


def _support(best: Verdict, group: Sequence[Verdict], written: int) -> str:
    """Return in one line what speaks for the answer of a group."""
    agree = f"{best.agree} of {written} candidates agree{'s' * (best.agree == 1)}"
    near = max((v.weight for v in group if v.known), default=0.0)
    if near < 1:
        return agree
    return f"a known function does this; {agree}" if best.agree else "a known function does this"


def _best(group: list[Verdict]) -> Verdict:
    """Return one of several that gave the same answer."""

    def rank(v: Verdict) -> tuple[Any, ...]:
        known = v.weight == 1, not _is_unrelated(v)
        return not v.ignores, v.readable, *known, v.same_on_probes, -v.draft

    return max(group, key=rank)


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


def form(text: str) -> str:
    """Return a key that random texts of one kind share: of that length, of such characters.

    >>> form("x7Kq"), form("1234") == form("9870")
    ('random text 4', True)
    """
    kind = "digits" if text.isdigit() else "letters" if text.isalpha() else "text"
    return f"random {kind} {len(text)}"


def same(value: Any, wanted: Any) -> bool:
    """Say whether two values mean the same; slow where they are big."""
    return meaning(value) == meaning(wanted)


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


def _with_votes(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    speaking = [v for v in verdicts if not v.problem and not v.doubt]
    agree = Counter(v.meaning for v in speaking if not v.known)
    same_on_probes = Counter((v.meaning, v.probed) for v in speaking)
    written = sum(not v.known for v in verdicts)
    known: dict[str, float] = {}
    for v in speaking:
        if v.known:
            known[v.meaning] = max(known.get(v.meaning, 0.0), v.weight * max(written, 1))

    def count(v: Verdict) -> Verdict:
        if v.problem or v.doubt:
            return v
        votes = agree[v.meaning] + known.get(v.meaning, 0.0)
        same = same_on_probes[v.meaning, v.probed]
        return replace(v, agree=agree[v.meaning], same_on_probes=same, votes=votes)

    return tuple(map(count, verdicts))


def _count(examples: int) -> str:
    return "the example" if examples == 1 else f"all {examples} examples"


def _why_none(verdicts: tuple[Verdict, ...], examples: int) -> str:
    wrong = sum(not v.problem for v in verdicts)
    parts = _most_common(v.problem for v in verdicts)
    if wrong:
        parts.insert(0, f"{wrong} ran but did not reproduce {_count(examples)}")
    return f"none of {len(verdicts)} candidates is good enough: " + "; ".join(parts)


def _most_common(texts: Iterable[str]) -> list[str]:
    return [f"{count} x {text}" for text, count in Counter(filter(None, texts)).most_common(3)]


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
