"""What an idle mind tells a person: one paragraph, at the first message after a long rest."""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal
from bat_os.errors import BatError
from bat_os.image import missions, proposals
from bat_os.image.history.entries import REHEARSAL
from bat_os.image.objects import Method, find
from bat_os.image.proposals import BUDGET
from bat_os.kernel.idle.curator import alike_wishes

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]

MORNING_SECONDS: Final = 6 * 3600.0
ASKED: Final = 200  # missions, the newest first
SHOWN: Final = 3  # proposals in the paragraph; the rest are only counted
_BEGIN: Final = {True: "While you were away I worked {minutes} of {budget} minutes.",
                 False: "While you were away I found something."}  # fmt: skip


def describe(
    rows: Sequence[Mapping[str, Any]],
    spent: float,
    budget: float,
    installed: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the paragraph on what was installed and what is proposed; "" without any."""
    if not (rows or installed):
        return ""
    ordered = sorted(rows, key=lambda row: ("?" not in row["what"], -row["n"]))
    minutes = max(round(spent / 60), 1)
    parts = [_BEGIN[spent > 0].format(minutes=minutes, budget=round(budget / 60))]
    parts += [
        f"I learned {one['selector']}, which had failed: it gives all of your examples; "
        f"`batos unlearn {one['object']} {one['selector']}` takes it back."
        for one in installed[-SHOWN:]
    ]
    parts += [f"{_ended(row['what'])} `batos accept {row['n']}`." for row in ordered[:SHOWN]]
    left = len(ordered) - SHOWN
    if left > 0:
        parts.append(f"There {'is' if left == 1 else 'are'} {left} more: `batos proposals`.")
    parts.append(f"Nothing {'else ' if installed else ''}was changed.")
    return " ".join(parts)


def dissonance_of(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return how much of what is used is in doubt: the sum over the doubts that stand."""
    return round(sum(float(row["evidence"].get("dissonance", 0.0)) for row in rows), 3)


async def curiosity_of(mind: KernelContext) -> int:
    """Return how many kinds of wishes were made that no method can be relied on for.

    Wishes of the newest ASKED missions that are much alike (cosine of ``golden.LIKE``) are of one
    kind; it counts where none of them has an answer that is more than a guess.
    """
    asked = await mind.image.transact(_asked, note="look what was asked for")
    if all(asked.values()):
        return 0
    alike = alike_wishes(await mind.catalog.embed([*asked]))
    kinds = [*range(len(asked))]
    for at in range(len(kinds)):
        near = {kinds[other] for other in range(at + 1) if alike[at, other]}
        kinds = [min(near) if kind in near else kind for kind in kinds]
    known = {kind for kind, is_known in zip(kinds, asked.values(), strict=True) if is_known}
    return len(set(kinds) - known)


def _asked(root: Root) -> dict[str, bool]:
    """Return each wish of a mission, and whether what answers to it now is more than a guess."""
    asked: dict[str, bool] = {}
    for mission_id in islice(reversed(list(root["missions"].keys())), ASKED):
        with contextlib.suppress(BatError):
            record = missions.read(root, mission_id)
            brief = record.mission.brief
            if record.session != REHEARSAL and not brief.label:
                found = find(root, brief.target).lookup(brief.selector)
                is_known = found is not None and not (
                    isinstance(found[1], Method) and found[1].status == "provisional"
                )
                asked[goal(brief)] = asked.get(goal(brief), False) or is_known
    return asked


def _ended(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


async def news(mind: KernelContext, now: float, *, tell: bool) -> dict[str, Any]:
    """Return what came of idle work since somebody heard of it last.

    ``text`` is the paragraph, "" if nothing came of it; ``proposals`` are the new ones. With
    ``tell``, it counts as heard.
    """
    heartbeat = mind.orchestrator.heartbeat

    def read(root: Root) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        since = proposals.heard_at(root)
        new = [row for row in proposals.standing(root) if row["at"] > since]
        return new, proposals.installed_since(root, since)

    rows, installed = await mind.image.transact(read, note="look for news")
    if tell and (rows or installed):
        await mind.image.transact(
            lambda root: proposals.note_heard(root, now), note="tell the news"
        )
    spent = heartbeat.spent if heartbeat is not None else 0.0
    resting = heartbeat.resting if heartbeat is not None else ""
    return {
        "text": describe(rows, spent, BUDGET, installed),
        "proposals": rows,
        "spent": round(spent, 1),
        "budget": BUDGET,
        "resting": resting,
    }
