"""What a request that takes steps may spend, it and all that it has others do for it.

    MISSION          steps, tokens, seconds, calls of the world
    MISSION.2        what its third step had an object or a persona do spends of the same
    MISSION.2.0      and so does what that one had done; DEPTH levels at most

What an errand has spent stands in the result of the step that it was, so the sum over the line of
those that wait for each other is the whole. A person allows as much again with ``resume --more``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import MAX_DRAFTS
from bat_os.core.steps import ToolsOffered, taken
from bat_os.errors import DeadlineError
from bat_os.image import missions
from bat_os.kernel.agent.showing import show_step, show_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.mission import Mission

    Root = Mapping[str, Any]

STEPS: Final = 8
TOKENS: Final = 1_500
SECONDS: Final = 120.0
CALLS: Final = 20  # of the world
DEPTH: Final = 3
TO_DECIDE: Final = ("tokens", "seconds")
TO_TAKE: Final = ("steps", "calls of the world")
LIMITS: Final[Mapping[str, float]] = {
    "steps": STEPS, "tokens": TOKENS, "seconds": SECONDS, "calls of the world": CALLS,
}  # fmt: skip


def depth_of(mission_id: str) -> int:
    """Return how many others wait for a mission: 0 for one that a person has asked for."""
    return mission_id.count(".")


def line_of(mission_id: str) -> list[str]:
    """Return the missions that wait for one, the first one first, and the mission itself."""
    parts = mission_id.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def spent_by(mission: Mission) -> dict[str, float]:
    """Return what a mission has spent, with what its ended errands have."""
    results = [result for _, result in taken(mission.events) if "said" not in result]
    errands = [result["spent"] for result in results if "spent" in result]
    own = [result for result in results if "spent" not in result]
    return {
        "steps": len(results) + sum(each["steps"] for each in errands),
        # since it takes steps; an errand's are those of the step that it was
        "tokens": sum(event.tokens for event in mission.events[_begun(mission) :]),
        "seconds": sum(float(result.get("seconds", 0.0)) for result in results),
        "calls of the world": sum(int(result.get("calls", 1)) for result in own)
        + sum(each["calls of the world"] for each in errands),
    }


def show_steps(mission: Mission) -> dict[str, Any]:
    """Return the steps of a mission, what each gave, and its budget; {} if it takes none.

    ``acted`` has ``step``, ``gave`` or ``error``, and ``seconds`` of each; ``budget`` has
    ``spent`` and ``allowed`` by name.
    """
    if not any(type(event) is ToolsOffered for event in mission.events):
        return {}
    acted = []
    for step, result in taken(mission.events):
        error, gave = result.get("error", ""), show_value(result.get("value"))
        told = {"error": str(error)} if error else {"gave": gave}
        acted.append({"step": show_step(step), "seconds": result.get("seconds", 0.0), **told})
    spent, more = spent_by(mission), max(1, mission.rounds_allowed // MAX_DRAFTS)
    budget = {
        name: {"spent": round(spent[name], 1), "allowed": most * more}
        for name, most in LIMITS.items()
    }
    return {"acted": acted, "budget": budget}


def _begun(mission: Mission) -> int:
    kinds = [type(event) for event in mission.events]
    return kinds.index(ToolsOffered) if ToolsOffered in kinds else 0


def check_budget(root: Root, mission_id: str, limits: Sequence[str]) -> None:
    """Refuse to let a mission go on that has spent what all of its line may.

    ``limits`` are names in LIMITS: an answer takes no step, and asks the world nothing.

    Raises:
        DeadlineError: It has.
    """
    line = [missions.read(root, each).mission for each in line_of(mission_id)]
    allowed = line[0].rounds_allowed // MAX_DRAFTS
    for what in limits:
        most = LIMITS[what]
        used = sum(spent_by(each)[what] for each in line)
        if used >= most * allowed:
            raise DeadlineError(
                f"gave up after {used:.0f} of {most * allowed:.0f} {what}; "
                f"batos missions resume {line_of(mission_id)[0]} --more allows as many again"
            )
