"""Whether a new adapter may take the place of the present one: five gates, in order.

    drafts of both, same wishes, same seeds ──→ ``judge`` ──→ [Gate, ...], the first no is last

Pure; drafts are drawn and tried elsewhere. A gate that says no ends it, and its figures are kept.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DRAFTS: Final = 8  # per wish and adapter
LONGER: Final = 1.5  # times the present median
LEAST_GAIN: Final = 0.02  # of the share of right drafts
CHANCE: Final = 0.05  # so often two adapters that are equally good may look so far apart
LEAST_WISHES: Final = 60  # fewer do not show what an adapter has lost
SOUND: Final = 6  # of DRAFTS: such a wish is never to be lost
HALF: Final = 4
MAY_FALL: Final = 0.05  # of the sound wishes, those that may fall below HALF
AGREED: Final = 5  # of DRAFTS with one behaviour: what a mission takes without an example
VARIETY: Final = 0.8  # of the distinct drafts before
# Entries of a persona, and of the state synthesizing, that have a part in how methods are written.
WRITES: Final = frozenset(
    {"codex", "system_prompt", "model", "adapter", "writing", "temperature", "top_p", "top_k",
     "max_tokens"}
)  # fmt: skip
ASKS: Final = frozenset({"order", "advice"})
BETTER, EQUAL, WORSE = "better", "equal", "worse"


@dataclass(frozen=True, slots=True)
class Draft:
    """One draft, tried."""

    right: bool
    behaviour: str  # a key of what it answered; "" if it could not run
    source: str


@dataclass(frozen=True, slots=True)
class Wish:
    """One wish, and the drafts that the present and the new adapter wrote for it."""

    name: str
    before: tuple[Draft, ...]
    after: tuple[Draft, ...]
    own: bool = False  # of a method that this mind has installed


@dataclass(frozen=True, slots=True)
class Gate:
    """What one gate has found."""

    name: str
    passed: bool
    figures: dict[str, Any]
    why: str  # in a sentence


def weigh(before: bool, after: bool) -> str:
    """Return whether what was right before, or not, has come out better, equal or worse.

    >>> weigh(before=True, after=False), weigh(before=True, after=True)
    ('worse', 'equal')
    """
    return EQUAL if before == after else BETTER if after else WORSE


def outcome_of(wish: Wish) -> str:
    """Return how a wish came out: it is granted where one draft at least is right."""
    return weigh(bool(count(wish.before)), bool(count(wish.after)))


def judge(wishes: Sequence[Wish]) -> list[Gate]:
    """Return what each gate has found; the last is the first that says no, or the fifth."""
    found: list[Gate] = []
    for gate in _GATES:
        found.append(gate(wishes))
        if not found[-1].passed:
            break
    return found


def _whole(wishes: Sequence[Wish]) -> Gate:
    """Return whether its drafts are as short as those before."""
    before, after = (
        median([len(draft.source) for wish in wishes for draft in pick(wish)] or [0])
        for pick in _SIDES
    )
    passed = bool(wishes) and 0 < after <= LONGER * before
    why = f"half of its drafts have over {after:g} characters, {before:g} before"
    return Gate("whole", passed, {"before": before, "after": after}, why)


def _gain(wishes: Sequence[Wish]) -> Gate:
    """Return whether more drafts are right, beyond chance, compared wish by wish."""
    tests = [wish for wish in wishes if not wish.own]
    gains = [_share(wish.after) - _share(wish.before) for wish in tests]
    gain = fmean(gains) if gains else 0.0
    error = stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else 1.0
    chance = chance_of([count(wish.after) - count(wish.before) for wish in tests])
    figures = {"gain": round(gain, 4), "error": round(error, 4), "chance": round(chance, 4),
               "wishes": len(tests)}  # fmt: skip
    figures |= {
        side: round(fmean([_share(pick(wish)) for wish in tests] or [0.0]), 4)
        for side, pick in zip(("before", "after"), _SIDES, strict=True)
    }
    why = (
        f"{gain:+.3f} of the drafts are right, with a standard error of {error:.3f}; chance alone "
        f"gives that much in {chance:.0%}"
    )
    if len(tests) < LEAST_WISHES:
        why = f"{len(tests)} wishes are too few to judge by, {LEAST_WISHES} at least: {why}"
    passed = len(tests) >= LEAST_WISHES and gain > LEAST_GAIN and chance <= CHANCE
    return Gate("gain", passed, figures, why)


def chance_of(gains: Sequence[int]) -> float:
    """Return how often chance alone would give at least this much in sum.

    It is the exact paired permutation test: if two adapters are equally good, each gain might as
    well be a loss, so all ways to sign them are counted. Wishes that came out alike say nothing.

    >>> chance_of([1, 1, 1, 1]), chance_of([3, -1, 0]), chance_of([])
    (0.0625, 0.5, 1.0)
    """
    ways = Counter({0: 1})  # sum -> ways to get it
    for size in filter(None, map(abs, gains)):
        signed = Counter[int]()
        for total, many in ways.items():
            signed[total + size] += many
            signed[total - size] += many
        ways = signed
    reached = sum(many for total, many in ways.items() if total >= sum(gains))
    return reached / ways.total()


def _never_lose(wishes: Sequence[Wish]) -> Gate:
    """Return whether what was sound stays so."""
    sound = [wish for wish in wishes if not wish.own and count(wish.before) >= SOUND]
    lost = [wish.name for wish in sound if not count(wish.after)]
    fallen = [wish.name for wish in sound if count(wish.after) < HALF]
    passed = not lost and len(fallen) <= MAY_FALL * len(sound)
    why = (
        f"of {len(sound)} wishes that were safe, {len(lost)} are lost and {len(fallen)} are unsure"
    )
    return Gate("never lose", passed, {"sound": len(sound), "lost": lost, "fallen": fallen}, why)


def _vote(wishes: Sequence[Wish]) -> Gate:
    """Return whether drafts that agree are right as often, within chance, and differ as much."""
    rights = [_agreements(wishes, pick) for pick in _SIDES]
    shares = [sum(found) / len(found) if found else 0.0 for found in rights]
    distinct = [
        fmean([len({draft.source for draft in pick(wish)}) for wish in wishes] or [0.0])
        for pick in _SIDES
    ]
    chance = math.sqrt(shares[0] * (1 - shares[0]) / max(len(rights[1]), 1))
    passed = shares[1] >= shares[0] - chance and distinct[1] >= VARIETY * distinct[0]
    figures = {
        "right": [round(share, 3) for share in shares],
        "agreed": [len(found) for found in rights],
        "distinct": [round(count, 2) for count in distinct],
    }
    why = (
        f"agreements are right in {shares[1]:.0%} ({shares[0]:.0%} before), with "
        f"{distinct[1]:.1f} distinct drafts ({distinct[0]:.1f} before)"
    )
    return Gate("vote", passed, figures, why)


def _replay(wishes: Sequence[Wish]) -> Gate:
    """Return whether each method that is installed would be found again."""
    own = [wish for wish in wishes if wish.own]
    worse = [wish.name for wish in own if outcome_of(wish) == WORSE]
    why = f"of {len(own)} wishes of this mind, {len(worse)} would not be granted any more"
    return Gate("replay", not worse, {"wishes": len(own), "worse": worse}, why)


def _before(wish: Wish) -> tuple[Draft, ...]:
    return wish.before


def _after(wish: Wish) -> tuple[Draft, ...]:
    return wish.after


def count(drafts: Sequence[Draft]) -> int:
    """Return how many drafts are right."""
    return sum(draft.right for draft in drafts)


def _share(drafts: Sequence[Draft]) -> float:
    return count(drafts) / len(drafts) if drafts else 0.0


def _agreements(wishes: Sequence[Wish], pick: Callable[[Wish], tuple[Draft, ...]]) -> list[bool]:
    """Return of each wish on whose drafts a mission would agree whether they are right."""
    found = []
    for wish in wishes:
        drafts = [draft for draft in pick(wish) if draft.behaviour]
        counts = Counter(draft.behaviour for draft in drafts)
        for key, count in counts.most_common(1):
            if count >= AGREED:
                found.append(next(draft.right for draft in drafts if draft.behaviour == key))
    return found


_SIDES: Final = (_before, _after)
_GATES: Final = (_whole, _gain, _never_lose, _vote, _replay)
